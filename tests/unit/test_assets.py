import json
from pathlib import Path

import pytest

from cartloader_image.action_params import OutputPrefix
from cartloader_image.catalog.assets import write_assets


def test_the_asset_is_one_key_with_the_absolute_path_under_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "é map").mkdir()
    monkeypatch.chdir(tmp_path / "é map")
    assets = write_assets(OutputPrefix(out_dir=Path("../é map"), img_id="dapi"))
    assert assets == (Path("../é map/dapi.json"), Path("../é map/dapi_assets.json"))
    for asset in assets:
        assert json.loads(asset.read_bytes()) == {"dapi": str(tmp_path / "é map" / "dapi.pmtiles")}
    assert sorted(Path().iterdir()) == [Path("dapi.json"), Path("dapi_assets.json")]


def test_writing_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    out = OutputPrefix(out_dir=tmp_path, img_id="a.b-c_d")
    first = [file.read_bytes() for file in write_assets(out)]
    assert [file.read_bytes() for file in write_assets(out)] == first
