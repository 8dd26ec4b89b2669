"""Draw ``docs/orientation.png``: one small picture, laid down in all eight ways in both frames by the program itself.

Run it as ``python docs/make_orientation.py``. Every cell is what ``cartloader preview`` draws of a finished archive.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cartloader_flows.cli.main import main

SHEET = Path(__file__).with_name("orientation.png")

WIDTH, HEIGHT = 96, 64
PIXEL_SIZE = 2 * np.pi * 6378137 / (512 << 18)
"""µm; a pixel of zoom 18, so that nothing is resampled."""
CORNER = 18
RED, GREEN, BLUE, YELLOW = (214, 39, 40), (44, 160, 44), (31, 119, 180), (255, 187, 0)
TURNS = ("", "--rotate 90", "--rotate 180", "--rotate 270")
FLIPS = ("", "--flip-horizontal")

CELL, LABEL, TITLE, GAP = 112, 34, 30, 20
INK = (30, 30, 30)


def stored() -> NDArray[np.uint8]:
    """An F between four corners: red at the first pixel, then clockwise green, blue, yellow."""
    picture = np.full((HEIGHT, WIDTH, 3), 235, np.uint8)
    picture[:CORNER, :CORNER], picture[:CORNER, -CORNER:] = RED, GREEN
    picture[-CORNER:, -CORNER:], picture[-CORNER:, :CORNER] = BLUE, YELLOW
    picture[8:56, 36:44] = picture[8:16, 36:66] = picture[28:35, 36:58] = INK
    return picture


def laid_down(image: Path, folder: Path, options: list[str]) -> Image.Image:
    """What the map shows of the image, imported with these options."""
    archive, drawn = folder / "f.pmtiles", folder / "f.png"
    where = ["--in-img", str(image), "--img-id", "f", "--out-dir", str(folder), "--direct"]
    how = ["--png2pmtiles", "--resample", "near", "--pixel-size", repr(float(PIXEL_SIZE))]
    if main(["import_image", *how, *where, *options]) or main(["preview", str(archive), str(drawn)]):
        raise SystemExit(f"the import with {options} failed")
    with Image.open(drawn) as picture:
        return picture.convert("RGBA")


def sheet(original: Image.Image, cells: dict[str, dict[str, Image.Image]]) -> Image.Image:
    """The stored picture, then a block of eight cells for each frame."""
    columns = len(TURNS)
    block = TITLE + len(FLIPS) * (CELL + LABEL) + GAP
    result = Image.new("RGB", (columns * (CELL + GAP) + GAP, TITLE + CELL + GAP + block * len(cells)), "white")
    draw = ImageDraw.Draw(result)
    big, small = ImageFont.load_default(15), ImageFont.load_default(12)
    draw.text((GAP, 8), "stored, as an image viewer shows it", INK, big)
    result.paste(original, (GAP, TITLE + 8))
    for number, (frame, pictures) in enumerate(cells.items()):
        top = TITLE + CELL + number * block
        draw.text((GAP, top), f"on the map, --orient-frame {frame} (bounds with y downwards)", INK, big)
        for index, (label, picture) in enumerate(pictures.items()):
            row, column = divmod(index, columns)
            left, cell_top = GAP + column * (CELL + GAP), top + TITLE + row * (CELL + LABEL)
            middle = (left + (CELL - picture.width) // 2, cell_top + (CELL - picture.height) // 2)
            result.paste(picture, middle, picture)
            draw.text((left + CELL // 2, cell_top + CELL), label, INK, small, anchor="ma", align="center")
    return result


def make() -> None:
    """Import the picture 16 times and write the sheet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "stored.png"
        original = Image.fromarray(stored())
        original.save(image)
        cells: dict[str, dict[str, Image.Image]] = {"image": {}, "map": {}}
        for frame, pictures in cells.items():
            for flip in FLIPS:
                for turn in TURNS:
                    options = [*turn.split(), *flip.split()]
                    label = "\n".join(filter(None, (turn, flip))) or "neither"
                    pictures[label] = laid_down(image, folder, [*options, "--orient-frame", frame])
    sheet(original, cells).quantize(32).save(SHEET, optimize=True)
    print(SHEET)


if __name__ == "__main__":
    make()
