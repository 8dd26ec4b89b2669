"""Make small rasters of every kind, and read them back through cartloader as whole arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, OutputPrefix
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.plane import Plane
from cartloader_image.images.source import Source, open_source
from cartloader_image.layout import Layout, Pixels
from cartloader_image.window import Window, windows
from support.maps import write_ome

NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'

Raster = Callable[..., Path]
"""Writes a raster of a name into the test's own directory, as `write_raster` does: the fixture ``raster``."""


def params_for(path: Path, **options: Any) -> GeoreferenceParams:
    """The parameters of the action that takes such a file."""
    kind = Ome2PngParams if is_tiff(path) else GeoreferenceParams
    return kind(in_img=path, out=OutputPrefix(out_dir=path.parent / "out", img_id="picture"), **options)


def with_source(path: Path, look: Callable[[Source], Any], **options: Any) -> Any:
    """What ``look`` sees in the open source."""
    with open_source(params_for(path, **options)) as source:
        return look(source)


def read_whole(plane: Plane) -> Pixels:
    """All blocks of a plane put together, in the order in which the actions read them."""
    result = np.empty((plane.height, plane.width, plane.layout.bands), plane.dtype)
    for window in windows(plane.height, plane.width, plane.block):
        pixels = plane.read(window)
        assert pixels.dtype == plane.dtype
        assert pixels.shape == (*window.shape, plane.layout.bands)
        result[window.row0 : window.row1, window.column0 : window.column1] = pixels
    return result


def read_image(path: Path, **options: Any) -> Pixels:
    """The pixels of the chosen plane, without the band axis where there is one band."""
    pixels: Pixels = with_source(path, lambda source: read_whole(source.plane), **options)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


class ArrayPlane:
    """A plane in memory."""

    concurrent, stored, copies, masked, tint = True, True, 3, False, None

    def __init__(self, pixels: Pixels, block: tuple[int, int] = (16, 16), *, alpha: bool = False) -> None:
        self.pixels, self.block = pixels, block
        self.height, self.width = pixels.shape[:2]
        self.layout, self.dtype = Layout(pixels.shape[2] - alpha, alpha), pixels.dtype

    def read(self, window: Window) -> Pixels:
        return self.pixels[window.row0 : window.row1, window.column0 : window.column1]


def noise(shape: Sequence[int], dtype: Any = np.uint8, seed: int = 0) -> NDArray[Any]:
    """Values over the whole range of an integer type, or normal ones of a float type."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return random.normal(0, 1000, shape).astype(kind)
    info = np.iinfo(kind)
    return random.integers(info.min, info.max, shape, kind, endpoint=True)


def as_rgba(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey, grey + alpha, RGB or RGBA of 8 bits as RGBA."""
    count = pixels.shape[2]
    colours = np.broadcast_to(pixels[..., : 3 if count > 2 else 1], (*pixels.shape[:2], 3))
    alpha = pixels[..., -1:] if count in {2, 4} else np.full_like(pixels[..., :1], 255)
    return np.concatenate([colours, alpha], axis=2)


def smooth(rows: int, columns: int, bands: int) -> NDArray[np.uint8]:
    """A picture that lossy codecs keep nearly as it is."""
    y, x = np.mgrid[0:rows, 0:columns]
    planes = [128 + 100 * np.sin(x / 17 + band) * np.cos(y / 23 - band) for band in range(bands)]
    picture: NDArray[np.uint8] = np.stack(planes, axis=-1).astype(np.uint8)
    return picture[..., 0] if bands == 1 else picture


def write_raster(
    path: Path,
    rows: int = 60,
    columns: int = 80,
    *,
    bands: int = 1,
    dtype: Any = np.uint16,
    pixel_size: float = 0.25,
    **more: Any,
) -> Path:
    """A smooth picture over the whole range of an integer type, in the format of the path's suffix.

    Of an OME-TIFF, ``pixel_size`` is in µm. What else is given (compression, tile, quality …) goes to the writer.
    """
    pixels = smooth(rows, columns, bands).astype(dtype) * (np.iinfo(dtype).max // 255)
    if path.name.endswith(".ome.tif"):
        return write_ome(path, pixels, pixel_size, **more)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="minisblack" if bands == 1 else "rgb", **more)
    else:
        Image.fromarray(pixels).save(path, **more)
    return path


def write_pages(path: Path, pages: Iterable[NDArray[Any]], description: str | bytes | None = None, **more: Any) -> Path:
    """A TIFF with exactly these pages, and a description as given on the first."""
    with tifffile.TiffWriter(
        path, **{name: more.pop(name) for name in ("bigtiff", "byteorder") if name in more}
    ) as tif:
        for page in pages:
            tif.write(page, description=description, metadata=None, contiguous=False, **more)
            description = None
    return path


def ome_xml(inner: str = "", pixels: str = "", root: str = "", **sizes: Any) -> str:
    """An OME-XML block with one image; ``sizes`` are attributes of Pixels."""
    values = {
        "ID": "Pixels:0", "DimensionOrder": "XYZCT", "Type": "uint8", "SizeX": 8, "SizeY": 6, "SizeZ": 1, "SizeC": 1,
        "SizeT": 1,
    } | sizes  # fmt: skip
    attributes = " ".join(f'{name}="{value}"' for name, value in values.items() if value is not None)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME {NAMESPACE} {root}><Image ID="Image:0" Name="one">'
        f"<Pixels {attributes} {pixels}>{inner}</Pixels></Image></OME>"
    )
