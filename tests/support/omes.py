"""OME-TIFFs of small pictures whose metadata a test spells out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.rasters import NAMESPACE, noise, ome_xml, read_image, with_source, write_pages

SIZE = 'PhysicalSizeX="0.5" PhysicalSizeY="0.5"'
TWO = '<Channel ID="c:0" Name="DAPI"/><Channel ID="c:1" Name="PanCK"/>'


def numbered(path: Path, xml: str, pages: int = 1) -> Path:
    """A file of 8 × 6 pixels whose page n is filled with n."""
    return write_pages(path, [np.full((6, 8), n % 256, np.uint8) for n in range(pages)], xml.encode())


def page(number: int) -> NDArray[np.uint8]:
    """A picture of 8 × 6 pixels that no other number has."""
    return noise((6, 8), seed=number)


def written(path: Path, inner: str, *pages: int, root: str = "", **sizes: Any) -> Path:
    """A file with these pages, of two channels unless sizes say otherwise."""
    xml = ome_xml(inner, SIZE, root, **({"SizeC": 2} | sizes))
    path.parent.mkdir(exist_ok=True)
    return write_pages(path, [page(number) for number in pages or (0,)], xml.encode())


def shows(path: Path, number: int, **options: Any) -> bool:
    """Whether the chosen plane is the page of that number."""
    return np.array_equal(read_image(path, **options), page(number))


def notes_of(path: Path, **options: Any) -> str:
    """What a person is told of the file."""
    found: str = with_source(path, lambda source: " / ".join(source.notes), **options)
    return found


def size_attributes(x: str | float, y: str | float, x_unit: str | None = None, y_unit: str | None = None) -> str:
    """The pixel size, as attributes of Pixels."""
    units = f' PhysicalSizeXUnit="{x_unit}"' if x_unit else ""
    units += f' PhysicalSizeYUnit="{y_unit}"' if y_unit else ""
    return f'PhysicalSizeX="{x}" PhysicalSizeY="{y}"{units}'


def images(*sizes: tuple[int, int], inner: str = "", names: tuple[str, ...] = ()) -> bytes:
    """A document of several images, of which number n has pixels of n + 1 µm."""
    named = [*names, *[""] * (len(sizes) - len(names))]
    body = "".join(
        f'<Image Name="{name}"><Pixels DimensionOrder="XYZCT" SizeX="{width}" SizeY="{height}" SizeZ="1" SizeC="1" '
        f'SizeT="1" PhysicalSizeX="{number + 1}" PhysicalSizeY="{number + 1}">{inner}</Pixels></Image>'
        for number, ((width, height), name) in enumerate(zip(sizes, named, strict=True))
    )
    return f"<OME {NAMESPACE}>{body}</OME>".encode()
