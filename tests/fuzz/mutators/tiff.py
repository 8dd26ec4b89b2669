"""TIFF: entries of directories, their chain, SubIFDs, keys of GeoTIFF, the tags of other programs, the description."""

from __future__ import annotations

import re
import struct
from random import Random

from support.tags import SIZES, Entry, entries, format_of, value_at, with_entry

from fuzz.mutators import octets, texts
from fuzz.mutators.octets import FLOATS, NUMBERS, TEXTS, Mutator


def _entry(data: bytes, random: Random) -> Entry | None:
    listed = entries(data)
    return random.choice(listed) if listed else None


def _field(part: str) -> Mutator:
    """Another number in one part of a directory's entry."""

    def change(data: bytes, random: Random) -> bytes:
        entry = _entry(data, random)
        if entry is None:
            return data
        form, changed = format_of(data), bytearray(data)
        wide = struct.calcsize(form.offset)
        place, letter = {
            "code": (0, "H"), "type": (2, "H"), "count": (4, form.offset[1]),
            "value": (4 + wide, form.offset[1]), "short value": (4 + wide, "H"),
        }[part]  # fmt: skip
        number = random.choice([*NUMBERS, len(data), len(data) - 1, random.randrange(20), random.choice(_CODES)])
        limit = 1 << 8 * struct.calcsize(letter)
        struct.pack_into(f"{form.order}{letter}", changed, entry.position + place, number % limit)
        return bytes(changed)

    return change


_CODES = [254, 256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347,
          529, 530, 532, 32997, 33550, 33922, 34264, 34735, 42112, 50839]  # fmt: skip
_CODECS = [1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 33003, 33005, 34712, 34887, 34892, 34925, 50000, 50001, 50002, 52546]
_MEANT = {
    258: [0, 1, 2, 4, 8, 12, 16, 24, 32, 64, 200], 259: _CODECS, 262: [0, 1, 2, 3, 4, 5, 6, 8, 32803, 34892],
    274: [*range(10)], 277: [0, 1, 2, 3, 4, 5, 100], 284: [0, 1, 2, 3], 317: [0, 1, 2, 3, 34892], 338: [0, 1, 2, 9],
    339: [0, 1, 2, 3, 4, 5, 6, 7], 266: [0, 1, 2], 530: [0, 1, 2, 3, 4], 254: [0, 1, 2, 4, 65536],
}  # fmt: skip


def _meaning(data: bytes, random: Random) -> bytes:
    """Another codec, type or interpretation: one that there is, but not in this file."""
    code = random.choice(list(_MEANT))
    return with_entry(data, code, 3, struct.pack(f"{format_of(data).order}H", random.choice(_MEANT[code])))


def _value_bytes(data: bytes, random: Random) -> bytes:
    """Another number or bytes where an entry's values lie."""
    entry = _entry(data, random)
    if entry is None:
        return data
    form, changed = format_of(data), bytearray(data)
    place, size = value_at(data, entry)
    kind = struct.unpack_from(f"{form.order}H", data, entry.position + 2)[0]
    width = SIZES.get(kind, 1)
    at = place + width * random.randrange(max(min(size, 1 << 16) // width, 1))
    value = struct.pack(f"{form.order}d", random.choice(FLOATS))
    if kind != 12:
        value = (random.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, "little" if form.order == "<" else "big")
    if at + width <= len(data):
        changed[at : at + width] = value
    return bytes(changed)


def _chain(data: bytes, random: Random) -> bytes:
    """The first directory, or the one after a directory, lies elsewhere."""
    form, listed, changed = format_of(data), entries(data), bytearray(data)
    starts = sorted({entry.directory for entry in listed})
    links = [8 if form.big else 4]
    for start in starts:
        last = max(entry.position for entry in listed if entry.directory == start)
        links.append(last + form.entry)
    targets = [*starts, 0, len(data) - 2, len(data) + 10, (starts or [8])[0] + 2, random.randrange(len(data))]
    struct.pack_into(form.offset, changed, random.choice(links), max(random.choice(targets), 0))
    return bytes(changed)


def _sub_directories(data: bytes, random: Random) -> bytes:
    """SubIFDs that point at directories, at themselves, or at nothing."""
    form, listed = format_of(data), entries(data)
    starts = sorted({entry.directory for entry in listed}) or [8]
    places = [
        random.choice([*starts, 0, 5, len(data), random.randrange(len(data))]) for _ in range(random.randrange(4))
    ]
    return with_entry(data, 330, 16 if form.big else 4, b"".join(struct.pack(form.offset, place) for place in places))


def _geo(data: bytes, random: Random) -> bytes:
    """Keys and transforms of a GeoTIFF that make little sense; the text for missing data."""
    order = format_of(data).order
    match random.randrange(5):
        case 0:
            keys = [1, 1, 0, random.choice([0, 1, 3, 9, 60000])]
            keys += [random.choice([1024, 1025, 1026, 2048, 3072, 3076, 4099, 32767, 0, 1, 2, 4326, 3857, 34736, 34737])
                     for _ in range(random.choice([0, 4, 12, 13]))]  # fmt: skip
            return with_entry(data, 34735, 3, struct.pack(f"{order}{len(keys)}H", *keys))
        case 1:
            values = [random.choice([*FLOATS, 1.0, 0.5]) for _ in range(random.choice([0, 1, 2, 3, 4]))]
            return with_entry(data, 33550, 12, struct.pack(f"{order}{len(values)}d", *values))
        case 2:
            values = [random.choice([*FLOATS, 1.0, 0.5]) for _ in range(random.choice([0, 1, 5, 6, 12]))]
            return with_entry(data, 33922, 12, struct.pack(f"{order}{len(values)}d", *values))
        case 3:
            values = [random.choice([*FLOATS, 1.0, 0.5]) for _ in range(random.choice([0, 4, 15, 16, 17]))]
            return with_entry(data, 34264, 12, struct.pack(f"{order}{len(values)}d", *values))
        case _:
            return with_entry(data, 42113, 2, random.choice(TEXTS).encode() + random.choice([b"\0", b""]))


_FOREIGN = {
    "numbers": [33628, 33629, 33630, 34361, 34362, 34412, 37706, 43314, 48129, 50838, 50839, 65420, 65421, 65426, 65439,
                65441],
    "texts": [270, 270, 270, 271, 272, 305, 700, 33445, 33447, 33560, 34118, 34680, 34682, 51023, 51123, 65000, 65326],
}  # fmt: skip
"""Tags by which programs of instruments are known: of numbers or bytes, and of texts."""
_PROGRAMS = [
    "MetaSeries", "Leica", "Aperio Image Library v1\n|MPP = 0.5|a=b", "ImageJ=1.11a\nimages=100000000\nslices=7",
    "ImageJ=1.53\nimages=3\nhyperstack=true\nchannels=-1\nframes=9", '{"shape": [1, 2, 3], "axes": "ZYX"}',
    '{"shape": [20, 30], "truncated": true}', "<scn xmlns='http://www.leica-microsystems.com/scn/2010/10/01'/>",
    "state.configPath = 1\nstate.acq.numberOfFrames=9", "SI.VERSION_MAJOR = 5\nSI.hChannels.channelSave = [1;2]",
    '<?xml version="1.0"?><PerkinElmer-QPI-ImageDescription/>', "<DataObject ObjectType='DPUfsImport'/>",
    "level=0 mag=40 quality=90", "<MetaData><PlaneInfo/></MetaData>", "[Intro Data]\nx=1", "Andor", "SlideBook",
    "<iScan Magnification='40'/>", "SVGA", "\0", "shape=(1, 2)", "axes='YX'", "<OME>", "<OME></OME>",
]  # fmt: skip


def _foreign(data: bytes, random: Random) -> bytes:
    """A tag of another program, with a text or bytes that it may or may not have written."""
    kind = random.choice(list(_FOREIGN))
    code = random.choice(_FOREIGN[kind])
    if kind == "texts":
        return with_entry(data, code, 2, random.choice([*_PROGRAMS, *TEXTS]).encode() + b"\0")
    form, count = format_of(data), random.choice([1, 2, 7, 64, 300])
    numbers = [random.choice([*NUMBERS, len(data), *range(9)]) % (1 << 32) for _ in range(count)]
    return with_entry(data, code, random.choice([3, 4, 7, 1, 13]), struct.pack(f"{form.order}{count}I", *numbers))


def _pages(data: bytes, random: Random) -> bytes:
    """Further directories behind the last one, all alike."""
    form, listed = format_of(data), entries(data)
    first = [entry for entry in listed if entry.directory == listed[0].directory]
    last = max(entry.position for entry in listed) + form.entry
    directory = data[first[0].directory : first[-1].position + form.entry]
    changed = bytearray(data + b"\0" * (-len(data) % 16))
    size = len(directory) + struct.calcsize(form.offset)
    count = random.choice([1, 2, 10, 300, 1000])
    struct.pack_into(form.offset, changed, last, len(changed))
    start = len(changed)
    for number in range(1, count + 1):
        changed += directory + struct.pack(form.offset, start + number * size if number < count else 0)
    return bytes(changed)


_SIZES_IN_STREAMS = (
    (rb"\xff[\xc0-\xc3].{3}", "H"), (rb"\xff\x51.{4}", "I"), (rb"IHDR", "I"), (rb"VP8 .{4}\x30?.{2}\x9d\x01\x2a", "H"),
)  # fmt: skip
"""What stands before height and width, or width and height, in JPEG, JPEG 2000, PNG and WebP; and their type."""


def _stream(data: bytes, random: Random) -> bytes:
    """Other sizes in the header of a compressed strip or tile, or another byte in it."""
    pattern, letter = random.choice(_SIZES_IN_STREAMS)
    found = list(re.finditer(pattern, data, re.DOTALL))
    if not found:
        return octets.flip(data, random)
    changed, at = bytearray(data), random.choice(found).end()
    width = struct.calcsize(letter)
    number = random.choice([0, 1, 65500, 65535, 30000, random.choice(NUMBERS)]) % (1 << 8 * width)
    changed[at : at + 2 * width] = struct.pack(f">{letter}", number) * random.choice([1, 2])
    return bytes(changed)


def _description(change: Mutator) -> Mutator:
    """A mutator of the first page's ImageDescription, of any length."""

    def on_tiff(data: bytes, random: Random) -> bytes:
        entry = next((entry for entry in entries(data) if entry.code == 270), None)
        if entry is None:
            return data
        place, size = value_at(data, entry)
        text = change(data[place : place + size].rstrip(b"\0"), random)
        return with_entry(data, 270, 2, text + b"\0")

    return on_tiff


_MUTATORS: list[Mutator] = [
    *(_field(part) for part in ("code", "type", "count", "value", "short value")), _meaning, _meaning, _value_bytes,
    _value_bytes, _chain, _sub_directories, _geo, _foreign, _foreign, _pages, _stream,
]  # fmt: skip
_DESCRIBED = [_description(texts.xml)] * 8 + [_description(blind) for blind in octets.MUTATORS]


def mutators_for(data: bytes) -> list[Mutator]:
    """Those that suit a TIFF with a description, or without one."""
    described = any(entry.code == 270 for entry in entries(data))
    return _MUTATORS + (_DESCRIBED if described else [])
