"""A real server on a lab with a clock that tests move, and what its callers need: cookies, tokens, all its routes."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount

from evenhand.lab.lab import Lab
from evenhand.lab.participants import join_key
from evenhand.model.participant import Participant
from evenhand.model.person import Person
from evenhand.model.session import PERSON_DRIVER, Session
from evenhand.model.study import Budget, Study
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.settings import HERE, PublicAddress, Rules
from evenhand.studies import classroom
from evenhand.studies.own_runs import study_of_runs
from evenhand.web.access import COOKIE_NAMES, PEOPLE, Identity, Role
from evenhand.web.app import create_app
from evenhand.web.seats import home
from tests.labs import SPACE, Clock, claim, epoch, make_lab, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for


@dataclass
class Site:
    """A served lab."""

    address: str
    lab: Lab
    clock: Clock
    app: FastAPI
    folder: Path

    def caller(self, role: Role = Role.PUBLIC, subject: int = 0) -> "Caller":
        """Somebody with a fresh, valid token of this role: of those who run the lab, as `person` has them."""
        if role is Role.PUBLIC:
            return Caller(self, Identity(role))
        if role in PEOPLE:
            person = self.person(role)
            return Caller(self, Identity(role, person.id, self.lab.tokens.issue("researcher", person.id), person))
        kinds: Any = role.value
        return Caller(self, Identity(role, subject, self.lab.tokens.issue(kinds, subject)))

    def person(self, role: Role) -> Person:
        """Olga, the owner, or Rosa, a researcher; made where they are not there yet."""
        owner = self.lab.people.first_owner("Olga")
        if role is Role.OWNER:
            return owner
        known = [person for person in self.lab.people.present() if person.name == "Rosa"]
        return known[0] if known else self.lab.people.add("Rosa")


class Caller:
    """An HTTP client with one identity; forms carry its CSRF token."""

    def __init__(self, site: Site, identity: Identity) -> None:
        self.site, self.identity = site, identity
        headers, cookies = {}, {}
        if identity.role in COOKIE_NAMES:
            cookies[COOKIE_NAMES[identity.role]] = identity.token
        elif identity.token:
            headers["authorization"] = f"Bearer {identity.token}"
        self.http = httpx.Client(base_url=site.address, headers=headers, cookies=cookies, timeout=PATIENCE_SECONDS)

    @property
    def home(self) -> str:
        """Of a participant: what the addresses of their pages begin with."""
        return home(self.site.lab.participants.get(self.identity.subject).study_id)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """GET a page."""
        return self.http.get(path, headers=headers)

    def post(
        self, path: str, form: Mapping[str, Any] | None = None, *, csrf: bool = True, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST a form, as one of our own pages would."""
        token = {"csrf_token": self.identity.csrf_token} if csrf and self.identity.csrf_token else {}
        return self.http.post(path, data={**token, **(form or {})}, headers=headers or {})

    def first_event(self, path: str) -> str:
        """The data of the first event of a stream; "" where it answers without one."""
        with self.http.stream("GET", path) as answer:
            return next((line[6:] for line in answer.iter_lines() if line.startswith("data: ")), "")

    def first_state(self, path: str) -> dict[str, Any]:
        """The first `state` event of a stream."""
        name = ""
        with self.http.stream("GET", path) as answer:
            for line in answer.iter_lines():
                name = line.removeprefix("event: ") if line.startswith("event: ") else name
                if line.startswith("data: ") and name == "state":
                    data: dict[str, Any] = json.loads(line[6:])
                    return data
        raise AssertionError("the stream ended without a state")


@contextmanager
def listening(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The app's address on a real socket; port 0: any that is free."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", proxy_headers=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive(), "the server starts or ends")
    assert server.started, "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the server does not end"


@contextmanager
def serve(lab: Lab, clock: Clock, folder: Path, port: int = 0, public: PublicAddress = HERE) -> Iterator[Site]:
    """The lab's pages and doors; port 0: any that is free."""
    app = create_app(lab, data_dir=folder, public=public)
    with listening(app, port) as address:
        yield Site(address, lab, clock, app, folder)


@contextmanager
def toy_site(folder: Path, rules: Rules | None = None, public: PublicAddress = HERE) -> Iterator[Site]:
    """A server on a new lab without a study."""
    lab, clock = make_lab(f"sqlite:///{folder / 'lab.sqlite'}", rules)
    with serve(lab, clock, folder, public=public) as site:
        yield site
    lab.close()


def routes(app: FastAPI) -> list[APIRoute | Mount]:
    """Every route that the app answers, those of its routers included."""
    listed_routes: list[APIRoute | Mount] = []

    def collect(listed: Sequence[Any]) -> None:
        for route in listed:
            router = getattr(route, "original_router", None)  # how FastAPI keeps an included router
            if router is not None:
                collect(router.routes)
            else:
                listed_routes.append(route)

    collect(app.routes)
    return listed_routes


def tuned_study(site: Site, budget: Budget | None = None) -> tuple[Study, Session, int]:
    """A study with a method's session of two trained trials, whose clock runs, and the agent that trained them."""
    study = toy_study(site.lab, budget)
    agent, _ = site.lab.agents.add("one", 1)
    session = site.lab.start(
        site.lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 0}, driver="test").id
    )
    for rate, value in ((0.1, 0.41), (0.01, 0.62)):
        train(site, session.id, agent, value, learning_rate=rate)
    return study, site.lab.sessions.get(session.id), agent


def train(site: Site, session_id: int, agent: int, value: float, **values: float) -> None:
    """Submit a trial and train it to its end."""
    site.lab.submit(session_id, SPACE.configuration({"epochs": 2, **values}))
    job = claim(site.lab, agent)
    site.clock.now += 5
    site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, value - 0.1), epoch(1, 2, value)])
    site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)


def evaluated(site: Site, session_id: int, agent: int, *tests: float) -> None:
    """Choose the best trial, and give its evaluation's seeds these test scores."""
    best = site.lab.view(session_id).best
    site.lab.choose(session_id, number=best.number if best else None)
    scored(site, agent, *tests)


def scored(site: Site, agent: int, *tests: float) -> None:
    """Give the seeds of an evaluation that waits these test scores."""
    for value in tests:
        job = claim(site.lab, agent)
        site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, value)])
        site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)


def tuning_participant(site: Site, study: Study) -> Participant:
    """Somebody whose clock runs."""
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.consent(person.id, study.consent.version)
    site.lab.participants.answer(person.id, "background", {"months": 12, "education": "msc"})
    site.lab.participants.read_details(person.id)
    site.lab.participants.begin(person.id)
    return site.lab.participants.get(person.id)


# What each parameter of a path stands for in a site that is furnished.
SUBJECTS = {
    "method": "sobol",
    "code": "222222",
    "study_id": "1",
    "class_id": "2",
    "session_id": "1",
    "participant_id": "1",
    "batch_id": "1",
    "number": "1",
    "job": "1",
    "part": "json",
    "job_id": "1",
    "token": "x",
    "person_id": "1",
    "handle": "x",
    "agent_id": "1",
    "name": "background",
    "old": "tune",
    "place": "0",
    "run_id": "5",
    "data_id": "0" * 20,  # nothing was dropped
}


def run_by_hand(site: Site, task: TaskRecord) -> Session:
    """A run that Rosa tunes by hand; its clock runs."""
    study = study_of_runs(site.lab, task, Budget(trials=10), seed=0, mode=None, value_rule="last")
    rosa = site.person(Role.RESEARCHER).who
    opened = site.lab.sessions.open(study.id, tuner=rosa, person=rosa, driver=PERSON_DRIVER, purpose="exploratory")
    return site.lab.start(opened.id)


def furnish(site: Site) -> None:
    """A study with all that pages show, a class, and a run that somebody of the laboratory tunes by hand."""
    study, session, agent = tuned_study(site)
    evaluated(site, session.id, agent, 0.5, 0.6)
    person = tuning_participant(site, study)
    assert person.session_id
    train(site, person.session_id, agent, 0.4)
    lesson = site.lab.studies.add(classroom.study_of(session.task, "class", "Lesson", 30, 7))
    site.lab.participants.invite(lesson.id, "class", token=SUBJECTS["code"])
    for name, values in (("Ada", (0.3, 0.7, 0.6)), ("Bob", (0.5,))):
        student, _ = site.lab.seats.take(SUBJECTS["code"], name, join_key())
        tuning = site.lab.participants.begin(student.id)
        for value in values:
            train(site, tuning.id, agent, value)
    run = run_by_hand(site, replace(session.task, spec=TaskSpec("own"), version="own 1"))
    assert str(run.id) == SUBJECTS["run_id"]
    train(site, run.id, agent, 0.6)
