"""All that mutants are made of: pictures, the files that place them, mappings, catalogs, archives."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import tifffile
from support.archives import WORLD, cut, write_archive
from support.catalogs import FIELD
from support.pngs import pngs
from support.rasters import noise, smooth

from cartloader_image.library import import_image, write_sample
from fuzz.pictures import pictures
from fuzz.seed import Seed

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"
WEIGHTS = {
    "matrix": 14, "OME-TIFF": 18, "TIFF": 12, "GeoTIFF": 8, "PNG, JPEG": 12, "real": 6, "placing": 8, "mapping": 8,
    "catalog": 6, "archive": 14,
}  # fmt: skip
"""How often a kind takes its turn."""


def seeds(folder: Path) -> dict[str, list[Seed]]:
    """Those of each kind, in an order that never changes."""
    more = {
        "placing": _placing(folder),
        "mapping": _mappings(folder),
        "catalog": _catalogs(folder),
        "archive": _archives(folder),
    }
    return pictures(folder, SAMPLES) | {kind: list(some) for kind, some in more.items()}


def _placing(folder: Path) -> Iterator[Seed]:
    """Files of bounds and matrices, each beside the picture that it places."""
    picture = {"a.png": pngs()[6].encode()}
    header = b"##K=12;TOPK=3\n##OFFSET_X=6690;OFFSET_Y=6772;SIZE_X=30;SIZE_Y=20;SCALE=100\n#BLOCK\tX\tY\n0\t1\t2\n"
    yield Seed("bounds", {"georef_bounds_tsv.tsv": b"6690\t6772\t6720\t6792\n", **picture})
    yield Seed("pixels", {"georef_pixel_tsv.tsv": header, **picture})
    yield Seed("zipped pixels", {"georef_pixel_tsv.tsv.gz": gzip.compress(header, mtime=0), **picture})
    scales = b'{"spot_diameter_fullres": 89.4, "tissue_hires_scalef": 0.5, "microns_per_pixel": 0.27}'
    hires = {"tissue_hires_image.png": pngs()[6].encode()}
    yield Seed("scales", {"pixel_size.json": scales, **hires, **picture})
    yield Seed("pixels of CosMx", {"pixel_size.txt": b"Image Rows: 4256\nImPixel_nm: 120.280945\n", **picture})
    yield Seed("matrix", {"micron2pixel_csv.csv": b"9.26 0 -125.5\n0 9.26 121.6\n0 0 1\n", **picture})
    affine = [[0.5, -0.25, 100.5], [0.125, 0.75, -7.0]]
    rows = "\n".join(",".join(map(repr, row)) for row in affine).encode()
    yield Seed("affine", {"georef_affine.csv": rows, **picture})
    array = BytesIO()
    np.save(array, np.array(affine))
    yield Seed("affine of NumPy", {"georef_affine.npy": array.getvalue(), **picture})
    yield Seed("affine of JSON", {"georef_affine.json": json.dumps(affine).encode(), **picture})
    axes = [{"name": name, "unit": "unit"} for name in "xy"]
    ngff = {"type": "affine", "affine": affine, "input": {"axes": axes}, "output": {"axes": axes}}
    yield Seed("affine of NGFF", {"georef_affine.json": json.dumps(ngff).encode(), **picture})
    run = {"experiment.xenium": b'{"pixel_size": 0.2125}', **picture}
    yield Seed("alignment", {"xenium_alignment.csv": rows + b"\n0,0,1\n", **run})
    points = b"fixedX,fixedY,alignmentX,alignmentY\n0,0,0,0\n9,1,5,0\n-1,9,0,5\n8,10,5,5\n"
    yield Seed("landmarks", {"georef_landmarks.csv": points, **run})
    (folder / "p.png").write_bytes(picture["a.png"])
    made = import_image(folder / "p.png", out_dir=folder / "placed", img_id="p", georef_bounds="0,0,30,20")
    assert made.tiles is not None
    yield Seed("archive", {"georef_affine.pmtiles": made.tiles.path.read_bytes(), **picture})


def _mappings(folder: Path) -> Iterator[Seed]:
    """Mappings of each format, beside their images."""
    tifffile.imwrite(folder / "b.tif", noise((2, 8, 9), np.uint16), photometric="minisblack")
    images = {"a.png": pngs()[6].encode(), "b.tif": (folder / "b.tif").read_bytes(), "b.tsv": b"0,0,30,20\n"}
    yaml = (
        "# images\nshared: &place {georef_bounds: [0, 0, 9, 9]}\nIMAGES:\n"
        "  a: {path: a.png, pixel-size: 2, rotate: 90}\n"
        '  b:\n    path: b.tif\n    page: 1\n    colorize: "#ffaa00"\n    <<: *place\n'
        "  c: {path: a.png, <<: *place}\n  d: null\n"
    )
    json = (
        '{"a": {"path": "a.png", "pixel_size": 1}, "b": {"path": "b.tif", "page": 0, "pixel_size": [1, 2]}, "c": null}'
    )
    csv = 'id,path,page,georef-bounds,colorize\na,a.png,,"0,0,9,9",\nb,b.tif,1,"0,0,9,9",red\n\n'
    for name, text in (("images.yaml", yaml), ("images.json", json), ("images.csv", csv)):
        yield Seed(name, {name: text.encode(), **images})


def _catalogs(folder: Path) -> Iterator[Seed]:
    """Catalogs of each layout, beside an archive."""
    own = write_archive(folder / "one.pmtiles", cut(smooth(256, 256, 1), 3, 4, 3, 256), {"name": "one"})
    archive = {"new.pmtiles": own.read_bytes()}
    flow = '{"id": "x", "assets": {"basemap": {"a": "a.pmtiles", "g": {"dark": "new.pmtiles"}}}}\n'
    aliases = "x: &x {y: &y 1}\nassets:\n  basemap:\n    b: &b b.pmtiles # mine\n  other: *x\n...\n"
    quoted = (
        "assets: # x\n    'basemap':\n        'new': 'old.pmtiles'\n        z: |\n          z.pmtiles\nend: [1]\r\n"
    )
    for number, text in enumerate(("", "assets:\n  basemap: {}\n", FIELD, flow, aliases, quoted)):
        yield Seed(f"catalog {number}", {"catalog.yaml": text.encode(), **archive})


def _archives(folder: Path) -> Iterator[Seed]:
    """Archives of ours and of the ``pmtiles`` package."""
    slide = write_sample(folder / "slide.ome.tif", size=256)
    for form in ("png", "webp"):
        made = import_image(slide, out_dir=folder, img_id=form, page=0, tile_format=form, min_zoom=0).tiles
        assert made
        yield Seed(f"own {form}", {"a.pmtiles": made.path.read_bytes()})
    tiles = cut(smooth(512, 512, 3), 3, 4, 2, 256) | cut(smooth(256, 256, 3), 2, 2, 1, 256)
    words = {"name": "a", "bounds": "0,0,90,60", "center": [45, 30, 3], "minzoom": "2", "tilesize": 256}
    yield Seed("plain", {"a.pmtiles": write_archive(folder / "plain.pmtiles", tiles, words, **WORLD).read_bytes()})
    flat = {(6, x, y): b"" for x in range(10) for y in range(12)}
    same = dict.fromkeys(flat, next(iter(cut(smooth(256, 256, 1), 6, 0, 0, 256).values())))
    yield Seed("runs", {"a.pmtiles": write_archive(folder / "runs.pmtiles", same, {}).read_bytes()})
