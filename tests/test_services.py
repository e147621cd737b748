"""The laboratory's services share one core and know each other's public names only; `Lab` and `Client` keep the same verbs."""

import ast
import inspect
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

import evenhand
from evenhand.errors import Refused
from evenhand.lab.base import Core
from evenhand.lab.changes import Changes
from evenhand.lab.client import Client
from evenhand.lab.crews import Crews
from evenhand.lab.deadlines import Deadlines
from evenhand.lab.evaluations import Evaluations
from evenhand.lab.interventions import Interventions
from evenhand.lab.jobs import Agents
from evenhand.lab.lab import Lab
from evenhand.lab.participants import Participants
from evenhand.lab.sessions import Sessions
from evenhand.lab.stopping import StoppingRules
from evenhand.lab.studies import Studies
from evenhand.lab.tokens import Tokens
from evenhand.lab.transfer import Transfer
from evenhand.lab.tuning import Tuning
from evenhand.lab.verbs import AgentVerbs, TunerVerbs
from evenhand.model.configuration import Configuration
from evenhand.model.recent import Recent
from evenhand.model.session import EarlierChoice, Extension, FinalChoice, Intervention, Session, State
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome, Stopper, Trial
from evenhand.runners import method_player
from evenhand.store import events, jobs, sessions, tables
from evenhand.store.engine import Store
from tests.labs import SPACE, make_lab, started, toy_study
from tests.waiting import wait_for

PACKAGE = Path(evenhand.__file__).parent
CONFIGURATION = Configuration({"epochs": 2, "learning_rate": 0.1})
VERBS = [(protocol, name) for protocol in (TunerVerbs, AgentVerbs) for name in vars(protocol) if not name.startswith("_")]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    store = Store(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield Core(store)
    store.close()


# The verbs


def test_the_verbs_are_those_of_the_two_protocols() -> None:
    names = {protocol: {name for of, name in VERBS if of is protocol} for protocol in (TunerVerbs, AgentVerbs)}
    assert names[TunerVerbs] == {"start", "view", "wait", "curve", "submit", "stop", "choose"}
    assert names[AgentVerbs] == {"hello", "refusals", "claim", "measure", "finish", "release", "code", "content", "goodbye"}


@pytest.mark.parametrize(("protocol", "name"), VERBS, ids=[name for _, name in VERBS])
def test_lab_and_client_have_each_verb_with_the_same_signature(protocol: type, name: str) -> None:
    wanted = inspect.signature(getattr(protocol, name))
    assert inspect.signature(getattr(Lab, name)) == wanted
    assert _without_own_id(inspect.signature(getattr(Client, name))) == wanted


def _without_own_id(signature: inspect.Signature) -> inspect.Signature:
    """Without the one thing that only a client may leave out: which session or agent its token is of."""
    parameters = [
        parameter.replace(default=inspect.Parameter.empty)
        if parameter.name in ("session_id", "agent_id") and parameter.default == 0
        else parameter
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def test_both_keep_both_protocols(lab: Lab) -> None:
    """What counts here is that mypy takes each assignment."""
    with Client("http://127.0.0.1:9", "token") as client:
        tuners: list[TunerVerbs] = [lab, client]
        agents: list[AgentVerbs] = [lab, client]
    assert tuners == [lab, client]
    assert agents == [lab, client]


def test_a_method_plays_through_the_tuners_verbs_alone(lab: Lab) -> None:
    class Only:
        """Another object with these verbs, of no type that the player knows."""

        def __getattr__(self, name: str) -> Any:
            assert (TunerVerbs, name) in VERBS
            return getattr(lab, name)

    study = toy_study(lab, Budget(trials=3))
    session = lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 5}, driver="test")
    agent_id, _ = lab.agents.add("one", 1)
    ended = threading.Event()

    def train() -> None:
        while not ended.is_set():
            job = lab.claim(agent_id, session_id=session.id, seconds=0.1)
            if job is not None:
                lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        verbs: TunerVerbs = Only()
        played = method_player.tune(verbs, session.id, poll=5.0)
    finally:
        ended.set()
        trainer.join()
    assert (len(played.trials), played.choice is not None) == (3, True)


# Waiting in this process


def waited(verbs: TunerVerbs, session_id: int, seconds: float, measured: bool = False) -> float:
    """For how many seconds a wait went on."""
    begun = time.monotonic()
    verbs.wait(session_id, seconds, measured)
    return time.monotonic() - begun


def test_a_change_between_a_look_and_a_wait_is_not_missed(lab: Lab) -> None:
    session = started(lab, toy_study(lab))
    lab.view(session.id)
    changer = threading.Thread(target=lab.sessions.pause, args=([session.id], "a fire alarm"))
    changer.start()
    changer.join()
    assert waited(lab, session.id, 30) < 10
    assert lab.wait(session.id, 0.0).state is State.PAUSED
    assert waited(lab, session.id, 0.2) >= 0.2, "nothing has changed since"


def test_a_wait_is_ended_by_its_own_session_only(lab: Lab) -> None:
    study = toy_study(lab)
    session, other = started(lab, study), started(lab, study)
    lab.view(session.id)
    changer = threading.Timer(0.1, lab.sessions.pause, ([other.id], "a fire alarm"))
    changer.start()
    assert waited(lab, session.id, 0.5) >= 0.5
    changer.join()


def test_changes_of_sessions_long_ago_are_forgotten_but_not_missed() -> None:
    changes = Changes(most=2)
    changes.looked(1)
    for session_id in (1, 2, 3, 4):
        changes.note(session_id, acts=True)
    begun = time.monotonic()
    changes.wait(1, 30, any_change=False)
    assert time.monotonic() - begun < 10
    changes.looked(1)
    changes.note(3, acts=True)
    begun = time.monotonic()
    changes.wait(1, 0.2, any_change=True)
    assert time.monotonic() - begun >= 0.2
    assert not changes._waiting, "nobody waits, so nothing is held for anybody"


def test_a_bounded_dictionary_drops_what_was_longest_not_used() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"] = 1, 2
    assert recent["a"] == 1
    recent["c"] = 3
    assert dict(recent) == {"a": 1, "c": 3}
    assert recent.get("b") is None
    assert recent.pop("c") == 3
    recent.clear()
    assert len(recent) == 0


# Each service alone


def toy_task() -> TaskRecord:
    return TaskRecord(TaskSpec("toy"), "version 1", SPACE, "accuracy", "maximize", 10)


def declared(core: Core) -> Study:
    studies = Studies(core)
    task_id = studies.add_task(toy_task()).id
    words = Text("Words.")
    study = Study(
        name="toy",
        title="Toy",
        task_id=task_id,
        budget=Budget(trials=3),
        seed=7,
        consent=words,
        details=words,
        thanks=words,
        machines="any",
    )
    return studies.add(study)


def tuning(core: Core) -> Tuning:
    return Tuning(core, Agents(core, Tokens(core), Deadlines(core), StoppingRules(core), Crews(core, Tokens(core))))


def use_tokens(core: Core) -> None:
    tokens = Tokens(core)
    token = tokens.issue("agent", 5)
    assert (tokens.check("agent", token), tokens.recall("agent", token), tokens.count("agent")) == (5, 5, 1)
    tokens.revoke_all("agent", 5)
    assert (tokens.check("agent", token), tokens.recall("agent", token)) == (None, None)


def use_studies(core: Core) -> None:
    study = declared(core)
    studies = Studies(core)
    assert [study.name for study in studies.all()] == ["toy"]
    assert studies.named("toy") == studies.get(study.id) == studies.versions(study.id)[0]
    assert studies.close(study.id).closed_at is not None


def use_sessions(core: Core) -> None:
    session = Sessions(core).open(declared(core).id, tuner="random")
    assert Sessions(core).to_play() == [session.id]
    assert [event.kind for event in Sessions(core).events(session.id)] == ["opened"]


def use_tuning(core: Core) -> None:
    session = Sessions(core).open(declared(core).id, tuner="random")
    tuning(core).start(session.id)
    assert tuning(core).submit(session.id, CONFIGURATION).number == 1
    assert tuning(core).wait(session.id, 5).session.trials[0].is_open


def use_participants(core: Core) -> None:
    participants = Participants(core, tuning(core))
    batch, (link,) = participants.invite(declared(core).id, "anybody")
    person, code = participants.accept(link)
    assert (participants.resume(code).id, participants.get(person.id).batch_id) == (person.id, batch.id)
    assert participants.withdraw(person.id).withdrawn_at is not None


def use_evaluations(core: Core) -> None:
    session = Sessions(core).open(declared(core).id, tuner="random")
    with pytest.raises(Refused, match="no final choice yet"):
        Evaluations(core).reveal(session.id, "researcher")
    assert not Evaluations(core).has_looked(session.task.id, "researcher")


def use_interventions(core: Core) -> None:
    session = Sessions(core).open(declared(core).id, tuner="random")
    tuning(core).start(session.id)
    assert Interventions(core).add(session.id, CONFIGURATION, who="researcher").proposer == "researcher"
    assert Interventions(core).take_over(session.id, who="researcher").taken_over_by == "researcher"


def use_agents(core: Core) -> None:
    session = Sessions(core).open(declared(core).id, tuner="random")
    tuning(core).start(session.id)
    tuning(core).submit(session.id, CONFIGURATION)
    agents = Agents(core, Tokens(core), Deadlines(core), StoppingRules(core), Crews(core, Tokens(core)))
    agent_id, _ = agents.add("one", 1)
    job = agents.claim(agent_id)
    assert job is not None
    agents.finish(job.job_id, job.attempt, Outcome.COMPLETED, agent_id=agent_id)


def use_transfer(core: Core) -> None:
    study = declared(core)
    outline = Transfer(core).export(study.id, "pilot", "researcher")
    assert list(Transfer(core).chunks(outline)) == []
    assert [event.kind for event in Transfer(core).happened(outline)] == ["declared", "published"]


@pytest.mark.parametrize(
    "use",
    [
        use_tokens,
        use_studies,
        use_sessions,
        use_tuning,
        use_participants,
        use_evaluations,
        use_interventions,
        use_agents,
        use_transfer,
    ],
    ids=lambda use: use.__name__,
)
def test_a_service_works_alone_on_a_core(core: Core, use: Callable[[Core], None]) -> None:
    use(core)


def test_no_module_of_the_lab_uses_anothers_private_names() -> None:
    used = []
    for path in sorted((PACKAGE / "lab").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                    used.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
            elif isinstance(node, ast.ImportFrom):
                used += [f"{path.name}:{node.lineno} {name.name}" for name in node.names if name.name.startswith("_")]
    assert used == []


def test_no_service_is_made_of_another(lab: Lab) -> None:
    classes = [
        node
        for path in (PACKAGE / "lab").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    services = {"Lab", *(type(service).__name__ for service in vars(lab).values())}
    assert services <= {node.name for node in classes}
    assert {node.name: node.bases for node in classes if node.name in services and node.bases} == {}


# Each change of a session appends an event of it


def trial_of(session: Session) -> Trial:
    return Trial(0, session.id, 2, CONFIGURATION, "random", 1.0, 2)


def intervention() -> Intervention:
    return Intervention(1.0, "researcher", "took over", reason="")


CHOICE = FinalChoice(1.0, None, None, True)


def reopened(tx: Connection, session: Session) -> None:
    sessions.choose(tx, session.id, CHOICE, None)
    sessions.reopen(tx, session, 2.0)


Change = Callable[[Connection, Session, jobs.Job], object]
CHANGES: dict[str, Change] = {
    "sessions.add_trial": lambda tx, session, job: sessions.add_trial(tx, trial_of(session), None),
    "sessions.pause": lambda tx, session, job: sessions.pause(tx, session.id, "a fire alarm", 1.0),
    "sessions.end_pause": lambda tx, session, job: sessions.end_pause(tx, session.id, 2.0),
    "sessions.extend": lambda tx, session, job: sessions.extend(tx, session.id, Extension(60, "a fire alarm")),
    "sessions.intervene": lambda tx, session, job: sessions.intervene(tx, session.id, intervention()),
    "sessions.choose": lambda tx, session, job: sessions.choose(tx, session.id, CHOICE, None),
    "sessions.reopen": lambda tx, session, job: reopened(tx, session),
    "sessions.add_earlier": lambda tx, session, job: sessions.add_earlier(tx, session.id, [EarlierChoice(CHOICE, 2.0)]),
    "sessions.erase": lambda tx, session, job: sessions.erase(tx, session.id),
    "jobs.add": lambda tx, session, job: jobs.add(tx, session.id, 1, 1.0, index=0),
    "jobs.lease": lambda tx, session, job: jobs.lease(tx, job, jobs.Taker(1, 2.0, None), 1.0),
    "jobs.end_attempt": lambda tx, session, job: jobs.end_attempt(tx, job, 1.0, "lost", True),
    "jobs.finish": lambda tx, session, job: jobs.finish(tx, job, 1.0, Outcome.COMPLETED, None),
    "jobs.note_held": lambda tx, session, job: jobs.note_held(tx, job, True, 1.0),
    "jobs.ask_to_stop": lambda tx, session, job: jobs.ask_to_stop(tx, job, Stopper.TUNER),
}
SILENT = {
    "sessions.add",  # a session that is made: nobody has read it
    "sessions.attended",  # of the session's own row, as
    "sessions.update_facts",  # of the session's own row, which is read each time
    "sessions.delete_parts",  # by `erase`, and where a session goes with all its events
    "jobs.renew",  # leases are no part of a session
    "jobs.renew_all",
    "jobs.append",  # what an open trial measures is read each time
    "jobs.delete_points",
    "jobs.add_agent",  # agents are no part of a session
    "jobs.agent_seen",
    "jobs.update_agent",
}


@pytest.fixture
def paused(lab: Lab) -> tuple[Session, jobs.Job]:
    """A paused session with a trial that trains, and the trial's job."""
    agent_id, _ = lab.agents.add("one", 1)
    session = started(lab, toy_study(lab))
    lab.submit(session.id, CONFIGURATION)
    lab.claim(agent_id)
    lab.sessions.pause([session.id], "a fire alarm")
    with lab.core.read() as tx:
        return session, jobs.unfinished(tx, session.id)[0]


def rows(lab: Lab) -> list[Any]:
    """All rows of what changes belong to sessions."""
    parts = (
        tables.trial,
        tables.job,
        tables.attempt,
        tables.pause,
        tables.extension,
        tables.intervention,
        tables.choice,
        tables.earlier_choice,
    )
    with lab.core.read() as tx:
        return [list(tx.execute(select(table))) for table in parts]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_without_an_event_is_undone(lab: Lab, paused: tuple[Session, jobs.Job], name: str) -> None:
    session, job = paused
    before = rows(lab)

    def change(*logged: int) -> None:
        with lab.core.change() as tx:
            CHANGES[name](tx, session, job)
            for session_id in logged:
                events.record(tx, 1.0, "changed", session_id)

    for others in ((), (session.id + 1,)):
        with pytest.raises(AssertionError, match=f"session {session.id}: .* appended no event"):
            change(*others)
    assert rows(lab) == before
    change(session.id)
    assert rows(lab) != before


def test_writes_that_are_committed_together_answer_each_for_its_own(lab: Lab, paused: tuple[Session, jobs.Job]) -> None:
    session, job = paused
    silent, logged = CHANGES["sessions.extend"], CHANGES["jobs.ask_to_stop"]
    results = list[object]()

    def write(change: Change, logs: bool) -> None:
        def work(tx: Connection) -> None:
            change(tx, session, job)
            if logs:
                events.record(tx, 1.0, "of it", session.id)

        try:
            results.append(lab.core.together(work))
        except AssertionError as error:
            results.append(error)

    threads = [threading.Thread(target=write, args=arguments) for arguments in ((logged, True), (silent, False), (logged, True))]
    with lab.core.change():
        for thread in threads:
            thread.start()
        wait_for(lambda: len(lab.core.store._works), "all three wait, and are done in one turn", lambda count: count == 3)
    for thread in threads:
        thread.join()
    assert sorted(type(result).__name__ for result in results) == ["AssertionError", "NoneType", "NoneType"]
    assert lab.sessions.get(session.id).extensions == ()
    assert lab.sessions.get(session.id).trials[0].stop_by is Stopper.TUNER


@pytest.mark.parametrize("module", ["sessions", "jobs"])
def test_every_function_that_writes_a_part_of_a_session_is_held_to_that(module: str) -> None:
    tree = ast.parse((PACKAGE / "store" / f"{module}.py").read_text(encoding="utf-8"))
    statements = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _writes(node.value, set())
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    writing = {f"{module}.{node.name}" for node in functions if _writes(node, statements)}
    known = {name for name in (*CHANGES, *SILENT) if name.startswith(f"{module}.")}
    assert writing | {"sessions.erase"} & known == known


def _writes(node: ast.AST, statements: set[str]) -> bool:
    names = {"insert", "update", "delete", "inserted", "_updating", *statements}
    used = {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Name | ast.Attribute)
    }
    return bool(used & names)


# What an app holds


def test_what_an_app_holds_is_read_in_one_place() -> None:
    reading = [
        path.name
        for path in sorted((PACKAGE / "web").rglob("*.py"))
        if re.search(r"app\.state\b", path.read_text(encoding="utf-8"))
    ]
    assert reading == ["state.py"]
