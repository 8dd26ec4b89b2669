"""A run's folder as the mapping that imports it: everything lies where its transcripts are, and nothing is guessed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import spotted, vendors
from support.archives import read_archive
from support.maps import HALF_MAP, look, write_ome
from support.rasters import noise, ome_xml, write_pages

from cartloader_flows.cli.main import main
from cartloader_image.errors import UsageError
from cartloader_image.params import SharedOptions
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.scan.folder import scan
from cartloader_image.scan.layers import Layer, Run
from cartloader_image.scan.text import mapping_text

VIZGEN = Path(__file__).parents[3] / "shared" / "samples" / "vizgen"


def off_by(archive: Path, points: spotted.Points, um: float) -> tuple[float, float]:
    """How far points are from the middles of the spots that are drawn there, at most and all in one direction.

    In pixels of a picture with ``um`` µm a pixel.
    """
    view = look(archive, int(read_archive(archive).metadata["maxzoom"]))
    rgba = view.rgba.astype(float)
    # Spots are opaque where the rest is transparent, bright where it is dark, or red where it is pale.
    light = rgba[..., 3] * np.abs(rgba[..., :3] - np.median(rgba[..., :3], axis=(0, 1))).sum(axis=-1)
    steps = []
    for x, y in points:
        column = (x + HALF_MAP) / view.resolution - view.column
        row = (HALF_MAP - y) / view.resolution - view.row
        reach = 5 * um / view.resolution
        top, left = int(max(row - reach, 0)), int(max(column - reach, 0))
        piece = light[top : int(row + reach) + 1, left : int(column + reach) + 1]
        piece = np.where(piece > piece.max() / 2, piece, 0)
        rows, columns = np.mgrid[: piece.shape[0], : piece.shape[1]] + 0.5
        found = (piece * columns).sum() / piece.sum() + left, (piece * rows).sum() / piece.sum() + top
        steps.append([found[0] - column, found[1] - row])
    pixels = np.array(steps) * view.resolution / um
    return float(np.hypot(*pixels.T).max()), float(np.hypot(*pixels.mean(axis=0)))


@pytest.mark.parametrize(
    ("vendor", "make", "names"),
    [
        ("xenium", spotted.xenium, ["DAPI", "ATP1A1-CD45-E-Cadherin", "morphology"]),
        ("merscope", spotted.merscope, ["DAPI-z0", "DAPI-z3", "PolyT-z0", "PolyT-z3"]),
        ("visium_hd", partial(spotted.space_ranger, binned=True), ["tissue_image", "tissue_hires_image"]),
        ("visium", partial(spotted.space_ranger, binned=False), ["tissue_image", "tissue_hires_image"]),
        ("cosmx", spotted.cosmx, ["CellComposite", "PanCK", "DNA"]),
        pytest.param(
            "cosmx", partial(spotted.cosmx, corner="upper"), ["CellComposite", "PanCK", "DNA"], marks=pytest.mark.slow
        ),
        pytest.param(
            "cosmx", partial(spotted.cosmx, right=-1, up=-1), ["CellComposite", "PanCK", "DNA"], marks=pytest.mark.slow
        ),
    ],
)
def test_transcripts_lie_on_their_spots(
    tmp_path: Path, vendor: str, make: Callable[[Path], spotted.Points], names: list[str]
) -> None:
    """The folder, scanned and imported without a further option."""
    points = make(tmp_path / "run")
    assert main(["scan", str(tmp_path / "run"), "-o", str(tmp_path / "images.yaml")]) == 0
    argv = ["import_image", "--direct", "--in-json", str(tmp_path / "images.yaml"), "--out-dir", str(tmp_path / "map")]
    assert main(argv) == 0
    assert list(yaml.safe_load((tmp_path / "map" / "catalog.yaml").read_text())["assets"]["basemap"]) == names
    for name in names:
        at_most, together = off_by(tmp_path / "map" / f"{name}.pmtiles", points, spotted.UM[vendor])
        assert (at_most < 1, together < 0.1) == (True, True), (name, at_most, together)


def test_a_stain_of_another_microscope_lies_on_the_run_that_it_was_aligned_to(tmp_path: Path) -> None:
    spotted.xenium(tmp_path / "run")
    points = spotted.stained(tmp_path / "run")
    assert main(["scan", str(tmp_path / "run"), "-o", str(tmp_path / "images.yaml")]) == 0
    argv = ["import_image", "--direct", "--in-json", str(tmp_path / "images.yaml"), "--out-dir", str(tmp_path / "map")]
    assert main([*argv, "--img-id", "he_image"]) == 0
    at_most, together = off_by(tmp_path / "map" / "he_image.pmtiles", points, spotted.UM["he"])
    assert (at_most < 1, together < 0.1) == (True, True), (at_most, together)


def scanned(folder: Path) -> dict[str, Layer]:
    return {layer.img_id: layer for run in scan(folder) for layer in run.layers}


def options(layer: Layer) -> dict[str, str]:
    return {name: value.name if isinstance(value, Path) else value for name, value in layer.options.items()}


def test_each_stain_has_its_channel_its_colour_and_its_planes(tmp_path: Path) -> None:
    spotted.xenium(tmp_path / "run")
    found = scanned(tmp_path / "run")
    assert {name: options(layer) for name, layer in found.items()} == {
        "DAPI": {"colorize": "#0072b2", "alpha": "intensity"},
        "ATP1A1-CD45-E-Cadherin": {"colorize": "#e69f00", "alpha": "intensity"},
        "morphology": {"z_project": "max"},
    }
    assert not any(layer.lacking for layer in found.values())
    assert "maximum of 3 planes" in found["morphology"].because


def test_a_set_in_one_file_is_a_layer_for_each_channel(tmp_path: Path) -> None:
    vendors.readme(tmp_path)
    (tmp_path / "mosaic_DAPI_z3.tif").unlink()
    (tmp_path / "experiment.xenium").touch()
    found = scanned(tmp_path)
    assert [name for name, layer in found.items() if not layer.lacking] == [
        "morphology-channel-0",
        "morphology-channel-1",
    ]
    assert options(found["morphology-channel-1"])["channel"] == "1"


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([], "no alignment file is named as it is; export one from Xenium Explorer"),
        (["matrix-alignment.csv"], r"no alignment file is named as it is: there are matrix-alignment\.csv; export"),
        (["he_image_alignment1.csv", "he_image_alignment2.csv"], "there are he_image_alignment1.csv, he_image_"),
    ],
)
def test_a_stain_without_its_alignment_is_no_layer(tmp_path: Path, tables: list[str], words: str) -> None:
    spotted.xenium(tmp_path)
    write_ome(tmp_path / "he_image.ome.tif", noise((20, 40, 3)), 0.5)
    for name in tables:
        (tmp_path / name).write_text("1,0,0\n0,1,0\n0,0,1\n")
    found = scanned(tmp_path)["he_image"]
    assert found.options == {}
    assert words.replace("\\", "") in found.lacking


def test_a_stain_has_its_place_by_the_alignment_of_its_name(tmp_path: Path) -> None:
    spotted.xenium(tmp_path)
    write_ome(tmp_path / "he_image.ome.tif", noise((20, 40, 3)), 0.5)
    for name in ("he_imagealignment.csv", "if_imagealignment.csv", "he_image_alignment_keypoints.csv"):
        (tmp_path / name).write_text("1,0,0\n0,1,0\n0,0,1\n")
    found = scanned(tmp_path)["he_image"]
    assert options(found) == {"xenium_alignment": "he_imagealignment.csv"}
    assert not found.lacking


def test_an_alignment_is_that_of_one_picture(tmp_path: Path) -> None:
    """Not of another one whose name begins alike."""
    spotted.xenium(tmp_path)
    for name in ("he", "he2", "he_image"):
        write_ome(tmp_path / f"{name}.ome.tif", noise((20, 40, 3)), 0.5)
    for name in ("he2_imagealignment.csv", "he_imagealignment.csv"):
        (tmp_path / name).write_text("1,0,0\n0,1,0\n0,0,1\n")
    found = scanned(tmp_path)
    assert options(found["he2"]) == {"xenium_alignment": "he2_imagealignment.csv"}
    assert options(found["he_image"]) == {"xenium_alignment": "he_imagealignment.csv"}
    assert found["he"].lacking.startswith("no alignment file is named as it is: there are he2_imagealignment.csv, ")


def test_a_mosaic_without_its_matrix_is_no_layer(tmp_path: Path) -> None:
    spotted.merscope(tmp_path)
    (tmp_path / "region_0" / "images" / "micron_to_mosaic_pixel_transform.csv").unlink()
    assert {layer.lacking for layer in scanned(tmp_path).values()} == {
        "there is no micron_to_mosaic_pixel_transform.csv beside it, which would say where it lies"
    }


def test_planes_in_files_of_their_own_are_one_stack(tmp_path: Path) -> None:
    """The entries that are commented out, without their #: the maximum lies where each of the planes does."""
    points = spotted.merscope(tmp_path)
    layers = [replace(layer, lacking="") for layer in scanned(tmp_path).values() if layer.img_id.endswith("-max")]
    text = mapping_text([Run("a region", tmp_path, tuple(layers))], tmp_path / "m.yaml")
    (tmp_path / "m.yaml").write_text(text)
    argv = ["import_image", "--direct", "--in-json", str(tmp_path / "m.yaml"), "--out-dir", str(tmp_path / "map")]
    assert main(argv) == 0
    for name in ("DAPI-max", "PolyT-max"):
        assert off_by(tmp_path / "map" / f"{name}.pmtiles", points, spotted.UM["merscope"]) < (1, 0.1)


@pytest.mark.parametrize(
    ("other", "pattern"),
    [
        ("mosaic_DAPI_z1_z0.tif", "mosaic_DAPI_z[0-9].tif"),
        ("mosaic_DAPI_z3_crop.tif", "mosaic_DAPI_z[0-9].tif"),
        ("mosaic_DAPI_z3.tiff", None),
    ],
)
def test_a_stack_is_of_one_stain(tmp_path: Path, other: str, pattern: str | None) -> None:
    """Not of another whose name begins alike; where no pattern tells them apart, there is none."""
    spotted.merscope(tmp_path)
    images = tmp_path / "region_0" / "images"
    shutil.copy(images / "mosaic_PolyT_z0.tif", images / other)
    found = {name: layer.path.name for name, layer in scanned(tmp_path).items() if name.endswith("-max")}
    assert found == ({"DAPI-max": pattern} if pattern else {}) | {"PolyT-max": "mosaic_PolyT_z*.tif"}


@pytest.mark.parametrize("runs", [1, 2])
def test_a_stain_beside_the_folder_of_a_run(tmp_path: Path, runs: int) -> None:
    """As published data sets have it: its alignment places it, and without one it is no layer."""
    for number in range(runs):
        spotted.xenium(tmp_path / f"run{number}")
    for name in ("he_image", "if_image"):
        write_ome(tmp_path / f"{name}.ome.tif", noise((60, 90, 3)), 0.274)
    (tmp_path / "he_imagealignment.csv").write_text("1.3,0,5\n0,1.3,7\n0,0,1")
    found, start = scanned(tmp_path), f"{tmp_path.name}-" if runs > 1 else ""
    assert options(found[f"{start}he_image"]) == {"xenium_alignment": "he_imagealignment.csv"}
    assert "0.2125 µm" in found[f"{start}he_image"].because
    assert found[f"{start}if_image"].lacking.startswith(
        "no alignment file is named as it is: there are he_imagealignment"
    )
    spotted.merscope(tmp_path / "other")
    (tmp_path / "other" / "he_image.ome.tif").symlink_to(tmp_path / "he_image.ome.tif")
    assert "nothing says where in it it belongs" in scanned(tmp_path / "other")["he_image"].lacking


def test_regions_have_ids_of_their_own(tmp_path: Path) -> None:
    spotted.merscope(tmp_path)
    shutil.copytree(tmp_path / "region_0", tmp_path / "region_1")
    assert [name for name in scanned(tmp_path) if "DAPI" in name] == [
        "region_0-DAPI-z0", "region_0-DAPI-z3", "region_0-DAPI-max",
        "region_1-DAPI-z0", "region_1-DAPI-z3", "region_1-DAPI-max",
    ]  # fmt: skip
    assert list(scanned(tmp_path / "region_1" / "images"))[:4] == ["DAPI-z0", "DAPI-z3", "PolyT-z0", "PolyT-z3"]


@pytest.mark.parametrize("below", ["", "outs"])
def test_space_ranger_was_given_the_picture_of_that_size(
    tmp_path: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spotted.space_ranger(tmp_path, binned=True)
    Image.new("RGB", (200, 100)).save(tmp_path / "another.png")
    monkeypatch.chdir(tmp_path / below)
    found = scanned(Path())
    lacking = {name: layer.lacking.partition(":")[0] for name, layer in found.items() if layer.lacking}
    assert lacking == {
        "another": "which picture of Space Ranger's it is cannot be told",
        "tissue_lowres_image": "it is tissue_hires_image.png, smaller",
        "cytassist_image": "its frame is its own",
    }


def test_fields_of_view_are_one_layer_for_each_stain(tmp_path: Path) -> None:
    spotted.cosmx(tmp_path)
    tables = {"fov_positions": "S0_fov_positions_file.csv", "fov_transcripts": "S0_tx_file.csv"}
    found = scanned(tmp_path)
    assert {name: options(layer) for name, layer in found.items()} == {
        "CellComposite": tables,
        "PanCK": {"page": "0", "colorize": "#e69f00", "alpha": "intensity"} | tables,
        "DNA": {"page": "1", "colorize": "#0072b2", "alpha": "intensity"} | tables,
    }
    assert not any(layer.lacking for layer in found.values())
    assert "of 6 fields of view" in found["DNA"].because


def test_fields_of_view_without_their_tables_are_no_layer(tmp_path: Path) -> None:
    spotted.cosmx(tmp_path)
    (tmp_path / "S0_tx_file.csv").rename(tmp_path / "S0_tx.csv")
    assert {layer.lacking for layer in scanned(tmp_path).values()} == {
        "it is a field of view; *tx_file.csv* of its run says where it lies, and there is none in the folder"
    }
    (tmp_path / "S1_fov_positions_file.csv").touch()
    assert scanned(tmp_path)["DNA"].lacking == (
        "it is a field of view; *fov_positions_file.csv* of its run says where it lies, and there are "
        "S0_fov_positions_file.csv, S1_fov_positions_file.csv in the folder"
    )


def test_fields_of_two_slides_in_a_folder_are_no_layer(tmp_path: Path) -> None:
    """The tables speak of one of them."""
    spotted.cosmx(tmp_path)
    (tmp_path / "CellComposite" / "CellComposite_F006.jpg").rename(tmp_path / "CellComposite" / "S2_F006.jpg")
    assert {layer.lacking for layer in scanned(tmp_path).values()} == {
        "CellComposite has pictures of several runs, S2_F006.jpg and CellComposite_F001.jpg; keep those of one in it"
    }


def test_fields_that_may_be_stored_upside_down_are_no_layer(tmp_path: Path) -> None:
    points = spotted.cosmx(tmp_path / "run", below=True)
    found = scanned(tmp_path / "run")
    assert {"give --fov-axes right,down if from above, or right,up if from below" in layer.lacking
            for layer in found.values()} == {True}  # fmt: skip
    argv = ["import_image", "--direct", "--png2pmtiles", "--out-dir", str(tmp_path / "map"), "--img-id", "DNA"]
    layer = found["DNA"]
    argv += [f"--{name.replace('_', '-')}={value}" for name, value in layer.options.items()]
    assert main([*argv, "--in-img", str(layer.path), "--fov-axes", "right,up"]) == 0
    at_most, together = off_by(tmp_path / "map" / "DNA.pmtiles", points, spotted.UM["cosmx"])
    assert (at_most < 1, together < 0.1) == (True, True), (at_most, together)


def test_the_size_of_pixels_is_that_of_the_instrument_where_positions_are_in_pixels_alone(tmp_path: Path) -> None:
    spotted.cosmx(tmp_path)
    table = tmp_path / "S0_fov_positions_file.csv"
    table.write_text("\n".join(",".join(line.split(",")[:3]) for line in table.read_text().splitlines()))
    assert "S0_fov_positions_file.csv: says no pixel size" in scanned(tmp_path)["DNA"].lacking
    (tmp_path / "RunSummary").mkdir()
    (tmp_path / "RunSummary" / "20260101_ExptConfig.txt").write_text("Image Rows: 4256\nImPixel_nm: 120.280945\n")
    found = scanned(tmp_path)["DNA"]
    assert options(found)["pixel_size"] == "20260101_ExptConfig.txt"
    assert "0.120281 µm per pixel" in found.because


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """One that says where it lies, one that does not, one for each channel, one that is damaged, and one of ours."""
    write_ome(tmp_path / "slide.ome.tif", noise((20, 40, 3)), 0.5)
    Image.new("RGB", (20, 10)).save(tmp_path / "export.png")
    pixels = 'PhysicalSizeX="1" PhysicalSizeY="1"'
    names = "".join(f'<Channel ID="Channel:{n}" Name="{name}"/>' for n, name in enumerate(["CD3", "Hoechst", "CD3"]))
    xml = ome_xml(f"{names}<TiffData/>", pixels, SizeC=3)
    write_pages(tmp_path / "many.ome.tif", [noise((6, 8))] * 3, xml.encode())
    (tmp_path / "cut.tif").write_bytes(b"II*\0")
    (tmp_path / "a.geotif.tif").write_bytes(b"II*\0")
    found = scanned(tmp_path)
    assert list(found) == ["cut", "export", "many-CD3", "many-Hoechst", "many-CD3-2", "slide"]
    assert "does not say where it lies" in found["export"].lacking
    assert found["cut"].lacking
    assert [options(found[name])["channel"] for name in ("many-CD3", "many-Hoechst", "many-CD3-2")] == [
        "0", "Hoechst", "2"
    ]  # fmt: skip
    assert options(found["many-Hoechst"])["colorize"] == "#0072b2"
    text = mapping_text(scan(tmp_path), tmp_path / "images.yaml")
    (tmp_path / "images.yaml").write_text(text)
    jobs = mapped_jobs(tmp_path / "images.yaml", tmp_path / "map", SharedOptions()).jobs
    assert [job.out.img_id for job in jobs] == ["many-CD3", "many-Hoechst", "many-CD3-2", "slide"]


names_of_files = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(names_of_files, names_of_files, st.booleans())
def test_any_name_survives_the_mapping(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: str, far: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "survives"
    folder.mkdir(exist_ok=True)
    path = (folder.parent if far else folder) / f"x{name}"
    layer = Layer("yes", path, {"channel": f"x{value}", "micron2pixel_csv": path}, because=name, lacking="")
    gone = Layer("no", path, {"channel": value}, lacking=f"{name}\n{value}")
    text = mapping_text([Run("a run", path, (layer, gone))], folder / "images.yaml")
    (folder / "images.yaml").write_text(text, encoding="utf-8")
    (job,) = mapped_jobs(folder / "images.yaml", folder / "map", SharedOptions()).jobs
    assert (job.out.img_id, job.in_img) == ("yes", path)
    assert (job.options.channel, job.options.micron2pixel_csv) == (f"x{value}", path)


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    write_ome(tmp_path / "a.ome.tif", noise((20, 40)))
    (tmp_path / "a.ome.tif").rename(tmp_path / "a\udcff.ome.tif")
    (layer,) = scanned(tmp_path).values()
    assert "which is no text in UTF-8" in layer.lacking
    assert main(["scan", str(tmp_path), "--out", str(tmp_path / "m.yaml")]) == 0


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="holds no run of Xenium, MERSCOPE, Visium or CosMx, and no picture"):
        scan(tmp_path)
    with pytest.raises(UsageError, match="is no directory"):
        scan(tmp_path / "missing")
    write_ome(tmp_path / "a.ome.tif", noise((20, 40)))
    assert main(["scan", str(tmp_path)]) == 0
    assert "path: " in capsys.readouterr().out
    (tmp_path / "m.yaml").write_text("mine")
    assert main(["scan", str(tmp_path), "-o", str(tmp_path / "m.yaml")]) == 2
    assert (tmp_path / "m.yaml").read_text() == "mine"


@pytest.mark.skipif(not VIZGEN.is_dir(), reason="the sample files are not here")
def test_the_files_of_a_real_region(tmp_path: Path) -> None:
    """Vizgen's own example: two mosaics, and their matrix beside them."""
    images = tmp_path / "region_0" / "images"
    images.mkdir(parents=True)
    for path in [*VIZGEN.glob("mosaic*"), VIZGEN / "micron_to_mosaic_pixel_transform.csv"]:
        shutil.copy(path, images)
    assert main(["scan", str(tmp_path), "-o", str(tmp_path / "m.yaml")]) == 0
    argv = ["import_image", "--direct", "--in-json", str(tmp_path / "m.yaml"), "--out-dir", str(tmp_path / "map")]
    assert main(argv) == 0
    matrix = np.loadtxt(images / "micron_to_mosaic_pixel_transform.csv")
    west, south, east, north = map(
        float, read_archive(tmp_path / "map" / "DAPI-z3.pmtiles").metadata["bounds"].split(",")
    )
    corners = np.linalg.inv(matrix) @ [[0, 512], [0, 512], [1, 1]]
    radius = 6378137
    found = [*(radius * np.radians([west, east])), *(radius * np.arcsinh(np.tan(np.radians([south, north]))))]
    assert found == pytest.approx([*corners[0], *corners[1]], abs=0.01)
