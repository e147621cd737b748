"""Behind a proxy: names, prefix, forwarded headers, cookies, every page's links, and nginx with the recipe of the docs."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from evenhand import settings
from evenhand.errors import InvalidSettings
from evenhand.rehearsal.run import held_port
from evenhand.settings import PublicAddress
from evenhand.web.access import COOKIE_NAMES, PERMISSIONS, Role
from tests import components
from tests.test_access import STREAMS, filled
from tests.waiting import wait_for
from tests.web import SUBJECTS, Site, furnish, toy_site, tuned_study

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = Path(__file__).parents[1] / "docs" / "serving.md"
PUBLIC = PublicAddress("https://lab.example.org/evenhand")
FORWARDED = {"x-forwarded-host": "lab.example.org", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}
OWN_LINK = re.compile(r'(?:href|action|src|data-events|data-explore)="(/[^"]*)"')
PAGES = [
    (path, role)
    for (method, path), role in PERMISSIONS.items()
    if method == "GET" and not path.endswith((*STREAMS, ".pdf", ".zip", ".js", ".json", ".csv", "/export", "/static"))
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("proxy"), public=PUBLIC) as made:
        furnish(made)
        yield made


def invitation(site: Site) -> str:
    return str(site.lab.participants.invite(1, "link")[1][0])


OWN_PORT = "lab.example.org:443"  # the scheme's own, which browsers leave out


@pytest.mark.parametrize(
    "headers",
    [{"host": "lab.example.org"}, FORWARDED, {"host": OWN_PORT}, {**FORWARDED, "x-forwarded-host": OWN_PORT}],
    ids=["host kept", "host forwarded", "host kept with its port", "host forwarded with its port"],
)
@pytest.mark.parametrize("prefix", ["", "/evenhand"], ids=["prefix taken off", "prefix kept"])
def test_a_form_through_a_proxy_is_taken(site: Site, headers: dict[str, str], prefix: str) -> None:
    address = f"{site.address}{prefix}/join/{invitation(site)}"
    door = httpx.get(address, headers=headers).headers["location"].partition("?")[0]
    assert door.startswith("/evenhand/p/1/join/")
    address = f"{site.address}{prefix}{door.removeprefix('/evenhand')}"
    joined = httpx.post(address, headers={**headers, "origin": "https://lab.example.org"})
    assert joined.status_code == 200
    cookie, last = joined.headers.get_list("set-cookie")
    assert "secure" in cookie.lower()
    assert "path=/evenhand/p/1;" in cookie.lower()
    assert "path=/evenhand;" in last.lower()
    again = httpx.post(address, headers={**headers, "origin": "https://lab.example.org", "cookie": cookie.partition(";")[0]})
    assert (again.status_code, again.headers["location"]) == (303, "/evenhand/p/1")


def test_another_site_is_refused_behind_a_proxy(site: Site) -> None:
    address = f"{site.address}/join/{invitation(site)}"
    assert httpx.post(address, headers={**FORWARDED, "origin": "https://evil.example"}).status_code == 403
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
    evil = {"x-forwarded-host": "evil.example", "origin": "https://evil.example"}
    assert httpx.post(address, headers=evil).status_code == 403


def test_only_named_proxies_are_believed(tmp_path: Path) -> None:
    elsewhere = PublicAddress("https://lab.example.org", ["192.0.2.1"])
    with toy_site(tmp_path, public=elsewhere) as site:
        tuned_study(site)
        address = f"{site.address}/join/{invitation(site)}"
        assert httpx.post(address, headers={**FORWARDED, "origin": "https://lab.example.org"}).status_code == 403
        assert "secure" not in httpx.post(address, headers=FORWARDED).headers["set-cookie"].lower()


@pytest.mark.slow
@pytest.mark.parametrize(("path", "role"), PAGES, ids=[path for path, _ in PAGES])
def test_every_link_of_a_page_lies_under_the_prefix(path: str, role: Role, site: Site) -> None:
    caller = site.caller(role, {Role.PARTICIPANT: 1}.get(role, 0))
    token = invitation(site) if "join" in path else site.lab.people.link(site.person(Role.RESEARCHER).id)
    answer = caller.get(filled(f"/evenhand{path}", token=token) + ("?mode=pilot" if path.endswith("/report") else ""))
    of_runs_alone = path.endswith("/notes") or "/take-away" in path  # a study's sessions have none of these
    once_closed = path.startswith("/studies/") and "/understand" in path  # the study still collects
    names_nothing = path == "/compare"
    expected = (409,) if of_runs_alone or once_closed else (400,) if names_nothing else (200, 303, 404)
    assert answer.status_code in expected
    links = OWN_LINK.findall(answer.text) + ([answer.headers["location"]] if answer.is_redirect else [])
    if "</html>" in answer.text:
        assert links or path.endswith("/report")
    assert [link for link in links if not link.startswith("/evenhand/")] == []


def test_links_to_open_elsewhere_are_public(site: Site) -> None:
    made = site.caller(Role.RESEARCHER).post("/studies/1/invitations", {"kind": "open", "mode": "live"})
    assert "https://lab.example.org/evenhand/join/" in made.text


def test_agents_of_this_machine_and_static_files_need_no_prefix(site: Site) -> None:
    assert site.caller(Role.AGENT, 1).http.post("/api/agent/refusals").status_code == 200
    for address in ("/static/study.js", "/evenhand/static/study.js"):
        assert httpx.get(site.address + address).status_code == 200
    assert httpx.get(f"{site.address}/evenhand/api/nowhere").json()["message"]


@pytest.mark.parametrize(
    "url",
    [
        "lab.example.org",
        "ftp://lab.example.org",
        "https://",
        "https://lab/x?y",
        "https://lab/a b",
        "https://lab/../x",
        "https://u@lab",
        "https://lab:x",
    ],
)
def test_what_is_no_public_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="expected https://"):
        PublicAddress(url)


def test_a_prefix_that_is_an_address_of_our_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="expected another path"), toy_site(tmp_path, public=PublicAddress("https://lab/p")):
        pass


def test_the_settings_file_says_it_where_no_option_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    assert settings.public_address().url == ""
    file = tmp_path / settings.SETTINGS_FILE
    file.write_text('public_url = "https://Lab.example.org:443/evenhand/"\nproxies = ["10.0.0.0/8"]\n')
    read = settings.public_address()
    assert (read.url, read.host, read.prefix) == ("https://lab.example.org/evenhand", "lab.example.org", "/evenhand")
    assert (read.is_proxy("10.1.2.3"), read.is_proxy("127.0.0.1")) == (True, False)
    assert settings.public_address("http://other").url == "http://other"
    for wrong in ("public = 1", "public_url = 1", "proxies = 1", "proxies = ['x']", "public_url"):
        file.write_text(wrong)
        with pytest.raises(InvalidSettings):
            settings.public_address()


def test_scripts_and_streams_find_their_way_under_the_prefix(site: Site, browser: "Browser") -> None:
    with browser.new_context() as context:
        page, asked, failed = context.new_page(), [], []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
        for role, subject, address in (
            (Role.PARTICIPANT, 1, "/p/1/tune"),
            (Role.RESEARCHER, 0, f"/sessions/{site.lab.participants.get(1).session_id}"),
            (Role.RESEARCHER, 0, "/studies/1"),
        ):
            token = site.caller(role, subject).identity.token
            context.add_cookies([{"name": COOKIE_NAMES[role], "value": token, "url": f"{site.address}/evenhand"}])
            stream = ".*/evenhand/p/1/events.*" if role is Role.PARTICIPANT else f".*/evenhand{address}/events.*"
            with page.expect_request(re.compile(stream)):
                page.goto(f"{site.address}/evenhand{address}")
    assert failed == []
    assert [path for path in asked if not path.startswith("/evenhand/")] == []


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("host", ["lab.example.org", "lab.example.org:8443"], ids=["own port", "another port"])
def test_nginx_with_the_recipe_of_the_docs(host: str, tmp_path: Path) -> None:
    with toy_site(tmp_path, public=PublicAddress(f"https://{host}/evenhand")) as site:
        furnish(site)
        check_nginx(site, host, tmp_path)


def check_nginx(site: Site, host: str, tmp_path: Path) -> None:
    """A form, a static file and a stream come through nginx with the recipe of the docs."""
    recipe = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.S)
    assert recipe
    with held_port() as port:
        location = recipe[1].replace("http://127.0.0.1:8765", site.address)
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} http {{ access_log off;"
            + "".join(f" {kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            + f" server {{ listen 127.0.0.1:{port} reuseport; {location} }} }}"
        )
        command = [components.need("nginx"), "-e", f"{tmp_path}/error.log", "-c", f"{tmp_path}/nginx.conf"]
        with subprocess.Popen(command) as process:
            try:
                front = f"http://127.0.0.1:{port}/evenhand"
                wait_for(lambda: answers(f"{front}/resume"), "nginx answers")
                headers = {"host": host, "origin": f"https://{host}"}
                joined = httpx.post(f"{front}/join/{invitation(site)}", headers=headers)
                assert joined.status_code == 200
                assert "path=/evenhand;" in joined.headers["set-cookie"].lower()
                assert httpx.get(f"{front}/static/study.js").status_code == 200
                with httpx.stream("GET", f"{front}/class/{SUBJECTS['code']}/events") as events:
                    assert next(line for line in events.iter_lines() if line.startswith("data: "))
            finally:
                process.terminate()


def answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False
