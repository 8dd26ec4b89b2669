"""The docs say what the program is, and their links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from support.pages import DOCS, ROOT

from cartloader_flows.cli.main import COMMANDS, main
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.values import Bounds

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def test_the_page_of_options_is_made_of_the_models() -> None:
    page = runpy.run_path(str(DOCS / "make_options.py"))["page"]()
    assert (DOCS / "options.md").read_text(encoding="utf-8") == page, "run python docs/make_options.py"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_options_has_what_each_command_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    taken = set(re.findall(r"^  (--[a-zA-Z][\w-]+)", shown[shown.index("options:\n") :], re.MULTILINE)) - {"--help"}
    text = (DOCS / "options.md").read_text(encoding="utf-8")
    section = re.split(r"^##+ `cartloader ([\w-]+)`$", text, flags=re.MULTILINE)
    described = dict(zip(section[1::2], section[2::2], strict=True))[command]
    assert taken
    assert taken == {name for name in taken if f"`{name}`" in described}


def test_the_mapping_on_the_page_of_options_is_one(tmp_path: Path) -> None:
    text = (DOCS / "options.md").read_text(encoding="utf-8")
    [example] = re.findall(r"<!-- test: mapping -->\n```yaml\n(.*?)```", text, re.DOTALL)
    mapping = tmp_path / "images.yaml"
    mapping.write_text(example, encoding="utf-8")
    jobs = {job.out.img_id: job for job in mapped_jobs(mapping, tmp_path, ImportOptions(png2pmtiles=True)).jobs}
    assert list(jobs) == ["he", "dapi", "membrane", "histology"]
    assert jobs["he"].in_img == tmp_path / "scans" / "he.ome.tif"
    assert (jobs["dapi"].options.page, jobs["membrane"].options.channel) == (0, "membrane")
    assert jobs["membrane"].options.colorize == (255, 170, 0)
    histology = jobs["histology"].options
    assert (histology.georef_bounds, histology.rotate) == (Bounds(6690, 6772, 7367, 7449), 90)
    [sheet] = re.findall(r"<!-- test: sheet -->\n```csv\n(.*?)```", text, re.DOTALL)
    mapping.write_text(sheet, encoding="utf-8")
    same = mapped_jobs(mapping, tmp_path, ImportOptions(png2pmtiles=True)).jobs
    assert same == list(jobs.values()), "the sample sheet says the same"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
