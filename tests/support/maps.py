"""Import small pictures and look at the finished archives the way a map does: as one RGBA picture per zoom."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import tileid_to_zxy
from scipy import ndimage

from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, OutputPrefix, Png2PmtilesParams
from cartloader_image.recipe import actions
from support.archives import read_archive, read_tile

HALF_MAP = 20037508.342789244


def write_ome(path: Path, pixels: NDArray[Any], pixel_size: float = 0.25, **more: Any) -> Path:
    """An OME-TIFF of one plane: ``(rows, columns)`` or ``(rows, columns, 3)``."""
    metadata = {
        "axes": "YXS" if pixels.ndim == 3 else "YX",
        "PhysicalSizeX": pixel_size,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_size,
        "PhysicalSizeYUnit": "µm",
    }
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=photometric, metadata=metadata, **more)
    return path


def blobs(rows: int, columns: int, bands: int) -> NDArray[np.uint8]:
    """Smooth detail in every band, over the whole range."""
    noise = np.random.default_rng(11).normal(size=(rows, columns, bands))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a picture of ``(rows, columns, bands)`` with Pillow."""
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
    return path


def import_picture(path: Path, out_dir: Path, **options: Any) -> Path:
    """Run the actions on one picture; options go to whichever action knows them. Returns the archive."""
    out = OutputPrefix(out_dir=out_dir, img_id="picture")
    kind = GeoreferenceParams if path.suffix in {".png", ".jpg"} else Ome2PngParams
    own = {name: value for name, value in options.items() if name in kind.model_fields}
    cut = {name: value for name, value in options.items() if name in Png2PmtilesParams.model_fields}
    assert own.keys() | cut.keys() == options.keys()
    first = kind(in_img=path, out=out, **own)
    if isinstance(first, Ome2PngParams):
        actions.ome2png(first)
    else:
        actions.georeference(first)
    return actions.png2pmtiles(Png2PmtilesParams(out=out, **cut)).path


@dataclass(frozen=True)
class MapView:
    """One zoom of an archive."""

    zoom: int
    tile: int
    row: int
    column: int
    """Level pixel of the first one of ``rgba``."""
    rgba: NDArray[np.uint8]
    modes: dict[tuple[int, int], str]
    """Pillow's mode of each tile, by (x, y)."""

    @property
    def resolution(self) -> float:
        """Map units per pixel."""
        return 2 * HALF_MAP / (self.tile * 2**self.zoom)

    def window(self, row0: int, row1: int, column0: int, column1: int) -> NDArray[np.uint8]:
        """Level pixels by their numbers; transparent where there is no tile."""
        result = np.zeros((row1 - row0, column1 - column0, 4), np.uint8)
        for row in range(max(row0, self.row), min(row1, self.row + self.rgba.shape[0])):
            low, high = max(column0, self.column), min(column1, self.column + self.rgba.shape[1])
            if low < high:
                result[row - row0, low - column0 : high - column0] = self.rgba[
                    row - self.row, low - self.column : high - self.column
                ]
        return result


def look(path: Path, zoom: int, tile: int = 512) -> MapView:
    """Decode all tiles of a zoom with Pillow and put them together."""
    archive = read_archive(path)
    found = {}
    for entry in archive.entries:
        for tile_id in range(entry.tile_id, entry.tile_id + entry.run_length):
            z, x, y = tileid_to_zxy(tile_id)
            if z == zoom:
                data = read_tile(path, tile_id)
                assert data is not None
                found[x, y] = Image.open(BytesIO(data))
    xs, ys = [x for x, _ in found], [y for _, y in found]
    left, top = min(xs), min(ys)
    rgba = np.zeros(((max(ys) - top + 1) * tile, (max(xs) - left + 1) * tile, 4), np.uint8)
    for (x, y), picture in found.items():
        assert picture.size == (tile, tile)
        rgba[(y - top) * tile : (y - top + 1) * tile, (x - left) * tile : (x - left + 1) * tile] = picture.convert(
            "RGBA"
        )
    return MapView(zoom, tile, top * tile, left * tile, rgba, {place: picture.mode for place, picture in found.items()})


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of 8-bit values, in dB."""
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
