"""How an import would do on more cores than there are: ``python benchmarks/simulate.py IMAGE [SIDE [CORES …]]``.

First IMAGE, a tiled TIFF, is imported on one core, and it is measured what each call takes that lets go of Python's
lock: decoding, the kernels, reading and writing, digests. Then an import of SIDE² pixels of its kind runs in which all
else is as it is, and those calls wait as long as they would take, as many at a time as there would be cores. What
Python itself does is not simulated: it is done, one thread at a time, as ever.

Real times of IMAGE, on as many cores as there are, stand beside simulated ones. Caches, memory and disks that many
cores share are not simulated.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import itertools
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cartloader_flows.cli.main import main as cartloader
from cartloader_image.engines import native
from cartloader_image.images import tiff_plane
from cartloader_image.kernels import door
from cartloader_image.rasters import png, store
from cartloader_image.recipe import actions
from cartloader_image.tiles import archive

SIDE, CORES = 32768, [1, 2, 4, 8, 16]
USABLE = sorted(os.sched_getaffinity(0))
NAP = 0.002
"""Seconds: waits are put together until they are so long, as a sleep is not exact."""
KERNELS = {"halve": (1, 2), "resample": (8, 12), "warp": (10, 11), "encode": (1, 2)}
"""The kernels, and which of their arguments are the rows and columns that they work on."""
RESULT = -2
"""Where `encode` puts what it makes, by its arguments."""
Do = Callable[[str, float, Callable[[], Any]], Any]
"""Does a call of a kind, of so many units, in one way or another."""


class Measured:
    """Calls are done, and it is remembered what they took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.units: dict[str, float] = defaultdict(float)
        self.results: dict[str, float] = defaultdict(float)
        """Their results, where these are numbers, added up."""

    def __call__(self, kind: str, units: float, call: Callable[[], Any]) -> Any:
        """On a single core, so that calls do not overlap; none of them makes another one."""
        start = time.thread_time()
        result = call()
        self.seconds[kind] += time.thread_time() - start
        self.units[kind] += units
        self.results[kind] += result if isinstance(result, int) else 0
        return result


class Waited:
    """Calls wait for as long as they would take on one of so many cores."""

    def __init__(self, measured: Measured, cores: int) -> None:
        self._measured, self._cores, self._thread = measured, threading.Semaphore(cores), threading.local()

    def __call__(self, kind: str, units: float, _: Callable[[], Any]) -> int:
        """Wait; what such a call gives back, where that is a number, by the mean of the measured ones."""
        share = units / self._measured.units[kind]
        owed = getattr(self._thread, "owed", 0.0) + share * self._measured.seconds[kind]
        if owed > NAP:
            with self._cores:
                start = time.perf_counter()
                time.sleep(owed)
                owed -= time.perf_counter() - start
        self._thread.owed = owed
        return int(share * self._measured.results[kind])


class Kernels:
    """The kernels' library."""

    def __init__(self, do: Do) -> None:
        self._do, self._library, self._numbers = do, door._library(), itertools.count()  # noqa: SLF001  (it is what this stands for)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if name not in KERNELS:
            return function
        rows, columns = KERNELS[name]

        def call(*args: Any) -> Any:
            if name == "encode":  # no tile is like another one, even if it is not made
                ctypes.memmove(args[RESULT], next(self._numbers).to_bytes(8), 8)
            return self._do(name, args[rows] * args[columns], lambda: function(*args))

        return call


@contextlib.contextmanager
def done_by(do: Do, cores: int, pixels: int, tile: np.ndarray[Any, Any] | None = None) -> Iterator[None]:
    """Have calls done in some way; each tile of the input is this one, if one is given."""

    def decoder_of(page: Any, usual: Callable[..., Any] = tiff_plane.decoder_of) -> Any:
        decode = usual(page)

        def decoded(data: bytes, index: int) -> Any:
            found = do("decode", page.tilelength * page.tilewidth, lambda: decode(data, index))
            return found if tile is None else (tile[np.newaxis],)

        return decoded

    def digest(path: Path, usual: Callable[..., str] = actions.sha256) -> str:
        return f"{do('digest', pixels, lambda: usual(path)):0>64}"

    def sized(owner: Any, name: str, kind: str, units: Callable[..., float]) -> tuple[Any, str, Any]:
        usual = getattr(owner, name)
        return owner, name, lambda *args: do(kind, units(*args), lambda: usual(*args))

    instead = [
        (tiff_plane, "decoder_of", decoder_of),
        (actions, "sha256", digest),
        (door, "_library", functools.partial(lambda kernels: kernels, Kernels(do))),
        sized(store, "write_all", "write", lambda _, data, __: data.nbytes),
        sized(store, "read_all", "read", lambda _, data, __: data.nbytes),
        sized(archive, "write_all", "write", lambda _, data, __: data.nbytes),
        sized(archive, "_copy", "copy", lambda _, __, size, *___: size),
        sized(png.PngWriter, "_add", "write the PNG", lambda _, __, data: len(data)),
        sized(native, "prove", "verify", lambda *_: 1),
        (actions, "flush", lambda _: None),
        (native, "flush", lambda _: None),
        (os, "sched_getaffinity", lambda _: range(cores)),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in instead]
    for owner, name, value in instead:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def imported(image: Path) -> float:
    """Import an image; seconds."""
    with (
        tempfile.TemporaryDirectory(dir=".") as out,
        contextlib.redirect_stderr(io.StringIO()) as said,
        contextlib.redirect_stdout(said),
    ):
        argv = ["--direct", "--ome2png", "--png2pmtiles", "--pixel-size", "0.5", "--in-img", str(image)]
        start = time.perf_counter()
        code = cartloader(["import_image", *argv, "--out-dir", out, "--img-id", "picture"])
        seconds = time.perf_counter() - start
    assert code == 0, said.getvalue()
    return seconds


def alike(page: Any, side: int, folder: str) -> Path:
    """A picture of one page's kind: all of its tiles are the same, and take no room."""
    path, tile = (
        Path(folder, "alike.tif"),
        np.zeros((page.tilelength, page.tilewidth, page.samplesperpixel), page.dtype),
    )
    tifffile.imwrite(
        *(path, np.broadcast_to(tile[:1, :1], (side, side, tile.shape[2]))),
        tile=tile.shape[:2], compression=page.compression, photometric=page.photometric,
    )  # fmt: skip
    return path


def asked(argv: list[str]) -> tuple[Path, Any, np.ndarray[Any, Any], int, list[int]]:
    """The image of a command line, its first page and a tile of that, the side and the numbers of cores."""
    image = Path(argv[0])
    side, counts = int(argv[1]) if argv[1:] else SIDE, [int(cores) for cores in argv[2:]] or CORES
    with tifffile.TiffFile(image) as file:
        page = file.pages.first
        return image, page, page.asarray()[: page.tilelength, : page.tilewidth], side, counts


def measure(image: Path, page: Any) -> Measured:
    """What the calls of an import take on one core."""
    imported(image)  # whatever is done but once
    os.sched_setaffinity(0, USABLE[:1])
    with done_by(measured := Measured(), 1, page.imagelength * page.imagewidth):
        imported(image)
    os.sched_setaffinity(0, USABLE)
    return measured


def main(argv: list[str]) -> int:
    """Print the times."""
    image, page, tile, side, counts = asked(argv)
    measured, real = measure(image, page), {}
    for cores in range(1, len(USABLE) + 1):
        os.sched_setaffinity(0, USABLE[:cores])
        real[cores] = imported(image)
    for kind, seconds in sorted(measured.seconds.items(), key=lambda item: -item[1]):
        print(f"{kind:<16}{seconds:>7.2f} s")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        known = round((page.imagelength * page.imagewidth) ** 0.5)
        for size, picture in ((known, image), (side, alike(page, side, folder))):
            alone = 0.0
            for cores in counts:
                with done_by(Waited(measured, cores), cores, size * size, tile):
                    seconds = imported(picture)
                alone = alone or seconds * cores
                beside = f", really {real[cores]:.2f} s" if size != side and cores in real else ""
                efficient = alone / seconds / cores
                print(f"{size:>6}², {cores:>2} cores {seconds:>7.2f} s, {efficient:>4.0%} efficient{beside}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
