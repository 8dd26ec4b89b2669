"""Landmarks: the matrix that fits them, how far they are from it, and pairs of points that fit none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from support.places import placed
from support.rasters import Raster

from cartloader_image.errors import InputError, MetadataError
from cartloader_image.placing.landmarks import Landmarks, Model, Points, fit_landmarks, read_landmarks

SIZE = 3000, 4000
PIXELS = np.random.default_rng(7).uniform(0, [SIZE[1], SIZE[0]], (12, 2))
ASKEW = Affine.translation(-500, 900) @ Affine.rotation(33) @ Affine.shear(5, 0) @ Affine.scale(0.27, 0.31)
SIMILAR = Affine.translation(-500, 900) @ Affine.rotation(-120) @ Affine.scale(0.27)


def through(affine: Affine, pixels: Points = PIXELS) -> Points:
    return np.array([affine @ tuple(point) for point in pixels])


def fit(there: Points, model: Model = "affine", pixels: Points = PIXELS, size: float | None = None):
    landmarks = Landmarks(Path("points.csv"), pixels, there, in_dapi_pixels=False)
    return fit_landmarks(landmarks, model, SIZE, size and (size, size))


def largest(one: Affine, other: Affine) -> float:
    """The greatest difference of two matrices' numbers, shifts as they are at the middle of the picture."""
    middle = (SIZE[1] / 2, SIZE[0] / 2)
    linear = np.abs(np.array([one.a, one.b, one.d, one.e]) - [other.a, other.b, other.d, other.e]).max()
    return max(float(linear), *np.abs(np.subtract(one @ middle, other @ middle)))


@given(
    st.floats(0, 360),
    st.floats(-11, 11),
    st.floats(0.2, 5),
    st.floats(0.5, 2),
    st.floats(-1e4, 1e4),
    st.integers(3, 12),
)
def test_exact_landmarks_give_the_matrix(
    angle: float, shear: float, scale: float, aspect: float, x: float, count: int
) -> None:
    affine = Affine.translation(x, -x) @ Affine.rotation(angle) @ Affine.shear(shear, 0)
    affine @= Affine.scale(scale, scale * aspect)
    found = fit(through(affine, PIXELS[:count]), pixels=PIXELS[:count])
    assert largest(found.affine, affine) <= 1e-9
    assert found.worst <= 1e-9


@pytest.mark.parametrize("model", ["affine", "similarity", "rigid"])
def test_exact_landmarks_of_a_simpler_matrix(model: Model) -> None:
    found = fit(through(SIMILAR), model, size=0.27)
    assert largest(found.affine, SIMILAR) <= 1e-9
    assert found.notes == ()


@pytest.mark.parametrize("model", ["affine", "similarity", "rigid"])
def test_the_rms_is_that_of_the_noise(model: Model) -> None:
    """Half a pixel on each axis is 0.135 µm, √2 as much in the plane, but for what the fit itself takes up."""
    random = np.random.default_rng(3)
    pixels = random.uniform(0, [SIZE[1], SIZE[0]], (400, 2))
    there = through(SIMILAR, pixels + random.normal(0, 0.5, pixels.shape))
    found = fit(there, model, pixels, size=0.27)
    assert found.rms == pytest.approx(0.5 * 0.27 * np.sqrt(2), rel=0.1)
    assert found.rms == pytest.approx(np.sqrt(np.mean(np.sum((through(found.affine, pixels) - there) ** 2, axis=1))))
    assert largest(found.affine, SIMILAR) <= 0.05


@pytest.mark.parametrize("model", ["affine", "similarity", "rigid"])
def test_no_matrix_near_by_fits_better(model: Model) -> None:
    there = through(ASKEW) + np.random.default_rng(4).normal(0, 3, PIXELS.shape)
    found = fit(there, model, size=0.3)
    for turn, scale, x in np.random.default_rng(5).normal(0, 1e-3, (50, 3)):
        near = Affine.translation(x, -x) @ found.affine @ Affine.rotation(turn)
        if model != "rigid":
            near @= Affine.scale(1 + scale)
        assert np.mean(np.sum((through(near) - there) ** 2, axis=1)) >= found.rms**2


def test_a_mistake_among_landmarks_is_noted() -> None:
    random = np.random.default_rng(6)
    pixels = random.uniform(0, [SIZE[1], SIZE[0]], (40, 2))
    there = through(ASKEW, pixels + random.normal(0, 0.5, pixels.shape))
    assert fit(there, pixels=pixels).notes == ()
    there[17] += [30, -20]
    found = fit(there, pixels=pixels)
    assert found.residuals.index(found.worst) == 17
    assert "landmark 18 is 3" in found.notes[0]
    assert "more than three times the RMS" in found.notes[0]


def test_as_few_landmarks_as_can_be_tell_nothing_of_errors() -> None:
    assert "as few as a matrix of this kind takes" in fit(through(ASKEW)[:3], pixels=PIXELS[:3]).notes[0]
    assert "as few as" in fit(through(SIMILAR)[:2], "similarity", PIXELS[:2]).notes[0]


LINE = np.stack([np.linspace(10, 3000, 8), np.linspace(20, 2000, 8)], axis=1)


@pytest.mark.parametrize(
    ("model", "pixels", "there", "what"),
    [
        ("affine", PIXELS[:2], through(ASKEW)[:2], "has 2 points, and --landmark-model affine needs 3 at least"),
        ("similarity", PIXELS[:1], through(ASKEW)[:1], "has 1 points, and --landmark-model similarity needs 2"),
        ("affine", LINE, through(ASKEW, LINE), "its pixels lie on a line"),
        ("affine", LINE + PIXELS[:8] % 3, through(ASKEW, LINE), "its pixels lie on a line"),
        ("affine", PIXELS, through(ASKEW @ Affine(1, 1, 0, 1, 1.001, 0)), "its places on the map lie on a line"),
        ("similarity", PIXELS[[0, 0, 0]], through(ASKEW)[:3], "its pixels are all the same point"),
        (
            "affine",
            PIXELS[:, ::-1] + [0, 200],
            through(ASKEW),
            "beyond the picture of 4,000 × 3,000 pixels; are",
        ),
        ("affine", PIXELS, through(ASKEW)[:, ::-1], "its points mirror the picture; check that no two columns are"),
        ("similarity", PIXELS, through(SIMILAR)[:, ::-1], "its points mirror the picture"),
    ],
)
def test_landmarks_that_fit_no_picture(model: Model, pixels: Points, there: Points, what: str) -> None:
    with pytest.raises(InputError, match=f"^points.csv: .*{what}"):
        fit(there, model, pixels)


def test_a_line_is_enough_for_a_similarity() -> None:
    assert largest(fit(through(SIMILAR, LINE), "similarity", LINE).affine, SIMILAR) <= 1e-9


def test_a_rigid_motion_needs_a_pixel_size() -> None:
    with pytest.raises(MetadataError, match="--landmark-model rigid needs the picture's µm per pixel"):
        fit(through(SIMILAR), "rigid")


PLAIN = "col,row,x,y\n1,2,3,4\n5,6,7,8\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", "\t"),
        "y,x,name,row,col\n4,3,a b,2,1\n8,7,,6,5",
        PLAIN.upper(),
        f"\ufeff# a\n{PLAIN}\n",
    ],
)
def test_columns_go_by_their_names(text: str) -> None:
    found = read_landmarks(text.removeprefix("\ufeff"), Path("a.csv"))
    assert (found.pixels.tolist(), found.map.tolist(), found.in_dapi_pixels) == (
        [[1, 2], [5, 6]],
        [[3, 4], [7, 8]],
        False,
    )


def test_the_key_points_of_xenium_explorer() -> None:
    found = read_landmarks("fixedX,fixedY,alignmentX,alignmentY\n3,4,1,2\n7,8,5,6", Path("a.csv"))
    assert (found.pixels.tolist(), found.map.tolist(), found.in_dapi_pixels) == (
        [[1, 2], [5, 6]],
        [[3, 4], [7, 8]],
        True,
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "takes columns col,row,x,y .* found ''"),
        ("1,2,3,4\n5,6,7,8", "takes columns col,row,x,y .* found '1,2,3,4'"),
        ("fixedX,fixedY,x,y\n1,2,3,4", "fixedX,fixedY,alignmentX,alignmentY, found 'fixedX,fixedY,x,y'"),
        ("col,row,x,y,x\n1,2,3,4,5", "takes columns"),
        ("col,row,x,y\n1,2,3", "point 1 is '1,2,3', which is not four numbers"),
        ("col,row,x,y\n1,2,3,4\n1,2,three,4", "point 2 is '1,2,three,4'"),
        ("col,row,x,y\n1,2,3,inf", "takes finite numbers"),
        ("col,row,x,y\n1,2,3,-1e308", r"takes finite numbers, none beyond 1e\+12"),
    ],
)
def test_what_are_no_landmarks(text: str, what: str) -> None:
    with pytest.raises(InputError, match=f"^a.csv: .*{what}"):
        read_landmarks(text, Path("a.csv"))


def table_of(path: Path, names: str, *columns: Points) -> Path:
    lines = (",".join(map(repr, map(float, row))) for row in np.hstack(columns))
    path.write_text("\n".join([names, *lines]))
    return path


def test_a_picture_by_landmarks(raster: Raster, tmp_path: Path) -> None:
    picture = raster("a.ome.tif", 60, 80, pixel_size=0.27)
    pixels = PIXELS / 60
    plain = table_of(tmp_path / "plain.csv", "col,row,x,y", pixels, through(ASKEW, pixels))
    found = placed(picture, georef_landmarks=plain)
    assert found.affine.almost_equals(ASKEW, 1e-9)
    assert found.receipt.origin == "landmarks"
    (tmp_path / "experiment.xenium").write_text(json.dumps({"pixel_size": 0.5}))
    names = "fixedX,fixedY,alignmentX,alignmentY"
    xenium = table_of(tmp_path / "keypoints.csv", names, through(ASKEW, pixels) * 2, pixels)
    assert placed(picture, georef_landmarks=xenium).affine.almost_equals(ASKEW, 1e-9)
    rigid = table_of(tmp_path / "rigid.csv", "col,row,x,y", pixels, through(SIMILAR, pixels))
    for options in ({}, {"pixel_size": "0.27"}):
        found = placed(picture, georef_landmarks=rigid, landmark_model="rigid", **options)
        assert found.affine.almost_equals(SIMILAR, 1e-9)
