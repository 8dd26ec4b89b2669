"""Small pictures of every kind that people bring, for mutants to be made of."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine
from support.kinds import picture
from support.matrix import combinations
from support.pngs import pngs
from support.rasters import NAMESPACE, noise, ome_xml, smooth, write_pages
from support.writers import WRITERS

from fuzz.seed import Seed

EVERY = 19
"""Of so many combinations of the matrix one is a seed; they come from all of its parts."""
_SMALL = 40_000
"""Bytes of a sample that is a seed."""


def pictures(folder: Path, samples: Path) -> dict[str, list[Seed]]:
    """All of them by kind, in an order that never changes; real samples where there are any."""
    found = {
        "matrix": _of_matrix(folder), "OME-TIFF": _ome(folder), "TIFF": _plain(folder), "GeoTIFF": _placed(folder),
        "PNG, JPEG": _pictures(), "real": _real(samples),
    }  # fmt: skip
    return {kind: list(some) for kind, some in found.items()}


def _of_matrix(folder: Path) -> Iterator[Seed]:
    written = [one for one in combinations() if one.writer != "vips"]
    for one in written[::EVERY]:
        path = folder / "matrix.tif"
        stored = picture(one.kind, smooth=one.layout.lossy or one.layout.subsampling != (1, 1))
        WRITERS[one.writer](path, stored, one.kind, one.layout)
        yield Seed(str(one), {"a.tif": path.read_bytes()})


def _ome(folder: Path) -> Iterator[Seed]:
    size: dict[str, Any] = {
        "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm",
    }  # fmt: skip
    path = folder / "a.ome.tif"
    levels = noise((2, 48, 64), np.uint16)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        metadata = size | {"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3"]}}
        file.write(levels, subifds=2, tile=(16, 16), compression="zlib", metadata=metadata)
        file.write(levels[:, ::2, ::2], tile=(16, 16), compression="zlib", subfiletype=1)
        file.write(levels[:, ::4, ::4], tile=(16, 16), compression="zlib", subfiletype=1)
    yield Seed("ome-pyramid", {"a.ome.tif": path.read_bytes()})
    tifffile.imwrite(path, noise((2, 3, 20, 30)), photometric="minisblack", metadata=size | {
        "axes": "ZCYX", "Plane": {"PositionX": [5.0] * 6, "PositionY": [7.0] * 6, "PositionXUnit": ["mm"] * 6},
    })  # fmt: skip
    yield Seed("ome-stack", {"a.ome.tif": path.read_bytes()})
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(noise((20, 30, 3)), photometric="rgb", metadata=size)
        file.write(noise((8, 9), np.float32), metadata={"axes": "YX"})
    yield Seed("ome-images", {"a.ome.tif": path.read_bytes()})
    pixels = (
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="6" SizeZ="2" SizeC="1" SizeT="1" '
        'PhysicalSizeX="0.5" PhysicalSizeY="0.5"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        '<TiffData FirstZ="0" IFD="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>'
        '<TiffData FirstZ="1" IFD="0" PlaneCount="1"><UUID FileName="b.ome.tif">urn:uuid:b</UUID></TiffData></Pixels>'
    )
    whole = f'<?xml version="1.0"?><OME {NAMESPACE} UUID="urn:uuid:a"><Image ID="Image:0">{pixels}</Image></OME>'
    write_pages(path, [noise((6, 8))], whole)
    yield Seed("ome-set", {"a.ome.tif": path.read_bytes()})
    only = f'<OME {NAMESPACE} UUID="urn:uuid:a"><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:c"/></OME>'
    write_pages(path, [noise((6, 8))], only)
    yield Seed("ome-companion", {"a.ome.tif": path.read_bytes(), "set.companion.ome": whole.encode()})
    slave = write_pages(path, [noise((6, 8))], only.replace("set.companion.ome", "b.ome.tif")).read_bytes()
    yield Seed("ome-master", {"a.ome.tif": slave, "b.ome.tif": write_pages(path, [noise((6, 8))], whole).read_bytes()})
    finest = noise((48, 64))
    xml = ome_xml(SizeX=64, SizeY=48, PhysicalSizeX=0.5, PhysicalSizeY=0.5)
    write_pages(path, [finest, finest[::2, ::2], finest[::4, ::4]], xml, tile=(16, 16))
    yield Seed("ome-levels", {"a.ome.tif": path.read_bytes()})


def _plain(folder: Path) -> Iterator[Seed]:
    path = folder / "plain.tif"
    tifffile.imwrite(
        path, noise((3, 2, 20, 30), np.uint16), imagej=True, resolution=(4, 4),
        metadata={"axes": "ZCYX", "unit": "um", "spacing": 2.0},
    )  # fmt: skip
    yield Seed("imagej", {"a.tif": path.read_bytes()})
    slide = smooth(64, 96, 3)
    aperio = (
        "Aperio Image Library v11.2.1 \n96x64 [0,0 96x64] (16x16) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990|Left = 2.5"
    )
    tiles: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(slide, description=aperio, **tiles)
        file.write(slide[::4, ::4], description="Aperio thumbnail", photometric="rgb", metadata=None)
        file.write(slide[::2, ::2], description=aperio, **tiles)
    yield Seed("aperio", {"a.svs": path.read_bytes()})
    write_pages(path, [noise((48, 64)), noise((24, 32)), noise((12, 16))], tile=(16, 16), compression="zlib")
    yield Seed("pages", {"a.tif": path.read_bytes()})
    write_pages(path, [noise((20, 30, 3))], photometric="rgb", resolution=(4000, 4000), resolutionunit="CENTIMETER")
    yield Seed("resolution", {"a.tif": path.read_bytes()})


def _placed(folder: Path) -> Iterator[Seed]:
    path = folder / "geo.tif"
    tiff: dict[str, Any] = {"driver": "GTiff", "width": 37, "height": 29, "compress": "lzw"}
    where = {"transform": Affine(2, 0, 500_000, 0, -2, 5_000_000), "crs": CRS.from_epsg(32632)}
    with rasterio.open(path, "w", count=1, dtype="uint16", nodata=0, **tiff, **where) as dataset:
        dataset.write(noise((29, 37), np.uint16), 1)
    yield Seed("geotiff", {"a.tif": path.read_bytes(), "a.tif.aux.xml": _AUX.encode()})
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        path, "w", count=3, dtype="uint8", photometric="rgb", tiled=True, blockxsize=16, blockysize=16, **tiff, **where
    ) as dataset:  # fmt: skip
        dataset.write(np.moveaxis(noise((29, 37, 3)), -1, 0))
        dataset.write_mask(noise((29, 37)) > 99)
    yield Seed("geotiff-mask", {"a.tif": path.read_bytes()})
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(
        path, "w", count=1, dtype="uint8", transform=Affine(2, 0.5, 10, 0.5, -2, 20), crs=CRS.from_wkt(_LOCAL), **tiff
    ) as dataset:  # fmt: skip
        dataset.write(noise((29, 37)), 1)
        dataset.write_mask(noise((29, 37)) > 99)
    mask = path.with_name("geo.tif.msk")
    yield Seed("geotiff-local", {"a.tif": path.read_bytes(), "a.tif.msk": mask.read_bytes()})
    mask.unlink()
    corners = [GroundControlPoint(row, column, column * 2.0, row * 3.0) for row, column in ((0, 0), (0, 9), (9, 0))]
    with rasterio.open(
        path, "w", count=1, dtype="float32", gcps=corners, nodata=np.nan, crs="EPSG:4326", **tiff
    ) as one:
        one.write(noise((29, 37), np.float32), 1)
    yield Seed("geotiff-points", {"a.tif": path.read_bytes()})
    write_pages(path, [noise((20, 30))])
    yield Seed("world-file", {"a.tif": path.read_bytes(), "a.tfw": _WORLD})


_LOCAL = 'LOCAL_CS["slide",UNIT["micrometre",0.000001],AXIS["X",EAST],AXIS["Y",SOUTH]]'
_WORLD = b"0.5\n0\n0\n-0.5\n100.25\n200.75\n"
_AUX = """<PAMDataset><SRS>EPSG:3857</SRS><GeoTransform>10, 2, 0, 20, 0, -2</GeoTransform>
<Metadata domain="IMAGE_STRUCTURE"><MDI key="NBITS">8</MDI></Metadata>
<PAMRasterBand band="1"><NoDataValue>7</NoDataValue><ColorInterp>Gray</ColorInterp></PAMRasterBand></PAMDataset>"""


def _pictures() -> Iterator[Seed]:
    for png in pngs()[::7]:
        yield Seed(f"png-{png}", {"a.png": png.encode()})
    grey = pngs()[6].encode()
    yield Seed(
        "png-world", {"a.png": grey, "a.pgw": b"0.5\n0\n0\n-0.5\n100.25\n200.75\n", "a.png.aux.xml": _AUX.encode()}
    )
    for mode, bands, more in (
        ("L", 1, {}), ("RGB", 3, {"subsampling": 2, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}),
        ("RGB", 3, {"progressive": True}), ("CMYK", 4, {"restart_marker_blocks": 2}),
    ):  # fmt: skip
        out = io.BytesIO()
        Image.fromarray(smooth(45, 53, bands), mode=mode).save(out, "JPEG", **more)
        yield Seed(f"jpeg-{mode}-{'-'.join(more)}", {"a.jpg": out.getvalue(), "a.jgw": b"1\n0\n0\n1\n0\n0\n"})
    for kind in ("GIF", "BMP", "WEBP"):
        out = io.BytesIO()
        Image.fromarray(smooth(45, 53, 3)).save(out, kind)
        yield Seed(kind.lower(), {f"a.{kind.lower()}": out.getvalue()})


def _real(samples: Path) -> Iterator[Seed]:
    for path in sorted(samples.glob("*/**/*")):
        if path.suffix in {".tif", ".tiff", ".png", ".svs"} and path.stat().st_size < _SMALL:
            beside = {other.name: other.read_bytes() for other in path.parent.glob("*.companion.ome")}
            yield Seed(str(path.relative_to(samples)), {path.name: path.read_bytes(), **beside})
