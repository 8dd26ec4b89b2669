"""Write ``docs/options.md`` from the models that the command line itself is made of.

Run it as ``python docs/make_options.py``; a test compares the committed page with `page`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cartloader_flows.cli.main import COMMANDS
from cartloader_flows.cli.options import (
    ActionCommand,
    CheckOverlayCommand,
    ExportPageCommand,
    ImportCommand,
    InfoCommand,
    PictureCommand,
    PlaneCommand,
    PreviewCommand,
    SampleCommand,
    ScanCommand,
    ServerCommand,
    VerifyCommand,
    ViewCommand,
)
from cartloader_flows.cli.parser import GROUPS
from cartloader_image.action_params import CheckPointsParams, GeoreferenceParams, Ome2PngParams, Png2PmtilesParams
from cartloader_image.options import Options, option
from cartloader_image.params import ImportOptions

PAGE = Path(__file__).with_name("options.md")

_KINDS = {"boolean": "flag", "integer": "whole number", "number": "number", "string": "text", "path": "path"}
ACTIONS = (
    ("ome2png", "One plane of a TIFF to a placed 8-bit GeoTIFF and a PNG.", PlaneCommand, Ome2PngParams),
    ("georeference", "A plain picture to a placed 8-bit GeoTIFF.", PictureCommand, GeoreferenceParams),
    ("png2pmtiles", "The placed GeoTIFF `OUT_DIR/ID.geotif.tif` to map tiles.", ActionCommand, Png2PmtilesParams),
    ("check_points", "Whether `OUT_DIR/ID.pmtiles` lies under points.", ActionCommand, CheckPointsParams),
)

_INTRODUCTION = """\
# Options of all commands

<!-- Made by docs/make_options.py; change the models in src/cartloader_image/params.py or the script, not this page. -->

COMMANDS

An option is a flag, or takes one value (`--page 3` or `--page=3`). A value may start with a minus sign:
`--georef-bounds -10,-20,300,400`. Dashes and underscores are the same in the name of an option (`--in_img`,
`--gdal-translate`) and of a command. `--help` behind a command prints its options, `cartloader --version` the version.

## `cartloader import_image`

```
cartloader import_image ACTIONS --in-img IMAGE --img-id ID --out-dir DIR
cartloader import_image ACTIONS --in-json MAPPING --out-dir DIR
```

No action runs by default; without one the command ends with code 2 and lists them. What the options do to pixels,
bounds and files is described in [what is read, placed and written](formats.md) and in
[how orientation works](orientation.md).
"""

_SCAN = """\
Writes the mapping (`--in-json`) that imports all images in the folder of a run of Xenium, MERSCOPE, Visium HD, Visium
or CosMx, or in a folder of pictures: [its page](scan.md). `-o` is short for `--out`."""

_SAMPLE = "Writes a sample image to try the import with: two channels of 16 bits in an OME-TIFF with its pyramid."

_PREVIEW = """\
Draws an archive's whole image as one picture, as the map shows it: a raster archive (PMTiles 3) of any program, with
tiles in PNG, JPEG, WebP or AVIF. A name that ends in `.png` becomes a PNG, one in `.jpg` or `.jpeg` a JPEG, which is
white where the archive is transparent. Where it tells no bounds that can be true, the picture is that of its tiles. It
takes little memory also where the archive has fine zooms only; of more than 32,768 tiles one in four, 16, … is drawn
then. Points are dots of 5, 3 or 1 pixels, as there is room, the fuller the more there are; yellow on dark
pictures and green on bright ones."""

_VIEW = """\
Shows archives on a map in the browser, from a server that only this machine reaches, until Ctrl-C:
[its page](view.md). It needs the extra `view`."""

_EXPORT_PAGE = """\
Writes the same page as a folder of files, archives included, that any web server with range requests shows:
[how](view.md#on-a-web-server). It needs the extra `view`."""

_INFO = """\
Shows what an image, an archive or a catalog holds, and how an image is imported: [its page](info.md)."""

_VERIFY = """\
Proves that archives are what they say, of whatever program, or says what is wrong; the code is 1 where something is:
[its page](verify.md)."""

_SERVER = """\
A Prefect server on this machine that stays, with its UI; see [under Prefect](operating.md)."""

_ACTIONS = """\
## One action by itself

A [Makefile](gdal.md#a-makefile) calls the actions one by one, and so can you. They run without Prefect, on the files of
one image.
"""

_OF_THE_IMPORT = "Of the options of `import_image`, described above, it takes these:"

_REST = """\
What the tools do, and the Makefile, is described
[on a page of their own](gdal.md).

## What is not done again

Under Prefect, an action is skipped where the content of its input, the options that matter to it, `--out-dir` and
`--img-id`, cartloader's version and, for `--engine gdal`, those of the tools are what they were, and each file that it
made still has the content that it left. An input that was only touched or moved counts as the same. Prefect's home
(`PREFECT_HOME`) keeps the results, and the digests of files that have not changed since, so that these are not read
again. `--restart` does all work anew; `--direct` always does.

## Ids

An image id names the output files and the basemap in the catalog. It has 1 to 128 characters: letters (A to Z without
accents), digits, `.`, `-` and `_`; the first is a letter or a digit. White space is refused. In a mapping, two ids that
differ only in case are refused, since some file systems cannot tell them apart; and so are two whose files would
collide, such as `a` and `a_assets` (`a_assets.json` would be a file of both).

## What is refused, what is noted

- A source that the run itself would write is refused, whatever links lead to it: the image, a file of `--georef-*`,
  `--fov-*`, `--xenium-alignment`, `--micron2pixel-csv` or `--pixel-size`, and the mapping. So is a catalog or a
  Makefile in the place of an image's file.
- An option that is given and does nothing in this import (`--tile-format` without `--png2pmtiles`, `--catalog-yaml`
  without `--update-catalog`, `--tool-timeout` with `--engine native`) is named in a note, and the import goes on. Where
  pixels or place would be others than asked, it is refused.
- `--georeference` without a `--georef-*` source places the image by its own metadata, as without it; a PNG or JPEG that
  has none is refused.
- A place that does not fit what lies beside the picture is noted, see [what speaks against a
  place](formats.md#what-speaks-against-a-place).
- `~` at the beginning of a path is the home directory, on the command line as in a mapping.

## Many images: the mapping of `--in-json`

A JSON or YAML file that maps each id to a path, or to an object with a `path` and options of that image; or a sample
sheet, see below:

<!-- test: mapping -->
```yaml
he: scans/he.ome.tif
dapi: {path: morphology.ome.tif, page: 0}
membrane:
  path: morphology.ome.tif
  channel: membrane
  colorize: "#ffaa00"
  upper-thres-quantile: 0.99
histology:
  path: scans/histology.png
  georef_bounds: [6690, 6772, 7367, 7449]
  rotate: 90
```

```
cartloader import_image --png2pmtiles --update-catalog --in-json images.yaml --out-dir map --n-jobs 2
```

- An option is spelled as on the command line without `--`, or with `_` for `-`. A flag is `true` or `false`, `yes` or
  `no`, `on` or `off`.
- Ids and values are what is written: `010`, `1.10`, `no` and `1e3` are ids, `page: 010` is page 10, `colorize: 000777`
  a dark blue. YAML's own numbers, times and truths are not looked for; only `null` and `~` say that there is nothing.
- An id or an option that is there twice is refused, also `georef-bounds` beside `georef_bounds`.
- Options of an image win over those of the command line, which hold for all images. The two are merged, then checked
  together: `--tile-quality 70` may complete an image's `tile_format: jpeg`, and with `--page 1` the `channel` of
  `membrane` would be refused, since they exclude each other.
- Bounds and pixel sizes may be lists of numbers. Put a colour with `#` in quotes: in YAML, `#` starts a comment, and an
  option without a value is refused.
- An image whose entry or path is `null` or empty is left out, with a note; an option that is `null` is not given.
- A relative path is looked for beside the mapping file and, where it is not there, in the working directory, with a
  note. That goes for `path`, `check_points`, `micron2pixel_csv`, the files of `georef_…` and `fov_…`,
  `xenium_alignment`, a `pixel_size` that is a file, `catalog_yaml` and the paths of tools. The run of a deployment
  looks beside the mapping only: a worker has a working directory of its own.
- The name in a `path` may be a pattern, such as `mosaic_DAPI_z*.tif`, with `z_project: max`: its first file is the
  image, and the others are the `--z-stack` of it. A file that has this very name goes before.
- The ids may lie under a top-level key `IMAGES`, unless one of them is `path`; other keys beside it are then ignored.
  With `--img-id`, so is what is said of other images.
- Anchors, aliases and merge keys (`<<`) of YAML work.
- What is valid JSON is read as JSON, whatever the file's name; all else as YAML. The text is in UTF-8, or in UTF-16 or
  UTF-32.
- `--img-id` selects images and may be repeated; without it all are imported.
- The options of the command itself cannot be set for one image: CANNOT.
- What is wrong with the mapping ends the command with code 2 before anything is read. `--n-jobs` images are imported at
  a time, with `--direct` each in a process of its own, and one that fails does not stop the others: a file that is
  missing, or a path that no file can have. The catalog is updated once, at the end, with the images that succeeded.
  With `--update-catalog` alone, the archives that are there are entered, and those that are missing are listed as
  failed.

The same as a sample sheet, in CSV with commas or semicolons, or in TSV. The first line names the columns: `id`, `path`,
and one for each option. An empty cell says nothing:

<!-- test: sheet -->
```csv
id,path,page,channel,colorize,upper-thres-quantile,georef_bounds,rotate
he,scans/he.ome.tif,,,,,,
dapi,morphology.ome.tif,0,,,,,
membrane,morphology.ome.tif,,membrane,#ffaa00,0.99,,
histology,scans/histology.png,,,,,"6690,6772,7367,7449",90
```

## Exit codes

| code | meaning |
|---|---|
| 0 | all is done |
| 1 | an image failed, a missing or unreadable file included; or the catalog could not be updated. Of many images, the \
others are done, and a list says which failed and why |
| 2 | wrong use: an option is unknown, has a wrong value, contradicts another one, or does not suit the image |
| 130 | interrupted: by Ctrl-C, a closed terminal (HUP) or a request to end (TERM) |

What goes wrong is said in one sentence on the standard error stream. `--debug` adds the traceback. Every output file is
there whole or not at all. An image that fails while its tiles are made may leave the finished files of the action
before behind (`<img-id>.geotif.tif`, and with `--ome2png` the PNG); one that `--overlay-strict` fails leaves
[all but the record of it](overlay.md#in-an-import). Of several images, one whose options do not suit it
counts as failed: the code is 1.
"""


_CHECK_OVERLAY = """`cartloader check-overlay map/dapi.pmtiles --points transcripts.csv` finds out whether a picture
lies under the points of its run, and by which turn and shift it would: see
[Does it lie under the transcripts?](overlay.md)."""

OTHERS = (
    ("server", _SERVER, ServerCommand),
    ("scan", _SCAN, ScanCommand),
    ("sample", _SAMPLE, SampleCommand),
    ("preview", _PREVIEW, PreviewCommand),
    ("view", _VIEW, ViewCommand),
    ("export-page", _EXPORT_PAGE, ExportPageCommand),
    ("info", _INFO, InfoCommand),
    ("verify", _VERIFY, VerifyCommand),
    ("check-overlay", _CHECK_OVERLAY, CheckOverlayCommand),
)


def page() -> str:
    """The whole page."""
    own = ", ".join(f"`{name}`" for name in ImportCommand.model_fields)
    commands = "\n".join(
        f"- [`cartloader {name}`](#cartloader-{name}): {words}" for name, (_, words) in COMMANDS.items()
    )
    parts = [_INTRODUCTION.replace("COMMANDS", commands)]
    for group, title in GROUPS.items():
        rows = [
            _row(name, field)
            for model in (ImportCommand, ImportOptions)
            for name, field in _fields(model)
            if field.get("group") == group
        ]
        parts.append(_table(f"### {_marked(title[0].upper() + title[1:])}", rows))
    parts += [_REST.replace("CANNOT", own), _ACTIONS]
    parts += [_action(*action) for action in ACTIONS]
    parts += [_command("##", *command) for command in OTHERS]
    return "\n".join(parts)


def _command(level: str, name: str, words: str, model: type[Options]) -> str:
    """A command with options of its own."""
    return _table(f"{level} `cartloader {name}`\n\n{words}", [_row(*field) for field in _fields(model)])


def _action(name: str, words: str, model: type[ActionCommand], params: type[Options]) -> str:
    """The command of one action, which has most options from the import."""
    shared = ", ".join(f"`{option(field)}`" for field in params.model_fields if field in ImportOptions.model_fields)
    return f"{_command('###', name, words, model)}\n{_OF_THE_IMPORT} {shared}.\n"


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from model.model_json_schema()["properties"].items()


def _table(heading: str, rows: list[str]) -> str:
    return "\n".join([f"{heading}\n", "| option | value | default | meaning |", "|---|---|---|---|", *rows, ""])


def _row(name: str, field: Mapping[str, Any]) -> str:
    spelled = field["metavar"] if field.get("positional") else option(name)
    cells = [f"`{spelled}`", _kind(field), _default(field), _marked(" ".join(field["description"].split()))]
    return f"| {' | '.join(cells)} |"


def _kind(field: Mapping[str, Any]) -> str:
    """What the value is: its choices, or its type and range."""
    value = next((one for one in field.get("anyOf", ()) if one.get("type") != "null"), field)
    value = value.get("items", value)
    if choices := value.get("enum") or ([value["const"]] if "const" in value else []):
        return ", ".join(f"`{choice}`" for choice in choices)
    if "metavar" in field and not field.get("positional"):
        return f"`{field['metavar']}`"
    kind = _KINDS[value.get("format", value["type"])]
    if "minimum" not in value:
        return kind
    return f"{kind}, {value['minimum']} to {value['maximum']}" if "maximum" in value else f"{kind} ≥ {value['minimum']}"


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return "required"
    default = field["default"]
    if default is None or default is False:
        return "" if default is None else "off"
    if default == []:
        return "required with `--in-img`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _marked(text: str) -> str:
    """Text as Markdown: options as code, and nothing taken for HTML or emphasis."""
    pieces = re.split(r"(--[a-z][a-z0-9_*-]*(?: gdal)?)", text)
    escaped = (re.sub(r"[|*_]", r"\\\g<0>", piece).replace("<", "&lt;") for piece in pieces[::2])
    code = (f"`{piece}`" for piece in pieces[1::2])
    return "".join(part for pair in zip(escaped, [*code, ""], strict=True) for part in pair)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
