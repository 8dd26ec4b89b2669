"""What a plan says against what the import then does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from support.maps import write_ome
from support.rasters import noise
from support.reports import Notes

from cartloader_flows.cli.main import main
from cartloader_image.errors import DiskError
from cartloader_image.params import ImportOptions
from cartloader_image.recipe import footprint
from cartloader_image.recipe.job import ImageJob, single_job
from cartloader_image.recipe.plan import ImportPlan, planned
from cartloader_image.recipe.run import import_one
from cartloader_image.results import ImageResult


def tissue(rows: int, columns: int, bands: int) -> np.ndarray:
    """Detail with a camera's noise."""
    random = np.random.default_rng(5)
    detail = ndimage.gaussian_filter(random.normal(size=(rows, columns, bands)), (3, 3, 0)) * 300
    pixels = (120 + detail + random.normal(0, 2, detail.shape)).clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if bands == 1 else pixels


def plan_of(job: ImageJob, *, look: bool = False) -> ImportPlan:
    with planned(job, look=look) as plan:
        return plan


def plan_and_result(path: Path, out: Path, **options: Any) -> tuple[ImportPlan, ImageResult]:
    job = single_job(path, "picture", out, ImportOptions(png2pmtiles=True, **options))
    before = plan_of(job, look=True)
    assert not out.exists()
    return before, import_one(job)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rotate": 90, "georef_bounds": "-10,300,240,0"},
        {"max_zoom": 17, "min_zoom": 12},
        {"max_zoom": 20, "blocksize": 256},
        {"blocksize": 1024, "shrink_factor": 2.5},
        {"resample": "average", "tile_format": "webp"},
        {"tile_format": "webp-lossy"},
        {"colorize": "cyan"},
        {"min_zoom": 0},
    ],
)
def test_zooms_and_tiles_come_out_as_planned_and_files_within_their_range(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    bands = 1 if "colorize" in options else 3
    pixels = tissue(1000, 1200, bands)
    path = write_ome(tmp_path / "a.ome.tif", pixels, 0.25, compression="zlib", tile=(256, 256))
    before, done = plan_and_result(path, tmp_path / "out", ome2png=True, **options)
    assert done.tiles is not None
    assert before.pyramid is not None
    assert before.exact
    assert (before.pyramid.min_zoom, before.pyramid.max_zoom) == (done.tiles.min_zoom, done.tiles.max_zoom)
    assert before.pyramid.tile_count() == done.tiles.tiles
    sizes = {path: size for step in before.steps for path, size in step.files}
    assert {file.name for file in sizes} == {file.name for file in (tmp_path / "out").iterdir()}
    for file, size in sizes.items():
        if size:
            assert size.low * 0.99 <= file.stat().st_size <= size.high * 1.01, file.name
            assert size.high < 5 * size.low + 200_000


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (np.full((1, 1), 7, np.uint8), {}),
        (np.full((3, 20000), 90, np.uint8) + np.arange(20000, dtype=np.uint8) % 77, {}),
        (np.full((1500, 1500, 3), 99, np.uint8), {}),
        (np.eye(1500, dtype=np.uint16)[::-1] * np.uint16(900), {"transparent_below": 1, "upper_thres_intensity": 1000}),
    ],
    ids=["a pixel", "a line", "flat", "nearly empty"],
)
def test_odd_pictures_are_within_their_range_too(tmp_path: Path, pixels: np.ndarray, options: dict[str, Any]) -> None:
    path = write_ome(tmp_path / "a.ome.tif", pixels, 0.25, tile=(128, 128), compression="zlib")
    before, done = plan_and_result(path, tmp_path / "out", **options)
    assert done.tiles is not None
    (size,) = [size for step in before.steps for path, size in step.files if path.suffix == ".pmtiles"]
    assert size is not None
    assert size.low <= done.tiles.size <= size.high


def test_a_look_at_a_far_enlarged_picture_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    resampled = footprint.resampled

    def watched(pixels: np.ndarray, size: tuple[int, int], *more: Any, **named: Any) -> np.ndarray:
        sizes.append(size)
        return resampled(pixels, size, *more, **named)

    monkeypatch.setattr(footprint, "resampled", watched)
    path = write_ome(tmp_path / "a.ome.tif", tissue(700, 700, 3), 0.25)
    plan_of(single_job(path, "a", tmp_path, ImportOptions(png2pmtiles=True, max_zoom=24)), look=True)
    assert sizes
    assert max(max(size) for size in sizes) <= 600


def test_the_catalog_alone_needs_its_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import_image", "--dry-run", "--update-catalog", "--img-id", "a", "--out-dir", str(tmp_path)]
    assert main(argv) == 1
    assert "there is no such archive to list" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--dry-run"]])
def test_a_spatial_reference_that_is_none_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    path = write_ome(tmp_path / "a.ome.tif", tissue(60, 80, 3), 0.25)
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(path), "--srs", "nonsense", *argv]
    assert main([*argv, "--img-id", "a", "--out-dir", str(tmp_path / "out"), "--georef-bounds", "0,0,9,9"]) == 1
    assert capsys.readouterr().err.startswith("--srs nonsense: is no spatial reference that PROJ knows")


def test_near_may_lose_a_tile(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", noise((3, 9000)), 0.25)
    before, done = plan_and_result(path, tmp_path / "out", resample="near")
    assert done.tiles is not None
    assert before.pyramid is not None
    assert not before.exact
    assert done.tiles.tiles <= before.pyramid.tile_count()


def test_transparent_tiles_make_the_number_a_limit(tmp_path: Path) -> None:
    pixels = np.zeros((1500, 1500), np.uint16)
    pixels[:40, :40] = 900
    path = write_ome(tmp_path / "a.ome.tif", pixels, 0.25)
    before, done = plan_and_result(path, tmp_path / "out", transparent_below=1, upper_thres_intensity=1000)
    assert not before.exact
    assert before.pyramid is not None
    assert done.tiles is not None
    assert done.tiles.tiles < before.pyramid.tile_count()


def test_a_picture_of_another_spatial_reference_has_tiles_at_most(tmp_path: Path) -> None:
    Image.fromarray(tissue(900, 1100, 3)).save(tmp_path / "a.png")
    options = {"georef_bounds": "500100,5300250,500500,5299800", "srs": "EPSG:32633"}
    before, done = plan_and_result(tmp_path / "a.png", tmp_path / "out", **options)
    assert before.pyramid is not None
    assert done.tiles is not None
    assert not before.exact
    assert before.pyramid.max_zoom == done.tiles.max_zoom
    assert done.tiles.tiles <= before.pyramid.tile_count()


IMPORTS: dict[str, tuple[int, dict[str, Any], list[str]]] = {
    "grey": (1, {}, []),
    "rgb": (3, {}, []),
    "colour": (1, {}, ["--colorize=orange", "--transparent-below=1"]),
    "mode": (3, {}, ["--resample=mode"]),
    "mode of grey": (1, {}, ["--resample=mode"]),
    "jpeg2000": (1, {"compression": "jpeg2000", "tile": None, "rowsperstrip": 3072}, []),
    "in memory": (1, {}, ["--high-memory"]),
    "shards": (3, {}, ["--shards=3"]),
    "wide PNG": (1, {}, ["--shrink-factor=10", "--pixel-size=1"]),
}
SLOW = {"mode", "mode of grey", "jpeg2000", "shards"}


@pytest.mark.parametrize(
    "threads", [pytest.param(1, marks=pytest.mark.soak), 2, pytest.param(6, marks=pytest.mark.soak)]
)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in {"mode", "jpeg2000", "shards"} else [])
        for name in IMPORTS
    ],
)
def test_memory_is_within_a_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, name: str) -> None:
    bands, layout, options = IMPORTS[name]
    pixels = np.tile(tissue(1024, 1024, bands), (3, 3) if bands == 1 else (3, 3, 1))
    stored = pixels.astype(np.uint16) if bands == 1 else pixels
    if name == "wide PNG":
        Image.fromarray(np.tile(pixels, (1, 7))).save(path := tmp_path / "a.png", compress_level=1)
    else:
        path = write_ome(tmp_path / "a.ome.tif", stored, 0.2125, **{"compression": "zlib", "tile": (512, 512)} | layout)
    program = (
        f"import os; os.sched_getaffinity = lambda _: range({threads})\n"
        "import sys\n"
        "from cartloader_flows.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(open('/proc/self/status').read())\n"
    )
    options = [*options, "--png2pmtiles", *(["--ome2png"] if path.suffix == ".tif" else [])]
    argv = ["import_image", "--direct", "--in-img", path, "--out-dir", tmp_path / "out", "--img-id", "picture"]
    command = [sys.executable, "-c", program, *argv, *options]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak = next(int(line.split()[1]) * 1024 for line in said.splitlines() if line.startswith("VmHWM"))
    if shards := re.search(r"tools: python .*at most (\d+) MB", said):
        peak += 3 * int(shards[1]) * 10**6
    given = {name.replace("-", "_"): value or True for name, _, value in (text[2:].partition("=") for text in options)}
    job = single_job(path, "picture", tmp_path / "out", ImportOptions.model_validate(given))
    monkeypatch.setattr(footprint, "cores", lambda: threads)
    assert plan_of(job).memory == pytest.approx(peak, rel=0.25)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free * 2, free, free))


def test_an_import_that_the_disk_cannot_hold_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ome(tmp_path / "a.ome.tif", noise((2000, 2000), np.uint16), 0.25, compression="zlib")
    job = single_job(path, "picture", tmp_path / "out", ImportOptions(png2pmtiles=True))
    plan = plan_of(job)
    assert plan.certain > 12_000_000  # the GeoTIFF and the decoded plane beside it
    with_free(monkeypatch, plan.certain - 1)
    sentence = r"--out-dir .*: picture needs more than 12 MB while it is imported, and 12 MB are free"
    with pytest.raises(DiskError, match=sentence):
        import_one(job)
    assert not (tmp_path / "out").exists()
    report = Notes()
    with_free(monkeypatch, plan.certain)
    import_one(job, report)
    assert len(report.notes) == 1
    assert "this import needs" in report.notes[0]


def test_the_scratch_of_costly_codecs_counts(tmp_path: Path) -> None:
    pixels = noise((700, 800), np.uint16)
    costly = write_ome(tmp_path / "a.ome.tif", pixels, 0.25, compression="zlib")
    cheap = write_ome(tmp_path / "b.ome.tif", pixels, 0.25)
    disks = [
        plan_of(single_job(path, "picture", tmp_path, ImportOptions(georef_detect="OME"))).certain
        for path in (costly, cheap)
    ]
    assert disks[0] - disks[1] == pixels.nbytes


def test_a_dry_run_prints_the_plan_and_writes_a_makefile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_ome(tmp_path / "a.ome.tif", tissue(600, 800, 3), 0.25)
    out = tmp_path / "out"
    argv = ["import_image", "--dry-run", "--ome2png", "--png2pmtiles", "--update-catalog", "--in-img", str(path)]
    assert main([*argv, "--out-dir", str(out), "--img-id", "he"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "he  a.ome.tif  800 × 600 uint8 RGB, 0.25 µm per pixel"
    assert shown[1].startswith(f"  ome2png         {out}/he.geotif.tif (3.1 MB), he.transform.png (")
    assert shown[2].startswith(f"  png2pmtiles     {out}/he.pmtiles (")
    assert shown[3] == f"  update_catalog  {out}/catalog.yaml"
    assert shown[4] == "  tiles           z16–19, 10 tiles"
    assert shown[5].startswith("  needs           ")
    assert shown[5].endswith("MB of memory")
    assert shown[6] == f"  run it later    make -f {out}/he.mk"
    assert sorted(tmp_path.rglob("*")) == [path, out, out / "he.mk"]


def test_a_dry_run_of_many_says_which_could_not_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_ome(tmp_path / "a.ome.tif", tissue(60, 80, 3), 0.25)
    (tmp_path / "images.yaml").write_text(f"one: {path.name}\ntwo: none.tif\n")
    argv = ["import_image", "--dry-run", "--png2pmtiles", "--in-json", str(tmp_path / "images.yaml")]
    assert main([*argv, "--out-dir", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("one  a.ome.tif")
    assert shown.err.startswith(f"two  {tmp_path}/none.tif: cannot be read")
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "one.mk"]
