"""Pictures that name others: no file but the one that was given is opened, and nobody is asked on the network."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pydantic import ValidationError
from rasterio.errors import NotGeoreferencedWarning
from support.rasters import noise, read_image

from cartloader_image.crs import map_frame
from cartloader_image.errors import BoundsError, InputError
from cartloader_image.params import ImportOptions
from cartloader_image.system.gdal import OFFLINE
from cartloader_image.system.process import running

SERVER = """
import http.server, sys
class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, file=open(sys.argv[1], "a"), flush=True)
        self.send_error(404)
    do_HEAD = do_GET
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Asked)
print(server.server_port, flush=True)
server.serve_forever()
"""
"""In a process of its own: while GDAL waits for an answer, no thread of this one goes on."""
VRT = """<VRTDataset rasterXSize="60" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""
WMS = """<GDAL_WMS><Service name="TMS"><ServerUrl>{source}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>
<UpperLeftX>-20037508.34</UpperLeftX><UpperLeftY>20037508.34</UpperLeftY><LowerRightX>20037508.34</LowerRightX>
<LowerRightY>-20037508.34</LowerRightY><TileLevel>2</TileLevel></DataWindow><Projection>EPSG:3857</Projection>
<BandsCount>1</BandsCount></GDAL_WMS>"""
OVERVIEWS = (
    """<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{source}</MDI></Metadata></PAMDataset>"""
)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the file in which it lists what it was asked for."""
    log = tmp_path / "asked"
    log.touch()
    with subprocess.Popen([sys.executable, "-c", SERVER, log], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}", log
        server.kill()


@pytest.mark.parametrize("text", [VRT, WMS])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.vrt", "a"])
def test_a_description_of_other_files_is_no_picture(
    tmp_path: Path, asked: tuple[str, Path], text: str, name: str
) -> None:
    address, log = asked
    (tmp_path / name).write_text(
        text.format(source=f"/vsicurl/{address}/x.tif" if "VRT" in text else address, relative=0)
    )
    with pytest.raises(InputError, match=rf"{name}: is XML text; give the image itself"):
        read_image(tmp_path / name)
    assert not log.read_text()


def test_a_description_of_a_file_beside_it_is_no_picture(tmp_path: Path) -> None:
    Image.fromarray(noise((40, 60))).save(tmp_path / "other.png")
    (tmp_path / "a.png").write_text(VRT.format(source="other.png", relative=1))
    with pytest.raises(InputError, match="is XML text"):
        read_image(tmp_path / "a.png")


def test_overviews_that_a_file_beside_a_picture_names_are_not_fetched(tmp_path: Path, asked: tuple[str, Path]) -> None:
    address, log = asked
    Image.fromarray(picture := noise((40, 60))).save(tmp_path / "a.png")
    (tmp_path / "a.png.aux.xml").write_text(OVERVIEWS.format(source=f"/vsicurl/{address}/x.tif"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)
    assert not log.read_text()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    with rasterio.Env(**OFFLINE), rasterio.open(tmp_path / "a.png") as dataset:
        assert not dataset.overviews(1)
    assert not log.read_text()
    with rasterio.open(tmp_path / "a.png") as dataset:  # GDAL by itself does ask
        dataset.overviews(1)
    assert log.read_text()


@pytest.mark.parametrize("srs", ["{}/x", "{}", "/etc/hostname", "/vsicurl/{}/x", "ESRI::{}/x"])
def test_a_spatial_reference_is_looked_up_nowhere(asked: tuple[str, Path], srs: str) -> None:
    address, log = asked
    with pytest.raises(BoundsError, match="is an address or a file, which is not looked up; give the code"):
        map_frame(srs.format(address), "--srs")
    assert not log.read_text()


@pytest.mark.parametrize("srs", ["http://www.opengis.net/def/crs/EPSG/0/2056", "urn:ogc:def:crs:EPSG::2056"])
def test_the_address_that_is_a_name_is_known(srs: str) -> None:
    assert map_frame(srs, "--srs")[0] == srs


@pytest.mark.parametrize(
    "path", ["/vsicurl/http://127.0.0.1/a.tif", "/vsizip/a.zip/a.tif", "/vsimem/a.tif", "//vsis3/b/a"]
)
def test_names_that_only_gdal_knows_are_no_paths(path: str) -> None:
    with pytest.raises(ValidationError, match="is a name that only GDAL knows; download or unpack the file"):
        ImportOptions(georef_bounds_tsv=path)


def test_tools_are_kept_off_the_network_as_well(tmp_path: Path) -> None:
    with running(["env"], tmp_path) as tool:
        assert tool.stdout
        told = tool.stdout.read().decode().splitlines()
    assert {f"{name}={value}" for name, value in OFFLINE.items()} <= {*told}
