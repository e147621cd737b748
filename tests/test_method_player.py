"""The method loop on a real lab: it keeps the rules, survives restarts and races, and ends with a choice."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evenhand.errors import InvalidSettings, Refused, Unreachable
from evenhand.examples.digits_mlp import train
from evenhand.lab.lab import Lab
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session, State, View
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.trial import Outcome, Stopper
from evenhand.runners import method_player
from evenhand.runners.local_agent import Trainer
from evenhand.runners.method_player import Player, Turn, read_method
from evenhand.store.engine import Store
from tests.labs import SPACE, Clock, claim, epoch, make_lab, toy_study

METHOD = {"name": "random", "seed": 3}


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab, clock
    lab.close()


def open_session(lab: Lab, budget: Budget, **method: object) -> Session:
    return lab.sessions.open(toy_study(lab, budget).id, tuner="random", method=METHOD | method)


def train_next(lab: Lab, agent: int, value: float | None = 0.5, outcome: Outcome = Outcome.COMPLETED) -> None:
    """Train the waiting trial of a toy session: one measurement for each of its epochs, if it has a value."""
    job = claim(lab, agent)
    if value is not None:
        epochs = int(job.configuration["epochs"])
        lab.measure(job.job_id, job.attempt, [epoch(n - 1, n, value) for n in range(1, epochs + 1)])
    lab.finish(job.job_id, job.attempt, outcome)


def play_toy(lab: Lab, session: Session, value: float | None = 0.5, outcome: Outcome = Outcome.COMPLETED) -> Session:
    """Play a toy session to its end, trained by an agent here."""
    agent, _ = lab.agents.add("test", 1)
    player = Player.of(lab, session.id)
    while player.turn() is not Turn.OVER:
        train_next(lab, agent, value, outcome)
    return lab.sessions.get(session.id)


def digits_session(lab: Lab, budget: Budget, **method: object) -> Session:
    record, texts = lab.studies.add_task(train.record), (Text(""),) * 3
    study = Study("digits", "Digits", record.id, budget, 5, *texts, evaluation_seeds=0, machines="any")
    return lab.sessions.open(lab.studies.add(study).id, tuner="tpe", method={"name": "tpe", "seed": 4, "startup": 3} | method)


@contextmanager
def trained(lab: Lab, session_id: int) -> Iterator[None]:
    """An agent in a thread that trains whatever the session asks for."""
    ended = threading.Event()
    trainer = Trainer(lab, train, session_id)

    def work() -> None:
        while not ended.is_set():
            if not trainer.train_next():
                ended.wait(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.slow
def test_a_method_tunes_a_real_network_and_chooses_its_best_trial(tmp_path: Path) -> None:
    lab = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))
    session = digits_session(lab, Budget(trials=5), epochs_per_trial=2)
    assert session.started_at is None
    with trained(lab, session.id):
        ended = method_player.tune(lab, session.id, poll=30)  # so long a poll that only being woken ends this in time
    assert len(ended.trials) == 5
    assert {trial.configuration["epochs"] for trial in ended.trials} == {2}
    assert ended.trials[0].explanation == "random start-up draw 1 of 3"
    assert ended.trials[-1].explanation.startswith(("exploits: ", "explores: "))
    values = [trial.value for trial in ended.trials if trial.value is not None]
    assert max(values) > 0.3  # chance is 0.1
    assert ended.choice is not None
    assert next(trial.value for trial in ended.trials if trial.id == ended.choice.trial_id) == max(values)
    assert lab.on_change == []
    lab.close()


@pytest.mark.slow
def test_a_restarted_method_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    lab = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))
    whole, halved = (digits_session(lab, Budget(trials=6), epochs_per_trial=1) for _ in range(2))
    with trained(lab, whole.id):
        method_player.tune(lab, whole.id)
    stop = threading.Event()

    def interrupt(session_id: int) -> None:
        if len(lab.sessions.get(halved.id).trials) == 4:
            stop.set()

    lab.on_change.append(interrupt)
    with trained(lab, halved.id):
        between = method_player.tune(lab, halved.id, stop=stop)
        assert between.choice is None
        lab.on_change.remove(interrupt)
        method_player.tune(lab, halved.id)
    first, second = (
        [(trial.configuration, trial.value, trial.explanation) for trial in lab.sessions.get(session.id).trials]
        for session in (whole, halved)
    )
    assert first == second
    lab.close()


def test_at_the_deadline_the_trial_is_stopped_and_the_best_one_chosen(toy: tuple[Lab, Clock]) -> None:
    lab, clock = toy
    session = open_session(lab, Budget(seconds=100))
    agent, _ = lab.agents.add("test", 1)
    player = Player.of(lab, session.id)
    assert player.turn() is Turn.SUBMITTED
    train_next(lab, agent, 0.9)
    assert player.turn() is Turn.SUBMITTED
    job = claim(lab, agent)
    lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.1)])
    for _ in range(12):  # the agent says every ten seconds that it is there
        clock.now += 9
        lab.sweep()
        going = lab.measure(job.job_id, job.attempt, [])
    assert not going
    assert player.turn() is Turn.WAITS
    lab.finish(job.job_id, job.attempt, Outcome.STOPPED)
    assert player.turn() is Turn.OVER
    ended = lab.sessions.get(session.id)
    assert ended.trials[1].stop_by is Stopper.DEADLINE
    assert ended.choice is not None
    assert ended.choice.trial_id == ended.trials[0].id
    assert not ended.choice.automatic


def test_without_any_value_the_session_ends_with_no_choice(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    ended = play_toy(lab, open_session(lab, Budget(trials=3)), None, Outcome.DIVERGED)
    assert [trial.outcome for trial in ended.trials] == [Outcome.DIVERGED] * 3
    assert ended.choice is not None
    assert ended.choice.configuration is None


def test_an_invalid_trial_with_a_value_is_not_chosen(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    ended = play_toy(lab, open_session(lab, Budget(trials=2)), 0.9, Outcome.INVALID)
    assert ended.choice is not None
    assert ended.choice.configuration is None


def test_epochs_are_cut_to_those_that_remain(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    ended = play_toy(lab, open_session(lab, Budget(epochs=23)))
    assert sum(trial.epochs_planned for trial in ended.trials) == 23
    last = ended.trials[-1]
    assert last.explanation.endswith(f"to the {last.epochs_planned} that remain")
    assert all("cut" not in trial.explanation for trial in ended.trials[:-1])
    assert ended.choice is not None


def test_epochs_are_cut_to_those_that_one_trial_may_use(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    study = toy_study(lab, Budget(epochs=20), trial_share=0.25)
    ended = play_toy(lab, lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 1}))
    assert max(trial.epochs_planned for trial in ended.trials) == 5
    cut = [trial for trial in ended.trials if "cut" in trial.explanation and trial.epochs_planned == 5]
    assert cut
    assert all(trial.explanation.endswith("to the 5 that one trial may use") for trial in cut[:-1])


def test_fixed_epochs_leave_the_rest_to_the_method(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    ended = play_toy(lab, open_session(lab, Budget(epochs=7), epochs_per_trial=2))
    assert [trial.configuration["epochs"] for trial in ended.trials] == [2, 2, 2, 1]
    assert len({trial.configuration["learning_rate"] for trial in ended.trials}) == 4


def test_several_at_once(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = open_session(lab, Budget(trials=4, parallel=3))
    agent, _ = lab.agents.add("test", 3)
    player = Player.of(lab, session.id)
    assert [player.turn() for _ in range(4)] == [Turn.SUBMITTED] * 3 + [Turn.WAITS]
    train_next(lab, agent)
    assert [player.turn() for _ in range(2)] == [Turn.SUBMITTED, Turn.WAITS]
    for _ in range(3):
        train_next(lab, agent)
    assert player.turn() is Turn.OVER
    assert len({trial.configuration for trial in lab.sessions.get(session.id).trials}) == 4


class Crowded(Lab):
    """A lab where somebody else submits just before the method does."""

    crowd = True

    def submit(self, session_id: int, configuration: Configuration | Mapping[str, Any], **rest: Any) -> Any:
        if self.crowd:
            self.crowd = False
            super().submit(session_id, SPACE.configuration({"epochs": 1}))
        return super().submit(session_id, configuration, **rest)


def test_losing_a_race_is_no_error(tmp_path: Path) -> None:
    lab = Crowded(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))
    session = open_session(lab, Budget(trials=2))
    agent, _ = lab.agents.add("test", 1)
    player = Player.of(lab, session.id)
    assert player.turn() is Turn.WAITS  # refused: the other one's trial is open
    train_next(lab, agent)
    assert player.turn() is Turn.SUBMITTED
    assert len(lab.sessions.get(session.id).trials) == 2
    lab.close()


class Unwilling(Lab):
    """A lab that takes no final choice."""

    def choose(self, session_id: int, **choice: Any) -> Session:
        raise Refused("a study collects on the same data")


def test_a_choice_that_stays_refused_is_said(tmp_path: Path) -> None:
    lab = Unwilling(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))
    session = open_session(lab, Budget(trials=1))
    agent, _ = lab.agents.add("test", 1)
    player = Player.of(lab, session.id)
    assert player.turn() is Turn.SUBMITTED
    train_next(lab, agent)
    with pytest.raises(Refused, match="a study collects"):
        player.turn()
    lab.close()


def test_two_players_of_one_session_submit_one_trial(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = open_session(lab, Budget(trials=2))
    players = [Player.of(lab, session.id) for _ in range(2)]
    lab.start(session.id)
    view = lab.view(session.id)
    suggestions = [player.suggest(view) for player in players]
    assert suggestions[0] == suggestions[1]
    assert [player.turn() for player in players] == [Turn.SUBMITTED, Turn.WAITS]
    assert len(lab.sessions.get(session.id).trials) == 1


class Flaky(Lab):
    """A lab that cannot be reached at first."""

    left = 3

    def view(self, session_id: int) -> View:
        if self.left:
            self.left -= 1
            raise Unreachable("the server does not answer")
        return super().view(session_id)


def test_a_server_that_does_not_answer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_player, "OFFLINE_SECONDS", 0.01)
    lab = Flaky(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"))
    session = open_session(lab, Budget(trials=1))
    agent, _ = lab.agents.add("test", 1)

    def train(session_id: int) -> None:
        if any(trial.is_open and trial.claimed_at is None for trial in lab.sessions.get(session_id).trials):
            lab.on_change.remove(train)
            train_next(lab, agent)

    lab.on_change.append(train)
    assert method_player.tune(lab, session.id, poll=0.05).choice is not None
    lab.close()


def test_stop_ends_the_loop_and_leaves_the_session_open(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = open_session(lab, Budget(trials=3))
    stop = threading.Event()
    lab.on_change.append(lambda _: stop.set() if lab.sessions.get(session.id).trials else None)
    method_player.tune(lab, session.id, stop=stop, poll=0.05)
    assert lab.view(session.id).state is State.TUNING
    assert len(lab.sessions.get(session.id).trials) == 1


def test_failing_for_the_same_reason_again_and_again_pauses(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    session = open_session(lab, Budget(trials=2))
    agent, _ = lab.agents.add("test", 1)
    player = Player.of(lab, session.id)
    for _ in range(method_player.ALIKE_FAILURES):
        assert player.turn() is Turn.SUBMITTED
        for _ in range(3):
            job = claim(lab, agent)
            lab.release(job.job_id, job.attempt, "no space left on the device")
    with pytest.raises(Refused, match=r"the last 5 trials failed for the same reason.*no space left"):
        player.turn()


def test_what_a_session_says_of_its_method_is_checked(toy: tuple[Lab, Clock]) -> None:
    lab, _ = toy
    study = toy_study(lab)
    task = lab.studies.task_of(study.id)
    for method, message in (
        ({"name": "ranom"}, "expected one of grid, random, sobol, tpe"),
        ({"name": "random", "epochs_per_trial": 11}, "epochs_per_trial is 11, expected a whole number from 1 to 10"),
        ({"name": "random", "seed": "x"}, "seed is 'x', expected a whole number"),
        ({"name": "tpe", "strtup": 3}, "'strtup' is unknown"),
    ):
        with pytest.raises(InvalidSettings, match=message):
            read_method(task, method)
    participant, _ = lab.participants.join(study.id)
    session_id = lab.participants.read_details(participant.id).session_id
    assert session_id is not None
    with pytest.raises(InvalidSettings, match="no method is named that could play it"):
        method_player.tune(lab, session_id)


def test_epochs_that_decide_what_else_is_active_cannot_be_fixed(toy: tuple[Lab, Clock]) -> None:
    from dataclasses import replace

    lab, _ = toy
    task = lab.studies.task_of(toy_study(lab).id)
    epochs = Hyperparameter("epochs", Integer(1, 3), fidelity=True)
    decay = Hyperparameter("decay", Float(0, 1), default=0, condition=Condition("epochs", (3,)))
    x = Hyperparameter("x", Float(0, 1))
    with pytest.raises(InvalidSettings, match="epochs_per_trial cannot be fixed"):
        read_method(replace(task, space=Space([epochs, decay])), METHOD | {"epochs_per_trial": 2})
    with pytest.raises(InvalidSettings, match="epochs_per_trial cannot be fixed: constraint '2 > 2' does not hold"):
        read_method(replace(task, space=Space([epochs, x], ["epochs > 2"])), METHOD | {"epochs_per_trial": 2})
    with pytest.raises(InvalidSettings, match="no hyperparameter for epochs"):
        read_method(replace(task, space=Space([x])), METHOD | {"epochs_per_trial": 2})
