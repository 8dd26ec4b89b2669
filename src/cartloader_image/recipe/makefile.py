"""An import as a Makefile: one target per action, made anew when an input or an option of it changes.

Make has no way to quote some characters in the name of a target. Image ids have none of them, so the rules work inside
the output directory, where all targets have plain names; only recipes, which a shell reads, name the directory itself.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartloader_image import __version__
from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, OutputPrefix, Png2PmtilesParams, subset
from cartloader_image.errors import UsageError
from cartloader_image.images import inputs
from cartloader_image.options import option
from cartloader_image.params import TOOLS, ImportOptions
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.plan import ImportPlan, Step
from cartloader_image.recipe.run import raster_params
from cartloader_image.system.files import locked, publish
from cartloader_image.system.tools import ToolCall

_HEAD = """\
# {img_id}, as cartloader {version} imports it. From any directory, with GNU make 4.2 or newer:
#   make -f {name}
# A target is made anew when a file that it comes from is newer, or when its command is another one than the last time,
# which the files {img_id}.mk.* beside it remember.

CARTLOADER = {cartloader}
EQUALS := =

ifneq ($(origin CARTLOADER_INSIDE),command line)

.PHONY: all enter {targets}
all {targets}: enter
enter:
	@mkdir -p {folder} && cd {folder} && \\
	$(MAKE) --no-print-directory -f {makefile} CARTLOADER_INSIDE=1 $(or $(MAKECMDGOALS),all)

else

.PHONY: all FORCE
all: {targets}
"""
_RULE = """
# {comment}
{target}: {needs} {stamp}
	{recipe}
ifneq ($(file <{stamp}),{digest})
{stamp}: FORCE
	@printf %s {digest} > $@
endif
"""
_OTHERS = """\
{others}: {target}
	@test -e $@ || {recipe}
"""
"""Files that the same command makes; make's own rules for groups mislead ``make -n``."""
_OURS = b"imports it. From any directory, with GNU make 4.2 or newer:"
"""How the first line of a Makefile ends that may be written again."""
_BEYOND_MAKE = "\t;|]\\"
"""What no quoting brings into the name of a prerequisite; a wildcard in its place still finds the file."""
_QUOTED = str.maketrans(
    {
        **{character: f"\\{character}" for character in " #:*?["},
        "$": "$$",
        "=": "$(EQUALS)",
        **dict.fromkeys(_BEYOND_MAKE, "?"),
    }
)


def write_makefile(plan: ImportPlan, path: Path) -> None:
    """Write the Makefile of an import, whole or not at all.

    Raises:
        OSError: it cannot be written.
        UsageError: a path cannot stand in a Makefile.
    """
    path = path.absolute()
    if path.exists() and not path.read_bytes()[:200].partition(b"\n")[0].endswith(_OURS):
        raise UsageError(f"--makefn {path}: is no Makefile of cartloader; choose another name, or remove it")
    with locked(path) as scratch:
        made = scratch / path.name
        made.write_bytes(makefile(plan, path).encode(errors="surrogateescape"))
        publish(made, path)


@dataclass(frozen=True)
class _Rule:
    """How one action's files are made."""

    action: str
    comment: str
    """What stands above it, behind a ``#``: what it is for, and in lines of their own what else belongs to it."""
    targets: list[str]
    """The files that it makes, the first to be finished first."""
    needs: list[str]
    recipe: str

    def text(self, img_id: str) -> str:
        """The rule in a Makefile, and the file that remembers its command."""
        target, *others = self.targets
        told = _RULE.format(
            comment=self.comment,
            target=target,
            needs=" ".join(self.needs),
            recipe=self.recipe,
            stamp=f"{img_id}.mk.{self.action}",
            digest=hashlib.sha256(self.recipe.encode(errors="surrogateescape")).hexdigest()[:32],
        )
        return told + (_OTHERS.format(others=" ".join(others), target=target, recipe=self.recipe) if others else "")


def makefile(plan: ImportPlan, path: Path) -> str:
    """The Makefile of an import, as it will stand at ``path``.

    Raises:
        UsageError: a path cannot stand in a Makefile.
    """
    job = _absolute(plan.job)
    rules = [_rule_of(job, step, plan.calls) for step in plan.steps]
    head = _HEAD.format(
        img_id=job.out.img_id,
        version=__version__,
        name=shlex.quote(str(path)),
        makefile=_shell(str(path)),
        cartloader=_variable(Path(sys.executable).with_name("cartloader")),
        folder=_shell(str(job.out.out_dir)),
        targets=" ".join(target for rule in rules for target in rule.targets),
    )
    return "".join([head, *(rule.text(job.out.img_id) for rule in rules), "\nendif\n"])


def _rule_of(job: ImageJob, step: Step, calls: tuple[ToolCall, ...]) -> _Rule:
    if step.action == "update_catalog":
        return _catalog_rule(job)
    if step.action == "png2pmtiles":
        return _tiles_rule(job, step, calls)
    return _raster_rule(job, step)


def _raster_rule(job: ImageJob, step: Step) -> _Rule:
    """The image → its GeoTIFF and what goes with it."""
    params = raster_params(job)
    assert params is not None
    needs = [_prerequisite(file) for file in inputs(params)]
    return _rule(step, "the image: rescaled to 8 bits, coloured, placed", needs, arguments(params))


def _tiles_rule(job: ImageJob, step: Step, calls: tuple[ToolCall, ...]) -> _Rule:
    """GeoTIFF → tiles, with the calls of tools as a comment."""
    cut = subset(Png2PmtilesParams, job.options, out=job.out)
    tools = (f"\n#   {shlex.join(call.command)}".replace("\\", "/") for call in calls)
    return _rule(step, "".join(["its tiles", *tools]), [f"{job.out.img_id}.geotif.tif"], arguments(cut))


def _rule(step: Step, comment: str, needs: list[str], words: list[str]) -> _Rule:
    return _Rule(step.action, comment, [file.name for file, _ in step.files], needs, _recipe(step.action, words))


def _catalog_rule(job: ImageJob) -> _Rule:
    """The archive → a place in the catalog.

    The catalog's own time tells nothing of one image among others, so that a mark beside the Makefile stands for it.
    """
    catalog, img_id = job.catalog, job.out.img_id
    recipe = _recipe("import_image", ["--direct", "--update-catalog", f"--catalog-yaml={catalog}", *_files(job.out)])
    needs = [f"{img_id}.pmtiles", "$(shell test -e $(CATALOG) || echo FORCE)"]
    comment = f"the catalog that lists it\nCATALOG = {_variable(catalog)}"
    return _Rule("update_catalog", comment, [f"{img_id}.mk.catalog"], needs, f"{recipe} && touch {img_id}.mk.catalog")


def arguments(params: GeoreferenceParams | Png2PmtilesParams) -> list[str]:
    """The command line of an action: what makes its parameters again when it is parsed."""
    words = [f"--in-img={params.in_img}"] if isinstance(params, GeoreferenceParams) else []
    words += _files(params.out)
    if isinstance(params, Ome2PngParams) and not params.png:
        words.append("--geotiff-only")
    for name, field in type(params).model_fields.items():
        value: Any = getattr(params, name)
        if name in {"in_img", "out", "png"} or value == field.default:
            continue
        words.append(option(name) if value is True else f"{option(name)}={value}")
    return words


def _absolute(job: ImageJob) -> ImageJob:
    """The job with paths that hold in any directory."""
    options = {name: value for name, value in job.options if name in job.options.model_fields_set}
    for name, value in options.items():
        if isinstance(value, Path) or (name in TOOLS and value and "/" in value):
            options[name] = type(value)(Path(value).absolute())
    return ImageJob(
        in_img=job.in_img and job.in_img.absolute(),
        out=OutputPrefix(out_dir=job.out.out_dir.absolute(), img_id=job.out.img_id),
        options=ImportOptions(**options),
    )


def _files(out: OutputPrefix) -> list[str]:
    return [f"--out-dir={out.out_dir}", f"--img-id={out.img_id}"]


def _recipe(verb: str, words: list[str]) -> str:
    return " ".join(["$(CARTLOADER)", verb, *map(_shell, words)])


def _shell(word: str) -> str:
    """A word as the shell of a recipe reads it."""
    _refuse_line_break(word)
    return shlex.quote(word).replace("$", "$$")


def _variable(path: Path) -> str:
    """A path as the value of a variable that stands in recipes."""
    return _shell(str(path)).replace("#", "\\#")


def _refuse_line_break(text: str) -> None:
    if "\n" in text or "\r" in text:
        raise UsageError(f"--makefn: a Makefile cannot hold the line break in {text!r}")


def _prerequisite(path: Path) -> str:
    """A file as what a target comes from."""
    text = str(path)
    _refuse_line_break(text)
    if text.endswith(")") and "(" in text:
        raise UsageError(f"--makefn: make takes {path} for a part of a library; give it a name without ')' at its end")
    return text.translate(_QUOTED)
