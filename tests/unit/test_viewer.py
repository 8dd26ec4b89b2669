"""The server of the map page gives what was named to whom it was told, and nothing else to anybody."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pmtiles.tile import Compression, TileType
from support.archives import WORLD, cut, write_archive
from support.rasters import noise

from cartloader_flows.cli.main import main
from cartloader_image.errors import InputError, ToolError, UsageError
from cartloader_image.points.table import Table
from cartloader_image.tiles.grid import HALF_MAP
from cartloader_image.viewer import server
from cartloader_image.viewer.loading import Loading
from cartloader_image.viewer.shown import layers_of, listing

TOKEN = "token"


def archive(path: Path, seed: int = 0) -> Path:
    return write_archive(path, cut(noise((256, 256, 3), seed=seed), 5, 3, 4, 256), **WORLD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog of an archive that is good, one that is missing, one that is cut off, and one that lies elsewhere."""
    folder = tmp_path / "map"
    folder.mkdir()
    archive(folder / "good.pmtiles")
    archive(tmp_path / "secret.pmtiles")
    (folder / "link.pmtiles").symlink_to(tmp_path / "secret.pmtiles")
    (folder / "cut.pmtiles").write_bytes(archive(tmp_path / "whole.pmtiles").read_bytes()[:-100])
    files = {"good": "good", "gone": "gone", "cut": "cut", "link": "link", "up": "../secret"}
    listed = "".join(f"    {name}: {file}.pmtiles\n" for name, file in files.items())
    (folder / "catalog.yaml").write_text(f"assets:\n  basemap:\n{listed}")
    return folder


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


Ask = Callable[..., Answer]


@contextmanager
def asking(*sources: Path, points: Loading | None = None) -> Iterator[Ask]:
    """Ask a server for a path as it stands, with these headers."""
    serving = server.serving(server.application(layers_of(sources), "title", TOKEN, points))
    with server.bound(None) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()

        def ask(path: str, headers: Mapping[str, str] = {}, method: str = "GET") -> Answer:
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                connection.request(method, path, headers=dict(headers))
                answer = connection.getresponse()
                return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

        try:
            yield ask
        finally:
            serving.should_exit = True
            thread.join()


@pytest.fixture
def ask(folder: Path) -> Iterator[Ask]:
    with asking(folder) as ask:
        yield ask


def test_a_catalog_is_shown_with_what_is_wrong_in_it(folder: Path) -> None:
    layers = {layer.id: layer for layer in layers_of([folder])}
    assert list(layers) == ["good", "gone", "cut", "link", "up"]
    assert layers["good"].zooms == (5, 5)
    side = 2 * HALF_MAP / 32
    edges = [3 * side - HALF_MAP, HALF_MAP - 4 * side, 4 * side - HALF_MAP, HALF_MAP - 5 * side]
    page = json.loads(listing(list(layers.values()), "map"))
    assert page["layers"][0]["bounds"] == pytest.approx(edges)
    problems = {name: layer.problem for name, layer in layers.items()}
    assert problems["good"] == ""
    assert problems["gone"] == "there is no such archive to list; make it with --png2pmtiles"
    assert problems["cut"].startswith("is cut off")
    for name in ("link", "up"):
        assert problems[name] == f"lies outside {folder.resolve()}; name the file itself to see it"


def test_files_and_directories_of_archives_are_shown(tmp_path: Path) -> None:
    for name in ("b", "a"):
        archive(tmp_path / f"{name}.pmtiles")
    layers = layers_of([tmp_path / "b.pmtiles", tmp_path])
    assert [layer.id for layer in layers] == ["b", "a", "b (2)"]
    assert not any(layer.problem for layer in layers)


def test_a_link_that_was_named_itself_is_shown(folder: Path) -> None:
    with asking(folder / "link.pmtiles") as ask:
        assert ask(f"/{TOKEN}/archives/0-link.pmtiles").status == 200


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "no.pmtiles", "no.pmtiles: there is no such file or directory to show"),
        (lambda path: path, "has neither a catalog.yaml nor archives"),
        (
            lambda path: write_archive(path / "a.pmtiles", {(0, 0, 0): b"x"}, tile_type=TileType.MVT),
            "a.pmtiles: holds vector tiles",
        ),
    ],
)
def test_what_shows_nothing_is_refused(tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        layers_of([make(tmp_path)])


def test_directories_that_browsers_cannot_unpack_are_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pmtiles")
    data = bytearray(path.read_bytes())
    data[97] = Compression.ZSTD.value
    path.write_bytes(data)
    with pytest.raises(InputError, match="has directories compressed by zstd, which browsers cannot read; gzip is"):
        layers_of([path])


def test_the_page_is_whole_and_knows_its_archives(folder: Path, ask: Ask) -> None:
    page = ask(f"/{TOKEN}/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("viewer.js", "viewer.css", "maplibre-gl.js", "maplibre-gl.css"):
        assert name in page.content.decode()
        assert ask(f"/{TOKEN}/{name}").status == 200
    layers = json.loads(ask(f"/{TOKEN}/map.json").content)["layers"]
    assert ask(f"/{TOKEN}/{layers[0]['url']}").content == (folder / "good.pmtiles").read_bytes()
    assert ask(f"/{TOKEN}").headers["location"] == f"/{TOKEN}/"


def test_ranges_are_answered(folder: Path, ask: Ask) -> None:
    path = f"/{TOKEN}/archives/0-good.pmtiles"
    data = (folder / "good.pmtiles").read_bytes()
    part = ask(path, headers={"Range": "bytes=10-99"})
    assert (part.status, part.content) == (206, data[10:100])
    assert part.headers["content-range"] == f"bytes 10-99/{len(data)}"
    assert ask(path, headers={"Range": f"bytes=10-{len(data) + 5}"}).content == data[10:]
    assert ask(path, headers={"Range": "bytes=-7"}).content == data[-7:]
    assert ask(path, headers={"Range": f"bytes={len(data)}-"}).status == 416
    head = ask(path, method="HEAD")
    assert (head.status, head.content, head.headers["content-length"]) == (200, b"", f"{len(data)}")
    assert head.headers["accept-ranges"] == "bytes"
    same = {"Range": "bytes=0-9", "If-Range": part.headers["etag"]}
    assert ask(path, headers=same).status == 206
    assert ask(path, headers=same | {"If-Range": '"other"'}).status == 200
    # Starlette's own answer, to which If-Range leads, is the same.
    for span in ("0-0", "10-99", f"{len(data) - 1}-{len(data) + 9}", f"{len(data)}-{len(data) + 9}", "9-5"):
        wanted = {"Range": f"bytes={span}"}
        ours, theirs = (ask(path, headers=wanted | more) for more in ({}, {"If-Range": same["If-Range"]}))
        assert (ours.status, ours.content, dict(ours.headers)) == (theirs.status, theirs.content, dict(theirs.headers))
    os.utime(folder / "good.pmtiles", (1, 1))
    assert ask(path, headers=same).headers["etag"] != part.headers["etag"]


def test_nothing_else_is_served(ask: Ask) -> None:
    ours = f"/{TOKEN}"
    others = ["/", "/other/", "/other/map.json", "/other", f"{ours}x/", "/%C3%A9/", f"{ours}/archives/"]
    above = [
        "/../server.py",
        "/%2e%2e/server.py",
        "/archives/..%2f..%2fserver.py",
        "/archives/../map.json",
        "//etc/passwd",
    ]
    unnamed = ["/server.py", "/catalog.yaml", "/archives/9-good.pmtiles", "/archives/good.pmtiles"]
    # listed in the catalog: one that is missing, and two outside its directory, by a symbolic link and by its path
    outside = ["/archives/1-gone.pmtiles", "/archives/3-link.pmtiles", "/archives/4-up.pmtiles"]
    for path in [*others, *(f"{ours}{path}" for path in (*above, *unnamed, *outside))]:
        assert ask(path).status == 404, path


def test_an_archive_that_turns_into_a_way_out_is_served_no_more(folder: Path, ask: Ask) -> None:
    path = f"/{TOKEN}/archives/0-good.pmtiles"
    (folder / "good.pmtiles").unlink()
    assert ask(path).status == 404
    (folder / "good.pmtiles").symlink_to(folder.parent / "secret.pmtiles")
    assert ask(path).status == 404
    (folder / "good.pmtiles").unlink()
    os.mkfifo(folder / "good.pmtiles")
    assert ask(path).status == 404


def test_no_page_of_another_name_reads_it(ask: Ask) -> None:
    for host in ("example.org", "example.org:1234", "127.0.0.1.example.org", "", "0.0.0.0", "[::1]:80"):
        for path in (f"/{TOKEN}/", f"/{TOKEN}/map.json", f"/{TOKEN}/archives/0-good.pmtiles", "/"):
            assert ask(path, {"Host": host}).status == 403, host
    for host in ("127.0.0.1", "localhost:8080"):
        assert ask(f"/{TOKEN}/", {"Host": host}).status == 200, host


def loading(path: Path, rows: str = "10,10,A\n50,90,B\n30,30,B\n") -> Loading:
    path.write_text(f"x,y,gene\n{rows}")
    return Loading(Table(path))


def test_points_are_a_layer_on_top_once_they_are_read(folder: Path, tmp_path: Path) -> None:
    points = loading(tmp_path / "a.csv")
    with asking(folder, points=points) as ask:
        first = json.loads(ask(f"/{TOKEN}/map.json").content)["layers"][0]
        assert (first["id"], first["url"]) == ("points of a.csv", "points")
        assert json.loads(ask(f"/{TOKEN}/points/state").content) == {"read": 0}
        assert ask(f"/{TOKEN}/points/1/1/0").status == 404
        points.start()
        points.join()
        state = json.loads(ask(f"/{TOKEN}/points/state").content)
        assert (state["points"], state["bounds"]) == (3, [10, 90, 50, 10])
        assert (state["group"], state["groups"]) == ("gene", [["B", 2], ["A", 1]])
        assert len(set(state["colours"])) == 8
        tile = ask(f"/{TOKEN}/points/1/1/0")
        assert (tile.status, tile.content[:4]) == (200, b"\x89PNG")
        assert ask(f"/{TOKEN}/points/1/1/0?groups=1,0;1").content != tile.content
        for none in ("2/0/0", "99/0/0", "1/1/0?groups=-1,-0;1", "1/1/0?groups=;0", "1/1/0?groups=9;0"):
            assert ask(f"/{TOKEN}/points/{none}").status == 204, none
        for wrong in ("1/1", "1/1/0?groups=1", "1/1/0?groups=1,2,3,4,5,6,7,8;1", "1/1/0?groups=x;1", "../map.json"):
            assert ask(f"/{TOKEN}/points/{wrong}").status == 404, wrong
        assert ask("/other/points/1/1/0").status == ask("/other/points/state").status == 404


def test_what_is_wrong_with_points_is_told(folder: Path, tmp_path: Path) -> None:
    points = loading(tmp_path / "a.csv", "1,2,A\n3,b,B\n")
    with asking(folder, points=points) as ask:
        points.start()
        points.join()
        assert "a.csv: " in json.loads(ask(f"/{TOKEN}/points/state").content)["problem"]
        assert ask(f"/{TOKEN}/points/1/1/0").status == 404
    stopped = loading(tmp_path / "b.csv")
    stopped._stopped.set()
    stopped.start()
    stopped.stop()
    assert (stopped.dots, stopped.problem) == (None, "")


def test_a_group_without_points_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "--no-browser", "--group", "gene", str(folder)]) == 2
    assert capsys.readouterr().err == "--group is a column of --points; give its table as well\n"


def test_others_cannot_write(folder: Path, ask: Ask) -> None:
    assert ask(f"/{TOKEN}/map.json", method="POST").status == 405


def test_it_listens_on_the_loopback_interface_alone() -> None:
    with server.bound(None) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(UsageError, match=r"--port \d+: is taken; give another"):
            server.bound(listener.getsockname()[1])


def test_a_page_is_exported_whole_or_not_at_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = folder.parent / "www" / "site"
    assert main(["export-page", "--title", "Colon", str(folder), str(site)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{site}  7 files, ")
    assert "cut.pmtiles: is cut off" in printed.err
    listed = json.loads((site / "map.json").read_text())
    assert listed["title"] == "Colon"
    assert [layer["id"] for layer in listed["layers"] if not layer["problem"]] == ["good"]
    assert (site / listed["layers"][0]["url"]).samefile(folder / "good.pmtiles")
    assert {path.name for path in (site / "archives").iterdir()} == {"0-good.pmtiles"}
    assert main(["export-page", str(folder), str(site)]) == 2
    assert capsys.readouterr().err == f"{site}: is there already; name a new directory for the page\n"
    assert list(site.parent.iterdir()) == [site]


def test_without_the_extra_a_sentence_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    with pytest.raises(ToolError):
        server.page_files()
    assert main(["view", "--no-browser", str(folder)]) == 1
    assert capsys.readouterr().err == "the page needs the package maplibre; pip install 'cartloader-image[view]'\n"


def test_the_package_does_not_load_it() -> None:
    extra = {"starlette", "uvicorn", "maplibre", "pyarrow", "cartloader_image.viewer"}
    code = f"import sys, cartloader_image; print({extra} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
