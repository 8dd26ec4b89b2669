"""Run folders of each vendor in which transcripts lie on bright spots: where, the vendor's own tables say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from support.rasters import ome_xml, write_pages

ROWS, COLUMNS = 300, 400
Points = NDArray[np.float64]
"""``(100, 2)``: x and y."""
UM = {"xenium": 0.2125, "he": 0.274, "merscope": 1 / 9.26, "visium_hd": 0.2738, "visium": 0.65, "cosmx": 0.12028}
"""µm per pixel."""
FIELD = 150, 140
"""Rows and columns of a field of view of CosMx."""
SLIDE = 5180.32, 106920.44
"""Where CosMx's slide has the first pixel of its first field."""
ORIGIN = -125.5, 121.6
"""Of MERSCOPE's matrix: the pixel at which 0,0 µm lies."""


def spots() -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """A dark picture with 100 spots of 3 × 3 pixels, and the column and row in the middle of each."""
    random = np.random.default_rng(16)
    columns, rows = np.meshgrid(np.arange(10) * 38 + 12, np.arange(10) * 28 + 12)
    middles = np.stack([columns, rows], axis=-1).reshape(-1, 2) + random.integers(0, 12, (100, 2))
    picture = random.integers(0, 300, (ROWS, COLUMNS), np.uint16)
    for column, row in middles:
        picture[row - 1 : row + 2, column - 1 : column + 2] = 60_000
    return picture, middles


def he() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The same spots in red on a pale slide."""
    picture, middles = spots()
    slide = np.full((ROWS, COLUMNS, 3), 240, np.uint8)
    slide[picture > 30_000] = 255, 0, 0
    return slide, middles


def _table(path: Path, header: str, points: Points) -> None:
    rows = (f"{number},{x:.5f},{y:.5f}\n" for number, (x, y) in enumerate(points))
    path.write_text(f"{header}\n" + "".join(rows))


def xenium(folder: Path) -> Points:
    """Two stains of one set, and a z stack whose spots are in its second plane."""
    picture, middles = spots()
    (folder / "morphology_focus").mkdir(parents=True)
    (folder / "experiment.xenium").write_text(json.dumps({"pixel_size": UM["xenium"]}))
    size = f'PhysicalSizeX="{UM["xenium"]}" PhysicalSizeY="{UM["xenium"]}"'
    sizes = {"SizeX": COLUMNS, "SizeY": ROWS, "Type": "uint16"}
    names = ["ch0000_dapi.ome.tif", "ch0001_atp1a1_cd45_e-cadherin.ome.tif"]
    inner = "".join(
        f'<Channel ID="Channel:{number}" Name="{stain}"/><TiffData FirstC="{number}" IFD="0">'
        f'<UUID FileName="{names[number]}">urn:uuid:{number}</UUID></TiffData>'
        for number, stain in enumerate(["DAPI", "ATP1A1/CD45/E-Cadherin"])
    )
    for number, name in enumerate(names):
        xml = ome_xml(inner, size, f'UUID="urn:uuid:{number}"', SizeC=2, **sizes)
        write_pages(folder / "morphology_focus" / name, [picture], xml.encode())
    stack = ome_xml('<Channel ID="Channel:0" Name="DAPI"/><TiffData/>', size, SizeZ=3, **sizes)
    write_pages(folder / "morphology.ome.tif", [picture // 9, picture, picture // 9], stack.encode())
    points = (middles + 0.5) * UM["xenium"]
    _table(folder / "transcripts.csv", "transcript_id,x_location,y_location", points)
    return points


def stained(folder: Path) -> Points:
    """An H&E image of a Xenium run, turned by 88 degrees, with its alignment beside it; where its spots lie."""
    slide, middles = he()
    tifffile.imwrite(
        folder / "he_image.ome.tif", slide, photometric="rgb",
        metadata={"axes": "YXS", "PhysicalSizeX": UM["he"], "PhysicalSizeY": UM["he"]},
    )  # fmt: skip
    turn, scale = np.radians(88), UM["he"] / UM["xenium"]
    matrix = np.array([[np.cos(turn), np.sin(turn), 40.5], [-np.sin(turn), np.cos(turn), 700.25]])
    matrix[:, :2] *= scale
    np.savetxt(folder / "he_imagealignment.csv", [*matrix, [0, 0, 1]], delimiter=",")
    return ((middles + 0.5) @ matrix[:, :2].T + matrix[:, 2]) * UM["xenium"]


def merscope(folder: Path) -> Points:
    """Two stains at two z, as GeoTIFF-less BigTIFFs, and Vizgen's matrix from µm to pixels."""
    picture, middles = spots()
    images = folder / "region_0" / "images"
    images.mkdir(parents=True)
    scale = 1 / UM["merscope"]
    matrix = f"{scale} 0.0 {ORIGIN[0]}\n0.0 {scale} {ORIGIN[1]}\n0.0 0.0 1.0\n"
    (images / "micron_to_mosaic_pixel_transform.csv").write_text(matrix)
    for stain in ("DAPI", "PolyT"):
        for z in (0, 3):
            tifffile.imwrite(images / f"mosaic_{stain}_z{z}.tif", picture, bigtiff=True, metadata=None)
    points = (middles + 0.5 - ORIGIN) * UM["merscope"]
    _table(folder / "region_0" / "detected_transcripts.csv", ",global_x,global_y", points)
    return points


def space_ranger(folder: Path, *, binned: bool) -> Points:
    """The stained slide with spots in red, what is made of it, and the file of scales."""
    slide, middles = he()
    folder.mkdir(parents=True, exist_ok=True)
    outs, um = folder / "outs", UM["visium_hd" if binned else "visium"]
    tifffile.imwrite(folder / "tissue_image.tif", slide, photometric="rgb", metadata=None)
    spatial = outs / "binned_outputs" / "square_008um" / "spatial" if binned else outs / "spatial"
    spatial.mkdir(parents=True)
    facts: dict[str, Any] = {"tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.1}
    facts |= {"microns_per_pixel": um, "bin_size_um": 8.0} if binned else {"spot_diameter_fullres": 65 / um}
    (spatial / "scalefactors_json.json").write_text(json.dumps(facts))
    for name, factor in (("hires", 2), ("lowres", 10)):
        size = COLUMNS // factor, ROWS // factor
        Image.fromarray(slide).resize(size, Image.Resampling.BOX).save(spatial / f"tissue_{name}_image.png")
    Image.fromarray(slide).save(spatial / "cytassist_image.tiff")
    return (middles + 0.5) * um


def cosmx(folder: Path, *, right: int = 1, up: int = 1, corner: str = "lower", below: bool = False) -> Points:
    """The spots in six fields that overlap, as two stains and as a coloured picture; positions are those of a corner.

    Args:
        folder: Of the run.
        right: 1 where x of the slide runs to the right in a picture, -1 where to the left.
        up: 1 where y runs upwards, -1 where downwards.
        corner: The end of the left side that a position means, ``lower`` or ``upper``.
        below: Whether the rows of ``y_local_px`` are counted from below.
    """
    picture, middles = spots()
    random, (rows, columns) = np.random.default_rng(7), FIELD
    lines, positions = ["fov,cell_ID,x_local_px,y_local_px,x_global_px,y_global_px,z,target"], []
    for name in ("CellComposite", "Morphology2D"):
        (folder / name).mkdir(parents=True)

    def there(points: Points) -> Points:
        """Columns and rows of all → pixels of the slide."""
        return np.array(SLIDE) + points * (right, -up)

    for fov, (top, left) in enumerate([(0, 0), (0, 130), (0, 260), (150, 0), (150, 130), (150, 260)], 1):
        piece = picture[top : top + rows, left : left + columns]
        composite = np.repeat((piece // 256).astype(np.uint8)[..., None], 3, axis=2)
        Image.fromarray(composite).save(folder / "CellComposite" / f"CellComposite_F{fov:03}.jpg", quality=98)
        stains = folder / "Morphology2D" / f"20260101_000000_S1_C902_P99_N99_F{fov:05}.TIF"
        description = json.dumps(
            {"MorphologyKit": {"MorphologyReagents": [
                {"BiologicalTarget": "DNA", "Fluorophore": {"ChannelId": "U"}},
                {"BiologicalTarget": "PanCK", "Fluorophore": {"ChannelId": "G"}},
            ]}, "ChannelOrder": "GU"}
        )  # fmt: skip
        write_pages(stains, [piece // 9, piece], description.encode())
        named = there(np.array([left, top + rows * (corner == "lower")]))
        positions.append(f"{fov},{named[0]},{named[1]},{named[0] * UM['cosmx'] / 1e3},{named[1] * UM['cosmx'] / 1e3}\n")
        inside = random.uniform((0, 0), (columns, rows), (200, 2))
        local = np.rint(inside if not below else np.array([0, rows]) + inside * (1, -1))
        for (x, y), (gx, gy) in zip(local, there(inside + np.array([left, top])), strict=True):
            lines.append(f"{fov},0,{x:.0f},{y:.0f},{gx:.6f},{gy:.6f},1,AQP4")
    (folder / "S0_tx_file.csv").write_text("\n".join(lines))
    (folder / "S0_fov_positions_file.csv").write_text(
        "FOV,x_global_px,y_global_px,x_global_mm,y_global_mm\n" + "".join(positions)
    )
    return there(middles + 0.5) * UM["cosmx"]
