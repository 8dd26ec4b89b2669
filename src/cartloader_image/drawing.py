"""A small picture of a finished archive, of whatever program, as the map shows it.

It is put together from the tiles of the first zoom at which the picture is at least as large as what is asked for.
Where the archive has only finer ones, each tile is scaled down as it comes, so that the picture never exists in full;
where it has tiles by the ten thousands there, a square of neighbours is drawn from one of them.
"""

from __future__ import annotations

import math
import threading
from base64 import b64encode
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

from PIL import Image

from cartloader_image.errors import ArchiveError, UsageError
from cartloader_image.system.files import locked, publish
from cartloader_image.system.parallel import cores, in_order
from cartloader_image.tiles.decode import Picture, picture_of, size_of_tiles, threads_for
from cartloader_image.tiles.place import Square, plan_drawing
from cartloader_image.tiles.reader import ArchiveReader, reading
from cartloader_image.window import Window

_VECTOR = {1: "MVT", 6: "MLT"}
_KEPT = 64 << 20
"""Bytes of decoded tiles that are kept: those that lie in two bands, or in many places."""
_BAND = 256
"""Rows of the finished picture that are made at a time."""
_MARGIN = 8
"""Rows beyond a band that the Lanczos kernel reaches, at up to half the size."""


def render_preview(path: Path, size: int = 1024) -> Picture:
    """The whole picture of an archive, north at the top, as RGBA of at most ``size`` pixels a side.

    Raises:
        ArchiveError: the archive cannot be read, has no tiles, or has tiles that are no pictures.
    """
    with reading(path) as archive:
        if kind := _VECTOR.get(archive.header.tile_type):
            raise ArchiveError(f"{path}: holds vector tiles ({kind}), which are no pictures; raster tiles are needed")
        zooms = list(archive.zooms())
        if not zooms:
            raise ArchiveError(f"{path}: has no tiles")
        tile = size_of_tiles(archive, zooms[0])
        window, squares = plan_drawing(archive, zooms, max(tile), size)
        return _Drawing(archive, tile, window, squares).drawn(size)


def write_preview(path: Path, out: Path, size: int = 1024) -> Picture:
    """Write `render_preview` as a PNG, whole or not at all; the picture is returned, too.

    Raises:
        ArchiveError: as `render_preview` does.
        UsageError: the picture would take the place of the archive.
    """
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out}: is the archive itself; name another file for the picture")
    picture = render_preview(path, size)
    with locked(out) as scratch:
        picture.save(scratch / out.name, "PNG", optimize=True)
        publish(scratch / out.name, out)
    return picture


def data_uri(picture: Picture) -> str:
    """A picture as the address of an HTML page's image, so that the page needs no other file."""
    data = BytesIO()
    picture.save(data, "WEBP", quality=80)
    return f"data:image/webp;base64,{b64encode(data.getvalue()).decode()}"


class _Drawing:
    """Puts a picture together, some rows at a time."""

    def __init__(self, archive: ArchiveReader, tile: tuple[int, int], window: Window, squares: list[Square]) -> None:
        self._archive, self._tile, self._window, self._squares = archive, tile, window, squares
        self._kept: OrderedDict[tuple[int, int, int], Picture] = OrderedDict()
        self._lock = threading.Lock()

    def drawn(self, size: int) -> Picture:
        """The picture, scaled down so that no side is longer than ``size``."""
        height, width = self._window.shape
        scale = min(size / max(width, height), 1)
        final = Image.new("RGBA", (max(round(width * scale), 1), max(round(height * scale), 1)))
        step = height / final.height
        for row in range(0, final.height, _BAND):
            end = min(row + _BAND, final.height)
            top = max(math.floor(row * step) - _MARGIN, 0)
            bottom = min(math.ceil(end * step) + _MARGIN, height)
            band = self._band(top, bottom)
            if scale < 1:
                part = (0, row * step - top, width, end * step - top)
                band = band.resize((final.width, end - row), Image.Resampling.LANCZOS, part)
            else:
                band = band.crop((0, row - top, width, end - top))
            final.paste(band, (0, row))
        return final

    def _band(self, top: int, bottom: int) -> Picture:
        """The rows from ``top`` up to ``bottom`` before they are scaled."""
        first = self._window.row0
        seen = self._window._replace(row0=first + top, row1=first + bottom)
        band = Image.new("RGBA", seen.shape[::-1])
        squares = [square for square in self._squares if not square.window.intersect(seen).is_empty]
        threads = threads_for(self._tile, cores())
        for square, picture in zip(squares, in_order(self._picture, squares, threads), strict=True):
            place = square.window.relative_to(seen)
            band.paste(picture, (place.column0, place.row0))
        return band

    def _picture(self, square: Square) -> Picture:
        """A square as it is drawn; safe from any thread."""
        height, width = square.window.shape
        key = square.offset, width, height
        if (kept := self._kept.get(key)) is not None:
            return kept
        picture = picture_of(self._archive, square.tile_id, (square.offset, square.length), self._tile)
        picture = picture.resize((width, height), Image.Resampling.BOX)
        with self._lock:
            self._kept[key] = picture
            while len(self._kept) > max(_KEPT // (4 * width * height), 1):
                self._kept.popitem(last=False)
        return picture
