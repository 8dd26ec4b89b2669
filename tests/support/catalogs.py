"""A catalog, and updates of it."""

from __future__ import annotations

from pathlib import Path

from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.catalog.text import with_basemaps
from cartloader_image.catalog.update import update
from cartloader_image.results import CatalogResult

MAGIC = b"PMTiles\x03" + bytes(119)

# As catalog tools of the field write it: groups of basemaps, lists at the column of their key.
FIELD = """\
id: brain_1
title: Brain, section 1
description: a long line that a library which writes parsed YAML out again would wrap somewhere, as it is over eighty
assets:
  sge:
    all: genes_all.pmtiles
    bins:
    - genes_bin1.pmtiles
    - genes_bin2.pmtiles
    counts: genes_bin_counts.json
  overview: sge-mono-dark.pmtiles
  basemap:
    sge:
      default: dark
      dark: sge-mono-dark.pmtiles
      light: sge-mono-light.pmtiles
"""


def update_with(folder: Path, *img_ids: str) -> CatalogResult:
    """Update ``catalog.yaml`` in a directory with archives that are made there."""
    archives = {img_id: folder / f"{img_id}.pmtiles" for img_id in img_ids}
    for img_id, path in archives.items():
        path.write_bytes(MAGIC + img_id.encode())
    return update(UpdateCatalogParams(catalog_yaml=folder / "catalog.yaml", basemaps=archives, title="maps"))


def listed(text: str, *img_ids: str) -> str:
    """The text of a catalog with further basemaps."""
    return with_basemaps(text, {img_id: f"{img_id}.pmtiles" for img_id in img_ids}, "maps")
