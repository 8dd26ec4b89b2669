"""Options that do nothing are named, and the import goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartloader_flows.cli.main import main
from cartloader_image.action_params import Ome2PngParams, Png2PmtilesParams
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.effects import notes

PLANE, TILES = {"ome2png": True}, {"png2pmtiles": True}
CATALOG = {"update_catalog": True}
FAST = "tiles are made by cartloader itself, many times as fast"


def notes_on(**given: Any) -> list[str]:
    return list(notes(ImportOptions.model_validate(given)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PLANE | {"tile_format": "webp"}, "--tile-format does nothing without --png2pmtiles"),
        (PLANE | {"tile_quality": 70}, "--tile-quality does nothing without --png2pmtiles"),
        (
            PLANE | {"resample": "near", "min_zoom": 0, "gdal_translate": "g", "engine": "gdal", "tool_timeout": 9},
            "--resample, --min-zoom, --engine, --gdal_translate and --tool-timeout do nothing without --png2pmtiles",
        ),
        (TILES | {"catalog_yaml": "c.yaml"}, "--catalog-yaml does nothing without --update-catalog"),
        (PLANE | {"check_points": "p.csv"}, "--check-points does nothing without --png2pmtiles"),
        (CATALOG | {"check_points": "p.csv", "overlay_strict": True}, None),
        (TILES | {"overlay_strict": True}, "--overlay-strict does nothing without --check-points"),
        (TILES | {"tool_timeout": 9}, "--tool-timeout does nothing with --engine native"),
        (TILES | {"tool_timeout": 9, "shards": 2}, None),
        (TILES | {"shards": 2, "engine": "gdal"}, "--shards does nothing with --engine gdal"),
        (TILES | {"engine": "native", "pmtiles": "p"}, "--pmtiles does nothing with --engine native"),
        (TILES | {"orient_frame": "map"}, "--orient-frame does nothing without --rotate or a flip"),
        (CATALOG | {"page": 0, "colorize": "red"}, "--page and --colorize do nothing where the image is not read"),
        (CATALOG | {"blocksize": 256}, "--blocksize does nothing without --png2pmtiles"),
        (
            TILES | {"pmtiles": "p"},
            f"--pmtiles selects --engine gdal; without it, {FAST}",
        ),
        (
            TILES | {"pmtiles": "p", "gdalinfo": "g"},
            f"--gdalinfo and --pmtiles select --engine gdal; without them, {FAST}",
        ),
        (TILES | {"pmtiles": "p", "engine": "gdal", "tool_timeout": 5}, None),
        (TILES | CATALOG | {"catalog_yaml": "c.yaml", "tile_format": "jpeg", "tile_quality": 5}, None),
        (PLANE | {"rotate": 90, "orient_frame": "map", "page": 3}, None),
        (TILES | {"resample": "cubic", "blocksize": 512, "level": 0, "srs": "EPSG:3857"}, None),
    ],
)
def test_each_option_without_effect_is_named_as_it_is_typed(given: dict[str, Any], expected: str | None) -> None:
    assert notes_on(**given) == ([expected] if expected else [])


def test_no_option_of_an_action_that_runs_is_without_effect() -> None:
    everything = TILES | PLANE | CATALOG | {"engine": "gdal", "rotate": 90}
    of_native = {"shards"}
    names = {*Ome2PngParams.model_fields, *Png2PmtilesParams.model_fields} & ImportOptions.model_fields.keys()
    for name in names - of_native:
        options = ImportOptions.model_validate(everything).model_copy(update={name: "given"})
        assert not [note for note in notes(options) if "nothing" in note], name


@pytest.mark.parametrize("mode", ["--direct", "--dry-run"])
def test_the_run_goes_on(slide: Path, tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import_image", mode, "--ome2png", "--in-img", str(slide), "--img-id", "a", "--out-dir", str(tmp_path)]
    assert main([*argv, "--blocksize", "256", "--tile-quality", "5", "--n-jobs", "3"]) == 0
    out, err = capsys.readouterr()
    assert "--blocksize and --tile-quality do nothing without --png2pmtiles" in out
    assert "note: --n-jobs does nothing for one image" in err
