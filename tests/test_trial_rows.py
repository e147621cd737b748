"""What a run's page asks the database: filters, orders, bests and curves are those that the records themselves give."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, update

from benchmarks.made_runs import EPOCHS, make
from evenhand.analysis.trial_table import (
    BEST,
    OUTCOMES,
    TrialWish,
    cell_words,
    curve_step,
    filter_of,
    reference_number,
    sort_of,
    table_fields,
)
from evenhand.errors import NotFound
from evenhand.lab import trial_rows as lab_trial_rows
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.cost import Cost
from evenhand.model.direction import best_so_far, value_of
from evenhand.model.filters import Field, read_filter
from evenhand.model.run_head import Gain
from evenhand.model.session import Session
from evenhand.model.study import Budget, Until
from evenhand.model.trial import VALUELESS_OUTCOMES, Outcome, Trial
from evenhand.store import events, tables
from evenhand.store import trial_rows as stored_trial_rows
from evenhand.store.cache import changed
from tests.components import DATABASES
from tests.labs import database, make_lab

TRIALS = 60
FILTERS = [
    "accuracy>0.7",
    "accuracy>70% learning_rate<1e-2",
    "value<=0.6 or outcome:diverged",
    "outcome:completed optimizer:adam",
    "-outcome:completed",
    "optimizer!=sgd batch_size>=64",
    "momentum>0.5",
    "-momentum>0.5",
    "augment:true",
    "augment=false layers<4",
    "-nesterov:true",
    "set.dropout<0.2",
    "proposer:method number<=20",
    "time>20s epochs=20",
    "why:made",
    "adam",
    "-adam",
    '"made so" or gelu',
    "layers:abc",
    "layers!=abc",
    "optimizer<5",
]
SORTS = ["value", "-value", "number", "-number", "set.learning_rate", "-set.momentum", "set.optimizer", "-set.augment", "time"]


@pytest.fixture(scope="module", params=DATABASES)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with database(request.param, tmp_path_factory.mktemp("rows")) as url:
        made, _ = make_lab(url)
        make(made, TRIALS, seed=5, name="of many")
        yield made
        made.close()


@pytest.fixture
def session(lab: Lab) -> Session:
    return lab.sessions.get(1)


def shown_value(trial: Trial) -> float | None:
    return None if trial.outcome in VALUELESS_OUTCOMES else trial.value


def facts(session: Session, trial: Trial) -> dict[str, Field]:
    """What a filter can ask of a trial, by the records."""
    values = {name: value if isinstance(value, bool | str) else float(value) for name, value in trial.configuration.items()}
    return {
        **values,
        **{f"set.{name}": value for name, value in values.items()},
        "accuracy": shown_value(trial),
        "value": shown_value(trial),
        "number": float(trial.number),
        "outcome": str(trial.outcome),
        "proposer": "method" if trial.proposer == session.tuner else "person",
        "time": trial.seconds(0),
        "epochs": float(trial.epochs_done),
        "why": trial.why or None,
        "explanation": trial.explanation or None,
    }


def order(lab: Lab, typed: str = "", sort: str = "-number") -> list[int]:
    fields = table_fields(lab.trials.bare(1))
    wanted, problem = filter_of(fields, typed)
    assert problem == ""
    field, descending = sort_of(fields, TrialWish(sort=sort))
    return list(lab.trials.order(1, wanted, field, descending, fields.by_name))


# The order


@pytest.mark.parametrize("typed", FILTERS)
def test_a_filter_lets_through_what_it_does_of_the_records(lab: Lab, session: Session, typed: str) -> None:
    wanted = read_filter(typed, table_fields(session).by_name.keys())
    right = [trial.number for trial in session.trials if wanted.holds(facts(session, trial))]
    assert order(lab, typed) == right[::-1]


def test_filters_are_not_empty_for_nothing(lab: Lab) -> None:
    counts = [len(order(lab, typed)) for typed in FILTERS[:-3]]
    assert all(0 < count < TRIALS for count in counts), dict(zip(FILTERS, counts, strict=False))


@pytest.mark.parametrize("sort", SORTS)
def test_an_order_is_that_of_the_records(lab: Lab, session: Session, sort: str) -> None:
    key = sort.removeprefix("-")
    asked = {trial.number: facts(session, trial).get(key) for trial in session.trials}
    keys: dict[int, Any] = {number: str(value).lower() if isinstance(value, bool) else value for number, value in asked.items()}
    newest = sorted(session.trials, key=lambda trial: -trial.number)
    valued = [trial for trial in newest if asked[trial.number] is not None]
    ordered = sorted(valued, key=lambda trial: keys[trial.number], reverse=sort.startswith("-"))
    missing = [trial for trial in newest if asked[trial.number] is None]
    assert order(lab, sort=sort) == [trial.number for trial in [*ordered, *missing]]


def test_what_cannot_be_read_is_named_and_lets_everything_through(lab: Lab) -> None:
    fields = table_fields(lab.trials.bare(1))
    wanted, problem = filter_of(fields, "learning_rat<1")
    assert wanted.groups == ()
    assert "nearest: learning_rate" in problem
    assert "expected one of completed" in filter_of(fields, "outcome:won")[1]
    assert "training" in OUTCOMES


def test_an_order_that_there_is_not_is_the_newest_first(lab: Lab) -> None:
    assert order(lab, sort="set.nothing") == list(range(TRIALS, 0, -1))


def test_names_that_no_path_has_a_word_for_cannot_be_asked_for(session: Session) -> None:
    odd = replace(session.space.hyperparameters[8], name='a"b', label="odd")
    task = replace(session.task, space=type(session.space)([*session.space, odd]))
    assert 'set.a"b' not in table_fields(replace(session, task=task)).by_name


# Windows


def test_some_trials_are_those_of_the_whole(lab: Lab, session: Session) -> None:
    some = lab.trials.some(lab.trials.bare(1), [3, 1, 44, 999])
    assert some == {number: session.trial(number) for number in (1, 3, 44)}
    with pytest.raises(NotFound, match="session 1 has no trial 999"):
        lab.trials.one(session, 999)


def test_a_bare_session_is_the_whole_without_its_trials(lab: Lab, session: Session) -> None:
    assert lab.trials.bare(1) == replace(session, trials=())
    with pytest.raises(NotFound):
        lab.trials.bare(99)


def test_a_value_is_shown_as_its_hyperparameter_shows_it(session: Session) -> None:
    trial = session.trials[0]
    assert cell_words(session, trial, "batch_size") == str(trial.configuration["batch_size"])
    assert cell_words(session, trial, "nothing") == ""


def test_differences_are_told_from_what_is_asked_for() -> None:
    assert [reference_number(TrialWish(), number, 7) for number in (1, 2, 9)] == [None, 1, 8]
    assert reference_number(TrialWish(against=BEST), 9, 7) == 7
    assert reference_number(TrialWish(against="12"), 9, 7) == 12


# The top


def bests(session: Session) -> tuple[Gain, ...]:
    """Each new best by the records."""
    values = [None if trial.is_open else value_of(trial) for trial in session.trials]
    running = best_so_far(values, session.maximize)
    return tuple(
        Gain(trial.number, best)
        for trial, best, before in zip(session.trials, running, [None, *running], strict=False)
        if best is not None and best != before
    )


def check_head(lab: Lab, session_id: int = 1) -> None:
    """A head is the same whether the run is read whole or not."""
    session, head = lab.sessions.get(session_id), lab.trials.head(session_id)
    best = rules.best_trial(session, ended=True)
    assert head.gains == bests(session)
    assert head.best == best
    assert head.used == rules.trials_used(session)
    assert (head.trials, head.newest_number) == (len(session.trials), max((trial.number for trial in session.trials), default=0))
    assert sum(head.outcomes.values()) == head.trials
    assert all(head.outcomes.get(outcome, 0) == sum(trial.outcome is outcome for trial in session.trials) for outcome in Outcome)
    assert head.open_trials == tuple(trial for trial in session.trials if trial.is_open)
    assert head.chosen == session.chosen_trial
    assert head.is_joint == session.is_joint
    check_rules(lab, session, head.session)


def check_rules(lab: Lab, session: Session, counted: Session) -> None:
    """The rules say the same of a session whose ended trials were counted as of one that was read whole."""
    now = lab.clock()
    for rule in (
        rules.trials_used, rules.trials_left, rules.epochs_left, rules.epochs_for_one, rules.trials_without_gain,
        rules.has_stalled, rules.stall_words, rules.how_ended, rules.best_trial,
    ):  # fmt: skip
        assert rule(counted) == rule(session), rule
    assert rules.state_of(counted, now) == rules.state_of(session, now)
    assert rules.seconds_left(counted, now) == pytest.approx(rules.seconds_left(session, now))
    assert rules.training_left(counted, now) == pytest.approx(rules.training_left(session, now))
    assert rules.why_not_submit(counted, 1, now) == rules.why_not_submit(session, 1, now)


@pytest.fixture(params=[lab_trial_rows.WHOLE_TRIALS, 0], ids=["whole", "in parts"])
def most_whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Up to how many trials a run is read whole."""
    monkeypatch.setattr(lab_trial_rows, "WHOLE_TRIALS", request.param)
    return int(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_the_head_follows_a_run(backend: str, tmp_path: Path, most_whole: int) -> None:
    with database(backend, tmp_path) as url:
        lab, _ = make_lab(url)
        session = make(lab, 40, seed=2)
        head = lab.trials.head(1)
        assert head.is_whole == (most_whole > 0)
        assert head.session.trials == (session.trials if most_whole else ())
        check_head(lab)
        vetoed = head.gains[-1].number
        lab.interventions.veto(1, vetoed, who="person 1", reason="too jumpy")
        assert lab.trials.head(1).gains[-1].number != vetoed
        check_head(lab)
        lab.interventions.allow(1, vetoed, who="person 1")
        check_head(lab)
        lab.sessions.end(1)
        assert lab.trials.head(1).chosen == lab.trials.head(1).best
        check_head(lab)
        lab.close()


def test_what_is_required_is_required_of_the_best(tmp_path: Path, most_whole: int) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study_id = make(lab, 1).study_id
    method = {"name": "random", "seed": 0, "require": {"latency_ms": "<= 5", "rating": ">= 3"}}
    session = lab.sessions.open(study_id, tuner="random", method=method, driver="python")
    lab.start(session.id)
    agent, _ = lab.agents.add("here", 1)
    for value, latency in ((0.9, 9.0), (0.5, 4.0), (0.7, 5.0), (0.8, None), (0.65, 1.0)):
        store_trial(lab, session.id, agent, value, {} if latency is None else {"latency_ms": latency})
    check_head(lab, session.id)
    assert [gain.number for gain in lab.trials.head(session.id).gains] == [2, 3]
    lab.interventions.rate(session.id, 3, 2.0, who="person 1")
    check_head(lab, session.id)
    assert [gain.number for gain in lab.trials.head(session.id).gains] == [2, 5]
    assert [order_of(lab, session.id, text) for text in ("latency_ms<=4", "metric.latency_ms>4")] == [[5, 2], [3, 1]]
    lab.close()


def order_of(lab: Lab, session_id: int, typed: str) -> list[int]:
    fields = table_fields(lab.trials.bare(session_id))
    wanted, problem = filter_of(fields, typed)
    assert problem == ""
    return list(lab.trials.order(session_id, wanted, *sort_of(fields, TrialWish()), fields.by_name))


def store_trial(
    lab: Lab, session_id: int, agent_id: int, value: float | None, extra: dict[str, float], outcome: str | None = "completed"
) -> int:
    """Store a trial that has done an epoch; its number. outcome: None where it still trains."""
    with lab.core.change() as tx:
        changed(tx, session_id)
        session = lab.sessions.get(session_id)
        number, now = len(session.trials) + 1, lab.clock()
        trial = {
            "session_id": session_id, "number": number, "configuration": dict(session.space.defaults()), "reasons": {},
            "explanation": "", "proposer": session.tuner, "submitted_at": now, "epochs_planned": 1,
        }  # fmt: skip
        trial_id = tx.execute(insert(tables.trial).returning(tables.trial.c.id).values(trial)).scalar_one()
        job = {
            "session_id": session_id, "trial_id": trial_id, "seed": 1, "attempt": 1, "agent_id": agent_id, "queued_at": now,
            "claimed_at": now, "finished_at": now + 1 if outcome else None, "outcome": outcome,
        }  # fmt: skip
        job_id = tx.execute(insert(tables.job).returning(tables.job.c.id).values(job)).scalar_one()
        row = {"job_id": job_id, "attempt": 1, "index": 0, "step": 1, "epoch": 1, "value": value, "seconds": 1.0}
        tx.execute(insert(tables.measurement).values({**row, "extra": extra or None}))
        events.record(tx, now, "finished", session_id, trial_id)
        return number


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_what_was_best_when_grows_with_the_run(backend: str, tmp_path: Path, most_whole: int) -> None:
    with database(backend, tmp_path) as url:
        lab, _ = make_lab(url)
        study_id = make(lab, 1).study_id
        session = lab.sessions.open(study_id, tuner="random", method={"name": "random"}, driver="python")
        lab.start(session.id)
        agent, _ = lab.agents.add("here", 1)
        check_head(lab, session.id)
        for value, outcome in (
            (0.5, "completed"),
            (0.4, "completed"),
            (0.9, "diverged"),
            (None, "completed"),
            (float("inf"), "completed"),
        ):
            store_trial(lab, session.id, agent, value, {}, outcome)
        check_head(lab, session.id)
        assert lab.trials.head(session.id).gains == (Gain(1, 0.5),)
        open_number = store_trial(lab, session.id, agent, 0.8, {}, None)
        store_trial(lab, session.id, agent, 0.7, {})
        head = lab.trials.head(session.id)
        assert head.gains == (Gain(1, 0.5), Gain(7, 0.7))
        assert [trial.number for trial in head.open_trials] == [open_number]
        with lab.core.change() as tx:
            changed(tx, session.id)
            tx.execute(update(tables.job).where(tables.job.c.finished_at.is_(None)).values(finished_at=1.0, outcome="completed"))
            events.record(tx, lab.clock(), "finished", session.id)
        assert lab.trials.head(session.id).gains == (Gain(1, 0.5), Gain(6, 0.8))
        check_head(lab, session.id)
        lab.close()


BUDGETS = [
    Budget(seconds=3000.0, parallel=3),
    Budget(epochs=40, parallel=3),
    Budget(trials=25, until=Until(0.05, 7), parallel=3),
    Budget(trials=25, until=Until(0.0, 100)),
    Budget(cost=Cost(most_seconds=900.0)),
    Budget(seconds=3000.0, epochs=40, trials=30, until=Until(0.01, 3)),
]


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("objectives", [(), ("accuracy:max", "latency_ms:min")])
def test_what_is_counted_of_a_run_is_what_its_rules_say(
    backend: str, budget: Budget, objectives: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_trial_rows, "WHOLE_TRIALS", 0)
    rng = np.random.default_rng(7)
    with database(backend, tmp_path) as url:
        lab, clock = make_lab(url)
        study = lab.studies.add(replace(lab.studies.get(make(lab, 1).study_id), name="other", budget=budget))
        method = {"name": "random", **({"objectives": list(objectives)} if objectives else {})}
        session = lab.start(lab.sessions.open(study.id, tuner="random", method=method, driver="server", purpose="exploratory").id)
        agent, _ = lab.agents.add("here", 1)
        going: list[int] = []
        for step in range(28):
            clock.now += float(rng.integers(1, 40))
            value = None if rng.random() < 0.1 else round(float(rng.random()), 1)
            going.append(begin_trial(lab, session.id, agent, value, int(rng.integers(0, 4)), waits=bool(rng.random() < 0.5)))
            while len(going) > 2 or (going and rng.random() < 0.4):
                clock.now += float(rng.integers(1, 30))
                end_trial(lab, session.id, going.pop(int(rng.integers(len(going)))), str(rng.choice(list(Outcome))))
            if step == 15:
                lab.sessions.pause([session.id], "lunch", "person 1")
                clock.now += 50
                check_head(lab, session.id)
                lab.sessions.unpause([session.id])
            if step % 7 == 0:
                check_head(lab, session.id)
        check_head(lab, session.id)
        for number in going:
            end_trial(lab, session.id, number, "completed")
        lab.choose(session.id, number=lab.trials.head(session.id).best.number)  # type: ignore[union-attr] # some have a value
        check_head(lab, session.id)
        lab.close()


def begin_trial(lab: Lab, session_id: int, agent_id: int, value: float | None, epochs: int, *, waits: bool) -> int:
    """Store a trial that trains, or waits, with what its epochs measured and a batch of the next one; its number."""
    with lab.core.change() as tx:
        changed(tx, session_id)
        session, now = lab.sessions.get(session_id), lab.clock()
        number = len(session.trials) + 1
        trial = {
            "session_id": session_id, "number": number, "configuration": dict(session.space.defaults()), "reasons": {},
            "explanation": "", "proposer": session.tuner, "submitted_at": now, "epochs_planned": 5,
        }  # fmt: skip
        trial_id = tx.execute(insert(tables.trial).returning(tables.trial.c.id).values(trial)).scalar_one()
        job = {
            "session_id": session_id, "trial_id": trial_id, "seed": 1, "attempt": 1, "agent_id": agent_id, "queued_at": now,
            "claimed_at": None if waits else now + 0.5,
        }  # fmt: skip
        job_id = tx.execute(insert(tables.job).returning(tables.job.c.id).values(job)).scalar_one()
        for index in range(epochs):
            row = {"job_id": job_id, "attempt": 1, "index": index, "step": index, "epoch": index + 1, "seconds": 1.0 + index}
            tx.execute(insert(tables.measurement).values({**row, "value": value, "extra": {"latency_ms": float(number % 3)}}))
        last = {"job_id": job_id, "attempt": 1, "index": epochs, "step": epochs, "epoch": None, "seconds": 9.0, "loss": 1.0}
        tx.execute(insert(tables.measurement).values(last))
        events.record(tx, now, "submitted", session_id, trial_id)
        return number


def end_trial(lab: Lab, session_id: int, number: int, outcome: str) -> None:
    """Let a trial end, which may never have begun."""
    trial = lab.trials.one(lab.trials.bare(session_id), number)
    with lab.core.change() as tx:
        changed(tx, session_id)
        ended = update(tables.job).where(tables.job.c.trial_id == trial.id)
        tx.execute(ended.values(finished_at=lab.clock(), outcome=outcome))
        events.record(tx, lab.clock(), "finished", session_id, trial.id)


def test_an_order_is_kept_until_something_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    make(lab, 5)
    lab.trials.head(1)
    asked: list[int] = []
    numbers = stored_trial_rows.numbers

    def counting(*given: Any) -> Any:
        asked.append(1)
        return numbers(*given)

    monkeypatch.setattr(stored_trial_rows, "numbers", counting)
    assert order(lab, "accuracy>0") == order(lab, "accuracy>0")
    assert len(asked) == 1
    with lab.core.change() as tx:
        events.record(tx, lab.clock(), "noted", 1)
    order(lab, "accuracy>0")
    assert len(asked) == 2
    for number in range(lab_trial_rows.MOST_ORDERS + 2):
        order(lab, f"number>{number}")
    order(lab, "accuracy>0")
    assert len(asked) == 2 + lab_trial_rows.MOST_ORDERS + 2 + 1
    lab.close()


# Curves


def of_curves(session: Session, lab: Lab, numbers: Sequence[int]) -> list[tuple[int, int, float]]:
    return [
        (number, measurement.epoch, measurement.value)
        for number in numbers
        for measurement in lab.curve(1, number).measurements
        if measurement.epoch is not None and measurement.value is not None
    ]


def test_curves_are_what_was_measured(lab: Lab, session: Session) -> None:
    points, has_ended = lab.trials.curves(1, [2, 30, 7], 200)
    assert [tuple(point) for point in points] == of_curves(session, lab, [2, 7, 30])
    assert has_ended
    assert lab.trials.curve(session.trials[4]) == lab.curve(1, 5)


def test_long_curves_are_thinned_and_keep_their_ends(lab: Lab, session: Session) -> None:
    completed = [trial for trial in session.trials if trial.epochs_done == EPOCHS]
    early = next(trial for trial in session.trials if 1 < trial.epochs_done < EPOCHS)
    numbers = [completed[0].number, early.number]
    points, _ = lab.trials.curves(1, numbers, 5)
    epochs = {number: [point.epoch for point in points if point.number == number] for number in numbers}
    assert epochs[completed[0].number] == [1, 4, 8, 12, 16, 20]
    assert epochs[early.number] == sorted(
        {1, *(epoch for epoch in (4, 8, 12, 16) if epoch <= early.epochs_done), early.epochs_done}
    )


def test_values_are_those_of_every_so_manieth_trial(lab: Lab, session: Session) -> None:
    wanted = [(trial.number, shown_value(trial)) for trial in session.trials if trial.number % 4 == 0]
    assert sorted(lab.trials.values(session, 4)) == [(number, value) for number, value in wanted if value is not None]


def test_a_sample_stays_while_a_run_grows() -> None:
    assert [curve_step(trials, 256) for trials in (0, 1, 256, 513, 514, 50_000)] == [1, 1, 1, 2, 4, 256]
    assert all(trials // curve_step(trials, 256) <= 256 for trials in range(0, 9000, 7))
