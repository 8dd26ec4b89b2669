"""Draw ``docs/orientation.png``: one picture, laid down in all eight ways in both frames, as the map shows it.

Run it as ``python docs/make_orientation.py``. Each cell is a real import of a y-down image.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from PIL import Image, ImageDraw

from cartloader import actions
from cartloader.params import Ome2PngParams, OutputPrefix, Png2PmtilesParams
from cartloader.preview import render_preview

SHEET = Path(__file__).with_name("orientation.png")
CELL, HEAD, SIDE = 128, 22, 64


def picture() -> Image.Image:
    """An F with four different corners, wider than high."""
    image = Image.new("RGB", (96, 64), "white")
    draw = ImageDraw.Draw(image)
    for box in ((38, 10, 46, 54), (38, 10, 66, 18), (38, 28, 58, 36)):
        draw.rectangle(box, "black")
    for corner, colour in zip(((0, 0), (84, 0), (0, 52), (84, 52)), ("red", "lime", "blue", "gold"), strict=True):
        draw.rectangle((*corner, corner[0] + 11, corner[1] + 11), colour)
    return image


def main() -> None:
    """Import and draw all cells."""
    pixels = np.asarray(picture())
    sheet = Image.new("RGB", (SIDE + 8 * CELL, HEAD + 2 * CELL), "lightgray")
    draw = ImageDraw.Draw(sheet)
    with TemporaryDirectory() as folder:
        slide = Path(folder) / "picture.ome.tif"
        tifffile.imwrite(slide, pixels, photometric="rgb", metadata={"PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0})
        for row, frame in enumerate(("image", "map")):
            draw.text((4, HEAD + row * CELL + 50), f"frame\n{frame}", "black")
            for column, (flip, turn) in enumerate(product((False, True), (None, 90, 180, 270))):
                out = OutputPrefix(out_dir=Path(folder), img_id=f"{frame}{column}")
                actions.ome2png(
                    Ome2PngParams(
                        in_img=slide, out=out, png=False, rotate=turn, flip_horizontal=flip, orient_frame=frame
                    )
                )
                shown = render_preview(actions.png2pmtiles(Png2PmtilesParams(out=out)).path, 108)
                place = (
                    SIDE + column * CELL + (CELL - shown.width) // 2,
                    HEAD + row * CELL + (CELL - shown.height) // 2,
                )
                sheet.paste(shown, place, shown)
                draw.text((SIDE + column * CELL + 8, 5), f"rotate {turn or 0}{' + flip-h' if flip else ''}", "black")
    sheet.save(SHEET, optimize=True)
    print(SHEET)


if __name__ == "__main__":
    main()
