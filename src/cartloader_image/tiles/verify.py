"""Prove that an archive is what it says: the container against itself, each tile, and zooms against each other.

Any PMTiles archive of version 3, of whatever program, can be looked at. Of one with vector tiles it is the container.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cartloader_image.errors import ArchiveError, shortened
from cartloader_image.images.codestream import Codestream
from cartloader_image.report import Report, Stage, quiet
from cartloader_image.system.parallel import cores, in_order
from cartloader_image.tiles.container import TILE_TYPES, VECTOR, check_container, is_whole, words_of
from cartloader_image.tiles.decode import check_stream, decode, header_of, threads_for
from cartloader_image.tiles.directory import Entries
from cartloader_image.tiles.findings import Finding, Findings
from cartloader_image.tiles.ids import zoom_of
from cartloader_image.tiles.parents import Parents
from cartloader_image.tiles.reader import MOST_TILE, ArchiveReader, reading
from cartloader_image.tiles.unpack import COMPRESSIONS, NONE, compression_of, unpack

SAMPLE = 32
"""About how many tiles, spread over the archive, are decoded where not all are."""


@dataclass(frozen=True)
class Verification:
    """What became of looking at an archive."""

    path: Path
    findings: tuple[Finding, ...]
    left_out: int = 0
    """Findings beyond those that are listed."""
    min_zoom: int = 0
    max_zoom: int = 0
    """Zooms that have tiles, where there are any."""
    tiles: int = 0
    """Tiles that can be asked for."""
    decoded: int = 0
    """Different tiles that were decoded."""
    compared: int = 0
    """Tiles that were compared with the four of the next zoom."""

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(path: Path, report: Report = quiet, *, deep: bool = False) -> Verification:
    """Look at all of an archive, and collect what is wrong with it.

    Args:
        path: The archive.
        report: Gets progress.
        deep: Compare all tiles with those of the next zoom, not a sample of them.
    """
    findings = Findings()
    try:
        with reading(path) as archive:
            entries = check_container(archive, findings)
            if entries is None:
                return Verification(path, findings.all(), findings.left_out)
            tiles = _Tiles(archive, entries, findings)
            decoded = tiles.check(_different(entries), report) if tiles.are_pictures else 0
            compared = tiles.compare(report, deep=deep) if tiles.are_pictures else 0
    except ArchiveError as error:
        findings.add(str(error).removeprefix(f"{path}: "))
        return Verification(path, findings.all(), findings.left_out)
    first, last = int(entries.ids[0]), int((entries.ids + entries.runs)[-1]) - 1
    zooms, count = (zoom_of(first), zoom_of(last)), int(entries.runs.sum())
    return Verification(path, findings.all(), findings.left_out, *zooms, count, decoded, compared)


def prove(path: Path, tiles: int | None = None) -> None:
    """Make sure that an archive is whole: its container, and a sample of its tiles.

    Args:
        path: The archive.
        tiles: Tiles that it must have, if that is known.

    Raises:
        ArchiveError: something is wrong; the sentence says what was found first.
    """
    findings = Findings()
    with reading(path) as archive:
        entries = check_container(archive, findings)
        if entries is not None:
            if tiles is not None:
                findings.expect("the number of its tiles", tiles, int(entries.runs.sum()))
            looked_at = _Tiles(archive, entries, findings)
            if looked_at.are_pictures:
                looked_at.check(entries[:: max(len(entries) // SAMPLE, 1)], quiet)
    for finding in findings.all():
        raise ArchiveError(f"{path}: {finding}")


def _different(entries: Entries) -> Entries:
    """The entries without those of a tile that came before, in the order in which tiles are stored."""
    order = np.lexsort((entries.ids, entries.lengths, entries.offsets))
    places = np.stack([entries.offsets[order], entries.lengths[order]])
    first = order[np.r_[True, (np.diff(places) != 0).any(axis=0)]]
    return Entries(entries.ids[first], entries.offsets[first], entries.lengths[first], entries.runs[first])


class _Tiles:
    """The tiles of an archive, and what is expected of them."""

    def __init__(self, archive: ArchiveReader, entries: Entries, findings: Findings) -> None:
        self._archive, self._entries, self._findings = archive, entries, findings
        self._kind = TILE_TYPES.get(archive.header.tile_type)
        kinds, sizes = Counter[str](), Counter[tuple[int, int]]()
        for header in self._headers():
            kinds[header.kind] += 1
            sizes[header.width, header.height] += 1
        self.are_pictures = self._kind not in VECTOR or bool(kinds)
        self._size = sizes.most_common(1)[0][0] if sizes else None
        if self._kind in VECTOR and kinds:
            findings.add(f"its header says that tiles are {self._kind}, and they are {kinds.most_common(1)[0][0]}")
        told = archive.metadata.get("tilesize")
        if "cartloader" in archive.metadata and self._size and self._size != (told, told):
            words = shortened(str(told))
            findings.add(f"its metadata say that tiles have {words} pixels a side, and they have {max(self._size)}")

    def _headers(self) -> Iterator[Codestream]:
        """What some tiles say of themselves."""
        for entry in self._entries[:: max(len(self._entries) // SAMPLE, 1)]:
            try:
                header = Codestream.of(self._archive.tile(entry.offset, entry.length))
            except ArchiveError:  # found again, and told, where tiles are decoded
                continue
            if header:
                yield header

    def check(self, entries: Entries, report: Report) -> int:
        """Decode the tiles of some entries; returns how many there are."""
        ids = iter(entries.ids.tolist())
        work = zip(entries.ids.tolist(), entries.offsets.tolist(), entries.lengths.tolist(), strict=True)
        done = 0
        for done, wrong in enumerate(in_order(self._look_at, work, self._threads), start=1):
            tile_id = next(ids)
            if wrong:
                self._findings.add(wrong, tile_id)
            report.check()
            report.progress(Stage.CHECKING, done, len(entries))
        return done

    def _look_at(self, tile: tuple[int, int, int]) -> str:
        """What is wrong with a tile, in words that go on after its name."""
        _, offset, length = tile
        try:
            data = self._archive.stored(offset, length)
            if wrong := self._compression(data):
                return wrong
            data = unpack(data, self._archive.header.tile_compression, MOST_TILE)
            kind = header_of(data, self._size).kind
            if self._kind not in {kind, *VECTOR}:
                return f"is {kind}, and the header says {self._kind or 'nothing that is known'}"
            check_stream(data)
            decode(data, self._size)
        except ValueError as error:
            return str(error)
        except ArchiveError as error:
            return words_of(self._archive, error)
        return ""

    def _compression(self, data: bytes) -> str:
        """How a tile is compressed in another way than the header says."""
        told = self._archive.header.tile_compression
        found = NONE if Codestream.of(data) else compression_of(data)
        if found == told or (found == NONE and not Codestream.of(data)):
            return ""
        return f"is compressed as {COMPRESSIONS[found]}, and the header says {COMPRESSIONS.get(told, 'nothing known')}"

    @property
    def _threads(self) -> int:
        return threads_for(self._size or (1, 1), cores())

    def compare(self, report: Report, *, deep: bool) -> int:
        """Compare tiles with those of the next zoom; returns how many there are."""
        if self._size is None:
            return 0
        whole = is_whole(self._archive.header, self._archive.metadata)
        parents = Parents(self._archive, self._entries, self._size, whole)
        ids = list(parents.ids(all_of_them=deep))
        for parent, differs in zip(ids, in_order(parents.differs, ids, self._threads), strict=True):
            if differs:
                self._findings.add("shows something else than the tiles of the next zoom", parent)
            report.check()
        return len(ids)
