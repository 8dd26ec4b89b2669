"""An import whose picture is held against points: what is said, what is kept, and what enters the catalog."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation
from support.overlays import nuclei
from support.tools import require_tools

import cartloader_image as cl
from cartloader_flows.cli.main import main
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe import actions
from cartloader_image.recipe.job import single_job
from cartloader_image.recipe.mapping import mapped_jobs, settled_images
from cartloader_image.recipe.plan import planned


def words(folder: Path, *more: str, points: str = "points.csv", how: str = "--direct") -> list[str]:
    argv = ["import_image", how, "--png2pmtiles", "--update-catalog", "--in-img", str(folder / "picture.png")]
    argv += ["--pixel-size", "1", "--img-id", "a", "--out-dir", str(folder / "map"), *more]
    return [*argv, "--check-points", str(folder / points)] if points else argv


def kept(folder: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((folder / "map" / "a.overlay.json").read_text(encoding="utf-8"))
    return record


def test_a_picture_that_lies_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuclei(tmp_path)
    assert main(words(tmp_path, "--overlay-strict")) == 0
    out = capsys.readouterr().out
    assert "  under points.csv: it lies right, to 0." in out
    assert "note" not in out
    assert "a.overlay.json, a.overlay.png" in out
    with Image.open(tmp_path / "map" / "a.overlay.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB")).astype(int)[:-28]
    dots = (pixels[..., 0] > 80) & (pixels[..., 0] - pixels[..., 2] > 60)  # yellow, on grey
    places = np.loadtxt(tmp_path / "points.csv", delimiter=",", skiprows=1)
    expected = np.zeros_like(dots)
    scale = dots.shape[1] / 450
    rows, columns = ((350 - places[:, 1]) * scale).astype(int), (places[:, 0] * scale).astype(int)
    expected[rows, columns] = True
    # Dots of 5 pixels, or 3, to a pixel.
    assert dots[expected].mean() > 0.98
    assert binary_dilation(expected, np.ones((3, 3)), iterations=3)[dots].mean() > 0.98
    assert kept(tmp_path)["lies"] == "right"
    assert kept(tmp_path)["sure"] is True
    assert (tmp_path / "map" / "catalog.yaml").exists()


def test_a_misfit_is_a_note_with_what_would_do_or_fails_the_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nuclei(tmp_path, shift=(30, -20))
    assert main(words(tmp_path)) == 0
    said = capsys.readouterr()
    note = "it does not lie under points.csv: it would lie right moved, by +30.0 µm in x and -20.0 µm in y; import it "
    note += "again with --georef-offset-x 30.0 --georef-offset-y -20.0 in place of its turn and offsets"
    assert f"  note: {note}\n" in said.out
    assert f"a  {note}\n" in said.err
    assert kept(tmp_path)["lies"] == "wrong"
    shutil.rmtree(tmp_path / "map")
    assert main(words(tmp_path, "--overlay-strict")) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"{tmp_path / 'map' / 'a.pmtiles'}: {note.removeprefix('it ')}"
    assert sorted(path.name for path in (tmp_path / "map").iterdir()) == [
        "a.geotif.tif", "a.json", "a.pmtiles", "a_assets.json",
    ]  # fmt: skip
    # What is said mends it.
    assert main(words(tmp_path, "--overlay-strict", *kept_options(note))) == 0
    assert kept(tmp_path)["lies"] == "right"


def kept_options(note: str) -> list[str]:
    return note.partition("again with ")[2].partition(" in place")[0].split()


def test_a_turn_is_told_apart(tmp_path: Path) -> None:
    nuclei(tmp_path, transposed=True)
    with pytest.raises(cl.OverlayError) as error:
        cl.import_image(
            tmp_path / "picture.png", out_dir=tmp_path / "map", img_id="a", pixel_size="1", overlay_strict=True,
            check_points=tmp_path / "points.csv",
        )  # fmt: skip
    assert "points.csv: it would lie right turned; import it again with --rotate 90 --flip-horizontal in place" in str(
        error.value
    )


def test_not_sure_is_no_pass_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuclei(tmp_path, seed=2)
    assert main(words(tmp_path, "--overlay-strict")) == 0
    assert "  under points.csv: not sure: no turn and shift is clearly better" in capsys.readouterr().out
    assert kept(tmp_path)["lies"] == "not sure"
    (tmp_path / "few.csv").write_text("x,y\n" + "9,9\n" * 50)
    assert main(words(tmp_path, "--overlay-strict", points="few.csv")) == 0
    assert "  under few.csv: has 50 points, which is too few to say anything; 100 may do\n" in capsys.readouterr().out
    assert kept(tmp_path)["lies"] == "not sure"


def test_points_far_away_are_a_misfit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuclei(tmp_path, shift=(90_000, 0))
    assert main(words(tmp_path)) == 0
    assert "note: it does not lie under points.csv: its points (x 90,0" in " ".join(capsys.readouterr().out.split())
    assert main(words(tmp_path, "--overlay-strict")) == 1
    assert "lie more than 200 µm away from the picture" in capsys.readouterr().err
    assert not (tmp_path / "map" / "a.overlay.json").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, "points.csv: cannot be read (No such file"), ("gene\n", "points.csv: has columns gene; --points takes a")],
)
def test_points_that_are_none_are_refused_before_any_work(
    tmp_path: Path, text: str | None, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nuclei(tmp_path)
    (tmp_path / "points.csv").unlink()
    if text:
        (tmp_path / "points.csv").write_text(text)
    monkeypatch.setattr(actions, "georeference", None)
    for more in ([], ["--dry-run"]):
        assert main(words(tmp_path, *more)) == 1
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "map").exists()


def test_the_plan_counts_the_memory_of_points(tmp_path: Path) -> None:
    """The more of them the more, whether it is tiled now or was before."""
    nuclei(tmp_path)
    (tmp_path / "more.csv").write_text("x,y\n" + "1,2\n" * 1_000_000)
    options = {"png2pmtiles": True, "pixel_size": "1"}

    def memory(**more: object) -> int:
        asked = ImportOptions.model_validate(options | more)
        with planned(single_job(tmp_path / "picture.png", "a", tmp_path, asked)) as plan:
            return plan.memory

    few, many = memory(check_points=tmp_path / "points.csv"), memory(check_points=tmp_path / "more.csv")
    assert memory() < few < many
    assert many - few > 3_900_000


def test_what_is_said_goes_with_its_archive(tmp_path: Path) -> None:
    nuclei(tmp_path)
    assert main(words(tmp_path)) == 0
    assert main(words(tmp_path, "--rotate", "180", points="")) == 0
    assert not list((tmp_path / "map").glob("*overlay*"))


def test_a_finished_archive_is_held_against_points_before_it_enters_a_catalog(tmp_path: Path) -> None:
    nuclei(tmp_path, shift=(30, 0))
    cl.import_image(tmp_path / "picture.png", out_dir=tmp_path / "map", img_id="a", pixel_size="1")
    alone = ["import_image", "--direct", "--update-catalog", "--img-id", "a", "--out-dir", str(tmp_path / "map")]
    alone += ["--check-points", str(tmp_path / "points.csv")]
    assert main([*alone, "--overlay-strict"]) == 1
    assert not (tmp_path / "map" / "catalog.yaml").exists()
    assert main(alone) == 0
    assert (tmp_path / "map" / "catalog.yaml").exists()
    assert kept(tmp_path)["lies"] == "wrong"
    assert main([*alone, "--overlay-strict"]) == 1
    assert not (tmp_path / "map" / "a.overlay.json").exists()


def test_each_image_of_a_mapping_has_points_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, shift in (("good", 0), ("bad", 40)):
        (tmp_path / name).mkdir()
        nuclei(tmp_path / name, shift=(shift, 0))
    (tmp_path / "many.yaml").write_text(
        "good: {path: good/picture.png, check_points: good/points.csv}\n"
        "bad: {path: bad/picture.png, check-points: bad/points.csv}\nnone: good/picture.png\n"
    )
    argv = ["import_image", "--direct", "--png2pmtiles", "--update-catalog", "--pixel-size", "1", "--overlay-strict"]
    argv += ["--in-json", str(tmp_path / "many.yaml"), "--out-dir", str(tmp_path / "map")]
    assert main(argv) == 1
    said = capsys.readouterr()
    assert "1 of 3 images failed: bad" in said.err
    catalog = (tmp_path / "map" / "catalog.yaml").read_text()
    assert ("good.pmtiles" in catalog, "bad.pmtiles" in catalog, "none.pmtiles" in catalog) == (True, False, True)
    assert "note: --overlay-strict does nothing without --check-points" in said.out


@pytest.mark.slow
def test_the_makefile_makes_it_and_stops_at_a_misfit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_tools("make")
    nuclei(tmp_path, shift=(30, 0))
    out = tmp_path / "map"
    assert main(words(tmp_path, "--dry-run", "--overlay-strict")) == 0
    assert f"  check_points    {out}/a.overlay.json, a.overlay.png\n" in capsys.readouterr().out

    def make() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["make", "-k", "-f", out / "a.mk"], capture_output=True, text=True, check=False)

    for _ in range(2):
        done = make()
        assert done.returncode != 0
        assert "a.pmtiles: does not lie under points.csv" in done.stderr
        assert not (out / "catalog.yaml").exists()
    nuclei(tmp_path)
    assert make().returncode == 0
    assert "a.pmtiles" in (out / "catalog.yaml").read_text()
    assert kept(tmp_path)["lies"] == "right"
    assert "check_points" not in make().stdout
    nuclei(tmp_path, shift=(0.5, 0))
    printed = make().stdout
    assert "check_points" in printed
    assert "png2pmtiles" not in printed


def test_a_changed_file_of_points_is_something_new_to_a_watched_folder(tmp_path: Path) -> None:
    nuclei(tmp_path)
    mapping = tmp_path / "many.yaml"
    mapping.write_text("a: {path: picture.png, check_points: points.csv}\n")

    def found() -> dict[str, str]:
        return settled_images(mapped_jobs(mapping, tmp_path / "map", SharedOptions(png2pmtiles=True)).jobs, -1)

    first = found()
    assert first == found() != {}
    (tmp_path / "points.csv").write_text("x,y\n1,2\n")
    assert found().keys() == first.keys()
    assert found() != first
    (tmp_path / "points.csv").unlink()
    assert found() == {}, "it is waited for"


def test_points_are_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuclei(tmp_path)
    (tmp_path / "map").mkdir()
    shutil.copy(tmp_path / "points.csv", tmp_path / "map" / "a.overlay.json")
    assert main(words(tmp_path, points="map/a.overlay.json")) == 2
    assert "is what this import writes" in capsys.readouterr().err
