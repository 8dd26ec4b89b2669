"""Whether a picture lies under points: made pictures that were turned and moved in a known way."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.overlays import BASE, made_case

import cartloader_image as cl
from cartloader_flows.cli.main import main
from cartloader_image.errors import InputError
from cartloader_image.overlay import check
from cartloader_image.overlay.check import check_overlay
from cartloader_image.placing.orientation import Orientation


def error_of(folder: Path, seed: int) -> tuple[bool, float, bool]:
    """Whether the turn is right, µm by which the shift is wrong, and whether it is sure."""
    case = made_case(folder, seed)
    found = check_overlay(case.archive, case.points)
    assert found.kind == case.kind
    turn = Orientation.of(found.turn.rotate, flip_horizontal=found.turn.flip_horizontal)
    # Stored rows go to lesser y where it was imported upwards: laid down as it should be, it is mirrored then.
    right = turn == Orientation(mirror_rows=case.upwards) and not found.turn.flip_vertical
    corner = np.array(case.corner) + found.shift
    return right, float(np.abs(corner - BASE).max()), found.sure


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 10))])
def test_a_turned_and_moved_picture_is_found_out(tmp_path: Path, seed: int) -> None:
    right, error, sure = error_of(tmp_path, seed)
    assert right
    assert error <= 2
    assert sure == (seed not in {5, 8})  # a lone cell, much the same however it is turned


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 5))])
def test_of_points_that_say_nothing_it_is_not_sure(tmp_path: Path, seed: int) -> None:
    case = made_case(tmp_path, seed, signal=False)
    assert not check_overlay(case.archive, case.points).sure


@pytest.mark.soak
def test_four_hundred_cases(tmp_path: Path) -> None:
    first, count = int(os.environ.get("SEED", "1000")), 400
    found = []
    for seed in range(first, first + count):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        found.append(error_of(folder, seed))
    right, close = np.array([one[0] for one in found]), np.array([one[1] <= 2 for one in found])
    sure = np.array([one[2] for one in found])
    print(f"turn {right.mean():.1%}, shift {close[right].mean():.1%}, sure {sure.mean():.1%}")
    print("sure and wrong:", [first + int(at) for at in np.flatnonzero(sure & ~(right & close))])
    assert right.mean() >= 0.95
    assert close[right].mean() >= 0.95
    assert sure.mean() >= 0.9
    assert (sure & ~(right & close)).sum() <= count / 200


@pytest.mark.slow
def test_what_it_says_leads_to_a_picture_that_lies_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stain of 4 × 3 mm, looked at coarsely first; the options that are given mend its import."""
    chance = np.random.default_rng(1)
    shown = np.zeros((1500, 2000))
    rows, columns = chance.integers(0, 1500, 4000), chance.integers(300, 2000, 4000)
    np.add.at(shown, (rows, columns), 1)
    picture = np.asarray(Image.fromarray((255 * (shown > 0)).astype(np.uint8)).resize((2000, 1500)))
    Image.fromarray(picture).save(tmp_path / "a.png")
    # Its points: turned by 90° clockwise, (x, y) = (height - row, column), then moved.
    places = np.column_stack([1500 - rows - 0.5, columns + 0.5]) * 2 + (37.5, -62.5)
    np.savetxt(tmp_path / "points.tsv", places, fmt="%.2f", delimiter="\t", header="X\tY", comments="")
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(tmp_path / "a.png"), "--pixel-size", "2"]
    argv += ["--img-id", "a", "--out-dir", str(tmp_path)]
    look = ["check-overlay", str(tmp_path / "a.pmtiles"), "--points", str(tmp_path / "points.tsv")]
    assert main(argv) == main([*look, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["sure"]
    assert said["turn"] == {"rotate": 90, "flip_vertical": False, "flip_horizontal": False}
    np.testing.assert_allclose(said["shift"], (37.5, -62.5), atol=1)
    assert main(look) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("of the box of points.tsv lies on the picture (fluorescence)")
    assert lines[-1] == f"  import it again with {said['options']} in place of its turn and offsets"
    assert main([*argv, *said["options"].split()]) == main(look) == 0
    out = capsys.readouterr().out
    assert "it lies right, to" in out
    assert "100% of the box" in out
    # Where the pieces that are looked at closely do not agree with what was found coarsely, it is not sure.
    with cl.open_archive(tmp_path / "a.pmtiles") as archive:
        closer = [
            check._closer(archive, places.astype(np.float32), check.TURNS[0], (x, 0.0), "fluorescence", 4.0)
            for x in (0, 6, 9, 12)
        ]
    assert closer[2:] == [None, None]
    np.testing.assert_allclose(closer[0], closer[1], atol=0.1)
    monkeypatch.setattr(check, "_closer", lambda *_: None)
    assert main(look) == 0
    assert "not sure" in capsys.readouterr().out


def test_a_picture_of_another_program_is_taken_as_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = made_case(tmp_path, 3)
    usual = check_overlay(case.archive, case.points)
    monkeypatch.setattr(cl.open_archive(case.archive).__class__, "metadata", {})
    found = check_overlay(case.archive, case.points)
    assert (found.shift, found.sure) == (usual.shift, usual.sure)
    assert found.turned == (found.turn != check.Turn(0, False, False))


def test_what_an_archive_was_made_with_is_counted_in(tmp_path: Path) -> None:
    """Offsets are added up, a map's frame is left, and what a matrix places is not turned by options."""
    case = made_case(tmp_path, 3)
    places, picture = np.loadtxt(case.points, delimiter=",", skiprows=1), tmp_path / "picture.png"
    near = {"georef_offset_x": 30, "georef_offset_y": -20, "pixel_size": case.um}
    np.savetxt(tmp_path / "p.csv", places - BASE, fmt="%.3f", delimiter=",", header="x,y", comments="")

    def looked_at(**options: object) -> check.Overlay:
        image = cl.import_image(picture, out_dir=tmp_path / "again", img_id="b", **options)
        assert image.tiles is not None
        return check_overlay(image.tiles.path, tmp_path / "p.csv")

    for more in ({"flip_horizontal": True}, {"georef_offset_x": 100}):
        found = looked_at(**near | more)
        words = found.options.split()
        assert words[::2] == ["--georef-offset-x", "--georef-offset-y"]
        assert max(abs(float(word)) for word in words[1::2]) <= 2
    found = looked_at(**near, rotate=90, orient_frame="map", flip_vertical=True)
    assert "--orient-frame image" in found.options or not found.turn.options
    write = (tmp_path / "m.csv").write_text
    write(f"{case.um},0,7\n0,{case.um},-9\n")
    found = looked_at(georef_affine=tmp_path / "m.csv")
    assert found.options.startswith("--georef-offset-x -7")
    write(f"{-case.um},0,{case.um * case.size[1]}\n0,{case.um},0\n")
    found = looked_at(georef_affine=tmp_path / "m.csv")
    assert found.turned
    assert (found.turn, found.options) == (check.Turn(0, False, True), "")
    assert "a matrix places it, which has to be turned itself, as --flip-horizontal would" in found.advice
    of_fields = replace(found, made=replace(found.made, of_fields=True))  # each turned in its place, not all together
    assert of_fields.finding.startswith("it would lie better turned")
    assert "by --fov-axes: try another value" in of_fields.advice


def test_a_place_beyond_the_reach_is_not_sure(tmp_path: Path) -> None:
    case = made_case(tmp_path, 3)
    places = np.loadtxt(case.points, delimiter=",", skiprows=1)
    moved = np.array(case.corner) + check_overlay(case.archive, case.points).shift - BASE
    for far, sure in ((180, True), (207, False)):
        np.savetxt(
            tmp_path / "p.csv", places - moved + np.array(case.corner) - BASE + (0, far), delimiter=",", header="x,y",
            comments="",
        )  # fmt: skip
        found = check_overlay(case.archive, tmp_path / "p.csv")
        assert (found.sure, abs(found.shift[1] - far) < 2) == (sure, sure)


def test_a_pattern_that_comes_again_and_again_is_not_sure(tmp_path: Path) -> None:
    """Points of a part of it agree as well a period away."""
    chance = np.random.default_rng(0)
    motif = np.array([(0, 0), (12, 0), (24, 0), (36, 0), (0, 14), (0, 28), (30, 10)])
    marks = np.concatenate([motif + np.array([x, y]) for x in range(20, 1160, 90) for y in range(20, 760, 90)])
    picture = np.zeros((800, 1200))
    picture[marks[:, 1], marks[:, 0]] = 255
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "a.png")
    image = cl.import_image(tmp_path / "a.png", out_dir=tmp_path, img_id="a", pixel_size="1")
    assert image.tiles is not None
    places = marks[chance.integers(0, len(marks), 20_000)] + chance.normal(0.5, 3, (20_000, 2))
    inside = (abs(places - (600, 400)) < (300, 200)).all(axis=1)
    np.savetxt(tmp_path / "p.csv", places[inside], fmt="%.2f", delimiter=",", header="x,y", comments="")
    found = check_overlay(image.tiles.path, tmp_path / "p.csv")
    assert found.scores["best"] - found.scores["other_turn"] > 0.1
    assert not found.sure


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x,y\n" + "1,2\n" * 99, "has 99 points, which is too few to say anything"),
        ("x,y\n" + "90000,2\n" * 200, "lie more than 200 µm away from the picture"),
    ],
)
def test_points_that_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    sample = cl.write_sample(tmp_path / "s.ome.tif", size=256)
    image = cl.import_image(sample, out_dir=tmp_path, img_id="a", page=0)
    assert image.tiles is not None
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(InputError) as error:
        check_overlay(image.tiles.path, tmp_path / "points.csv")
    assert str(error.value).startswith(f"{tmp_path / 'points.csv'}: ")
    assert sentence in str(error.value)
