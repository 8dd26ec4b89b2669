"""How results are kept: as JSON of our own models, in records that are read as nothing else.

By itself, Prefect reads a record in the way that the record asks for: by unpickling it, or by calling what its JSON
names. Whoever may write into the directory of the results could so run programs as everybody who reads them.
"""

from __future__ import annotations

import json
from typing import Any

from prefect.filesystems import LocalFileSystem, WritableFileSystem
from prefect.serializers import Serializer
from pydantic import Field, TypeAdapter

from cartloader_image.results import OverlayResult, RasterResult, TilesResult
from cartloader_image.system.reading import read_file

_KIND = "cartloader"
_Kept = RasterResult | TilesResult | OverlayResult
_RESULTS: TypeAdapter[_Kept] = TypeAdapter(_Kept)


class ResultSerializer(Serializer):
    """Results as JSON; why a task failed is kept as words, which nobody reads back."""

    type: str = Field(_KIND, frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """The JSON of a result."""
        return json.dumps(str(obj)).encode() if isinstance(obj, BaseException) else _RESULTS.dump_json(obj)

    def loads(self, blob: bytes) -> _Kept:
        """The result that a JSON text is.

        Raises:
            ValueError: it is none.
        """
        return _RESULTS.validate_json(blob)


class Records(LocalFileSystem):
    """The directory of the results, in which only records of ours are read."""

    _block_type_name = "Records of cartloader"

    @classmethod
    def of(cls, storage: WritableFileSystem | None) -> Records:
        """The directory that Prefect keeps its results in."""
        assert isinstance(storage, LocalFileSystem), "results are kept in Prefect's home"
        return cls(basepath=storage.basepath)

    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]  # Prefect asks in either way
        """A record, in a spelling that all programs read alike.

        Raises:
            ValueError: there is none, or it is none of ours.
        """
        record = json.loads(read_file(self._resolve_path(path)))
        match record:
            case {"metadata": {"serializer": {"type": str(kind), **options}}, "result": str()} if len(record) == 2:
                if kind == _KIND and not options:
                    return json.dumps(record).encode()
        raise ValueError(f"{path}: is no result of cartloader's")
