"""Stopping rules: what each decides, how it is named, and that the laboratory asks it at each epoch in order, at any speed."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.methods import stopping
from evenhand.methods.stopping import Median, Patience, Percentile, StoppingRule, Threshold, first_stop, recorded, rule
from evenhand.model import rules
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.job import MeasurementBatch, Order
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome, Stopper, Trial
from evenhand.runners import method_player
from evenhand.tasks import Run
from evenhand.web.app import create_app
from tests import paced_tasks
from tests.agents import agent_process
from tests.labs import SPACE as TOY
from tests.labs import batch, claim, epoch, make_lab, toy_study
from tests.tuner_contract import SPACE
from tests.tuner_contract import ended as trial_of
from tests.waiting import wait_for
from tests.web import listening

TRIAL = trial_of(9, SPACE.configuration({"epochs": 10, "batch_size": 8, "optimizer": "sgd"}), 0.5)
LINE = Space([Hyperparameter("x", Float(-1, 1))])
HUGE = 1.797e308
QUIET: dict[str, Any] = {"progress": False, "evaluate": False}


# What each rule decides


def test_the_median_rule_by_hand() -> None:
    """Averages at epoch 2 of the others: 0.25, 0.5, 0.75; the median is 0.5. A best value of 0.5 stays, 0.49 goes."""
    others = [{1: 0.125, 2: 0.375, 3: 0.9}, {1: 0.25, 2: 0.75}, {1: 0.75, 2: 0.75}, {1: 0.9}]
    median = Median(maximize=True, startup=3, warmup=1)
    assert median.why_stop(TRIAL, {1: 0.5, 2: 0.1}, others) is None
    assert median.why_stop(TRIAL, {1: 0.49, 2: 0.1}, others) == (
        "after epoch 2 its best value, 0.49, was worse than 0.5, the median of the running averages of 3 trials that came as far"
    )
    assert median.why_stop(TRIAL, {1: 0.0}, others) is None  # the warm-up
    assert Median(maximize=True, startup=4).why_stop(TRIAL, {1: 0.0, 2: 0.0}, others) is None
    assert Median(maximize=False, startup=3).why_stop(TRIAL, {1: 0.51, 2: 0.6}, others) is not None
    assert Median(maximize=False, startup=3).why_stop(TRIAL, {1: 0.49, 2: 0.6}, others) is None


@pytest.mark.parametrize("maximize", [True, False])
def test_the_percentile_rule_keeps_the_best_share(maximize: bool) -> None:
    """Of five others at 0, 1, 2, 3, 4 the best quarter begins at 3 where larger is better, and at 1 where smaller is."""
    others = [{1: float(value), 2: float(value)} for value in range(5)]
    bound, worse = (3.0, 2.9) if maximize else (1.0, 1.1)
    quarter = Percentile(maximize=maximize)
    assert quarter.why_stop(TRIAL, {1: bound, 2: bound}, others) is None
    assert quarter.why_stop(TRIAL, {1: worse, 2: worse}, others) == (
        f"after epoch 2 its best value, {worse}, was worse than {bound:.0f}, what the best 25 % reached of the running averages "
        "of 5 trials that came as far"
    )
    half, median = Percentile(maximize=maximize, percent=50), Median(maximize=maximize)
    for value in (1.9, 2.0, 2.1):
        stops = [rule.why_stop(TRIAL, {1: value, 2: value}, others) is not None for rule in (half, median)]
        assert stops[0] == stops[1]


def test_patience_by_hand() -> None:
    """The best is at epoch 2; with a patience of 3 it goes at epoch 5, and not where epoch 4 was better by more than asked."""
    values, patience = {1: 0.1, 2: 0.5, 3: 0.4, 4: 0.5, 5: 0.45}, Patience(maximize=True, epochs=3)
    assert patience.why_stop(TRIAL, {at: values[at] for at in range(1, 5)}, ()) is None
    assert patience.why_stop(TRIAL, values, ()) == "after epoch 5 it had not become better than 0.5 for 3 epochs"
    assert patience.why_stop(TRIAL, {**values, 4: 0.51}, ()) is None
    demanding = Patience(maximize=True, epochs=3, by=0.02)
    words = "after epoch 5 it had not become better by more than 0.02 than 0.5 for 3 epochs"
    assert demanding.why_stop(TRIAL, {**values, 4: 0.51}, ()) == words
    assert Patience(maximize=False, epochs=3).why_stop(TRIAL, {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.3}, ()) is None
    assert Patience(maximize=False, epochs=3).why_stop(TRIAL, values, ()) is not None
    assert Patience(maximize=True, epochs=3, warmup=5).why_stop(TRIAL, values, ()) is None


def test_the_threshold_by_hand() -> None:
    threshold = Threshold(maximize=True, value=0.5, warmup=2)
    assert threshold.why_stop(TRIAL, {1: 0.1, 2: 0.1}, ()) is None
    assert threshold.why_stop(TRIAL, {1: 0.5, 2: 0.1, 3: 0.1}, ()) is None
    assert threshold.why_stop(TRIAL, {1: 0.1, 3: 0.2}, ()) == "after epoch 3 its best value, 0.2, had not reached 0.5"
    assert Threshold(maximize=False, value=0.5).why_stop(TRIAL, {1: 0.6, 2: 0.5}, ()) is None


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("stopping", ["median", "percentile", "percentile:30", "patience:epochs=2", "threshold:1.797e308"])
def test_numbers_of_any_size_overflow_nothing(stopping: str, maximize: bool) -> None:
    made, sign = rule(stopping, maximize=maximize), 1 if maximize else -1
    others = [{1: sign * HUGE, 2: sign * HUGE, 3: sign * HUGE} for _ in range(6)]
    for worst in (-sign * HUGE, 0.0, 5e-324):
        why = made.why_stop(TRIAL, dict.fromkeys((1, 2, 3), worst), others)
        assert why is not None or (stopping.startswith("threshold") and not maximize)
        assert "inf" not in (why or "")
        assert "nan" not in (why or "")
    if not stopping.startswith("patience"):
        assert made.why_stop(TRIAL, dict.fromkeys((1, 2, 3), sign * HUGE), others) is None
    mixed = [{1: -HUGE, 2: HUGE, 3: math.nextafter(HUGE, 0)} for _ in range(6)]
    made.why_stop(TRIAL, {1: HUGE, 2: -HUGE, 3: 0.0}, mixed)


def test_an_average_of_equal_values_is_that_value() -> None:
    others = [dict.fromkeys(range(1, epochs), 0.1) for epochs in range(4, 10)]
    assert Median(maximize=True).why_stop(TRIAL, dict.fromkeys(range(1, 4), 0.1), others) is None


# Names and settings


@pytest.mark.parametrize(
    ("stopping", "made", "text"),
    [
        ("median", Median(True), "median"),
        ("median:startup=2,warmup=3", Median(True, 2, 3), "median:startup=2,warmup=3"),
        ("percentile:25", Percentile(True, 25), "percentile:percent=25"),
        ("patience:epochs=5", Patience(True, 5), "patience:epochs=5"),
        ("threshold:-1e-3", Threshold(True, -0.001), "threshold:value=-0.001"),
        ({"name": "patience", "epochs": 2, "by": 0.5}, Patience(True, 2, 0.5), "patience:epochs=2,by=0.5"),
    ],
)
def test_a_rule_has_a_name_and_settings_and_is_recorded_as_a_text(stopping: Any, made: StoppingRule, text: str) -> None:
    assert rule(stopping, maximize=True) == made
    assert recorded(stopping, maximize=True) == text
    assert rule(text, maximize=True) == made


@pytest.mark.parametrize(
    ("stopping", "words"),
    [
        ("medium", "stopping rule 'medium': there is none; expected median, percentile, patience, threshold"),
        ("median:begin=2", "setting 'begin' is unknown; expected one of startup, warmup"),
        ("median:startup=0", "startup is 0, expected a whole number above 0"),
        ("median:", "nothing follows the colon"),
        ("threshold", "setting 'value' is missing; give it as threshold:value=VALUE"),
        ("threshold:low", "value is 'low', expected a finite number"),
        ("percentile:100", "percent is 100, expected a number above 0 and below 100"),
        ("percentile:true", "percent is True, expected a number"),
        ("patience:epochs=1.5", "epochs is 1.5, expected a whole number above 0"),
        ("patience:by=-1", "by is -1, expected a number of at least 0"),
        ("patience:1,2", "'1': expected KEY=VALUE, such as epochs=5"),
        (25, "stopping is 25, expected a text such as"),
        ({"epochs": 3}, "or a mapping with a name"),
    ],
)
def test_what_is_no_rule_is_refused_before_anything_is_stored(tmp_path: Path, stopping: Any, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        evenhand.tune(paced_tasks.staged, trials=1, stopping=stopping, db=f"sqlite:///{tmp_path / 'x'}")
    assert not (tmp_path / "x").exists()


# The laboratory asks


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


def ruled(lab: Lab, stopping: str, **study: Any) -> tuple[Session, int]:
    """A session with this rule whose clock runs, and an agent."""
    method = {"name": "random", "stopping": stopping}
    session = lab.sessions.open(toy_study(lab, Budget(epochs=50), **study).id, tuner="random", method=method)
    return lab.start(session.id), lab.agents.add("a", 1)[0]


def train(lab: Lab, session: Session, agent: int, epochs: int = 6) -> int:
    """A trial of so many epochs, begun; its job."""
    lab.submit(session.id, TOY.configuration({"epochs": epochs}))
    return claim(lab, agent).job_id


FALLING = [batch(0), epoch(1, 1, 0.9), batch(2), epoch(3, 2, 0.4), batch(4), epoch(5, 3, 0.5), batch(6), epoch(7, 4, 0.95)]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[8], [1] * 8, [4, 4], [6, 2], [3, 5], [7]])
@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.DIVERGED, Outcome.INVALID])
def test_a_trial_ends_at_the_first_epoch_at_which_its_rule_says_so(lab: Lab, sizes: list[int], outcome: Outcome) -> None:
    """However many measurements come at once, and whatever the training became: it has two epochs without a better value."""
    session, agent = ruled(lab, "patience:epochs=2")
    job, sent = train(lab, session, agent), 0
    for size in sizes[:-1]:
        order = lab.measure(job, 1, FALLING[sent : sent + size])
        sent += size
        assert order is (Order.GO_ON if sent < 6 else Order.STOP)
        assert lab.measure(job, 1, FALLING[max(0, sent - 2) : sent]) is order  # as an agent sends again what was not answered
    lab.finish(job, 1, outcome, "whatever", FALLING[sent:])
    trial = lab.view(session.id).session.trials[0]
    assert (trial.outcome, trial.stop_by) == (Outcome.STOPPED, Stopper.RULE)
    assert trial.why == "after epoch 3 it had not become better than 0.9 for 2 epochs"
    assert (trial.value, trial.epochs_done, trial.epochs_begun) == (0.5, 3, 3)
    assert [measurement.index for measurement in lab.curve(session.id, 1).measurements] == list(range(6))
    assert lab.view(session.id).epochs_left == 47


def test_two_reports_of_one_training_in_one_write_are_seen_in_order(lab: Lab) -> None:
    session, agent = ruled(lab, "patience:epochs=2")
    job = train(lab, session, agent)
    reports = [MeasurementBatch(job, 1, FALLING[:4]), MeasurementBatch(job, 1, FALLING[4:])]
    assert lab.agents.measure_all(reports)[-1] is Order.STOP
    assert len(lab.curve(session.id, 1).measurements) == 6


def test_a_trial_at_its_last_epoch_is_let_end_and_a_tuners_stop_stands(lab: Lab) -> None:
    session, agent = ruled(lab, "patience:epochs=2")
    lab.finish(train(lab, session, agent, 3), 1, Outcome.COMPLETED, None, FALLING[:6])
    assert lab.view(session.id).session.trials[0].outcome is Outcome.COMPLETED
    job = train(lab, session, agent)
    lab.stop(session.id, 2)
    assert not lab.measure(job, 1, FALLING)
    lab.finish(job, 1, Outcome.STOPPED)
    stopped = lab.view(session.id).session.trials[1]
    assert (stopped.stop_by, stopped.epochs_done) == (Stopper.TUNER, 4)


def test_a_restart_amid_a_training_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    session, agent = ruled(lab, "median:startup=2")
    for value in (0.5, 0.6):
        lab.finish(train(lab, session, agent), 1, Outcome.COMPLETED, None, [epoch(at, at + 1, value) for at in range(6)])
    job = train(lab, session, agent)
    assert lab.measure(job, 1, [epoch(0, 1, 0.1)])
    other, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    assert not other.measure(job, 1, [epoch(1, 2, 0.2), epoch(2, 3, 0.9)])
    other.finish(job, 1, Outcome.COMPLETED)
    other.close()
    trial = lab.view(session.id).session.trials[2]
    assert (trial.outcome, trial.value, trial.epochs_done) == (Outcome.STOPPED, 0.2, 2)
    assert "worse than 0.55, the median" in (trial.why or "")


def test_a_lost_attempt_is_judged_anew(lab: Lab) -> None:
    session, agent = ruled(lab, "patience:epochs=2")
    job = train(lab, session, agent)
    assert lab.measure(job, 1, FALLING[:4])
    lab.release(job, 1, "lost")
    assert claim(lab, agent).attempt == 2
    assert lab.measure(job, 2, [epoch(0, 1, 0.1), epoch(1, 2, 0.2)])
    lab.finish(job, 2, Outcome.COMPLETED, None, [epoch(2, 3, 0.3), epoch(3, 4, 0.4)])
    assert lab.view(session.id).session.trials[0].outcome is Outcome.COMPLETED


def test_what_a_tuner_may_not_see_its_rule_may_not_either(lab: Lab) -> None:
    session, agent = ruled(lab, "patience:epochs=2", live_validation=False)
    lab.finish(train(lab, session, agent), 1, Outcome.COMPLETED, None, FALLING)
    assert lab.view(session.id).session.trials[0].outcome is Outcome.COMPLETED
    (said,) = lab.sessions.notices(session.id)
    assert said.startswith("stopping rule 'patience:epochs=2' ends no trial: the study shows validation after training only")


class Raising:
    """A plug-in that fails at the second epoch."""

    def __init__(self, *, maximize: bool, at: int = 2) -> None:
        self.at = at

    def why_stop(self, trial: Trial, values: Mapping[int, float], others: Sequence[Mapping[int, float]]) -> str | None:
        """Fail, or say so at the last one that it has seen."""
        if max(values) == self.at and trial.number == 1:
            raise ZeroDivisionError("no others")
        return f"{sorted(values)} seen" if trial.epochs_done == 4 else None


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stopping.RULES.own, "raising", "tests.test_stopping:Raising")


@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize("size", [1, 3, 8])
def test_an_epoch_at_which_the_rule_raises_decides_nothing_and_that_is_said(lab: Lab, size: int) -> None:
    """At any speed: the rule is asked again at the next one."""
    session, agent = ruled(lab, "raising:at=2")
    for _ in range(2):
        job = train(lab, session, agent)
        for begin in range(0, 8, size):
            lab.measure(job, 1, FALLING[begin : begin + size])
        lab.finish(job, 1, Outcome.COMPLETED)
    ends = [(trial.outcome, trial.why) for trial in lab.view(session.id).session.trials]
    assert ends == [(Outcome.STOPPED, "[1, 2, 3, 4] seen")] * 2
    (said,) = lab.sessions.notices(session.id)
    assert said.startswith("an epoch of trial 1 decided nothing: stopping rule 'raising': its why_stop raised at epoch 2")
    assert "ZeroDivisionError: no others" in said


@pytest.mark.usefixtures("raising")
def test_a_session_whose_rule_is_gone_goes_on_and_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    session, agent = ruled(lab, "raising")
    monkeypatch.delitem(stopping.RULES.own, "raising")
    for _ in range(2):
        lab.finish(train(lab, session, agent), 1, Outcome.COMPLETED, None, FALLING)
    assert [trial.outcome for trial in lab.view(session.id).session.trials] == [Outcome.COMPLETED] * 2
    (said,) = lab.sessions.notices(session.id)
    assert said.startswith("stopping rule 'raising' ends no trial: stopping rule 'raising': there is none; expected median")


def test_a_rules_answer_is_a_text_or_none() -> None:
    class Yes:
        def why_stop(self, trial: Trial, values: Mapping[int, float], others: Sequence[Mapping[int, float]]) -> str | None:
            return True  # type: ignore[return-value] # what is wrong here

    verdict = first_stop("median", Yes(), TRIAL, {}, [epoch(0, 1, 0.5)], (), None)
    assert verdict.at is None
    assert "its why_stop answered True, expected a text that says why, or None" in str(verdict.fault)


# One seed gives one history, at any speed


def history(trials: Sequence[Trial]) -> list[tuple[object, ...]]:
    """All of a session's trials but their times; what their method says of them stands last."""
    return [
        (trial.configuration, trial.outcome, trial.value, trial.epochs_done, trial.epochs_begun, trial.why, trial.explanation)
        for trial in sorted(trials, key=lambda trial: trial.number)
    ]


PACES = (0.0, 0.01, 0.1)  # seconds an epoch


def curve(rate: float, epoch: int) -> float:
    """Rises with the epoch to the rate; below 0 it falls."""
    return rate * (1 - 0.5**epoch)


def in_process(db: str, pace: float, **settings: Any) -> list[tuple[object, ...]]:
    """The history of a function without a hyperparameter for epochs."""

    def slow(configuration: Configuration, run: Run) -> None:
        for number in range(1, 7):
            time.sleep(pace)
            run.report(epoch=number, value=curve(configuration.number("x"), number))
            run.report(loss=1.0)

    result = evenhand.tune(slow, LINE, direction="maximize", trials=10, db=db, seed=3, **QUIET, **settings)
    assert any(trial.stop_by is Stopper.RULE for trial in result.trials)
    assert any(trial.outcome is Outcome.COMPLETED for trial in result.trials)
    return history(result.trials)


@pytest.mark.slow
@pytest.mark.parametrize("stopping", ["median:startup=2", "patience:epochs=2"])
def test_one_seed_gives_one_history_at_any_speed_in_process(tmp_path: Path, stopping: str) -> None:
    first, *others = (in_process(f"sqlite:///{tmp_path / str(pace)}", pace, stopping=stopping) for pace in PACES)
    assert others == [first, first]


@pytest.mark.slow
@pytest.mark.parametrize("given", ["patience:epochs=2", "threshold:0.2"])
def test_a_trials_own_decision_is_the_same_beside_others(tmp_path: Path, given: str) -> None:
    """By a rule for which others do not matter, with draws that do not hang on who ended first."""
    alone = in_process(f"sqlite:///{tmp_path / 'alone'}", 0.0, stopping=given)
    for pace in PACES:
        beside = in_process(f"sqlite:///{tmp_path / str(pace)}", pace, stopping=given, parallel=2)
        assert [row[:-1] for row in beside] == [row[:-1] for row in alone]


def staged() -> tasks.Task:
    """Epochs that take as long as the environment says, as agents load them."""
    return tasks.load(TaskSpec(f"{paced_tasks.__file__}:staged"))


def staged_here(folder: Path, given: str) -> list[tuple[object, ...]]:
    """The history of a session that this process trains, at once."""
    result = evenhand.tune(
        staged(), trials=10, seed=3, epochs_per_trial=5, stopping=given, db=f"sqlite:///{folder / 'here.sqlite'}", **QUIET
    )
    return history(result.trials)


def over_agents(folder: Path, pace: float, given: str, agents: int) -> list[tuple[object, ...]]:
    """The history of the same session where a server hands its trials out, to so many agents in processes of their own."""
    lab = Lab.connect(f"sqlite:///{folder / f'{pace}.sqlite'}")
    record = lab.studies.add_task(staged().record)
    budget = Budget(trials=10, parallel=agents)
    study = Study(
        name="staged", title="Staged", task_id=record.id, budget=budget, seed=3, consent=Text(""), details=Text(""),
        thanks=Text(""), evaluation_seeds=0, machines="any",
    )  # fmt: skip
    settings = {"epochs_per_trial": 5, "stopping": given}
    method = method_player.chosen_method(record, "random", rules.derive_seed(3, "method"), settings).described
    session = lab.sessions.open(lab.studies.add(study).id, tuner="random", method=method, driver="test")
    with ExitStack() as stack:
        stack.callback(lab.close)
        address = stack.enter_context(listening(create_app(lab, data_dir=folder)))
        for number in range(agents):
            _, token = lab.agents.add(f"agent {number}", 1)
            stack.enter_context(agent_process(address, token, EVENHAND_TEST_PACE=str(pace)))
        wait_for(lambda: len(lab.agents.all()), "the agents", lambda there: there == agents)
        ended = method_player.tune(lab, session.id)
        took_part = {event.detail["agent"] for event in lab.sessions.events(session.id) if event.kind == "claimed"}
        assert pace < PACES[-1] or len(took_part) == agents  # a quick one may do all while another starts
    assert {trial.outcome for trial in ended.trials} == {Outcome.STOPPED, Outcome.COMPLETED}
    return history(ended.trials)


@pytest.mark.slow
@pytest.mark.parametrize("pace", PACES)
def test_one_seed_gives_one_history_at_any_speed_over_an_agent(tmp_path: Path, pace: float) -> None:
    assert over_agents(tmp_path, pace, "median:startup=2", 1) == staged_here(tmp_path, "median:startup=2")


@pytest.mark.slow
@pytest.mark.parametrize("pace", PACES)
def test_a_trials_own_decision_is_the_same_over_two_agents(tmp_path: Path, pace: float) -> None:
    given = "patience:epochs=2,by=0.1"
    assert [row[:-1] for row in over_agents(tmp_path, pace, given, 2)] == [row[:-1] for row in staged_here(tmp_path, given)]


# Functions that do not report


def test_a_function_that_never_reports_is_told_so_at_its_first_trial(tmp_path: Path) -> None:
    words = "stopping rule 'median' can end no trial early, since trial 1 reported its end alone: call run.report"
    with pytest.warns(UserWarning, match=words) as warned:
        result = evenhand.tune(
            lambda configuration: configuration.number("x"), LINE, direction="maximize", trials=3, stopping="median",
            db=f"sqlite:///{tmp_path / 'x'}", **QUIET,
        )  # fmt: skip
    assert len(warned) == 1
    assert result.session.method["stopping"] == "median"


def test_one_that_reports_is_not(lab: Lab) -> None:
    session, agent = ruled(lab, "median")
    lab.finish(train(lab, session, agent), 1, Outcome.COMPLETED, None, FALLING)
    assert lab.sessions.notices(session.id) == ()
    brief, agent = ruled(lab, "median")
    lab.finish(train(lab, brief, agent, 1), 1, Outcome.COMPLETED, None, FALLING[:2])  # it has one epoch to train
    assert lab.sessions.notices(brief.id) == ()


def test_rules_of_the_benchmarked_path_are_looked_up_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session without a rule is not read again for each measurement."""
    session = lab.start(lab.sessions.open(toy_study(lab, Budget(epochs=50)).id, tuner="random").id)
    agent, _ = lab.agents.add("a", 1)
    job = train(lab, session, agent)
    monkeypatch.setattr("evenhand.lab.stopping.sessions.get", None)
    monkeypatch.setattr("evenhand.lab.stopping.jobs.epochs", None)
    assert lab.measure(job, 1, FALLING[:4])
    lab.finish(job, 1, Outcome.COMPLETED, None, FALLING[4:])
