"""Brings pages from beside this folder into the site (the README, as its home, and the benchmarks), and mends every page's links.

In the repository links point to files; in the site to pages or, where a file has none, to the file in the repository on the web
(`repo_url` of mkdocs.yml). MkDocs calls `on_files` once and `on_page_markdown` for each page.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "benchmarks/README.md": "benchmarks.md"}  # file in the repository: page of the site
LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are files elsewhere in the repository."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files into links to their pages, and those to files without a page into links to the repository's own."""
    uri = page.file.src_uri
    source = next((name for name, other in PAGES.items() if other == uri), f"docs/{uri}")

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        place = PAGES.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if place is None or files.get_file_from_path(place) is None:
            return f"]({config.repo_url}/blob/main/{target}{link[3] or ''})" if config.repo_url else link[0]
        return f"{link[1]}{posixpath.relpath(place, posixpath.dirname(uri) or '.')}{link[3] or ''}{link[4]}"

    return LINK.sub(turned, markdown)
