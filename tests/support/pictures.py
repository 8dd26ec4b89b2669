"""Twelve pictures of the kinds that people bring, each with the options of its import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cartloader_image.sample import write_sample
from support.maps import HALF_MAP, write_ome


@dataclass(frozen=True)
class Case:
    """A picture: its file's name, and how it is imported."""

    name: str
    size: tuple[float, float] | None = None
    """Width and height on the map of a plain picture."""
    options: dict[str, Any] = field(default_factory=dict)

    def bounds(self, *, y_down: bool) -> str | None:
        """``ulx,uly,lrx,lry`` of a plain picture, partly below 0; with y growing with the row, or against it."""
        if self.size is None:
            return None
        left, low = -31.7, -1200.3
        width, height = self.size
        upper, lower = (low, low + height) if y_down else (low + height, low)
        return f"{left!r},{upper!r},{left + width!r},{lower!r}"


def _tissue() -> NDArray[np.uint8]:
    picture: NDArray[np.uint8] = skimage.data.immunohistochemistry()[80:440, 100:420]
    return picture


def _wave(rows: int, columns: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:rows, 0:columns]
    wave: NDArray[np.float64] = 0.5 + 0.25 * np.sin(x / 9) + 0.25 * np.cos(y / 7 + x / 31)
    return wave


def write_picture(name: str, folder: Path) -> Path:
    """Write the picture of a case."""
    path, tissue = folder / name, _tissue()
    grey = tissue.mean(axis=2).astype(np.uint8)
    disc = (255 * np.clip(2.2 * _wave(*grey.shape) - 0.4, 0, 1)).astype(np.uint8)
    match name.split(".", maxsplit=1)[0]:
        case "sixteen":
            Image.fromarray((_wave(380, 420) * 4000).astype(np.uint16)).save(path)
        case "palette":
            Image.fromarray(tissue).quantize(200).save(path)
        case "la":
            Image.fromarray(np.dstack([grey, disc])).save(path)
        case "rgba":
            Image.fromarray(np.dstack([tissue, disc])).save(path)
        case "mono" | "equal" | "oblong":
            Image.fromarray(grey[: 200 + len(name)]).save(path)
        case "rgb" | "turned" | "photo":
            Image.fromarray(tissue).save(path, **({"quality": 92} if path.suffix == ".jpg" else {}))
        case "ome":
            write_ome(path, (_wave(500, 433) * 9000).astype(np.uint16), 0.2125)
        case "sample":
            write_sample(path, size=512)
        case "he":
            tifffile.imwrite(path, tissue, photometric="rgb", compression="zlib")
    return path


_EQUAL = 2 * HALF_MAP / (512 << 18)
"""Map units of a pixel of zoom 18 exactly."""

TWELVE = [
    Case("mono.png", (120, 78)),
    Case("la.png", (128, 144)),
    Case("rgb.png", (423, 476)),
    Case("rgba.png", (187, 211)),
    Case("palette.png", (156, 176)),
    Case("sixteen.png", (84, 76)),
    Case("photo.jpg", (320.3, 360.3)),
    Case("equal.png", (320 * _EQUAL, 209 * _EQUAL)),
    Case("oblong.png", (312, 96)),
    Case("turned.png", (234, 208), {"rotate": 90, "flip_vertical": True}),
    Case("ome.ome.tif", None, {"colorize": "cyan", "transparent_below": 30}),
    Case("sample.ome.tif", None, {"page": 0, "upper_thres_quantile": 0.99}),
]
