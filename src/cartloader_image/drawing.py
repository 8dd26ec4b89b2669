"""A small picture of a finished archive, of whatever program, as the map shows it.

It is put together from the tiles of the first zoom at which the picture is at least as large as what is asked for.
Where the archive has only finer ones, each tile is scaled down as it comes, so that the picture never exists in full;
where it has tiles by the ten thousands there, a square of neighbours is drawn from one of them.
"""

from __future__ import annotations

import html
import math
import threading
from base64 import b64encode
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cartloader_image.errors import ArchiveError, InputError, UsageError
from cartloader_image.system.files import locked, publish
from cartloader_image.system.parallel import cores, in_order
from cartloader_image.tiles.decode import Picture, picture_of, size_of_tiles, threads_for
from cartloader_image.tiles.place import Square, place_of, plan_drawing
from cartloader_image.tiles.reader import ArchiveReader, reading
from cartloader_image.values import Bounds
from cartloader_image.window import Window

VECTOR = {1: "MVT", 6: "MLT"}
"""Types of tiles that are no pictures, by their number in the header."""
_KEPT = 64 << 20
"""Bytes of decoded tiles that are kept: those that lie in two bands, or in many places."""
_BAND = 256
"""Rows of the finished picture that are made at a time."""
_CAPTION, _LETTERS, _EDGE = 28, 13, 8
"""Pixels: height of the line below a picture, and of its letters; what is left free around them."""
_INK, _PAPER = (30, 30, 30, 255), (255, 255, 255, 255)
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Of a picture that is written, by the end of its name."""
_ON_DARK, _ON_BRIGHT = (255, 211, 77, 255), (0, 140, 40, 255)
"""Colours of points, which stand out from fluorescence and from H&E."""
_FAINTEST, _CROWDED = 150, 0.98
"""Alpha of the pixel of a single point where others hold many, and the share of those that are not yet drawn full."""
_COVERED = 0.1
"""Share of a picture that dots may cover to be 5 or 3 pixels wide; else they are one."""
_COUNTED = 1 << 20
"""Points that are counted at a time."""
_IN_HTML, _IN_A_PAGE = 480, 60_000
"""Pixels a side of the picture in a notebook; characters of any picture in a page."""
_MARGIN = 8
"""Rows beyond a band that the Lanczos kernel reaches, at up to half the size."""


def render_preview(path: Path, size: int = 1024) -> Picture:
    """The whole picture of an archive, north at the top, as RGBA of at most ``size`` pixels a side.

    Raises:
        ArchiveError: the archive cannot be read, has no tiles, or has tiles that are no pictures.
    """
    with reading(path) as archive:
        return _rendered(archive, path, size)


def _rendered(archive: ArchiveReader, path: Path, size: int) -> Picture:
    if kind := VECTOR.get(archive.header.tile_type):
        raise ArchiveError(f"{path}: holds vector tiles ({kind}), which are no pictures; raster tiles are needed")
    zooms = list(archive.zooms())
    if not zooms:
        raise ArchiveError(f"{path}: has no tiles")
    tile = size_of_tiles(archive, zooms[0])
    window, squares = plan_drawing(archive, zooms, max(tile), size)
    return _Drawing(archive, tile, window, squares).drawn(size)


def captioned(picture: Picture, bounds: Bounds, name: str) -> Picture:
    """A picture above a line that says what it is and where, and how long a µm is in it.

    Args:
        picture: North up, of all that lies within the bounds.
        bounds: Its north-west and south-east corners in µm.
        name: What it is called.
    """
    unit = bounds.width / picture.width  # the font that Pillow brings along has no µ
    most = unit * picture.width / 4
    length = max(step * 10.0**power for power in range(-3, 8) for step in (1, 2, 5) if step * 10.0**power <= most)
    final = Image.new("RGBA", (picture.width, picture.height + _CAPTION), _PAPER)
    final.paste(picture, (0, 0))
    draw, font = ImageDraw.Draw(final), ImageFont.load_default(_LETTERS)
    middle, bar = picture.height + _CAPTION / 2, max(round(length / unit), 1)
    draw.rectangle((_EDGE, middle - 2, _EDGE + bar - 1, middle + 1), _INK)
    told = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} um"
    draw.text((2 * _EDGE + bar, middle), told, _INK, font, anchor="lm")
    left = 3 * _EDGE + bar + draw.textlength(told, font)
    words = f"{name}   x {bounds.ulx:,.0f} … {bounds.lrx:,.0f}, y {bounds.lry:,.0f} … {bounds.uly:,.0f} um"
    for text in (words, name):
        if left + draw.textlength(text, font) + _EDGE <= final.width:
            draw.text((final.width - _EDGE, middle), text, _INK, font, anchor="rm")
            break
    return final


def dotted(picture: Picture, bounds: Bounds, points: NDArray[np.floating]) -> bool:
    """Draw points on a picture: the more of them in a pixel, the fuller its colour; whether any lies on it.

    Args:
        picture: In mode RGBA, north up, of all that lies within the bounds.
        bounds: Its north-west and south-east corners in µm.
        points: ``(points, 2)``: x and y in µm; those beside the picture are left out.
    """
    width, height = picture.size
    counts = np.zeros(width * height, np.uint32)
    for start in range(0, len(points), _COUNTED):
        x, y = points[start : start + _COUNTED].T.astype(np.float64)
        columns = np.floor((x - bounds.ulx) / bounds.width * width)
        rows = np.floor((bounds.uly - y) / bounds.height * height)
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        np.add.at(counts, (rows[inside] * width + columns[inside]).astype(np.intp), 1)
    if not counts.any():
        return False
    there, alpha = np.flatnonzero(counts), np.zeros((height, width), np.uint8)
    full = np.minimum(counts[there] / np.quantile(counts[there], _CROWDED), 1)
    alpha.flat[there] = _FAINTEST + (255 - _FAINTEST) * full
    side = next((side for side in (5, 3) if len(there) * side**2 < _COVERED * counts.size), 1)
    dots = Image.fromarray(alpha).filter(ImageFilter.MaxFilter(side))
    bright = np.median(np.asarray(picture.convert("L").resize((64, 64)))) > 127
    picture.paste(_ON_BRIGHT if bright else _ON_DARK, (0, 0), dots)
    return True


def draw_caption(path: Path, name: str, size: int = 1024, points: NDArray[np.floating] | None = None) -> Picture:
    """`render_preview` of an archive, `dotted` with points where there are any, and `captioned`.

    Raises:
        ArchiveError: as `render_preview` does.
    """
    with reading(path) as archive:
        picture = _rendered(archive, path, size)
        bounds = place_of(archive, list(archive.zooms())).bounds
        if points is not None:
            dotted(picture, bounds, points)
        return captioned(picture, bounds, name)


def write_preview(path: Path, out: Path, size: int = 1024, points: NDArray[np.floating] | None = None) -> Picture:
    """Write `render_preview`, `dotted` with points where there are any, whole or not at all; the picture is returned.

    The end of the file's name says whether it is a PNG or, on white, a JPEG.

    Raises:
        ArchiveError: as `render_preview` does.
        InputError: no point lies on the picture.
        UsageError: the picture would take the place of the archive, or its name says nothing.
    """
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out}: is the archive itself; name another file for the picture")
    kind = _FORMATS.get(out.suffix.lower())
    if kind is None:
        raise UsageError(f"{out}: a picture is written as PNG or JPEG; let its name end in .png, .jpg or .jpeg")
    with reading(path) as archive:
        picture = _rendered(archive, path, size)
        if points is not None and not dotted(picture, place_of(archive, list(archive.zooms())).bounds, points):
            raise InputError(f"{path}: none of {len(points):,} points lies on its picture; are both in µm, of one run?")
    with locked(out) as scratch:
        if kind == "PNG":
            picture.save(scratch / out.name, kind, optimize=True)
        else:
            flat = Image.new("RGB", picture.size, "white")
            flat.paste(picture, (0, 0), picture)
            flat.save(scratch / out.name, kind, quality=90, optimize=True)
        publish(scratch / out.name, out)
    return picture


def data_uri(picture: Picture) -> str:
    """A picture as the address of an HTML page's image, so that the page needs no other file.

    One of noise, which would make a page slow, is stored more coarsely, and then with fewer pixels.
    """
    quality = 80
    while True:
        data = BytesIO()
        picture.save(data, "WEBP", quality=quality)
        address = f"data:image/webp;base64,{b64encode(data.getvalue()).decode()}"
        if len(address) <= _IN_A_PAGE or max(picture.size) < 2:
            return address
        if quality > 40:
            quality -= 20
        else:
            picture = picture.reduce(2)


def figure(path: Path, name: str, words: str) -> str:
    """The HTML of `draw_caption` of an archive, above words about it.

    Raises:
        ArchiveError: as `render_preview` does.
    """
    picture = data_uri(draw_caption(path, name, _IN_HTML))
    return f'<figure><img src="{picture}"><figcaption>{html.escape(words)}</figcaption></figure>'


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
