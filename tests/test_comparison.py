"""`evenhand compare` end to end: paired runs through the lab's verbs, in processes, killed and resumed, with people beside."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import tasks
from evenhand.errors import InvalidSettings, Refused
from evenhand.experiments import compare
from evenhand.experiments.compare import ComparisonPlan, contestant, labelled, task_spec
from evenhand.lab.lab import Lab
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from tests.components import need
from tests.labs import claim, epoch
from tests.waiting import wait_for

need("tables")
CAR = task_spec("table[table=hpobench-car]")
ROOT = Path(__file__).parents[1]


def plan(*methods: str, seeds: int = 2, trials: int = 6, spec: TaskSpec = CAR, test_seeds: int = 0) -> ComparisonPlan:
    return ComparisonPlan(
        (spec,), tuple(contestant(method) for method in methods), tuple(range(seeds)), Budget(trials=trials), test_seeds
    )


@pytest.mark.parametrize("typed", ["random:", "", "mine=", "=random", ":startup=5"])
def test_methods_with_an_empty_part_are_refused(typed: str) -> None:
    with pytest.raises(InvalidSettings, match="with nothing left empty"):
        contestant(typed)


def test_texts_become_contestants_and_tasks() -> None:
    assert contestant("tpe").method == {"name": "tpe"}
    assert contestant("tpe:startup=5").label == "tpe:startup=5"
    wide = contestant('wide=tpe:startup=5,stopping="median"')
    assert (wide.label, wide.method) == ("wide", {"name": "tpe", "startup": 5, "stopping": "median"})
    _, listed = labelled('mine=manual:configurations=[{"x": 1, "y": "a,b"}, {"x": 2}]')
    assert listed["configurations"] == [{"x": 1, "y": "a,b"}, {"x": 2}]
    assert task_spec("sklearn[model=svm,data=iris]") == TaskSpec("sklearn", {"model": "svm", "data": "iris"})
    assert task_spec("examples/digits_mlp.py:train") == TaskSpec("examples/digits_mlp.py:train")
    with pytest.raises(InvalidSettings, match="expected NAME or NAME"):
        task_spec("table[table=hpobench-car")


@pytest.mark.slow
def test_runs_are_paired_and_played_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    progress: list[compare.ComparisonProgress] = []
    wanted = plan("random", "again=random", "tpe:startup=3")
    runs = compare.run(url, wanted, processes=1, tell=progress.append)
    assert (progress[0].runs, progress[-1].runs, progress[-1].planned) == (0, 6, 6)
    result = compare.comparison(url, runs)
    by = {(entry.contestant, entry.seed): entry.session for entry in result.entries}
    for seed in (0, 1):
        first, second, third = (by[name, seed] for name in ("random", "again", "tpe:startup=3"))
        assert [trial.configuration for trial in first.trials] == [trial.configuration for trial in second.trials]
        assert [trial.configuration for trial in third.trials[:3]] == [trial.configuration for trial in first.trials[:3]]
        assert first.tuning_seed == third.tuning_seed
        assert {len(session.trials) for session in (first, second, third)} == {6}
        assert first.choice is not None
    assert by["random", 0].tuning_seed != by["random", 1].tuning_seed
    scale = result.scales["hpobench-car"]
    assert scale.best is not None
    assert scale.best >= 0.99
    again = compare.run(url, wanted, processes=1)
    assert [run.session_id for run in again] == [run.session_id for run in runs]
    assert compare.comparison(url, again) == result


@pytest.mark.slow
@pytest.mark.kill
def test_killed_on_the_way_it_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """SIGKILL to the command and its processes, twice; every trial of the calm run is there once."""
    calm = f"sqlite:///{tmp_path / 'calm.sqlite'}"
    hurried = f"sqlite:///{tmp_path / 'hurried.sqlite'}"
    options = ["--task", "table[table=hpobench-car]", "--method", "random", "--method", "tpe:startup=3", "--seeds", "2"]
    command = [
        sys.executable,
        "-m",
        "evenhand.cli.main",
        "compare",
        *options,
        "--trials",
        "25",
        "--test-seeds",
        "0",
        "--processes",
        "2",
    ]
    environment = {**os.environ, "EVENHAND_LEASE": "1"}
    for _ in range(2):
        started = subprocess.Popen([*command, "--db", hurried], cwd=ROOT, env=environment, start_new_session=True, stderr=-3)
        before = trials_in(hurried)
        wait_for(partial(comes_to, hurried, before + 12, started), "twelve trials more, or the end")
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    for url in (calm, hurried):
        out = ["--db", url, "--out", str(tmp_path / f"{url[-8:]}.html")]
        subprocess.run([*command, *out], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert told(hurried) == told(calm)


def comes_to(url: str, count: int, process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is not None or trials_in(url) >= count


def trials_in(url: str) -> int:
    if not Path(url.removeprefix("sqlite:///")).exists():
        return 0
    lab = Lab.connect(url)
    try:
        return sum(len(session.trials) for study in lab.studies.all() for session in lab.sessions.of_study(study.id))
    finally:
        lab.close()


def told(url: str) -> list[str]:
    lab = Lab.connect(url)
    try:
        sessions = [session for study in lab.studies.all() for session in lab.sessions.of_study(study.id)]
        rows = [
            [
                session.tuner,
                session.tuning_seed,
                trial.number,
                dict(trial.configuration),
                trial.value,
                trial.outcome,
                trial.explanation,
            ]
            for session in sessions
            for trial in session.trials
        ]
        return sorted(json.dumps(row) for row in rows)
    finally:
        lab.close()


@pytest.mark.slow
def test_test_scores_are_of_ten_common_seeds_and_each_look_is_logged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    spec = task_spec("sklearn[model=knn,data=iris]")
    runs = compare.run(url, plan("random", "sobol", seeds=1, trials=2, spec=spec, test_seeds=10), processes=1)
    entries = compare.comparison(url, runs).entries
    seeds = [[score.seed for score in entry.evaluation.scores] for entry in entries if entry.evaluation]
    assert len(seeds) == 2
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 10
    lab = Lab.connect(url)
    assert [who for who, _ in lab.evaluations.looks(entries[0].session.id)] == ["evenhand compare"]
    lab.close()


@pytest.mark.slow
def test_people_and_bots_enter_from_their_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    runs = compare.run(url, plan("random", seeds=1, trials=3), processes=1)
    lab = Lab.connect(url)
    record = lab.studies.add_task(tasks.load(CAR).record)
    study = lab.studies.add(
        Study("people", "People", record.id, Budget(trials=3), 7, *(Text(""),) * 3, evaluation_seeds=0, machines="any")
    )
    _, (token,) = lab.participants.invite(study.id, "one", kind="single", cap=1)
    person, _ = lab.participants.accept(token)
    session = lab.participants.begin(person.id)
    agent_id, _ = lab.agents.add("a", 1)
    options = {hyperparameter.name: hyperparameter.domain.options[0] for hyperparameter in record.space}  # type: ignore[union-attr]
    lab.submit(session.id, record.space.configuration(options))
    job = claim(lab, agent_id)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.5)])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    lab.choose(session.id, number=1)
    lab.close()
    entries = compare.comparison(url, runs, ["people"]).entries
    assert [(entry.contestant, entry.kind, entry.task) for entry in entries] == [
        ("random", "method", "hpobench-car"),
        ("people", "person", "hpobench-car"),
    ]
    with pytest.raises(InvalidSettings, match="'nobody' is not here"):
        compare.comparison(url, runs, ["nobody"])
    other = compare.run(url, plan("random", seeds=1, trials=3, spec=task_spec("table[table=hpobench-kc1]")), processes=1)
    with pytest.raises(Refused, match="no session with a trial on any of the compared tasks"):
        compare.comparison(url, other, ["people"])
    with pytest.raises(Refused, match="no session with a trial on any of the compared tasks"):
        compare.open_all(url, [plan("sobol", seeds=1, trials=3, spec=task_spec("table[table=hpobench-kc1]"))], ["people"])
    with pytest.raises(InvalidSettings, match=r"study 'nobody' is not here; expected one of: 'people'$"):  # none of compare's own
        compare.open_all(url, [plan("sobol", seeds=1, trials=3)], ["nobody"])


@pytest.mark.slow
def test_what_cannot_run_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    with pytest.raises(InvalidSettings, match="contestant 'tpe' is there twice"):
        compare.run(url, plan("tpe", "tpe"))
    with pytest.raises(InvalidSettings, match="'asha' trains some configurations longer"):
        compare.run(url, plan("random", "asha"))
    with pytest.raises(InvalidSettings, match="got no seed, expected at least one"):
        compare.run(url, plan("random", seeds=0))
    with pytest.raises(InvalidSettings, match="study 'nobody' is not here"):
        compare.open_all(url, [plan("random")], ["nobody"])
    lab = Lab.connect(url)
    assert lab.studies.all() == []
    lab.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": Budget(trials="3")}, "trials is '3', expected a whole number from 1"),  # type: ignore[arg-type]
        ({"budget": Budget(seconds=float("nan"))}, "seconds is nan, expected a finite number above 0"),
        ({"budget": Budget()}, "no cap given"),
        ({"seeds": ("1",)}, "seed is '1', expected a whole number"),
        ({"evaluation_seeds": -1}, "evaluation_seeds is -1, expected a whole number from 0"),
    ],
)
def test_a_plan_with_what_is_no_number_is_refused(changes: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"tasks": (), "contestants": (), "seeds": (0,), "budget": Budget(trials=1)}
    with pytest.raises(InvalidSettings, match=words):
        ComparisonPlan(**{**whole, **changes})


def test_a_plan_takes_numbers_of_numpy() -> None:
    plan = ComparisonPlan((), (), tuple(np.arange(2)), Budget(trials=np.int64(3)))  # type: ignore[arg-type]
    assert plan == ComparisonPlan((), (), (0, 1), Budget(trials=3))
    assert [type(seed) for seed in plan.seeds] == [int, int]
