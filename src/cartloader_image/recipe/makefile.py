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

from cartloader_image.action_params import (
    CheckPointsParams,
    Ome2PngParams,
    OutputPrefix,
    Png2PmtilesParams,
    RasterParams,
)
from cartloader_image.errors import UsageError
from cartloader_image.options import option
from cartloader_image.recipe.plan import ImportPlan
from cartloader_image.recipe.steps import AnyStep
from cartloader_image.system.files import locked, publish
from cartloader_image.system.reading import read_file
from cartloader_image.version import __version__

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
    if path.exists() and not (path.is_file() and read_file(path)[:200].partition(b"\n")[0].endswith(_OURS)):
        raise UsageError(f"--makefn {path}: is no Makefile of cartloader; choose another name, or remove it")
    with locked(path) as scratch:
        draft = scratch / path.name
        draft.write_bytes(makefile(plan, path).encode(errors="surrogateescape"))
        publish(draft, path)


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
        rule = _RULE.format(
            comment=self.comment,
            target=target,
            needs=" ".join(self.needs),
            recipe=self.recipe,
            stamp=f"{img_id}.mk.{self.action}",
            digest=hashlib.sha256(self.recipe.encode(errors="surrogateescape")).hexdigest()[:32],
        )
        return rule + (_OTHERS.format(others=" ".join(others), target=target, recipe=self.recipe) if others else "")


def makefile(plan: ImportPlan, path: Path) -> str:
    """The Makefile of an import, as it will stand at ``path``.

    Raises:
        UsageError: a path cannot stand in a Makefile.
    """
    out = plan.job.out.absolute()
    built: set[Path] = set()
    rules = []
    for step in plan.steps:
        rules.append(_catalog_rule(step, out) if step.together else _rule(step, built))
        built.update(file.absolute() for file, _ in step.files)
    head = _HEAD.format(
        img_id=out.img_id,
        version=__version__,
        name=shlex.quote(str(path)),
        makefile=_shell(str(path)),
        cartloader=_variable(Path(sys.executable).with_name("cartloader-image")),
        folder=_shell(str(out.out_dir)),
        targets=" ".join(target for rule in rules for target in rule.targets),
    )
    return "".join([head, *(rule.text(out.img_id) for rule in rules), "\nendif\n"])


def _rule(step: AnyStep, built: set[Path]) -> _Rule:
    """An action's files from those that it reads; what earlier rules have made goes by its name alone."""
    needs = [file.name if file.absolute() in built else _prerequisite(file.absolute()) for file in step.inputs]
    tools = (f"\n#   {shlex.join(call.command)}".replace("\\", "/") for call in step.calls)
    return _Rule(
        action=step.name,
        comment="".join([step.purpose, *tools]),
        targets=[file.name for file, _ in step.files],
        needs=needs,
        recipe=_recipe(step.name, arguments(step.params.absolute())),
    )


def _catalog_rule(step: AnyStep, out: OutputPrefix) -> _Rule:
    """The archive → a place in the catalog.

    The catalog's own time tells nothing of one image among others, so that a mark beside the Makefile stands for it.
    """
    catalog, mark = step.params.absolute().catalog_yaml, f"{out.img_id}.mk.catalog"
    recipe = _recipe("import_image", ["--direct", "--update-catalog", f"--catalog-yaml={catalog}", *_files(out)])
    needs = [*(file.name for file in step.inputs), "$(shell test -e $(CATALOG) || echo FORCE)"]
    comment = f"{step.purpose}\nCATALOG = {_variable(catalog)}"
    return _Rule(step.name, comment, [mark], needs, f"{recipe} && touch {mark}")


def arguments(params: RasterParams | Png2PmtilesParams | CheckPointsParams) -> list[str]:
    """The command line of an action: what makes its parameters again when it is parsed."""
    words = [f"--in-img={params.in_img}"] if isinstance(params, RasterParams) else []
    words += _files(params.out)
    if isinstance(params, Ome2PngParams) and not params.png:
        words.append("--geotiff-only")
    for name, value in params.model_dump(exclude={"in_img", "out", "png"}).items():
        if value == type(params).model_fields[name].default:
            continue
        words.append(option(name) if value is True else f"{option(name)}={value}")
    return words


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
