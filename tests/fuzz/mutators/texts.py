"""Texts: XML by its tags and attributes, YAML, JSON and tables by their words and lines, and compressed ones."""

from __future__ import annotations

import gzip
import re
import zlib
from random import Random

from fuzz.mutators import octets
from fuzz.mutators.octets import TEXTS, Mutator

_SYNTAX = [
    "&a ", "*a", "<<: *a", "<<: {x: 1}", "!!binary ", "!!python/object:os.system ", "!!set ", "!!float x", "? ", "- ",
    "| ", "> ", "{", "}", "[", "]", '"', "'", "# ", "---\n", "...\n", "%YAML 9.9\n", "%TAG ! x\n", "\t", "\r\n", "\r",
    "\0", "\u0085", "\u2028", "\ufeff", ",", ";", ":", ": ", '"\\ud800"', "\\x", "null", "~", "yes", "2024-13-45",
    "0o8", "1:2:3", ".inf", "=", "\x7f", "''", '""', "\U0001f600",
]  # fmt: skip
_ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]
_ELEMENTS = [
    "<TiffData/>", '<TiffData IFD="0" FirstC="1" PlaneCount="3"/>', '<Plane TheZ="0" TheC="0" TheT="0" PositionX="1"/>',
    '<Channel ID="Channel:0:0" SamplesPerPixel="3"/>', "<!-- x -->", "<![CDATA[x]]>", "<?x y?>", "&x;", "&#0;",
    "&#155;", "<Pixels/>", '<Image ID="Image:9"/>', '<!DOCTYPE x [<!ENTITY x "y">]>', "<StructuredAnnotations/>",
    '<BinaryOnly MetadataFile="a.ome.tif" UUID="urn:uuid:a"/>', "<UUID>urn:uuid:b</UUID>",
]  # fmt: skip
_ATTRIBUTES = [
    ("SizeX", TEXTS), ("SizeC", TEXTS), ("SizeZ", TEXTS), ("FirstC", TEXTS), ("IFD", TEXTS), ("PlaneCount", TEXTS),
    ("SamplesPerPixel", TEXTS), ("PhysicalSizeXUnit", ["pixel", "reference frame", "mm", "Å", "xx"]),
    ("DimensionOrder", ["XYCZT", "XYTCZ", "YXCZT", "XYZ", "XYZCTQ"]), ("Type", ["bit", "float", "complex", "x"]),
    ("BigEndian", ["true", "x"]), ("FileName", ["b.ome.tif", "..", "", "a.ome.tif", "/dev/zero"]),
    ("MetadataFile", ["set.companion.ome", "a.ome.tif", "..", "/dev/zero", "b.ome.tif"]),
]  # fmt: skip


def xml(data: bytes, random: Random) -> bytes:  # noqa: PLR0911  (a line for each)
    """An attribute or element is gone, is there more often, elsewhere, or says something else."""
    parts = list(re.finditer(rb'\s[\w:]+="[^"]*"', data)) or list(re.finditer(rb"[^\s=]+=[^\s|]+", data))
    tags = list(re.finditer(rb"<[^>]*>", data))
    match random.randrange(9):
        case 0 | 1 if parts:
            return _other_value(data, random.choice(parts), random)
        case 2 if parts:
            return _without(data, random.choice(parts))
        case 3 if tags:
            return _without(data, random.choice(tags))
        case 4 if tags:
            tag = random.choice(tags)
            return data[: tag.end()] + tag.group() * random.choice([1, 3, 2000]) + data[tag.end() :]
        case 5 if tags:
            at = random.choice(tags).end()
            return data[:at] + random.choice(_ELEMENTS).encode() * random.choice([1, 1, 50]) + data[at:]
        case 6 if tags:
            name, values = random.choice(_ATTRIBUTES)
            at = random.choice(tags).end() - 1
            return data[:at] + f' {name}="{random.choice(values)}"'.encode() + data[at:]
        case 7 if tags:  # to another place, or around what follows
            first, second = random.choice(tags), random.choice(tags)
            return data[: first.end()] + second.group() + data[first.end() :]
        case _:
            return numbers(data, random)


def _other_value(data: bytes, part: re.Match[bytes], random: Random) -> bytes:
    name = part.group().partition(b"=")[0]
    value = random.choice(TEXTS).encode()
    quoted = b'"' + value + b'"' if b'"' in part.group() else value
    return data[: part.start()] + name + b"=" + quoted + data[part.end() :]


def _without(data: bytes, part: re.Match[bytes]) -> bytes:
    return data[: part.start()] + data[part.end() :]


def numbers(data: bytes, random: Random) -> bytes:
    """A number is another one."""
    return _replaced(data, rb"-?\d[\d.]*", random.choice(TEXTS), random)


def words(data: bytes, random: Random) -> bytes:
    """A word is another one of the text, or something that programs stumble over."""
    there = re.findall(rb"[\w.#-]+", data) or [b""]
    return _replaced(data, rb"[\w.#-]+", random.choice([random.choice(there).decode("latin-1"), *TEXTS[:8]]), random)


def _replaced(data: bytes, pattern: bytes, by: str, random: Random) -> bytes:
    found = list(re.finditer(pattern, data))
    if not found:
        return data + by.encode()
    one = random.choice(found)
    return data[: one.start()] + by.encode() + data[one.end() :]


def lines(data: bytes, random: Random) -> bytes:
    """A line is gone, is there more often, elsewhere, longer, or further to the right."""
    text = data.split(b"\n")
    index = random.randrange(len(text))
    match random.randrange(6):
        case 0:
            del text[index]
        case 1:
            text[index:index] = [text[index]] * random.choice([1, 2, 2000])
        case 2:
            text.insert(random.randrange(len(text)), text.pop(index))
        case 3:
            text[index] = b" " * random.choice([1, 2, 4, 3000]) + text[index]
        case 4:
            text[index] = text[index].lstrip()
        case _:
            text[index] += text[index] * random.choice([1, 500])
    return b"\n".join(text)


def syntax(data: bytes, random: Random) -> bytes:
    """Signs of YAML, JSON or tables where they do not belong."""
    edges = [match.start() for match in re.finditer(rb"\b", data)] or [0]
    at, sign = random.choice(edges), random.choice(_SYNTAX)
    return data[:at] + sign.encode(errors="surrogatepass") * random.choice([1, 1, 1, 2, 400]) + data[at:]


def nested(data: bytes, random: Random) -> bytes:
    """Something lies deep within brackets, or aliases name aliases."""
    depth = random.choice([3, 30, 3000])
    if random.random() < 0.3:
        fold = random.choice([3, 9])
        rows = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * fold)}]" for n in range(1, 9)]
        return "\n".join(rows).encode() + b"\n" + data + b"\nz: *a8\n"
    start, end = random.choice([("[", "]"), ("{a: ", "}"), ('{"a": ', "}"), ("- ", ""), ("? ", "")])
    where = random.choice([match.start() for match in re.finditer(rb"\b", data)] or [0])
    return data[:where] + (start * depth + "1" + end * depth).encode() + data[where:]


def encoded(data: bytes, random: Random) -> bytes:
    """The same in another encoding, with or without what says so."""
    return data.decode(errors="replace").encode(random.choice(_ENCODINGS), errors="replace")


def zipped(data: bytes, random: Random) -> bytes:
    """A text that is compressed by gzip, changed before or after."""
    if random.random() < 0.25:
        return random.choice(octets.MUTATORS)(data, random)
    text = zlib.decompressobj(wbits=31).decompress(data, 1 << 20)
    change = random.choice([numbers, words, lines, syntax, _long])
    return gzip.compress(change(text, random), 1, mtime=0)


def _long(data: bytes, random: Random) -> bytes:
    """Far more of a line."""
    return random.choice([b"", data]) + random.choice([b"#", b"#x=1;", b" ", b"#\n", b"\n"]) * random.choice(
        [9, 1 << 22]
    )


def options(known: dict[str, list[str]]) -> Mutator:
    """A mutator of mappings: an option with a value that it may or may not have, in the entry of some image."""

    def change(data: bytes, random: Random) -> bytes:
        name = random.choice(list(known))
        value = random.choice([*known[name], *TEXTS])
        spelled = random.choice([name, name.replace("_", "-")])
        entries = list(re.finditer(rb"\{(?=[\w\s]*path)", data))
        if not entries:
            return words(data, random)
        at = random.choice(entries).end()
        quoted = f'"{value}"' if value.isprintable() and '"' not in value else value
        return data[:at] + f'"{spelled}": {quoted}, '.encode() + data[at:]

    return change


_OPTIONS: dict[str, list[str]] = {
    "page": ["0", "1"], "level": ["0", "9"], "series": ["0"], "pixel_size": ["1", "2,3"], "rotate": ["90", "45"],
    "georef_bounds": ["0,0,9,9", "[0, 0, 9, 9]", "[[0], 0, 9, 9]"], "colorize": ["red", "#f00", "[1, 2]"],
    "upper_thres_quantile": ["0.5", "2"], "tile_format": ["webp", "jpeg", "gif"], "blocksize": ["256", "300"],
    "srs": ["EPSG:4326", "EPSG:1", "+proj=x"], "min_zoom": ["0", "30"], "max_zoom": ["20", "3"], "path": ["b.tif"],
    "engine": ["native", "x"], "resample": ["mode", "x"], "shrink_factor": ["1.5", "0"], "update_catalog": ["true"],
    "nodata": ["0", "none"], "georef_bounds_tsv": ["b.tsv", "/dev/zero"], "micron2pixel_csv": ["b.tsv", "."],
    "catalog_yaml": ["c.yaml", "/x/y"], "png2pmtiles": ["false"], "n_jobs": ["2"], "channel": ["0", "[a]"],
    "z_stack": ["*.tif", "[", "b.ti?"], "z_project": ["max", "min"],
}  # fmt: skip
_TABLES: list[Mutator] = [numbers, numbers, words, lines, syntax, encoded, _long]
_TREES: list[Mutator] = [words, lines, syntax, syntax, nested, encoded, numbers, options(_OPTIONS), options(_OPTIONS)]


def mutators_for(name: str, data: bytes) -> list[Mutator]:
    """Those that suit a text of a name."""
    if b"<" in data[:200]:
        return [xml]
    return _TREES if name.endswith((".yaml", ".json")) else _TABLES
