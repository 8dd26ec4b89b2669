"""The catalog: one YAML file beside the archives that tells a viewer which basemaps and other assets there are."""

from __future__ import annotations

import difflib
import filecmp
import os
import shutil
from pathlib import Path

from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.budget import Budget, Cost
from cartloader_image.catalog.text import basemaps, with_basemaps
from cartloader_image.errors import ArchiveError, CatalogError, InputError
from cartloader_image.report import Report, quiet, waiting
from cartloader_image.results import CatalogResult
from cartloader_image.system.files import locked, publish
from cartloader_image.system.reading import naming, read_file, special
from cartloader_image.tiles.reader import reading
from cartloader_image.tiles.verify import prove


def update(params: UpdateCatalogParams, report: Report = quiet) -> CatalogResult:
    """List archives as basemaps, ``assets.basemap.<id>: <id>.pmtiles``, and create the catalog when it is missing.

    An archive in another directory is copied beside the catalog. Nothing is written where nothing changes. Updates of
    one catalog by several threads or processes follow one another. A catalog that is a symbolic link stays one.

    Raises:
        CatalogError: an archive is missing or is none, or the catalog has not the expected shape; nothing is changed.
        OSError: a file cannot be read or written.
    """
    for archive in params.basemaps.values():
        check_archive(archive, proved=True)
    catalog = Path(os.path.realpath(params.catalog_yaml))
    files = {img_id: f"{img_id}.pmtiles" for img_id in params.basemaps}
    with locked(catalog, waiting(report, f"another run at work on {params.catalog_yaml}")) as scratch:
        try:
            old = read_catalog(catalog, Budget(params.max_input_cost))
            listed = basemaps(old)
            new = with_basemaps(old, files, params.title)
        except CatalogError as error:
            raise CatalogError(f"{params.catalog_yaml}: {error}") from None
        except InputError as error:
            raise CatalogError(str(error)) from None
        except RecursionError:
            raise CatalogError(f"{params.catalog_yaml}: is nested too deeply to be changed safely") from None
        other = [
            img_id
            for img_id, archive in params.basemaps.items()
            if _bring(archive, catalog.with_name(files[img_id]), scratch)
        ]
        if new != old:
            draft = scratch / catalog.name
            draft.write_bytes(new.encode())
            publish(draft, catalog)
    return CatalogResult(
        path=params.catalog_yaml,
        added=tuple(img_id for img_id in files if img_id not in listed),
        replaced=tuple(img_id for img_id, file in files.items() if img_id in other or listed.get(img_id, file) != file),
        diff="\n".join([*_diff(old, new, params.catalog_yaml.name), *(f"{files[name]} replaced" for name in other)]),
    )


def check_archive(path: Path, *, proved: bool = False) -> None:
    """Make sure that an archive is there and is one: its container, and a sample of its tiles.

    Args:
        path: The archive.
        proved: Whether that was done when it was made, so that it only has to be there still.

    Raises:
        CatalogError: it is not.
    """
    if not path.is_file():
        raise CatalogError(f"{path}: there is no such archive to list; make it with --png2pmtiles")
    try:
        if proved:
            with reading(path) as archive:
                archive.check_size()
        else:
            prove(path)
    except ArchiveError as error:
        raise CatalogError(f"{error}; make it anew with --png2pmtiles") from error


def _bring(archive: Path, target: Path, scratch: Path) -> bool:
    """Copy an archive to its place beside the catalog, unless it is there already; whether another one was there."""
    there = target.is_file()
    if there and (target.samefile(archive) or filecmp.cmp(archive, target, shallow=False)):
        return False
    draft = scratch / target.name
    with naming(archive):
        shutil.copyfile(archive, draft)
    publish(draft, target)
    return there


def read_catalog(catalog: Path, budget: Budget) -> str:
    """The catalog's text, empty when there is none; line ends stay as they are.

    Raises:
        CatalogError: it is no text, or no file.
        InputError: it costs more than is taken.
    """
    try:
        if not catalog.is_file() and catalog.exists():
            found = special(catalog.stat().st_mode) or "a directory"
            raise CatalogError(f"a YAML file is needed, found {found}")
        if catalog.is_file():
            budget.check(catalog, Cost.CATALOG, catalog.stat().st_size)
        return read_file(catalog).decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise CatalogError(f"a YAML file in UTF-8 is needed, found another encoding at byte {error.start}") from None


def _diff(old: str, new: str, name: str) -> list[str]:
    before, after = old.splitlines(), new.splitlines()
    return list(difflib.unified_diff(before, after, name if old else "/dev/null", name, lineterm=""))
