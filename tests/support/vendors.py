"""Small files in the layouts that instruments write, by the names that the docs' pages give them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from support.maps import write_ome
from support.rasters import ome_xml, write_pages

UM_XENIUM, UM_COSMX = 0.2125, 0.12028
"""µm per pixel."""
STAINS = ("DAPI", "ATP1A1/CD45/E-Cadherin", "18S", "AlphaSMA/Vimentin")
ALIGNMENT = np.array([[0.0110710, 1.2895790, 807.9789], [-1.2895790, 0.0110710, 730.9766], [0, 0, 1]])
"""Pixels of the H&E image → pixels of the morphology image: a quarter turn and half a degree."""
MOSAIC = (9.26, -125.5), (9.26, 121.6)
"""Scale and shift of x and y, from µm to pixels."""
UM_VISIUM, SMALLER = 0.2738, 0.25
SPOT = 12
"""Pixels of the side of the red square that marks the first pixel."""
FOVS = {1: (0, 0), 2: (80, 0), 3: (0, 60), 4: (80, 60)}
"""Left edge and bottom of each field of view of 80 × 60 pixels, y upwards, in pixels beside `SLIDE`."""
SLIDE = 5000, 70000
COLOURS = {1: (200, 40, 40), 2: (40, 160, 40), 3: (40, 60, 200), 4: (220, 200, 40)}


def counts(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """16 bits, as a camera counts."""
    return np.random.default_rng(5).integers(0, 4000, shape, np.uint16)


def stained(rows: int, columns: int) -> NDArray[np.uint8]:
    """A pale picture with a red square at its first pixel."""
    picture = np.full((rows, columns, 3), (230, 200, 220), np.uint8)
    picture[:SPOT, :SPOT] = 255, 0, 0
    return picture


def readme(folder: Path) -> None:
    """The files of somebody who reads the README."""
    planes = {"axes": "CYX", "PhysicalSizeX": UM_XENIUM, "PhysicalSizeY": UM_XENIUM}
    tifffile.imwrite(folder / "morphology.ome.tif", counts((2, 90, 120)), metadata=planes, photometric="minisblack")
    tifffile.imwrite(folder / "mosaic_DAPI_z3.tif", counts((90, 120)))
    noise = np.random.default_rng(5).integers(0, 255, (100, 100, 3), np.uint8)
    Image.fromarray(noise).save(folder / "histology.png")
    (folder / "bounds.tsv").write_text("6690\t6772\t7367\t7449\n")
    header = b"##K=12;TOPK=3\n##OFFSET_X=6690;OFFSET_Y=6772;SIZE_X=676;SIZE_Y=676;SCALE=100\n#BLOCK\tX\tY\n0\t1\t2\n"
    (folder / "decode.pixel.sorted.tsv.gz").write_bytes(gzip.compress(header))
    (folder / "micron_to_mosaic_pixel_transform.csv").write_text("9.26 0 -125.5\n0 9.26 121.6\n0 0 1\n")


def xenium(folder: Path) -> None:
    """The bundle of version 2 and 3: a z stack, a set of four stains, an H&E image with its alignment."""
    focus = folder / "xenium" / "morphology_focus"
    focus.mkdir(parents=True)
    size = f'PhysicalSizeX="{UM_XENIUM}" PhysicalSizeY="{UM_XENIUM}"'
    names = [f"morphology_focus_{number:04}.ome.tif" for number in range(len(STAINS))]
    inner = "".join(f'<Channel ID="Channel:{number}" Name="{stain}"/>' for number, stain in enumerate(STAINS))
    inner += "".join(
        f'<TiffData FirstC="{number}" IFD="0"><UUID FileName="{name}">urn:uuid:{number}</UUID></TiffData>'
        for number, name in enumerate(names)
    )
    sizes = {"SizeX": 200, "SizeY": 150, "Type": "uint16"}
    layout: dict[str, Any] = {"tile": (64, 64), "compression": "jpeg2000"}
    for number, name in enumerate(names):
        xml = ome_xml(inner, size, f'UUID="urn:uuid:{number}"', SizeC=len(STAINS), **sizes)
        write_pages(focus / name, [counts((150, 200))], xml.encode(), **layout)
    stack = ome_xml('<Channel ID="Channel:0" Name="DAPI"/><TiffData/>', size, SizeZ=5, **sizes)
    write_pages(folder / "xenium" / "morphology.ome.tif", counts((5, 150, 200)), stack.encode(), **layout)
    (folder / "xenium" / "experiment.xenium").write_text(json.dumps({"pixel_size": UM_XENIUM}))
    write_ome(folder / "he_image.ome.tif", stained(60, 90), 0.274)
    rows = (",".join(f"{value:.15g}" for value in row) for row in ALIGNMENT)
    (folder / "he_imagealignment.csv").write_text("\r\n".join(rows))


def registered(folder: Path) -> None:
    """An H&E image that somebody registered to something else."""
    Image.fromarray(stained(60, 90)).save(folder / "he.png")


def merscope(folder: Path) -> None:
    """A region with three stains."""
    images = folder / "region_0" / "images"
    images.mkdir(parents=True)
    (x, left), (y, top) = MOSAIC
    (images / "micron_to_mosaic_pixel_transform.csv").write_text(f"{x} 0.0 {left}\n0.0 {y} {top}\n0.0 0.0 1.0\n")
    for stain in ("DAPI", "PolyT", "Cellbound1"):
        tifffile.imwrite(images / f"mosaic_{stain}_z3.tif", counts((90, 120)), bigtiff=True)
    tifffile.imwrite(images / "mosaic_DAPI_z4.tif", counts((90, 120)), bigtiff=True)


def visium_hd(folder: Path) -> None:
    """The image that Space Ranger was given, and what it made of it."""
    tifffile.imwrite(folder / "tissue_image.btf", stained(120, 160), photometric="rgb", bigtiff=True, metadata=None)
    spatial = folder / "outs" / "binned_outputs" / "square_008um" / "spatial"
    spatial.mkdir(parents=True)
    Image.fromarray(stained(120, 160)[::4, ::4]).save(spatial / "tissue_hires_image.png")
    factors = {"microns_per_pixel": UM_VISIUM, "tissue_hires_scalef": SMALLER, "bin_size_um": 8.0}
    (spatial / "scalefactors_json.json").write_text(json.dumps(factors))


def cosmx(folder: Path, *, x: int = 1, y: int = -1) -> None:
    """Four fields of view; ``x`` and ``y`` say which way the slide's coordinates run in a picture."""
    for name in ("CellComposite", "Morphology2D"):
        (folder / name).mkdir()
    lines = ["fov,cell_ID,x_local_px,y_local_px,x_global_px,y_global_px,z,target,CellComp"]
    positions = ["FOV,x_global_px,y_global_px,x_global_mm,y_global_mm"]
    for fov, (left, bottom) in FOVS.items():
        picture = np.full((60, 80, 3), COLOURS[fov], np.uint8)
        Image.fromarray(picture).save(folder / "CellComposite" / f"CellComposite_F{fov:03}.jpg", quality=95)
        place = SLIDE[0] + left, SLIDE[1] + bottom
        positions.append(",".join(map(str, (fov, *place, *(UM_COSMX / 1000 * edge for edge in place)))))
        stains = folder / "Morphology2D" / f"20260101_000000_S1_F{fov:05}.TIF"
        write_pages(stains, counts((5, 60, 80)), b'{"ChannelOrder": "BGYRU"}')
        corner = SLIDE[0] + left + (80 if x < 0 else 0), SLIDE[1] + bottom + (60 if y < 0 else 0)
        for column, row in ((70, 5), (68, 30), (12, 50), (40, 30)):
            there = corner[0] + x * column, corner[1] + y * row
            lines.append(f"{fov},0,{column},{row},{there[0]},{there[1]},3,AQP4,None")
    for name, table in (("tx", lines), ("fov_positions", positions)):
        (folder / f"S0_{name}_file.csv.gz").write_bytes(gzip.compress("\n".join(table).encode()))


def slide_scanner(folder: Path) -> None:
    """A scan with its thumbnail and a level, and a picture that somebody exported."""
    slide = stained(64, 96)
    aperio = (
        "Aperio Image Library v11.2.1 \n96x64 [0,0 96x64] (16x16) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990|Left = 2.5"
    )
    tiles: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(folder / "slide.svs") as file:
        file.write(slide, description=aperio, **tiles)
        file.write(slide[::4, ::4], description="Aperio thumbnail", photometric="rgb", metadata=None)
        file.write(slide[::2, ::2], description=aperio, **tiles)
    Image.fromarray(slide).save(folder / "export.png")
