import json
from pathlib import Path

import pytest

from cartloader.assets import write_asset
from cartloader.params import OutputPrefix


def test_the_asset_is_one_key_with_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "é map").mkdir()
    monkeypatch.chdir(tmp_path / "é map")
    asset = write_asset(OutputPrefix(out_dir=Path("../é map"), img_id="dapi"))
    assert asset == Path("../é map/dapi.json")
    assert json.loads(asset.read_bytes()) == {"dapi": str(tmp_path / "é map" / "dapi.pmtiles")}
    assert list(Path().iterdir()) == [Path("dapi.json")]


def test_writing_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    out = OutputPrefix(out_dir=tmp_path, img_id="a.b-c_d")
    first = write_asset(out).read_bytes()
    assert write_asset(out).read_bytes() == first
