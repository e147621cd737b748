"""What the pages of runs load: few kilobytes of script, each page what it needs."""

import gzip
import re
from collections.abc import Iterator

import pytest

from benchmarks.made_runs import make
from evenhand.web.access import Role
from tests.web import Site, toy_site

MOST_BYTES = 60_000  # of a page's scripts, compressed, beside htmx


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("scripts")) as served:
        make(served.lab, 2)
        yield served


@pytest.mark.parametrize("path", ["/", "/sessions/1", "/sessions/1/explore", "/sessions/1/workbench"])
def test_a_page_of_runs_loads_little_script(path: str, site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    scripts = re.findall(r'<script src="([^"]+)"', researcher.get(path).text)
    assert scripts
    sizes = {address: len(gzip.compress(researcher.get(address).content)) for address in scripts if "htmx" not in address}
    assert sum(sizes.values()) < MOST_BYTES, sizes
