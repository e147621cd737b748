"""Who runs the laboratory: their names in the record, their ways in, and that there is always an owner."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from evenhand.errors import EvenhandError, InvalidSettings, NotAllowed, NotFound, Refused
from evenhand.lab import served
from evenhand.lab.base import act_as, hash_token
from evenhand.lab.lab import Lab
from evenhand.lab.people import NEW_OWNER
from evenhand.model.person import LOWEST_ID, UNNAMED, Person, SignIn
from evenhand.store.engine import Store
from evenhand.web.access import Role
from evenhand.web.browsers import browser_words
from tests.components import DATABASES
from tests.labs import Clock, database, make_lab, toy_study
from tests.waiting import wait_for
from tests.web import Caller, Site, evaluated, toy_site, tuned_study, tuning_participant

DAY = 86400.0
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(scope="module", autouse=True)
def settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The data directory has no settings file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENHAND_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("people")) as made:
        tuned_study(made)
        yield made


def clock_of(lab: Lab) -> Clock:
    clock = lab.clock
    assert isinstance(clock, Clock)
    return clock


def kinds(lab: Lab) -> list[tuple[str, Any]]:
    """The events about people: what happened, and who did it."""
    return [(event.kind, event.detail.get("who")) for event in lab.sessions.events() if "person" in event.detail]


# People


def test_the_first_start_makes_the_owner_once(lab: Lab) -> None:
    owner = lab.people.first_owner("Ada")
    assert (owner.name, owner.role, owner.removed_at) == ("Ada", "owner", None)
    assert lab.people.first_owner("Bert") == owner
    assert lab.people.everybody() == [owner]
    assert owner.id >= LOWEST_ID
    assert owner.who == f"person {owner.id}"


def test_whoever_is_added_first_finds_an_owner_there(lab: Lab) -> None:
    rosa = lab.people.add("Rosa")
    assert rosa.role == "researcher"
    assert {(person.name, person.role) for person in lab.people.present()} == {(NEW_OWNER, "owner"), ("Rosa", "researcher")}
    assert lab.people.first_owner("Ada") != rosa


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "Researcher", "person 123456789", "PERSON 123456789"])
def test_a_name_that_would_mislead_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(InvalidSettings):
        lab.people.add(name)


def test_two_people_have_two_names_that_look_different(lab: Lab) -> None:
    lab.people.add("Ada  Lovelace")
    with pytest.raises(Refused, match="'Ada Lovelace' already"):
        lab.people.add("ＡDA Lovelace")  # the first letter is a full-width one
    other = lab.people.add("Bert")
    with pytest.raises(Refused, match="already"):
        lab.people.rename(other.id, "ada lovelace")
    assert lab.people.rename(other.id, "BERT").name == "BERT"


def test_the_name_of_who_was_removed_is_free_again_and_stays_readable(lab: Lab) -> None:
    first = lab.people.add("Rosa")
    lab.people.remove(first.id)
    second = lab.people.add("Rosa")
    assert first.who != second.who
    assert lab.people.shown(f"{first.who} and {second.who}") == "Rosa and Rosa"
    assert lab.people.named("rosa") == second
    with pytest.raises(NotFound, match="was removed"):
        lab.people.link(first.id)


def test_the_only_owner_can_neither_leave_nor_step_down(lab: Lab) -> None:
    owner = lab.people.first_owner("Ada")
    with pytest.raises(Refused, match="Ada is the only owner"):
        lab.people.remove(owner.id)
    with pytest.raises(Refused, match="Ada is the only owner"):
        lab.people.set_role(owner.id, "researcher")
    assert lab.people.set_role(owner.id, "owner") == owner
    other = lab.people.add("Bert", "owner")
    assert lab.people.set_role(owner.id, "researcher").role == "researcher"
    with pytest.raises(Refused, match="Bert is the only owner"):
        lab.people.remove(other.id)
    with pytest.raises(Refused, match="expected one of owner, researcher"):
        lab.people.set_role(owner.id, "king")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_owners_who_all_leave_at_once_leave_one(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        labs = [make_lab(url)[0] for _ in range(4)]
        for _ in range(3):
            owners = [labs[0].people.first_owner("Ada"), *(labs[0].people.add(f"Owner {n}", "owner") for n in range(3))]
            refused = at_once([leaving(lab, owner, n) for n, (lab, owner) in enumerate(zip(labs, owners, strict=True))])
            (left,) = [person for person in labs[0].people.present() if person.is_owner]
            assert [str(error) for error in refused] == [f"{left.name} is the only owner; make somebody else an owner first"]
            for person in labs[0].people.present():
                if person != left:
                    labs[0].people.remove(person.id)
            labs[0].people.rename(left.id, "Ada")
        for lab in labs:
            lab.close()


def leaving(lab: Lab, owner: Person, number: int) -> Callable[[], object]:
    """Half of them are removed, the others step down."""
    return lambda: lab.people.remove(owner.id) if number % 2 else lab.people.set_role(owner.id, "researcher")


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_first_starts_at_once_make_one_owner(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        labs = [make_lab(url)[0] for _ in range(4)]
        assert at_once([lambda lab=lab: lab.people.first_owner("Ada") for lab in labs]) == []  # type: ignore[misc]
        assert [person.name for person in labs[0].people.everybody()] == ["Ada"]
        for lab in labs:
            lab.close()


def at_once(works: list[Callable[[], object]]) -> list[EvenhandError]:
    """Let threads begin together; what was refused."""
    barrier, refused = threading.Barrier(len(works)), list[EvenhandError]()

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except EvenhandError as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def test_only_an_owner_may_manage_others_and_who_was_one_may_not(lab: Lab) -> None:
    owner, rosa, bert = lab.people.first_owner("Ada"), lab.people.add("Rosa"), lab.people.add("Bert")
    for refused in (
        lambda: lab.people.add("Carl", by=rosa),
        lambda: lab.people.set_role(rosa.id, "owner", by=rosa),
        lambda: lab.people.remove(bert.id, by=rosa),
        lambda: lab.people.rename(bert.id, "B", by=rosa),
        lambda: lab.people.link(bert.id, by=rosa),
        lambda: lab.people.sign_out_everywhere(owner.id, by=rosa),
    ):
        with pytest.raises(NotAllowed, match="an owner's to do, and Rosa is a researcher"):
            refused()
    lab.people.link(rosa.id, by=rosa)
    lab.people.rename(rosa.id, "Rosalind", by=rosa)
    second = lab.people.add("Dora", "owner", by=owner)
    lab.people.set_role(owner.id, "researcher", by=second)
    with pytest.raises(NotAllowed, match="Ada is a researcher"):
        lab.people.remove(rosa.id, by=owner)  # as they were when the page was opened
    lab.people.remove(owner.id, by=second)
    with pytest.raises(NotAllowed, match="was removed"):
        lab.people.add("Carl", by=owner)


# Ways in


def test_a_link_works_once_within_its_time(lab: Lab) -> None:
    clock, rosa = clock_of(lab), lab.people.add("Rosa")
    link = lab.people.link(rosa.id)
    assert lab.people.invited(link) == rosa
    made = lab.people.sign_in(link, "Firefox on Linux")
    assert made is not None
    token, lasts = made
    assert (lab.people.signed_in(token), lasts) == (rosa, 30 * DAY)
    assert lab.people.sign_in(link, "Firefox on Linux") is None
    late = lab.people.link(rosa.id, 60)
    clock.now += 61
    assert (lab.people.invited(late), lab.people.sign_in(late, "")) == (None, None)
    clock.now += 30 * DAY
    assert lab.people.signed_in(token) is None


def test_times_are_as_the_settings_file_says(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    (tmp_path / "settings.toml").write_text("link_hours = 2\nsigned_in_days = 0.5\n")
    rosa = lab.people.add("Rosa")
    link = lab.people.link(rosa.id)
    (way,) = lab.people.ways_in()
    assert way.expires_at == lab.clock() + 7200
    made = lab.people.sign_in(link, "")
    assert made is not None
    assert made[1] == DAY / 2
    (tmp_path / "settings.toml").write_text("signed_in_days = 0\n")
    with pytest.raises(InvalidSettings, match="signed_in_days is 0, expected a number above 0"):
        lab.people.link(rosa.id)


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_one_link_used_by_many_at_once_signs_one_in(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        labs = [make_lab(url)[0] for _ in range(3)]
        link = labs[0].people.link(labs[0].people.add("Rosa").id)
        made: list[object] = []
        at_once([lambda lab=lab: made.append(lab.people.sign_in(link, "")) for lab in labs])  # type: ignore[misc]
        assert sorted(entry is None for entry in made) == [False, True, True]
        for lab in labs:
            lab.close()


def test_the_list_says_what_each_way_in_is(lab: Lab) -> None:
    clock, owner = clock_of(lab), lab.people.first_owner("Ada")
    rosa = lab.people.add("Rosa")
    act_as(owner)
    link = lab.people.link(rosa.id)
    act_as(None)
    made_at = clock.now
    made = lab.people.sign_in(link, "Firefox on Linux")
    assert made is not None
    clock.now += 60
    unused = lab.people.link(rosa.id)
    clock.now += 3600
    assert lab.people.signed_in(made[0]) == rosa
    waits = SignIn(hash_token(unused)[:12], rosa.id, True, made_at + 60, made_at + 60 + DAY, None, "", "")
    browser = hash_token(made[0])[:12]
    signed_in = SignIn(browser, rosa.id, False, made_at, made_at + 30 * DAY, clock.now, "Firefox on Linux", "")
    assert lab.people.ways_in() == [waits, signed_in]
    assert lab.people.ways_in(owner.id) == []
    lab.people.note_seen()
    again = Lab(Store(lab.core.store.url), clock=clock)
    assert again.people.ways_in(rosa.id) == [waits, signed_in]
    again.close()
    assert kinds(lab) == [
        ("person added", None), ("person added", None), ("sign-in link made", owner.who), ("signed in", rosa.who),
        ("sign-in link made", None),
    ]  # fmt: skip


def test_a_token_of_another_kind_or_before_its_time_signs_nobody_in(lab: Lab) -> None:
    rosa = lab.people.add("Rosa")
    link = lab.people.link(rosa.id)
    assert lab.people.signed_in(link) is None
    participants = lab.tokens.issue("participant", rosa.id)
    assert (lab.people.signed_in(participants), lab.people.invited(participants)) == (None, None)
    nobodys = lab.tokens.issue("researcher", rosa.id + 1)
    assert lab.people.signed_in(nobodys) is None


def test_each_way_of_ending_a_sign_in_ends_it_at_once(lab: Lab) -> None:
    owner, rosa = lab.people.first_owner("Ada"), lab.people.add("Rosa")

    def browser(person: Person) -> str:
        made = lab.people.sign_in(lab.people.link(person.id), "Firefox")
        assert made is not None
        assert lab.people.stays_signed_in(made[0])
        assert lab.people.recalled(made[0])
        return made[0]

    for end in (
        lambda token: lab.people.sign_out(token),
        lambda token: lab.people.revoke(lab.people.handle_of(token), by=rosa),
        lambda token: lab.people.revoke(lab.people.handle_of(token), by=owner),
        lambda token: lab.people.sign_out_everywhere(rosa.id, by=rosa),
        lambda token: lab.people.remove(rosa.id, by=owner),
    ):
        token, others = browser(rosa), browser(owner)
        end(token)
        assert (lab.people.signed_in(token), lab.people.recalled(token), lab.people.stays_signed_in(token)) == (
            None,
            False,
            False,
        )
        assert lab.people.signed_in(others) == owner
    assert [way.person_id for way in lab.people.ways_in()] == [owner.id] * 5
    with pytest.raises(NotFound, match="no link or sign-in has the id 'nothing'"):
        lab.people.revoke("nothing")


def test_nobody_revokes_what_they_do_not_see(lab: Lab) -> None:
    owner, rosa = lab.people.first_owner("Ada"), lab.people.add("Rosa")
    link = lab.people.link(owner.id)
    with pytest.raises(NotFound, match="no link or sign-in"):
        lab.people.revoke(lab.people.handle_of(link), by=rosa)
    assert lab.people.invited(link) == owner


def test_a_link_of_somebody_removed_meanwhile_opens_nothing(lab: Lab) -> None:
    rosa = lab.people.add("Rosa")
    link = lab.people.link(rosa.id)
    lab.people.remove(rosa.id)
    assert (lab.people.invited(link), lab.people.sign_in(link, "")) == (None, None)


def test_what_was_signed_in_before_people_had_names_is_the_owners(lab: Lab) -> None:
    link, cookie = lab.tokens.issue("signin"), lab.tokens.issue("researcher")
    assert lab.people.signed_in(cookie) is None
    owner = lab.people.first_owner("Ada")
    assert (lab.people.signed_in(cookie), lab.people.invited(link)) == (owner, owner)


def test_an_agents_token_is_listed_with_who_made_it_and_revoked(lab: Lab) -> None:
    owner, rosa, bert = lab.people.first_owner("Ada"), lab.people.add("Rosa"), lab.people.add("Bert")
    act_as(rosa)
    agent, token = lab.agents.add("far", 1)
    act_as(None)
    lab.agents.add("near", 1, local=True)
    (listed,) = lab.people.agents()
    assert (listed.agent_id, listed.name, listed.made_by, listed.created_at) == (agent, "far", rosa.who, lab.clock())
    with pytest.raises(NotAllowed, match="Bert is a researcher"):
        lab.people.revoke_agent(agent, by=bert)
    assert lab.tokens.check("agent", token) == agent
    lab.people.revoke_agent(agent, by=rosa)
    assert (lab.tokens.check("agent", token), lab.tokens.recall("agent", token), lab.people.agents()) == (None, None, [])
    with pytest.raises(NotFound, match="has no token"):
        lab.people.revoke_agent(agent, by=owner)


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15", "Safari on macOS"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1 Version/18.1 Safari/604.1",
            "Safari on iPhone",
        ),
        ("<script>", "a browser"),
        ("", "a browser"),
    ],
)
def test_a_browser_is_named_as_people_know_it(user_agent: str, words: str) -> None:
    assert browser_words(user_agent) == words


# The record


def test_a_look_from_before_people_had_names_counts_for_each_of_them(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.5, 0.6)
        rosa, bert = site.lab.people.add("Rosa"), site.lab.people.add("Bert")
        site.lab.evaluations.reveal(session.id, rosa.who)
        task = site.lab.studies.get(study.id).task_id
        assert [site.lab.evaluations.has_looked(task, person.who) for person in (rosa, bert)] == [True, False]
        site.lab.evaluations.reveal(session.id, UNNAMED)
        assert [site.lab.evaluations.has_looked(task, person.who) for person in (rosa, bert)] == [True, True]
        assert not site.lab.evaluations.has_looked(task, "evenhand.tune")
        assert "researcher (" in site.caller(Role.RESEARCHER).get(f"/sessions/{session.id}").text  # shown as it was written


def test_errors_name_people_by_their_names(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.5, 0.6)
        rosa = site.lab.people.add("Rosa")
        open_one = site.lab.start(site.lab.sessions.open(study.id, tuner="r2", method={"name": "random"}, driver="test").id)
        site.lab.interventions.take_over(open_one.id, who=rosa.who)
        with pytest.raises(Refused, match=r"^Rosa has taken over"):
            site.lab.submit(open_one.id, {"epochs": 1})
        with pytest.raises(NotAllowed, match=r"^Rosa has not asked to see"):
            site.lab.evaluations.get(session.id, rosa.who)
        site.lab.evaluations.reveal(session.id, rosa.who)
        with pytest.raises(NotAllowed, match=r"^Rosa has looked"):
            site.lab.interventions.hand_back(open_one.id, who=rosa.who)


# What each form that changes something asks for; every other one of the researcher's is of its own kind below.
ACTS: list[tuple[str, dict[str, str], str]] = [
    ("/studies/1/methods", {"method": "random", "hold": "yes"}, "opened"),
    ("/studies/1/act", {"mode": "live", "what": "pause", "whom": "all", "reason": "fire alarm"}, "paused"),
    ("/studies/1/act", {"mode": "live", "what": "resume", "whom": "all"}, "went on"),
    ("/studies/1/act", {"mode": "live", "what": "extend", "whom": "all", "reason": "it was long", "minutes": "5"}, "extended"),
    ("/participants/1/exclude", {"reason": "told us so"}, "excluded"),
    ("/sessions/1/workbench/turn", {"what": "take over"}, "took over"),
    ("/sessions/1/workbench/turn", {"what": "hand back"}, "handed back"),
    ("/studies/1/invitations", {"kind": "open", "mode": "live"}, "invited"),
    ("/studies/1/close", {}, "closed"),
    ("/studies/1/reopen", {}, "reopened"),
]


@pytest.mark.slow
def test_each_event_that_a_person_brought_about_says_who(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, _, _ = tuned_study(site)
        tuning_participant(site, study)
        rosa = site.caller(Role.RESEARCHER)
        for path, form, kind in ACTS:
            newest = max((event.id for event in site.lab.sessions.events()), default=0)
            answer = rosa.post(path, form)
            assert answer.status_code in (200, 303), f"{path}: {answer.text[:300]}"
            fresh = site.lab.sessions.events(after=newest)
            assert {event.detail.get("who") for event in fresh if event.kind == kind} == {rosa.identity.who}, kind
        before = max(event.id for event in site.lab.sessions.events())
        site.lab.studies.close(1)
        assert [event.detail.get("who") for event in site.lab.sessions.events(after=before)] == [None]
        site.lab.people.rename(rosa.identity.subject, "Rosalind")
        log = rosa.get("/studies/1/log").text
        assert "Rosalind" in log
        assert "person " not in log
        lines = [json.loads(line) for line in rosa.get("/studies/1/log.jsonl").text.splitlines()]
        assert {line["who"] for line in lines if line["kind"] == "closed"} == {"Rosalind", None}
        assert {line["detail"].get("who") for line in lines if line["kind"] == "reopened"} == {rosa.identity.who}


# Pages, the API and streams


@pytest.mark.slow
def test_what_is_revoked_is_refused_at_once_on_pages_the_api_and_streams(site: Site) -> None:
    owner = site.caller(Role.OWNER)
    for number, revoke in enumerate((by_page, by_another_process, by_removal)):
        rosa = site.caller(Role.RESEARCHER)
        messages: list[str] = []
        ended = threading.Event()
        threading.Thread(target=watch, args=(rosa, messages, ended), daemon=True).start()
        wait_for(lambda messages=messages: messages, "the stream has begun")  # type: ignore[misc]
        revoke(site, owner, rosa)
        assert rosa.get("/studies/1").status_code == 403
        assert rosa.get("/studies/1/log.jsonl", accept="application/json").status_code == 403
        assert rosa.post("/studies/1/close").status_code == 403
        assert rosa.get("/sessions/1/events").status_code == 403
        site.lab.sessions.pause([1], "so that there is news")
        site.lab.sessions.unpause([1])
        wait_for(ended.is_set, f"the stream ends at its next message ({number})")
        assert site.lab.studies.get(1).closed_at is None


def watch(caller: Caller, messages: list[str], ended: threading.Event) -> None:
    with caller.http.stream("GET", "/sessions/1/events") as answer:
        messages.extend(iter(answer.iter_lines()))  # as they come
    ended.set()


def by_page(site: Site, owner: Caller, rosa: Caller) -> None:
    handle = site.lab.people.handle_of(rosa.identity.token)
    assert owner.post(f"/signins/{handle}/revoke").status_code == 303


def by_another_process(site: Site, owner: Caller, rosa: Caller) -> None:
    other = Lab(Store(site.lab.core.store.url), clock=site.clock)
    other.people.sign_out_everywhere(rosa.identity.subject)
    other.close()
    site.clock.now += 2


def by_removal(site: Site, owner: Caller, rosa: Caller) -> None:
    assert owner.post(f"/people/{rosa.identity.subject}/remove").status_code == 303


def test_an_agent_whose_token_is_revoked_is_refused_at_once(site: Site) -> None:
    agent, token = site.lab.agents.add("far", 1)
    caller = site.caller()
    caller.http.headers["authorization"] = f"Bearer {token}"
    hello = {"slots": 1, "machine": "m"}
    assert caller.http.post("/api/agent/refusals", json=hello).status_code == 200
    assert site.caller(Role.OWNER).post(f"/agents/{agent}/revoke").status_code == 303
    assert caller.http.post("/api/agent/refusals", json=hello).status_code == 403


def test_an_owner_adds_somebody_whose_link_is_shown_once(site: Site) -> None:
    owner = site.caller(Role.OWNER)
    answer = owner.post("/people", {"name": "Carla", "role": "researcher"})
    assert answer.status_code == 200
    link = answer.text.partition('id="link" readonly value="')[2].partition('"')[0]
    assert link.startswith(f"{site.address}/signin/")
    assert link not in owner.get("/people").text
    browser = site.caller()
    assert "Sign in as Carla" in browser.get(link.removeprefix(site.address)).text
    signed = browser.http.post(link, headers={"user-agent": FIREFOX})
    assert signed.status_code == 303
    assert "Max-Age=2592000" in signed.headers["set-cookie"]
    page = browser.get("/people").text
    assert "Carla" in page
    assert "Firefox on Linux" in page
    assert "Olga" not in page  # others are an owner's to see
    assert "Firefox on Linux" in owner.get("/people").text
    again = owner.post("/people", {"name": "carla"})
    assert again.status_code == 409
    assert "somebody here is named" in again.text.lower()


def test_a_researcher_manages_their_own_ways_in_only(site: Site) -> None:
    rosa, olga = site.caller(Role.RESEARCHER), site.person(Role.OWNER)
    assert rosa.post(f"/people/{rosa.identity.subject}/link").status_code == 200
    assert rosa.post(f"/people/{olga.id}/link").status_code == 403
    assert rosa.post(f"/people/{olga.id}/name", {"name": "O"}).status_code == 403
    assert rosa.post(f"/people/{olga.id}/signout").status_code == 403
    theirs = site.lab.people.handle_of(site.caller(Role.OWNER).identity.token)
    assert rosa.post(f"/signins/{theirs}/revoke").status_code == 404
    everywhere = rosa.post(f"/people/{rosa.identity.subject}/signout")
    assert (everywhere.status_code, everywhere.headers["location"]) == (303, "/")
    assert rosa.get("/people").status_code == 403
    assert site.lab.people.ways_in(rosa.identity.subject) == []


def test_the_only_owner_is_told_why_they_cannot_leave(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        toy_study(site.lab)
        owner = site.caller(Role.OWNER)
        for path, form in (("remove", {}), ("role", {"role": "researcher"})):
            answer = owner.post(f"/people/{owner.identity.subject}/{path}", form)
            assert answer.status_code == 409
            assert "Olga is the only owner" in answer.text


# This machine's user


def test_the_link_of_a_start_is_for_this_machines_user(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    address = served.signin_link(lab, "http://here")
    person = lab.people.invited(address.rpartition("/")[2])
    assert person is not None
    assert (person.name, person.role) == ("ada", "owner")
    assert served.user_here(lab) == person
    clock_of(lab).now += 1
    lab.people.add("Rosa")
    rosas = served.signin_link(lab, "http://here", "rosa", 60).rpartition("/")[2]
    invited = lab.people.invited(rosas)
    assert invited is not None
    assert invited.name == "Rosa"
    with pytest.raises(NotFound, match="nobody here is named 'Bert'; there are: ada, Rosa"):
        served.signin_link(lab, "http://here", "Bert")


@pytest.mark.parametrize("user", ["researcher", "", "x" * 100])
def test_a_user_whose_name_cannot_be_anybodys_is_called_owner(lab: Lab, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: user)
    served.signin_link(lab, "http://here")
    assert [person.name for person in lab.people.everybody()] == [NEW_OWNER]


# Migration


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_a_database_from_before_people_had_names_keeps_its_sign_ins(backend: str, tmp_path: Path) -> None:
    import alembic.command
    import alembic.config

    from evenhand.store.engine import MIGRATIONS_FOLDER

    with database(backend, tmp_path) as url:
        engine = sa.create_engine(url)
        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS_FOLDER))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "0006")
            tables = sa.MetaData()
            tables.reflect(connection)
            rows = [
                {"hash": hash_token(text), "kind": kind, "subject": 0, "created_at": 5.0, "expires_at": 2_000_000.0}
                for text, kind in (("the link", "signin"), ("the cookie", "researcher"))
            ]
            connection.execute(sa.insert(tables.tables["token"]), rows)
        engine.dispose()
        lab, _ = make_lab(url)
        assert lab.people.everybody() == []
        owner = lab.people.first_owner("Ada")
        assert (lab.people.signed_in("the cookie"), lab.people.invited("the link")) == (owner, owner)
        assert {way.is_link for way in lab.people.ways_in()} == {True, False}
        lab.close()
