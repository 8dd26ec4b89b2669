"""The container of an archive against itself: header, sections, directories and metadata, but for the tiles' bytes.

Reference: the PMTiles v3 specification. What it leaves open is left open here: a count of 0 is one that is not known,
bounds that are all 0 were never set, and a writer may leave gaps. Of archives that say to be ours more is expected.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cartloader_image.errors import ArchiveError
from cartloader_image.tiles.directory import Entries
from cartloader_image.tiles.findings import Findings
from cartloader_image.tiles.header import HEADER_BYTES, Header
from cartloader_image.tiles.ids import name_of, zoom_of
from cartloader_image.tiles.place import Box, box_of, tiles_box
from cartloader_image.tiles.reader import ArchiveReader
from cartloader_image.tiles.unpack import COMPRESSIONS

TILE_TYPES = {1: "MVT", 2: "PNG", 3: "JPEG", 4: "WEBP", 5: "AVIF", 6: "MLT"}
"""Kinds of tiles by their numbers in a header; pictures as Pillow names them."""
VECTOR = {"MVT", "MLT"}
_FORMATS = {"pbf": 1, "mvt": 1, "png": 2, "jpg": 3, "jpeg": 3, "webp": 4, "avif": 5, "mlt": 6}
"""Kinds of tiles as metadata spell them."""
_ROOT_END = 16384
"""Readers fetch so many bytes at once, and look for the root directory in them."""
_STEP = 1.5e-7
"""Degrees between a number of a header and one that was rounded to it, at most."""
_ROUNDED = 1e-2
"""Degrees to which other writers round what their metadata tell."""
_OWN = ("name", "format", "type", "tilesize", "bounds", "center", "minzoom", "maxzoom")
_COUNTS = {"bounds": 4, "center": 3, "minzoom": 1, "maxzoom": 1}
_OWN_ORIGIN = ("version", "image_size", "crs", "affine", "resample", "notes")


def check_container(archive: ArchiveReader, findings: Findings) -> Entries | None:
    """Look at all but the tiles' bytes; returns the entries of all tiles, None where they cannot be read."""
    metadata = _metadata(archive, findings)
    own = "cartloader" in metadata
    _sections(archive, findings, own=own)
    _codes(archive.header, metadata, findings)
    try:
        entries = _all_entries(archive, findings)
    except ArchiveError as error:
        findings.add(words_of(archive, error))
        return None
    if not len(entries):
        findings.add("has no tiles")
        return None
    _entries(archive.header, entries, findings, own=own)
    _zooms(archive.header, entries, findings)
    _place(archive, metadata, findings)
    return entries


def words_of(archive: ArchiveReader, error: ArchiveError) -> str:
    """An error without the name of the file."""
    return str(error).removeprefix(f"{archive.path}: ")


def is_whole(header: Header, metadata: Mapping[str, Any]) -> bool:
    """Whether a tile that is not there shows nothing: in an archive of ours, and no piece that was taken out of one.

    JPEG tiles show the background there.
    """
    told = _numbers(metadata.get("bounds"), 4)
    transparent = TILE_TYPES.get(header.tile_type) != "JPEG"
    return transparent and "cartloader" in metadata and told is not None and _near(told, header.bounds)


def _metadata(archive: ArchiveReader, findings: Findings) -> dict[str, Any]:
    try:
        metadata = archive.read_metadata()
    except ArchiveError as error:
        findings.add(words_of(archive, error))
        return {}
    if "cartloader" in metadata:
        origin = metadata["cartloader"] if isinstance(metadata["cartloader"], dict) else {}
        missing = [f"cartloader.{name}" for name in _OWN_ORIGIN if name not in origin]
        missing = [name for name in _OWN if name not in metadata] + missing
        if missing:
            findings.add(f"its metadata lack {', '.join(missing)}")
        for name, count in _COUNTS.items():
            if name in metadata and _numbers(metadata[name], count) is None:
                findings.add(f"its metadata have {name} other than {count} number{'s' if count > 1 else ''}")
    return metadata


def _sections(archive: ArchiveReader, findings: Findings, *, own: bool) -> None:
    """Each section lies inside the file, apart from the others."""
    header, size = archive.header, os.fstat(archive.descriptor).st_size
    names = ("its root directory", "its metadata", "its leaf directories", "its tile data")
    sections = [(0, HEADER_BYTES, "its header")]
    for name, offset, length in zip(names, header[:8:2], header[1:8:2], strict=True):
        if length:
            sections.append((offset, offset + length, name))
        if offset + length > size:
            findings.add(f"{name} should end at byte {offset + length:,}, and the file has {size:,}: it is cut off")
    for (_, end, name), (start, _, other) in itertools.pairwise(sorted(sections)):
        if start < end:
            findings.add(f"{name} and {other} overlap from byte {start:,} on")
        elif own and start > end:
            findings.add(f"{start - end:,} bytes between {name} and {other} belong to nothing")
    if header.root_offset + header.root_length > _ROOT_END:
        findings.add(f"its root directory ends beyond the first {_ROOT_END:,} bytes, where readers look for it")
    if own and size > header.end:
        findings.add(f"{size - header.end:,} bytes behind its last section belong to nothing")


def _codes(header: Header, metadata: Mapping[str, Any], findings: Findings) -> None:
    """Numbers that stand for something."""
    if header.tile_type not in TILE_TYPES:
        findings.add(f"tile type {header.tile_type} in its header stands for nothing that is known")
    for what, value in (("internal", header.internal_compression), ("tile", header.tile_compression)):
        if value not in COMPRESSIONS:
            findings.add(f"{what} compression {value} in its header stands for nothing that is known")
    if header.clustered > 1:
        findings.add(f"clustered is {header.clustered} in its header; it is 0 or 1")
    told = metadata.get("format")
    if isinstance(told, str) and _FORMATS.get(told, header.tile_type) != header.tile_type:
        kind = TILE_TYPES.get(header.tile_type, "unknown")
        findings.add(f"its header says that tiles are {kind}, its metadata that they are {told}")


def _all_entries(archive: ArchiveReader, findings: Findings) -> Entries:
    pieces = []
    for first, end, entries in archive.directories():
        last = entries.ids + np.maximum(entries.runs, 1)
        for index in np.flatnonzero((entries.ids < first) | (last > end))[:1]:
            findings.add("is in a leaf directory where no reader looks for it", int(entries.ids[index]))
        here = entries.runs > 0
        pieces.append([column[here] for column in (entries.ids, entries.offsets, entries.lengths, entries.runs)])
    ids, offsets, lengths, runs = (np.concatenate(column) for column in zip(*pieces, strict=True))
    if (np.diff(ids) < 0).any():  # tiles beside leaf directories, or leaves that are not where they should be
        order = np.argsort(ids, kind="stable")
        ids, offsets, lengths, runs = ids[order], offsets[order], lengths[order], runs[order]
    return Entries(ids, offsets, lengths, runs)


def _entries(header: Header, entries: Entries, findings: Findings, *, own: bool) -> None:
    """Ids are unique, tiles lie in their section and apart from each other, and counts are true."""
    for index in np.flatnonzero(np.diff(entries.ids) < entries.runs[:-1])[:1]:
        findings.add("is listed twice", int(entries.ids[index + 1]))
    for index in np.flatnonzero(entries.lengths == 0)[:1]:
        findings.add("has no bytes", int(entries.ids[index]))
    ends = entries.offsets + entries.lengths
    for index in np.flatnonzero(ends > header.tile_data_length)[:1]:
        findings.add(
            f"ends at byte {ends[index]:,} of the tile data, which have {header.tile_data_length:,}",
            int(entries.ids[index]),
        )
    contents = _contents(entries, findings)
    if header.clustered == 1:
        _clustered(header, entries, findings)
    for what, told, found in (
        ("addressed tiles", header.addressed_tiles_count, int(entries.runs.sum())),
        ("tile entries", header.tile_entries_count, len(entries)),
        ("tile contents", header.tile_contents_count, contents),
    ):
        if told or own:
            findings.expect(f"the number of {what} in its header", found, told)
    if own:
        findings.expect("clustered in its header", 1, header.clustered)


def _contents(entries: Entries, findings: Findings) -> int:
    """The number of different tiles; they may be the same, but not lie partly in each other."""
    order = np.lexsort((entries.lengths, entries.offsets))
    offsets, ends = entries.offsets[order], (entries.offsets + entries.lengths)[order]
    new = np.r_[True, (np.diff(offsets) != 0) | (np.diff(ends) != 0)]
    for index in np.flatnonzero(new[1:] & (offsets[1:] < ends[:-1]))[:1]:
        other = name_of(int(entries.ids[order[index]]))
        findings.add(f"shares some of its bytes with tile {other}", int(entries.ids[order[index + 1]]))
    return int(new.sum())


def _clustered(header: Header, entries: Entries, findings: Findings) -> None:
    """Tiles lie in the order of their ids: each where the ones before end, unless it is equal to one of those."""
    ends = np.maximum.accumulate(entries.offsets + entries.lengths)
    for index in np.flatnonzero(entries.offsets > np.r_[0, ends[:-1]])[:1]:
        findings.add(
            "does not lie where the tiles before it end, and its header says that it is clustered",
            int(entries.ids[index]),
        )
    unused = header.tile_data_length - int(ends[-1])
    if unused > 0:
        findings.add(f"{unused:,} bytes at the end of its tile data belong to no tile")


def _zooms(header: Header, entries: Entries, findings: Findings) -> None:
    findings.expect("the coarsest zoom in its header", zoom_of(int(entries.ids[0])), header.min_zoom)
    findings.expect(
        "the finest zoom in its header", zoom_of(int((entries.ids + entries.runs)[-1]) - 1), header.max_zoom
    )


def _place(archive: ArchiveReader, metadata: Mapping[str, Any], findings: Findings) -> None:
    """Bounds and centre against the tiles, and against what the metadata tell of them and of the zooms."""
    header, own = archive.header, "cartloader" in metadata
    west, south, east, north = header.bounds
    longitude, latitude = header.center_lon_e7 / 1e7, header.center_lat_e7 / 1e7
    if not any((*header.bounds, longitude, latitude)) and not own:
        return
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        findings.add(f"the bounds in its header are no box: {west}, {south}, {east}, {north}")
        return
    inside = west - _STEP <= longitude <= east + _STEP and south - _STEP <= latitude <= north + _STEP
    if not inside and (own or longitude or latitude):
        findings.add(f"the centre in its header, {longitude}, {latitude}, lies outside its bounds")
    boxes = {zoom: tiles_box(archive, zoom) for zoom in archive.zooms()}
    for zoom, tiles in boxes.items():
        if not _hold(header.bounds, tiles, zoom):
            findings.add(f"tiles of zoom {zoom} lie outside the bounds in its header")
    told = _numbers(metadata.get("bounds"), 4)
    # Else they tell of one of several archives that `pmtiles merge` made one of.
    if told and (all(_hold(told, tiles, zoom) for zoom, tiles in boxes.items()) or not _within(told, header.bounds)):
        _agreement(header, metadata, told, findings)


def _hold(bounds: Sequence[float], tiles: Box | None, zoom: int) -> bool:
    """Whether the tiles of a zoom all touch a box in degrees; true where that is none, or tiles are too many.

    A picture of less than 11 mm has its corners in one place, once they are rounded.
    """
    west, south, east, north = bounds
    box, side = box_of((west, south, east + _STEP, min(north + _STEP, 90))), 2.0**-zoom + 1e-9
    return box is None or tiles is None or box.grown(side).within(tiles) == tiles


def _within(one: Sequence[float], other: Sequence[float]) -> bool:
    west, south, east, north = (a - b for a, b in zip(one, other, strict=True))
    return min(west, south) >= -_STEP and max(east, north) <= _STEP


def _agreement(header: Header, metadata: Mapping[str, Any], told: list[float], findings: Findings) -> None:
    """What metadata tell of place and zooms is what the header does.

    A piece that `pmtiles extract` took out of an archive has the metadata of the whole, bounds of its own, and its
    centre in the middle of them.
    """
    west, south, east, north = header.bounds
    place, own = (header.center_lon_e7 / 1e7, header.center_lat_e7 / 1e7), "cartloader" in metadata
    zooms, center = (header.min_zoom, header.max_zoom), _numbers(metadata.get("center"), 3)
    agree = center is None or _near(center, (*place, center[2]), own=own)
    if not _near(told, header.bounds, own=own):
        if agree or not _near(place, ((west + east) / 2, (south + north) / 2)):
            findings.add("its header and its metadata tell different bounds")
    elif not agree:
        findings.add("its header and its metadata tell different centres")
    elif center and own and header.center_zoom != min(max(center[2], zooms[0]), zooms[1]):
        findings.add(f"the zoom of its centre is {header.center_zoom} in its header and {center[2]:g} in its metadata")
    least, most = (_numbers(metadata.get(name), 1) for name in ("minzoom", "maxzoom"))
    if own and least and most and not least[0] <= zooms[0] <= zooms[1] <= most[0]:
        findings.add(f"its header says zooms {zooms[0]} to {zooms[1]}, its metadata {least[0]:g} to {most[0]:g}")


def _numbers(value: Any, count: int) -> list[float] | None:
    """Numbers as metadata spell them: in a list, or with commas; None where there are not so many."""
    values = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    try:
        numbers = [float(number) for number in values]
    except (OverflowError, TypeError, ValueError):
        return None
    return numbers if len(numbers) == count else None


def _near(one: Sequence[float], other: Sequence[float], *, own: bool = True) -> bool:
    return all(abs(a - b) <= (_STEP if own else _ROUNDED) for a, b in zip(one, other, strict=True))
