"""What trainings' numbers hang on: measured, said, recorded with each attempt, pinned by a published study, told in reports."""

import csv
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from evenhand.analysis.cohort import cohort
from evenhand.analysis.environments import strata, where_trained
from evenhand.errors import InvalidSettings, NotFound, Refused
from evenhand.exchange import archive, backup, codebook
from evenhand.experiments import replay
from evenhand.experiments.replay import Mismatch, Replay
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.model.archive import Archive
from evenhand.model.environment import Environment, StatedEnvironment, pin, why_no_kind, why_refused
from evenhand.model.job import pinned_away
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study
from evenhand.model.trial import Outcome
from evenhand.report import study as study_report
from evenhand.runners import agent as agents
from evenhand.runners.agent import Patience, run_agent
from evenhand.studies import alerts
from evenhand.tasks import machine
from evenhand.web.app import create_app
from tests import archives, exported
from tests.agents import ended, opened, record_of, submit
from tests.components import DATABASES
from tests.labs import HERE, SPACE, Clock, claim, database, epoch, make_lab, started, toy_study
from tests.waiting import wait_for
from tests.web import listening

CONFIGURATION = SPACE.configuration({"epochs": 2})
OLD_TORCH = replace(HERE, torch="2.9.1+cpu")
MAC = replace(HERE, machine="ARM64", system="Darwin", engine=None)


@pytest.fixture(params=DATABASES)
def lab_and_clock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    with database(request.param, tmp_path) as url:
        lab, clock = make_lab(url)
        yield lab, clock
        lab.close()


@pytest.fixture
def lab(lab_and_clock: tuple[Lab, Clock]) -> Lab:
    return lab_and_clock[0]


def agent_of(lab: Lab, name: str, environment: Environment | None) -> int:
    """An agent that has said hello."""
    agent, _ = lab.agents.add(name, 1)
    lab.hello(agent, slots=1, machine="m", name=name, environment=environment)
    return agent


def pinned_study(lab: Lab, like: str = "", budget: Budget | None = None) -> Study:
    """A study that was published while the agents that are connected now were."""
    study = replace(toy_study(lab, budget), machines="alike")
    return lab.studies.publish(lab.studies.declare(replace(study, name=f"{study.name} pinned")).id, "go", like)


# This machine


def test_this_machine_is_measured_without_loading_what_trains() -> None:
    code = "import json, sys; from evenhand.model import codec; from evenhand.tasks import machine; "
    code += "print(json.dumps(codec.to_json(machine.here()))); "
    code += "sys.exit(bool({'torch', 'sklearn', 'scipy'} & sys.modules.keys()))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == asdict(machine.here())
    here = machine.here()
    assert here.python == sys.version.split()[0].rstrip("+")
    assert here.numpy == machine.packages()["numpy"]
    assert here.system == "Linux"


@pytest.mark.parametrize(
    ("architecture", "facts", "kind"),
    [
        (
            "x86_64",
            "vendor_id : GenuineIntel\nflags : avx2 fma avx512f avx512_bf16 amx_tile",
            "x86-64 with AVX-512 and AMX (Intel)",
        ),
        ("x86_64", "vendor_id : AuthenticAMD\nflags : avx2 fma avx512f avx512_bf16", "x86-64 with AVX-512 and BF16 (AMD)"),
        ("AMD64", "vendor_id : GenuineIntel\nflags : fma avx512f avx512bw avx512vl avx512dq avx2", "x86-64 with AVX-512 (Intel)"),
        ("x86_64", "vendor_id : AuthenticAMD\nflags : avx avx2 fma", "x86-64 with AVX2 (AMD)"),
        ("x86_64", "vendor_id : AuthenticAMD\nflags : avx avx2", "x86-64 with AVX (AMD)"),
        ("x86_64", "vendor_id : HygonGenuine\nflags : sse2", "x86-64 with SSE (HygonGenuine)"),
        ("aarch64", "Features : asimd sve sve2", "ARM64 with SVE2"),
        ("arm64", "Features : asimd", "ARM64 with NEON"),
        ("riscv64", "isa : rv64imafdc", "riscv64"),
    ],
)
def test_the_kind_of_processor_is_what_libraries_choose_their_code_by(
    architecture: str, facts: str, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{facts}\n\nprocessor : 1\nflags :\n")
    assert machine.kind_of(architecture, tmp_path / "cpuinfo") == kind
    assert machine.kind_of(architecture, tmp_path / "none") == kind.partition(" with")[0]


@pytest.mark.parametrize(
    ("stated", "visible", "expected"),
    [
        ("NVIDIA H100 80GB HBM3, 550.54.15", None, ("NVIDIA H100 80GB HBM3", "550.54.15")),
        ("NVIDIA L4, 550.54\nNVIDIA H100, 550.54\nNVIDIA L4, 550.54", "0,1", ("NVIDIA H100 and NVIDIA L4", "550.54")),
        ("NVIDIA L4, 550.54", "", (None, None)),
        ("No devices were found", None, (None, None)),
    ],
)
def test_the_accelerator_is_what_nvidias_program_says_of_those_that_may_be_used(
    stated: str, visible: str | None, expected: tuple[str | None, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{stated}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine._accelerator() == expected


# Kinds, and the rule of pinning


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"torch": "2.13.2+cu126", "numpy": "2.3.9", "python": "3.11.2"}, ()),
        ({"torch": "2.1.0"}, ("torch",)),
        ({"torch": "3.13.0"}, ("torch",)),
        ({"torch": None}, ("torch",)),
        ({"numpy": "1.26.4", "scikit_learn": "1.8.0", "scipy": "1.17.0"}, ("numpy", "scipy", "scikit_learn")),
        ({"python": "3.12.7"}, ("python",)),
        ({"engine": "ba9876543210"}, ("engine",)),
        ({"machine": "x86-64 with AVX2 (Intel)"}, ("machine",)),
        ({"system": "Darwin"}, ("system",)),
        ({"accelerator": "NVIDIA L4", "driver": "550.54"}, ("accelerator", "driver")),
    ],
)
def test_an_environment_is_of_another_kind_where_what_a_study_pins_differs(
    changed: dict[str, str | None], names: tuple[str, ...]
) -> None:
    other = replace(HERE, **changed)  # type: ignore[arg-type]
    assert HERE.differing(other) == other.differing(HERE) == names
    assert (HERE.kind == other.kind) is (not names)
    assert HERE.key != other.key
    assert set(HERE.differing(other, exactly=True)) == set(changed)
    why = why_refused(HERE, StatedEnvironment("lab-2", other))
    assert why == (f"the study is pinned to {HERE.words(names)}; agent lab-2 has {other.words(names)}" if names else "")


def test_words_name_both() -> None:
    why = why_refused(HERE, StatedEnvironment("lab-2", replace(OLD_TORCH, machine="ARM64", engine=None)))
    assert why == (
        "the study is pinned to PyTorch 2.13.0+cpu, compiled engine 0123456789ab, x86-64 with AVX-512 (Intel); "
        "agent lab-2 has PyTorch 2.9.1+cpu, no compiled engine, ARM64"
    )
    assert "agent old says nothing of its versions and its machine" in why_refused(HERE, StatedEnvironment("old", None))


def test_a_study_is_pinned_to_what_all_agents_have_else_somebody_chooses() -> None:
    one, other, silent = StatedEnvironment("one", HERE), StatedEnvironment("two", OLD_TORCH), StatedEnvironment("old", None)
    assert pin([], MAC) == MAC
    assert pin([one, StatedEnvironment("three", replace(HERE, torch="2.13.5"))], MAC) == HERE
    assert why_no_kind([]) == why_no_kind([one]) == ""
    with pytest.raises(Refused, match=r"agent one has PyTorch 2\.13\.0\+cpu, agent two has PyTorch 2\.9\.1\+cpu"):
        pin([one, other], HERE)
    with pytest.raises(Refused, match="agent old says nothing"):
        pin([one, silent], HERE)
    assert pin([one, other, silent], MAC, "two") == OLD_TORCH
    with pytest.raises(Refused, match="agent old: it says nothing"):
        pin([one, silent], HERE, "old")
    with pytest.raises(Refused, match="no agent 'four' is connected"):
        pin([one, other], HERE, "four")


# In the lab


def test_each_attempt_keeps_where_it_was_trained(lab: Lab) -> None:
    session = started(lab, toy_study(lab, Budget(trials=3)))
    first, second = agent_of(lab, "a", HERE), agent_of(lab, "b", OLD_TORCH)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, first)
    assert lab.sessions.get(session.id).trials[0].environment == HERE.key
    lab.release(job.job_id, 1, "lost")
    assert lab.sessions.get(session.id).trials[0].environment is None
    job = claim(lab, second)
    lab.finish(job.job_id, 2, Outcome.COMPLETED, batch=[epoch(0, 1, 0.5), epoch(1, 2, 0.6)])
    trial = lab.sessions.get(session.id).trials[0]
    assert trial.environment == OLD_TORCH.key
    assert lab.agents.environment(OLD_TORCH.key) == OLD_TORCH
    lab.choose(session.id, number=1)
    for agent in (first, agent_of(lab, "silent", None)):
        job = claim(lab, agent)
        lab.finish(job.job_id, 1, Outcome.COMPLETED, batch=[epoch(0, 1, 0.5)])
    lab.evaluations.reveal(session.id, "w")
    assert [score.environment for score in lab.evaluations.get(session.id, "w").scores] == [HERE.key, None]
    assert lab.agents.environments() == {environment.key: environment for environment in (HERE, OLD_TORCH)}
    with pytest.raises(NotFound, match="environment 'x'"):
        lab.agents.environment("x")


def test_an_environment_is_stored_once_and_the_lab_knows_it_after_a_restart(
    lab_and_clock: tuple[Lab, Clock], tmp_path: Path
) -> None:
    lab, clock = lab_and_clock
    agent = agent_of(lab, "a", HERE)
    agent_of(lab, "b", HERE)
    study = pinned_study(lab)
    session = started(lab, study)
    other, other_clock = make_lab(lab.core.store.url)
    other_clock.now = clock.now
    other.submit(session.id, CONFIGURATION)
    assert other.claim(agent) is not None  # though it said hello to the server before
    assert len(other.agents.environments()) == 1
    other.close()


def test_a_pinned_study_takes_claims_of_its_kind_only_and_says_why(lab_and_clock: tuple[Lab, Clock]) -> None:
    lab, clock = lab_and_clock
    fitting = agent_of(lab, "fits", HERE)
    study = pinned_study(lab, budget=Budget(trials=9))
    assert study.environment == HERE
    clock.now += 60  # it ends silently
    others = {name: agent_of(lab, name, said) for name, said in (("torch", OLD_TORCH), ("mac", MAC), ("old", None))}
    session = started(lab, study)
    lab.submit(session.id, CONFIGURATION)
    assert [lab.claim(agent) for agent in others.values()] == [None] * 3
    assert [lab.claim(agent, session_id=session.id) for agent in others.values()] == [None] * 3
    waiting = lab.view(session.id).waiting
    assert waiting is not None
    assert waiting.slots == 0 or waiting.expected_seconds is None
    for name in others:
        (why,) = lab.refusals(others[name])
        assert why.startswith(f"study {study.name!r}: the study is pinned to ")
        assert f"agent {name} " in why
        assert f"agent {name} " in waiting.why
    assert list(pinned_away(study.environment, lab.agents.all())) == list(others.values())
    assert lab.refusals(fitting) == ()
    free = started(lab, toy_study(lab))
    lab.submit(free.id, CONFIGURATION)
    assert claim(lab, others["old"]).label == f"session {free.id} trial 1"  # what is not pinned is trained meanwhile
    lab.hello(others["torch"], slots=1, machine="m", environment=replace(HERE, torch="2.13.9"))  # it was brought up to date
    job = claim(lab, others["torch"])
    assert job.label == f"session {session.id} trial 1"
    lab.finish(job.job_id, 1, Outcome.COMPLETED, batch=[epoch(0, 1, 0.5), epoch(1, 2, 0.6)])
    lab.choose(session.id, number=1)
    assert lab.claim(others["mac"]) is None  # evaluations, too
    assert lab.claim(others["torch"]) is not None


def test_slots_of_agents_that_are_refused_do_not_count(lab: Lab) -> None:
    agent_of(lab, "fits", HERE)
    study = pinned_study(lab, budget=Budget(trials=9, parallel=2))
    agent_of(lab, "mac", MAC)
    session = started(lab, study)
    for _ in range(2):
        lab.submit(session.id, CONFIGURATION)
    lab.claim(lab.agents.all()[0].id)
    waiting = lab.view(session.id).waiting
    assert waiting is not None
    assert (waiting.slots, waiting.why) == (1, "all 1 training slots are busy")


def test_drafts_practice_and_studies_for_any_machine_are_not_pinned(lab: Lab) -> None:
    mac, here = agent_of(lab, "mac", MAC), agent_of(lab, "here", HERE)
    anywhere = toy_study(lab)
    assert (anywhere.machines, anywhere.environment) == ("any", None)
    draft = lab.studies.declare(replace(anywhere, name="draft", machines="alike"))
    study = pinned_study(lab, like="here")
    for kept in (anywhere, draft):
        session = started(lab, kept)
        lab.submit(session.id, CONFIGURATION)
        assert claim(lab, mac).label == f"session {session.id} trial 1"
    person, _ = lab.participants.join(study.id)
    practice = lab.participants.open_practice(person.id, lab.studies.task_of(study.id), Budget(trials=2))
    lab.submit(practice.id, CONFIGURATION)
    assert claim(lab, mac).label == f"session {practice.id} trial 1"
    amended = lab.studies.declare(replace(study, title="Amended"))
    assert (amended.version, amended.environment) == (2, None)
    assert lab.studies.publish(study.id, "anew", "mac").environment == MAC
    assert [version.environment for version in lab.studies.versions(study.id)] == [HERE, MAC]
    session = started(lab, lab.studies.get(study.id))
    lab.submit(session.id, CONFIGURATION)
    assert lab.claim(here) is None
    assert claim(lab, mac).label == f"session {session.id} trial 1"


def test_publishing_is_refused_where_agents_differ_and_nobody_chose(lab: Lab) -> None:
    agent_of(lab, "one", HERE)
    agent_of(lab, "two", OLD_TORCH)
    draft = lab.studies.declare(replace(toy_study(lab), name="draft", machines="alike"))
    with pytest.raises(Refused, match="agent one has PyTorch"):
        lab.studies.publish(draft.id, "go")
    assert lab.studies.versions(draft.id)[-1].published_at is None
    assert lab.studies.publish(draft.id, "go", "two").environment == OLD_TORCH


def test_a_study_is_pinned_to_this_machine_where_no_agent_is_connected(lab: Lab) -> None:
    assert pinned_study(lab).environment == machine.here()


def test_a_restored_backup_keeps_environments_and_those_of_connected_agents(lab: Lab, tmp_path: Path) -> None:
    agent = agent_of(lab, "a", HERE)
    session = started(lab, toy_study(lab, Budget(trials=5)))
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.finish(job.job_id, 1, Outcome.COMPLETED, batch=[epoch(0, 2, 0.5)])
    path = backup.make(lab, tmp_path, tmp_path)
    lab.hello(agent, slots=1, machine="m", environment=OLD_TORCH)
    newer = agent_of(lab, "b", MAC)
    backup.restore(lab, backup.Backup(path), tmp_path)
    assert lab.sessions.get(session.id).trials[0].environment == HERE.key
    for who, place in ((agent, OLD_TORCH), (newer, MAC)):
        trial = lab.submit(session.id, CONFIGURATION)
        job = claim(lab, who)
        lab.finish(job.job_id, 1, Outcome.COMPLETED, batch=[epoch(0, 2, 0.5)])
        assert lab.sessions.get(session.id).trials[trial.number - 1].environment == place.key
    other, _ = make_lab(lab.core.store.url)
    assert {agent.name: agent.environment for agent in other.agents.all(within=1e12)}["a"] == OLD_TORCH
    other.close()


# A real agent over HTTP


@pytest.mark.slow
def test_an_agent_says_what_it_has_and_logs_what_refuses_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    _, token = lab.agents.add("far", 1)
    kept = lab.studies.add_task(record_of("steady"))
    base = replace(toy_study(lab, Budget(trials=9)), task_id=kept.id, machines="alike", evaluation_seeds=0)
    elsewhere = agent_of(lab, "elsewhere", replace(machine.here(), torch="1.0.0"))
    refusing = lab.studies.publish(lab.studies.declare(replace(base, name="elsewhere")).id, "go")
    lab.goodbye(elsewhere)
    session = lab.start(lab.sessions.open(refusing.id, tuner="t", driver="test").id)
    submit(lab, session, epochs=1)
    stop = threading.Event()
    with listening(create_app(lab, data_dir=tmp_path)) as url, Client(url, token) as client, caplog.at_level(logging.WARNING):
        options = {"slots": 1, "name": "far", "stop": stop, "patience": Patience(idle=1e9)}
        agent = threading.Thread(target=run_agent, args=(client,), kwargs=options)
        agent.start()
        try:
            said = wait_for(lambda: [agent for agent in lab.agents.all() if agent.name == "far"], "a hello")
            assert said[0].environment == machine.here()
            words = "a claim is refused: study 'elsewhere': the study is pinned to PyTorch 1.0.0; agent far has "
            wait_for(lambda: f"{words}PyTorch {machine.here().torch}" in caplog.text, "the agent logs it")
            fitting = lab.studies.publish(lab.studies.declare(replace(base, name="here")).id, "go")
            taken = lab.start(lab.sessions.open(fitting.id, tuner="t", driver="test").id)
            submit(lab, taken, epochs=1)
            trial = ended(lab, taken, 1)
            assert (trial.outcome, trial.environment) == (Outcome.COMPLETED, machine.here().key)
            assert lab.sessions.get(session.id).trials[0].attempt == 0
        finally:
            stop.set()
            agent.join()
    assert caplog.text.count("a claim is refused") == 1
    lab.close()


def test_a_hello_without_an_environment_is_an_older_agents(tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    agent, token = lab.agents.add("old", 1)
    with listening(create_app(lab, data_dir=tmp_path)) as url, Client(url, token) as client:
        client.hello(slots=1, machine="m", environment=HERE)
        assert lab.agents.all()[0].environment == HERE
        client._post("/api/agent/hello", slots=1, machine="m", name="old")
        assert lab.agents.all()[0].environment is None
        with pytest.raises(InvalidSettings, match=r"Environment\.python"):
            client._post("/api/agent/hello", slots=1, machine="m", environment={**asdict(HERE), "python": 3})
        lab.hello(agent, slots=1, machine="m", environment=HERE)
        study = pinned_study(lab)
        client._post("/api/agent/hello", slots=1, machine="m", name="old")
        session = started(lab, study)
        lab.submit(session.id, CONFIGURATION)
        assert client.claim() is None
        assert "agent old says nothing of its versions and its machine" in client.refusals()[0]
    lab.close()


class OlderServer(Client):
    """What an agent gets of a server that does not know the verb."""

    def refusals(self, agent_id: int = 0) -> tuple[str, ...]:
        return tuple(self._post("/api/agent/a-verb-of-tomorrow")["refusals"])


@pytest.mark.slow
def test_an_agent_goes_on_claiming_where_its_server_does_not_know_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "evenhand.runners.agent")
    monkeypatch.setattr(agents, "HEED_SECONDS", 0.0)
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    session = opened(lab, record_of("steady"), seeds=0)
    _, token = lab.agents.add("newer", 1)
    stop = threading.Event()
    with listening(create_app(lab, data_dir=tmp_path)) as url, OlderServer(url, token) as client:
        agent = threading.Thread(
            target=run_agent, args=(client,), kwargs={"slots": 1, "stop": stop, "patience": Patience(idle=1e9)}
        )
        agent.start()
        try:
            wait_for(lambda: "which studies refuse this agent is not known" in caplog.text, "the agent asks in vain")
            submit(lab, session, epochs=1)
            assert ended(lab, session, 1).outcome is Outcome.COMPLETED
        finally:
            stop.set()
            agent.join()
    lab.close()


# Told


def test_an_alert_says_that_no_connected_agent_fits(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    agent_of(lab, "fits", HERE)
    study = pinned_study(lab, budget=Budget(trials=9))
    up_since = clock.now
    clock.now += 60
    mac = agent_of(lab, "mac", MAC)
    session = started(lab, study)
    lab.submit(session.id, CONFIGURATION)

    def alerted() -> list[str]:
        lab.hello(mac, slots=1, machine="m", environment=MAC)
        facts = alerts.facts_of(lab, tmp_path, up_since)
        return [alert.words for alert in alerts.alerts(facts, clock.now) if alert.kind == "refused agents"]

    assert alerted() == []
    clock.now += alerts.UNFITTING_SECONDS + 1
    assert alerted() == [why_refused(HERE, StatedEnvironment("mac", MAC))]
    agent_of(lab, "fits again", replace(HERE, torch="2.13.1"))
    assert alerted() == []
    lab.close()


def trained_by(records: Archive, places: dict[int, str | None]) -> Archive:
    """The archive with every trial and seed of a session trained in one place."""

    def session(recorded: Session) -> Session:
        return replace(recorded, trials=tuple(replace(trial, environment=places.get(recorded.id)) for trial in recorded.trials))

    evaluations = {
        key: replace(evaluation, scores=tuple(replace(score, environment=places.get(key)) for score in evaluation.scores))
        for key, evaluation in records.evaluations.items()
    }
    known = {environment.key: environment for environment in (HERE, MAC)}
    return replace(records, sessions=tuple(map(session, records.sessions)), evaluations=evaluations, environments=known)


@pytest.mark.slow
def test_the_report_counts_by_environment_and_tells_their_scores_apart() -> None:
    people = [
        archives.Person(0, (0.2, 0.4), (0.5, 0.7)),
        archives.Person(5, (0.6,), (0.3, 0.3)),
        archives.Person(9, (0.1, None, 0.5), (0.9,)),
    ]
    study = replace(archives.STUDY, machines="any")
    records = trained_by(archives.archive(people, study), {1: HERE.key, 2: MAC.key, 3: HERE.key})
    counted = where_trained(records.sessions, records.evaluations)
    assert [(place.key, place.trials, place.seeds) for place in counted] == [(HERE.key, 5, 3), (MAC.key, 1, 2)]
    made = study_report.build(records, "live")
    items = {item.key: item for item in made.items}
    first, second = items["trained-in"], items["strata"]
    assert first.table is not None
    assert second.table is not None
    rows = list(csv.reader(io.StringIO(first.table.csv())))[1:]
    assert rows == [[HERE.words(), "5", "3"], [MAC.words(), "1", "2"]]
    (here, mac) = strata(cohort(records, "live"), records.evaluations)
    assert here.validation.count == 2
    assert here.validation.mean == pytest.approx(0.45)
    assert here.test.count == 2
    assert here.test.mean == pytest.approx(0.75)
    assert mac.validation.count == 1
    assert mac.test.mean == pytest.approx(0.3)
    assert len(list(csv.reader(io.StringIO(second.table.csv())))) == 3


def test_the_value_of_a_trial_that_turned_out_invalid_is_nobodys_best() -> None:
    trained = trained_by(archives.archive([archives.Person(0, (0.2, 0.9))]), {1: HERE.key})
    (session,) = trained.sessions
    trials = (session.trials[0], replace(session.trials[1], outcome=Outcome.INVALID))
    trained = replace(trained, sessions=(replace(session, trials=trials),))
    (stratum,) = strata(cohort(trained, "live"), trained.evaluations)
    assert stratum.trials == 2
    assert stratum.validation.mean == pytest.approx(0.2)


@pytest.mark.slow
def test_a_pinned_study_with_one_kind_has_no_strata_and_old_records_say_so() -> None:
    records = archives.archive([archives.Person(0, (0.2, 0.4), (0.5,))], replace(archives.STUDY, environment=HERE))
    items = {item.key: item for item in study_report.build(records, "live").items}
    assert "strata" not in items
    assert HERE.words() in items["trained-in"].how
    assert items["trained-in"].table is not None
    assert "not recorded" in items["trained-in"].table.csv()


def replayed(trained_in: Environment | None, replayed_in: Environment) -> str:
    return str(Replay(1, 2, 3, Mismatch(4, "loss", 0.5, 0.25), trained_in, replayed_in))


def test_a_replay_that_does_not_match_says_which_recorded_facts_differ() -> None:
    newer = replace(HERE, torch="2.13.1+cpu", driver="1")
    assert replayed(HERE, newer).endswith(
        "is 0.25 now. It was trained with PyTorch 2.13.0+cpu, no driver; this machine has PyTorch 2.13.1+cpu, driver 1"
    )
    assert f"Nothing that was recorded of where it was trained differs from this machine ({HERE.words()})" in replayed(HERE, HERE)
    assert "Where it was trained was not recorded" in replayed(None, HERE)
    assert "trained with" not in str(Replay(1, 2, 3, None, HERE, newer))


def test_a_replay_reads_where_the_trial_was_trained(tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    kept = lab.studies.add_task(record_of("steady"))
    study = lab.studies.add(replace(toy_study(lab), name="steady", task_id=kept.id))
    session = lab.start(lab.sessions.open(study.id, tuner="t").id)
    submit(lab, session, epochs=1)
    job = claim(lab, agent_of(lab, "far", OLD_TORCH))
    lab.finish(job.job_id, 1, Outcome.COMPLETED, batch=[epoch(0, 1, 0.125)])
    again = replay.replay(lab, session.id, 1)
    assert not again.matches
    assert (again.trained_in, again.replayed_in) == (OLD_TORCH, machine.here())
    assert "It was trained with " in str(again)
    lab.close()


# Out and in


def older(folder: Path) -> None:
    """Make an archive's folder one of the format before environments were in it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for table, columns in codebook.TABLES.items():
        later = {column.name for column in columns if column.since > codebook.OLDEST_FORMAT}
        path = folder / f"{table}.csv"
        with path.open(newline="") as lines:
            rows = list(csv.reader(lines))
        kept = [at for at, name in enumerate(rows[0]) if name not in later]
        text = io.StringIO()
        csv.writer(text).writerows([[row[at] for at in kept] for row in rows])
        path.write_bytes(text.getvalue().encode())
    study = json.loads((folder / "study.json").read_text())
    del study["environments"]
    study["versions"] = [
        {key: value for key, value in version.items() if key not in ("machines", "environment")} for version in study["versions"]
    ]
    (folder / "study.json").write_text(json.dumps(study))
    manifest["format"] = 2
    manifest["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["sha256"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_an_archive_keeps_environments_and_one_of_the_format_before_is_read(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = exported.rich(lab, clock)
    path = exported.write(lab, study, tmp_path / "out")
    records = archive.read(path)
    assert records.environments == {HERE.key: HERE}
    assert {trial.environment for session in records.sessions for trial in session.trials} == {HERE.key}
    other, _ = make_lab(f"sqlite:///{tmp_path / 'other.sqlite'}")
    brought = exported.bring(other, path)
    assert {trial.environment for session in other.sessions.of_study(brought.id) for trial in session.trials} == {HERE.key}
    assert other.agents.environments() == {HERE.key: HERE}
    older(path)
    before = archive.read(path)
    assert before.environments == {}
    assert {trial.environment for session in before.sessions for trial in session.trials} == {None}
    assert [[trial.value for trial in session.trials] for session in before.sessions] == [
        [trial.value for trial in session.trials] for session in records.sessions
    ]
    other.close()
    lab.close()


@pytest.mark.slow
def test_an_archive_that_lacks_an_environment_is_refused(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    path = exported.write(lab, exported.rich(lab, clock), tmp_path / "out")
    study = json.loads((path / "study.json").read_text())
    study["environments"] = {}
    (path / "study.json").write_text(json.dumps(study))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["sha256"]["study.json"] = hashlib.sha256((path / "study.json").read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidSettings, match=f"has no environment '{HERE.key}'"):
        archive.read(path)
    lab.close()
