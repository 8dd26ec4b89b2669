"""The map page as a folder of files, which any web server that answers range requests shows."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cartloader_image.errors import UsageError
from cartloader_image.viewer.server import page_files
from cartloader_image.viewer.shown import Layer, addresses, listing


def export(layers: Sequence[Layer], title: str, site: Path) -> list[Path]:
    """Write the page, its scripts and the archives, all or nothing; returns the files.

    An archive is a second name of the same file (a hard link) where the file system allows that, else a copy: either
    way it stays what it is when the map is made anew. What cannot be shown is left out; the page says why.

    Raises:
        UsageError: the folder is there and not empty.
        ToolError: the package with MapLibre GL is missing.
    """
    if site.exists() and (not site.is_dir() or any(site.iterdir())):
        raise UsageError(f"{site}: is there already; name a new directory for the page")
    site.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=site.parent, prefix=f".{site.name}-"))
    try:
        (draft / "archives").mkdir()
        for name, path in page_files().items():
            shutil.copyfile(path, draft / name)
        for name, layer in addresses(layers).items():
            if not layer.problem:
                _bring(layer.path.resolve(), draft / name)
        (draft / "map.json").write_text(listing(layers, title), encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(site)
    except BaseException:
        shutil.rmtree(draft)
        raise
    return sorted(path for path in site.rglob("*") if path.is_file())


def _bring(archive: Path, target: Path) -> None:
    try:
        os.link(archive, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(archive, target)
