"""Who may call what: every route is in the table, each role is refused everywhere else, and no GET changes anything."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import create_engine, inspect, text
from starlette.routing import Mount

from evenhand.web.access import COOKIE_NAMES, NOT_RUN_BY_HEAD, PERMISSIONS, Role, guard
from evenhand.web.door import CONTENT_POLICY
from tests.web import SUBJECTS, Caller, Site, evaluated, furnish, routes, toy_site, tuned_study, tuning_participant

STREAMS = ("/events",)
PRESENCE = {"last_seen", "writer", "writer_at"}
ROWS = list(PERMISSIONS.items())
NAMES = [f"{method} {path}" for (method, path), _ in ROWS]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("access")
    with toy_site(folder) as made:
        furnish(made)
        yield made


@pytest.fixture(scope="module")
def callers(site: Site) -> dict[Role, Caller]:
    subjects = {Role.PARTICIPANT: 1, Role.AGENT: 1, Role.METHOD: 1}
    return {role: site.caller(role, subjects.get(role, 0)) for role in Role}


def filled(path: str, **values: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda route: {**SUBJECTS, **values}[route[1]], path)


UNDERSTAND = "/sessions/{session_id}/understand"


def is_of_runs(path: str) -> bool:
    """Whether a page is a part of a run's own page, which sessions of studies do not have."""
    return "/run/" in path or path.endswith(("/trials/{number}", "/files/{name}", "/why")) or path.startswith(UNDERSTAND)


def dump(site: Site) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, but for presence: a stream shows by being open that somebody is there."""
    engine = create_engine(f"sqlite:///{site.folder / 'lab.sqlite'}")
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        tables = {name: connection.execute(text(f"SELECT * FROM {name}")).mappings().all() for name in names}
    return {name: [{k: v for k, v in row.items() if k not in PRESENCE} for row in rows] for name, rows in tables.items()}


@pytest.mark.slow
def test_every_route_is_in_the_table_and_the_table_names_nothing_else(site: Site) -> None:
    served = set()
    for route in routes(site.app):
        methods = {"GET"} if isinstance(route, Mount) else set(route.methods or ())
        path = route.path if isinstance(route, Mount) else route.path_format
        served |= {(method, path) for method in methods - {"HEAD"}}
    assert served == PERMISSIONS.keys()


def test_every_route_is_guarded(site: Site) -> None:
    assert any(dependency.dependency is guard for dependency in site.app.router.dependencies)
    others = [route for route in routes(site.app) if not isinstance(route, APIRoute)]
    assert [route.path for route in others] == ["/static"]  # the only one beside the guard: public files


def test_a_route_that_the_table_forgot_is_refused(site: Site) -> None:
    site.app.add_api_route("/forgotten", lambda: "secret")
    answer = site.caller(Role.RESEARCHER).get("/forgotten")
    site.app.router.routes.pop()
    assert answer.status_code == 403
    assert "secret" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(("row", "role"), ROWS, ids=NAMES)
def test_other_roles_are_refused(row: tuple[str, str], role: Role, callers: dict[Role, Caller]) -> None:
    method, path = row
    if role is Role.PUBLIC:
        return
    for other in set(Role) - {role} - ({Role.OWNER} if role is Role.RESEARCHER else set()):
        caller = callers[other]
        answer = caller.http.request(method, filled(path), headers={"x-csrf-token": caller.identity.csrf_token})
        assert answer.status_code == 403, f"{other} was let in"


@pytest.mark.slow
@pytest.mark.parametrize(("row", "role"), [row for row in ROWS if row[0][0] == "GET"], ids=str)
def test_the_right_role_is_let_in(row: tuple[str, str], role: Role, site: Site, callers: dict[Role, Caller]) -> None:
    path = row[1]
    if is_of_runs(path):  # the furnished session is a study's, of which they serve nothing
        assert callers[role].get(filled(path)).status_code == 404
        return
    if path.endswith(STREAMS):
        assert callers[role].first_event(filled(path))
        return
    token = (
        site.lab.participants.invite(1, "link")[1][0] if "join" in path else site.lab.people.link(site.person(Role.RESEARCHER).id)
    )
    address = filled(path, token=token) + ("/study.js" if path == "/static" else "")
    if "/report" in path:
        address += "?mode=pilot"  # live participants' scores stay hidden while the study collects
    # No program of this trial printed anything; a study's session has no notes, and no result to take away; nothing is compared,
    # and nothing was dropped.
    # What a study's trials say is hidden until it has closed.
    refused = {"/output": 404, "/notes": 409, "/take-away": 409, "/compare": 400, "/start/data": 404, "/understand": 409}
    expected = next(((status,) for part, status in refused.items() if path.endswith(part) or f"{part}/" in path), (200, 303))
    assert callers[role].get(address).status_code in expected


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row, role in ROWS if row[0] != "GET" and role in COOKIE_NAMES], ids=str)
def test_a_form_without_the_csrf_token_is_refused(row: tuple[str, str], callers: dict[Role, Caller], site: Site) -> None:
    role, path = PERMISSIONS[row], filled(row[1])
    before = dump(site)
    caller = callers[role]
    stale = {"x-csrf-token": site.caller(role, caller.identity.subject).identity.csrf_token}
    for answer in (caller.post(path, csrf=False), caller.post(path, {"csrf_token": "guessed"}, csrf=False)):
        assert answer.status_code == 403
    assert caller.post(path, csrf=False, headers=stale).status_code == 403  # another sign-in's token
    after = dump(site)
    assert {name: rows for name, rows in after.items() if name != "token"} == {k: v for k, v in before.items() if k != "token"}


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row, role in ROWS if row[0] != "GET"], ids=str)
@pytest.mark.parametrize("header", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}])
def test_a_form_of_another_site_is_refused(
    row: tuple[str, str], header: dict[str, str], callers: dict[Role, Caller], site: Site
) -> None:
    before = dump(site)
    assert callers[PERMISSIONS[row]].post(filled(row[1]), headers=header).status_code == 403
    assert dump(site) == before


@pytest.mark.slow
def test_no_get_changes_anything(site: Site, callers: dict[Role, Caller]) -> None:
    tokens = {
        "signin": site.lab.people.link(site.person(Role.RESEARCHER).id),
        "invite": site.lab.participants.invite(1, "link")[1][0],
    }
    before = dump(site)
    for (method, path), role in ROWS:
        if method != "GET":
            continue
        token = tokens["invite" if "join" in path else "signin"]
        for caller in (callers[role], callers[Role.PUBLIC], callers[Role.RESEARCHER], callers[Role.PARTICIPANT]):
            if path.endswith(STREAMS):
                caller.first_event(filled(path))
            else:
                assert caller.get(filled(path, token=token)).status_code < 500
    assert dump(site) == before


def test_tokens_are_stored_hashed(site: Site) -> None:
    token = site.lab.people.link(site.person(Role.RESEARCHER).id)
    assert len(token) >= 22  # 128 bits in base 64
    assert token.encode() not in (site.folder / "lab.sqlite").read_bytes() + (site.folder / "lab.sqlite-wal").read_bytes()


def test_pages_carry_the_security_headers(site: Site, callers: dict[Role, Caller]) -> None:
    for path in ("/", "/studies/1", "/nowhere", "/api/nowhere", "/static/study.js"):
        headers = callers[Role.RESEARCHER].get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert callers[Role.RESEARCHER].get("/studies/1").headers["cache-control"] == "no-store"


@pytest.mark.slow
def test_no_page_may_use_a_style_or_a_script_that_is_not_a_file_of_ours(callers: dict[Role, Caller]) -> None:
    policies: dict[str, set[str]] = {}
    for (method, path), role in ROWS:
        if method == "GET" and not path.endswith(STREAMS):
            policies.setdefault(callers[role].get(filled(path)).headers["content-security-policy"], set()).add(path)
    assert list(policies) == [CONTENT_POLICY]
    assert {"script-src 'self'", "style-src 'self'"} <= set(CONTENT_POLICY.split("; "))
    assert "unsafe" not in CONTENT_POLICY


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", ""])
def test_a_foreign_host_name_is_refused(host: str, site: Site, callers: dict[Role, Caller]) -> None:
    answer = callers[Role.RESEARCHER].get("/studies/1", host=host)
    assert answer.status_code in (400, 421)  # 400: the server itself, before the app, for no name at all
    assert "Toy" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:1", "[::1]:8765", "192.168.1.7"])
def test_own_names_and_addresses_are_served(host: str, callers: dict[Role, Caller]) -> None:
    assert callers[Role.RESEARCHER].get("/studies/1", host=host).status_code == 200


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    link = site.lab.people.link(site.person(Role.RESEARCHER).id)
    answer = site.caller().post(f"/signin/{link}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_errors_are_json_for_programs_and_a_page_for_people(site: Site, callers: dict[Role, Caller]) -> None:
    refused = callers[Role.PUBLIC].get("/api/nowhere")
    assert refused.status_code == 404
    assert refused.json()["message"]
    page = callers[Role.RESEARCHER].get("/sessions/99")
    assert page.status_code == 404
    assert "session 99 does not exist" in page.text.replace("Session", "session")
    assert callers[Role.RESEARCHER].get("/studies/abc").status_code == 400


def test_an_old_cookie_of_another_path_does_not_shadow_ours(site: Site) -> None:
    name, researcher = COOKIE_NAMES[Role.RESEARCHER], site.caller(Role.RESEARCHER)
    token = researcher.identity.token
    for values in ((token, "old"), ("old", token)):
        researcher.http.cookies.clear()
        headers = {"cookie": "; ".join(f"{name}={value}" for value in values)}
        assert researcher.http.get("/studies/1", headers=headers).status_code == 200
        assert site.caller().http.get("/studies/1", headers={"cookie": f"{name}=old; {name}=older"}).status_code == 403
    assert researcher.post("/signout", headers=headers).status_code == 303
    assert researcher.http.get("/studies/1", headers=headers).status_code == 403


def test_a_revoked_token_opens_nothing(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    assert researcher.get("/studies/1").status_code == 200
    assert researcher.post("/signout").status_code == 303
    assert researcher.get("/studies/1").status_code == 403


@pytest.mark.parametrize(("row", "role"), [row for row in ROWS if row[0][0] == "GET"], ids=str)
def test_head_is_answered_where_get_is_and_changes_nothing(
    row: tuple[str, str], role: Role, site: Site, callers: dict[Role, Caller]
) -> None:
    path = row[1]
    token = (
        site.lab.participants.invite(1, "link")[1][0] if "join" in path else site.lab.people.link(site.person(Role.RESEARCHER).id)
    )
    address = filled(path, token=token) + ("/study.js" if path == "/static" else "")
    before = dump(site)
    answer = callers[role].http.head(address + ("?mode=pilot" if path in NOT_RUN_BY_HEAD else ""))
    assert answer.content == b""
    assert dump(site) == before
    expected = 200 if path in NOT_RUN_BY_HEAD else callers[role].get(address).status_code
    assert answer.status_code == expected != 405
    if role is not Role.PUBLIC:
        assert callers[Role.PUBLIC].http.head(address).status_code == 403


@pytest.mark.slow
def test_no_get_is_a_look(tmp_path: Path) -> None:
    """Of a closed study, whose scores are there for the asking: a browser that fetches ahead spends nothing."""
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.515625, 0.640625)
        tuning_participant(site, study)
        site.lab.studies.close(study.id)
        callers = {role: site.caller(role, {Role.PARTICIPANT: 1}.get(role, 0)) for role in Role}
        before, researcher = dump(site), callers[Role.RESEARCHER]
        for (method, path), role in ROWS:
            if method != "GET" or path.endswith(STREAMS):
                continue
            answer = callers[role].get(filled(path))
            assert answer.status_code < 500
            assert "57.8" not in answer.text or "/static" in path, f"{path} shows the mean of the test scores"
        assert {**dump(site), "token": None} == {**before, "token": None}
        for kind, status in (("", 200), (".pdf", 409), (".zip", 409)):
            asked = researcher.get(f"/studies/{study.id}/report{kind}")
            assert (asked.status_code, "This is a look at test scores" in asked.text) == (status, True)
        assert researcher.get(f"/studies/{study.id}/export").status_code == 409
        assert researcher.get(f"/studies/{study.id}/export?evaluations=false").status_code == 200
        assert dump(site)["look"] == before["look"]


@pytest.mark.slow
def test_a_look_says_what_it_costs_and_is_logged_once(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.515625, 0.640625)
        tuning_participant(site, study)
        site.lab.studies.close(study.id)
        researcher, report = site.caller(Role.RESEARCHER), f"/studies/{study.id}/report?mode=live"
        for page in (researcher.get(report).text, researcher.get(f"/sessions/{session.id}").text):
            assert "Each look is kept for good, as that of “Rosa”" in page
            assert "you can stop no trial of an open session of this task, nor pause one, give it time or work with its" in page
            assert "(1 session of it is open now)" in page
            assert "The collection of live records cannot be reopened." in page
        looked = researcher.post(f"/studies/{study.id}/look", {"then": "report", "mode": "live"})
        assert (looked.status_code, looked.headers["location"]) == (303, report)
        assert [who for who, _ in site.lab.evaluations.looks(session.id)] == [researcher.identity.who]
        for path in (report, f"/studies/{study.id}/export", f"/studies/{study.id}/report.zip"):
            assert researcher.get(path).status_code == 200
        assert "57.8" in researcher.get(report).text
        assert len(site.lab.evaluations.looks(session.id)) == 1
        assert researcher.post(f"/studies/{study.id}/look", {"then": "https://evil.example"}).status_code == 400


def test_the_data_directory_is_no_static_file(site: Site, callers: dict[Role, Caller]) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", f"/static/{Path(site.folder)}/lab.sqlite"):
        assert callers[Role.PUBLIC].get(path).status_code == 404
