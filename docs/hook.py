"""What MkDocs does beside its own: the README, the changes and the guide for contributors are pages of the site too.

MkDocs knows the files of ``docs/`` alone. Links that lead out of it, or into it from the README, are written as a code
host follows them; here they are turned to where the site has the page. Any other file that they lead to comes along.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Where the site has the pages that are not in ``docs/``."""
LINK = re.compile(r"(?<=\]\()(?!\w+:)[^)#\s]+")
"""The file of a relative link or picture."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs/``."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page."""
    here = page.file.src_uri
    sources = {made: source for source, made in PAGES.items()}
    folder = posixpath.dirname(sources.get(here, f"docs/{here}"))

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[0]))
        there = PAGES.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(there) is None and there == target and (ROOT / target).is_file():
            files.append(File.generated(config, there, abs_src_path=str(ROOT / target)))
        return posixpath.relpath(there, posixpath.dirname(here) or ".")

    return LINK.sub(turned, markdown)
