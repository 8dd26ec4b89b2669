"""Tables by pyarrow, where it is there: Parquet, which nothing else here reads, and text in a quarter of the time."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartloader_image.errors import InputError, ToolError
from cartloader_image.points.columns import chosen
from cartloader_image.system.reading import open_file

PARQUET = b"PAR1"
"""A Parquet file's first bytes."""
_BLOCK, _AT_ONCE = 1 << 24, 1 << 20
"""Bytes of text, and rows of Parquet, that are read at once."""


class ParquetTable:
    """A Parquet table whose schema is read.

    Raises:
        InputError: it has no columns that are known, or no numbers in them.
        ToolError: pyarrow is missing.
    """

    def __init__(self, path: Path, group: str | None) -> None:
        if not find_spec("pyarrow"):
            raise ToolError(f"{path}: is a Parquet table, which needs pyarrow; pip install 'cartloader-image[parquet]'")
        import pyarrow as pa  # noqa: PLC0415  (an extra)
        from pyarrow import parquet  # noqa: PLC0415

        self._path = path
        with open_file(path) as file:
            schema = parquet.ParquetFile(file).schema_arrow
        self.columns = chosen(path, schema.names, group)
        for name in self.columns[:2]:
            kind = schema.field(name).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
                raise InputError(f"{path}: {name} holds {kind}; --points takes a table with numbers in µm")

    def rows(self, groups: dict[str, int] | None) -> Iterator[tuple[NDArray[np.float64], float]]:
        """x, y and the number of the group, row by row, and the share that has been read."""
        from pyarrow import parquet  # noqa: PLC0415

        names = [name for name in self.columns if name is not None][: 2 if groups is None else 3]
        with open_file(self._path) as file:
            # No buffer of a whole row group: of large ones just what a batch is made of is in memory.
            table = parquet.ParquetFile(file, read_dictionary=names[2:], pre_buffer=False, buffer_size=1 << 20)
            count = 0
            for batch in table.iter_batches(_AT_ONCE, columns=names, use_threads=True):
                count += len(batch)
                yield _numbers([batch.column(name) for name in names], groups), count / table.metadata.num_rows


def text_rows(
    file: Any, separator: str, places: list[int], groups: dict[str, int] | None, width: int
) -> Iterator[NDArray[np.float64]]:
    """The rows of a table in text, from where the file stands: the columns at these places, the third a group."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    if not file.peek(1):
        return
    names = [str(place) for place in range(width)]
    read = [names[place] for place in places]
    kinds = dict(zip(read, (pa.float64(), pa.float64(), pa.dictionary(pa.int32(), pa.string())), strict=False))
    batches = csv.open_csv(
        file,
        csv.ReadOptions(column_names=names, block_size=_BLOCK),
        csv.ParseOptions(delimiter=separator),
        csv.ConvertOptions(include_columns=read, column_types=kinds, null_values=[]),
    )
    for batch in batches:
        yield _numbers(batch.columns, groups)


def _numbers(columns: list[Any], groups: dict[str, int] | None) -> NDArray[np.float64]:
    """Columns of a batch side by side; NaN where there is no number, and the empty name where there is none."""
    import pyarrow as pa  # noqa: PLC0415

    rows = np.empty((len(columns[0]), len(columns)))
    for at, column in enumerate(columns[:2]):
        rows[:, at] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if groups is not None:
        named = columns[2] if pa.types.is_dictionary(columns[2].type) else columns[2].dictionary_encode()
        values = named.dictionary.to_pylist()
        texts = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values]
        numbers = np.array([groups[text] for text in texts] + ([groups[""]] if named.indices.null_count else [0]))
        rows[:, 2] = numbers[named.indices.fill_null(len(texts)).to_numpy()]
    return rows
