"""Which basemaps a catalog lists, and whether their archives are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cartloader_image.budget import USUAL, Budget
from cartloader_image.catalog.text import listing
from cartloader_image.catalog.update import check_archive, read_catalog
from cartloader_image.errors import ArchiveError, CatalogError, sentence
from cartloader_image.tiles.reader import reading


@dataclass(frozen=True)
class BasemapInfo:
    """A basemap, and its archive as far as its header tells."""

    id: str
    file: str
    """As the catalog names it, from its own directory on."""
    problem: str = ""
    """Why there is no archive of that name; empty where there is one."""
    bytes: int = 0
    """Of the archive."""
    zooms: tuple[int, int] | None = None
    """The coarsest and the finest."""


@dataclass(frozen=True)
class CatalogInfo:
    """What a catalog lists."""

    path: Path
    title: str
    basemaps: tuple[BasemapInfo, ...]


def inspect_catalog(path: Path, budget: Budget = USUAL) -> CatalogInfo:
    """Look at a catalog, and at the headers of the archives that it lists.

    Raises:
        CatalogError: it cannot be read, or is no catalog.
        InputError: it costs more than is taken.
    """
    if not path.exists():
        raise CatalogError(f"{path}: there is no such catalog; --update-catalog makes one")
    try:
        found = listing(read_catalog(path, budget))
    except CatalogError as error:
        raise CatalogError(f"{path}: {error}") from None
    except RecursionError:
        raise CatalogError(f"{path}: is nested too deeply for a catalog") from None
    return CatalogInfo(path, found.title, tuple(_basemap(path, *one) for one in found.basemaps.items()))


def _basemap(catalog: Path, name: str, file: str) -> BasemapInfo:
    try:
        archive = catalog.parent / file
        check_archive(archive, proved=True)
        with reading(archive) as opened:
            return BasemapInfo(name, file, "", archive.stat().st_size, (opened.header.min_zoom, opened.header.max_zoom))
    except (CatalogError, ArchiveError) as error:
        return BasemapInfo(name, file, sentence(error).removeprefix(f"{archive}: "))
    except (OSError, ValueError) as error:  # a path that no file can have, or that may not be read
        return BasemapInfo(name, file, f"cannot be read ({getattr(error, 'strerror', None) or error})")
