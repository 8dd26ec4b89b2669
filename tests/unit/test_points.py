"""Tables of points: whoever wrote them, and whoever reads them, the same points come out."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartloader_image.errors import InputError, ToolError
from cartloader_image.points import arrow, text
from cartloader_image.points.columns import KNOWN
from cartloader_image.points.table import Table, read_points

PLACES = np.array([[1.5, 2.25], [3, 4], [5.125, -6]], np.float32)
TABLES: dict[str, tuple[str, str | None, list[str]]] = {
    "x,y": ("x,y\n1.5,2.25\n3,4\n5.125,-6\n", None, []),
    "Xenium": (
        '"id","feature_name","x_location","y_location","qv"\n1,"A,b",1.5,2.25,9\n2,"B",3,4,9\n3,"A,b",5.125,-6,9\n',
        "feature_name",
        ["A,b", "B", "A,b"],
    ),
    "MERSCOPE": (
        ",x,y,global_x,global_y,gene\n0,9,9,1.5,2.25,Ä\n1,9,9,3,4,\n2,9,9,5.125,-6,Ä\n",
        "gene",
        ["Ä", "", "Ä"],
    ),
    "CartoScope": (
        "#made by a test\nX\tY\tgene\tcount\n1.5\t2.25\tA\t1\n3\t4\tB\t1\n5.125\t-6\tC\t1\n",
        "gene",
        ["A", "B", "C"],
    ),
    "punkst, whose header is a comment": (
        "#x\ty\tK1\tK2\tP1\tP2\n1.5\t2.25\t7\t1\t.9\t.1\n3\t4\t2\t1\t.9\t.1\n5.125\t-6\t7\t1\t.9\t.1\n",
        "K1",
        ["7", "2", "7"],
    ),
    "pixels of FICTURE": (
        "##K=12\n##OFFSET_X=-10;OFFSET_Y=-20;SCALE=1000\n#BLOCK\tX\tY\tK1\n0\t11500\t22250\t3\n0\t13000\t24000\t3\n0\t15125\t14000\t0\n",
        "K1",
        ["3", "3", "0"],
    ),
    "semicolons, no last line break": ("x;y\r\n1.5;2.25\r\n3;4\r\n5.125;-6", None, []),
    "rows without a place": ("x,y,group\nnan,1,Z\n1e300,1,Z\n1.5,2.25,A\n3,4,B\n5.125,-6,C\n", "group", [*"ABC"]),
    "a byte order mark": ("\ufeffx,y\n1.5,2.25\n3,4\n5.125,-6\n", None, []),
}


def with_arrow(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """As if pyarrow were there, or not; skipped where it has to be and is not."""
    if there:
        pytest.importorskip("pyarrow")
    for module in (arrow, text):
        monkeypatch.setattr(module, "find_spec", lambda _: there or None)


@pytest.fixture(params=["numpy", "pyarrow"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    with_arrow(monkeypatch, request.param == "pyarrow")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_the_points_of_a_table_and_their_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, zipped: bool
) -> None:
    written, group, names = TABLES[name]
    path = tmp_path / "points"
    path.write_bytes(gzip.compress(written.encode()) if zipped else written.encode())
    for at_once in (1, 2, 1000):
        monkeypatch.setattr(text, "_AT_ONCE", at_once)
        monkeypatch.setattr(arrow, "_BLOCK", 64 * at_once)
        np.testing.assert_allclose(read_points(path), PLACES, rtol=1e-6)
        table = Table(path)
        assert table.group == group
        parts = list(table.parts())
        assert parts[-1].share == 1
        if group:
            found = np.concatenate([part.groups for part in parts if part.groups is not None])
            assert [list(table.groups)[number] for number in found][-3:] == names


def test_a_group_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,gene,cell\n1,2,A,7\n3,4,B,7\n")
    table = Table(path, "cell")
    assert len(list(table.parts())) == 1
    assert list(table.groups) == ["7"]
    with pytest.raises(InputError, match=r"a\.csv: --group cel is no column of it \(did you mean cell\?\); it"):
        Table(path, "cel")


@pytest.mark.usefixtures("reader")
def test_too_many_groups_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,gene\n" + "".join(f"1,2,{number}\n" for number in range((1 << 16) + 1)))
    with pytest.raises(InputError, match="has more than 65,536 different values in gene; --group takes a column of"):
        list(Table(path).parts())


@pytest.mark.parametrize("known", KNOWN)
def test_columns_are_known_in_parquet_too(tmp_path: Path, known: Any) -> None:
    pa, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    columns: dict[str, Any] = {
        "z": [0.0] * 4,
        known.x: pa.array([1.5, 3, None, 5.125], pa.float32()),
        known.y: [2.25, 4, 1, -6],
    }
    kinds = [pa.string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
    for kind in kinds if known.groups else []:
        columns[known.groups[0]] = pa.array(["A", None, "B", "A"], pa.string()).cast(pa.string()).cast(kind)
        parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
        table = Table(tmp_path / "a.parquet")
        parts = list(table.parts())
        found = np.concatenate([part.groups for part in parts if part.groups is not None])
        assert [list(table.groups)[number] for number in found] == ["A", "", "A"]
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    np.testing.assert_array_equal(read_points(tmp_path / "a.parquet"), PLACES)


def test_parquet_that_is_refused(tmp_path: Path) -> None:
    pa, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"x": ["1"], "y": [2.0]}), path)
    with pytest.raises(InputError, match=r"a\.parquet: x holds string; --points takes a table with numbers"):
        Table(path)
    parquet.write_table(pa.table({"x": [1.0] * 9999, "y": np.arange(9999.0)}), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.parquet: "):
        Table(path)
    damaged = bytearray(data)
    damaged[20:4000] = bytes(3980)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"a\.parquet: "):
        read_points(path)


def test_parquet_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_arrow(monkeypatch, there=False)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and so on")
    words = r"a\.parquet: is a Parquet table, which needs pyarrow; pip install 'cartloader-image\[parquet\]'"
    with pytest.raises(ToolError, match=words):
        read_points(tmp_path / "a.parquet")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", "has columns without names; --points takes a table with a header"),
        ("gene,n\nA,1\n", "has columns gene, n; --points takes a table with a header, and x and y in µm as x_location"),
        ("fov,x_global_px,y_global_px,target\n1,2,3,A\n", "is of CosMx, whose x_global_px counts pixels"),
        ("x,y\n", "has no points"),
        ("x,y\nnan,1\n", "has no points"),
        ("x,y\n1,2\n3,b\n", "'b'"),
        ("x,y\n1,2\n3,\n", "''"),
        ("x,y\n1,2\n3\n", "points.csv: "),
        ("##SCALE=100;OFFSET_X=1\n#BLOCK\tX\tY\n", "its header has a SCALE, but no OFFSET_X and OFFSET_Y beside it"),
        ("##SCALE=0;OFFSET_X=1;OFFSET_Y=1\n#BLOCK\tX\tY\n", "its header says SCALE=0 and OFFSET [1.0, 1.0]"),
    ],
)
def test_points_that_are_refused(tmp_path: Path, written: str, sentence: str) -> None:
    (tmp_path / "points.csv").write_text(written)
    with pytest.raises(InputError) as error:
        read_points(tmp_path / "points.csv")
    assert str(error.value).startswith(f"{tmp_path / 'points.csv'}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("reader")
def test_gzip_with_a_wrong_byte_is_told_wherever_that_is(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((3000, 2)) * 400
    whole = gzip.compress(b"x,y\n" + b"".join(b"%.3f,%.3f\n" % (x, y) for x, y in rows), mtime=0)
    path = tmp_path / "points.csv.gz"
    for at in range(10, len(whole) - 4, len(whole) // 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(InputError, match=r"points\.csv\.gz: "):
            read_points(path)


def test_points_that_are_no_text(tmp_path: Path) -> None:
    path, whole = tmp_path / "points.csv", gzip.compress(b"x,y\n" + b"1.25,2.5\n" * 200_000)
    for data in (b"\x1f\x8b123", b"\xff\xfe\x00x", gzip.compress(b"x,y\n1,2\n")[:-9], whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"points\.csv: is no text file, plain or gzip|cannot be read"):
            read_points(path)
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_points(tmp_path / "none.csv")
