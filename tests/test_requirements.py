"""What a task's trainings need is told before its code runs, and a fork server loads that, once, and nothing else."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evenhand import tasks
from evenhand.lab.lab import Lab
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from evenhand.runners.agent import Patience, run_agent
from evenhand.runners.fork_server import ForkServer, Worker
from evenhand.settings import Rules
from evenhand.tasks import BUILT_IN, requirements
from tests.agents import ended, opened, record_of, submit
from tests.components import need
from tests.waiting import PATIENCE_SECONDS

DIGITS = TaskSpec("evenhand.examples.digits_mlp:train")


def of_file(folder: Path, text: str, **siblings: str) -> set[str]:
    for name, content in siblings.items():
        (folder / f"{name}.py").write_text(content)
    path = folder / "task.py"
    path.write_text(text)
    return set(requirements.of(TaskSpec(f"{path}:train")))


def test_built_in_tasks_are_known_and_the_mlp_s_needs_hang_on_its_lane() -> None:
    assert set(requirements.PACKAGES_OF_BUILT_IN) | {"mlp"} == set(BUILT_IN)
    assert requirements.of(TaskSpec("black-magic")) == {"torch"}
    assert requirements.of(TaskSpec("table")) == set()
    assert requirements.of(TaskSpec("mlp", {"lane": "whole"})) == set()
    assert requirements.of(TaskSpec("mlp", {"lane": "general"})) == requirements.of(TaskSpec("mlp")) == {"torch"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import math\nimport numpy as np\nfrom evenhand import Space, task\n", set()),
        ("def train(configuration, run):\n    from torch import nn\n", {"torch"}),
        ("import sklearn.svm\n", {"sklearn"}),
        ("from evenhand.tasks.builtin import training\n", {"torch"}),
        ("import importlib\nnn = importlib.import_module('torch.nn')\n", {"torch"}),
        ("TASK = load(TaskSpec('patches'))\n", {"torch"}),
        ("import lightning\n", {"sklearn", "torch"}),  # not known: it may load anything
        ("import helper\n", {"torch"}),
        ("from helper import Net\nimport other\n", {"sklearn", "torch"}),
        ("import (\n", {"sklearn", "torch"}),
    ],
)
def test_a_file_s_imports_decide_and_those_of_its_siblings(tmp_path: Path, text: str, expected: set[str]) -> None:
    siblings = {"helper": "import task\nimport torch\n", "other": "from sklearn import svm\n"}
    assert of_file(tmp_path, text, **siblings) == expected


def test_what_is_needed_for_certain_is_less_than_what_may_be(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import lightning\nimport torch\n")
    spec = TaskSpec(f"{tmp_path}/one.py:train")
    assert requirements.named_by(spec) == {"torch"}
    assert requirements.of(spec) == requirements.ALL_PACKAGES
    assert requirements.named_by(TaskSpec("package.module:train")) == set()
    assert requirements.named_by(TaskSpec("black-magic")) == {"torch"}


def test_what_cannot_be_looked_at_counts_as_needing_all(tmp_path: Path) -> None:
    assert (
        requirements.of(TaskSpec("package.module:train"))
        == requirements.of(TaskSpec(f"{tmp_path}/none.py:train"))
        == requirements.ALL_PACKAGES
    )


def loaded(worker: Worker) -> set[str]:
    """Which large packages a worker process has: their libraries are mapped."""
    maps = Path(f"/proc/{worker.pid}/maps").read_text()
    return {name for name, library in (("torch", "libtorch"), ("sklearn", "sklearn/")) if library in maps}


@pytest.mark.slow
def test_a_worker_has_what_was_asked_for_and_nothing_else() -> None:
    need("torch")
    need("procfs")
    forks = ForkServer()
    try:
        first = forks.fork()
        second = forks.fork(needs=requirements.TORCH_PACKAGE)
        third = forks.fork(needs=requirements.ALL_PACKAGES)
        assert first
        assert second
        assert third
        assert (first.loaded, second.loaded, third.loaded) == (
            requirements.NO_PACKAGES,
            requirements.TORCH_PACKAGE,
            requirements.ALL_PACKAGES,
        )
        assert (loaded(first), loaded(second), loaded(third)) == (set(), {"torch"}, {"torch", "sklearn"})
    finally:
        forks.close()


@pytest.mark.slow
def test_an_agent_gives_a_training_back_until_what_it_needs_is_loaded(tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=PATIENCE_SECONDS))
    agent_id, _ = lab.agents.add("test", 1)
    light = opened(lab, record_of("steady"))
    heavy = opened(lab, tasks.load(DIGITS).record)  # it uses scikit-learn's digits
    stop = threading.Event()
    options = {"slots": 1, "stop": stop, "patience": Patience(idle=1000.0)}
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs=options)
    agent.start()
    try:
        for session in (light, heavy, heavy):
            number = submit(lab, session, epochs=1).number
            assert ended(lab, session, number).outcome is Outcome.COMPLETED
        attempts = [
            [event.detail["attempt"] for event in lab.sessions.events(session.id) if event.kind == "claimed"]
            for session in (light, heavy)
        ]
        assert attempts == [[1], [1, 2, 1]]  # the first of the heavy trainings was given back, and the second was not
    finally:
        stop.set()
        agent.join(PATIENCE_SECONDS)
        lab.close()


class Held(ForkServer):
    """Loads nothing, and says that it did when the test lets it."""

    asked = threading.Event()
    let = threading.Event()

    def fork(
        self, cancelled: Callable[[], bool] = lambda: False, needs: frozenset[str] = requirements.NO_PACKAGES
    ) -> Worker | None:
        if needs:
            self.asked.set()
            assert self.let.wait(PATIENCE_SECONDS)
        made = super().fork(cancelled)
        return made and replace(made, loaded=needs)


@pytest.mark.slow
def test_an_idle_agent_loads_all_ahead_and_meanwhile_takes_what_needs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenhand.runners.agent.ForkServer", Held)
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=PATIENCE_SECONDS))
    agent_id, _ = lab.agents.add("test", 2)
    light = opened(lab, record_of("steady"))
    heavy = opened(lab, tasks.load(DIGITS).record)
    stop = threading.Event()
    options = {"slots": 2, "stop": stop, "patience": Patience(idle=0.0)}
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs=options)
    agent.start()
    try:
        assert Held.asked.wait(PATIENCE_SECONDS)
        submit(lab, light, epochs=1)
        assert ended(lab, light, 1).outcome is Outcome.COMPLETED  # though a slot waits
        Held.let.set()
        submit(lab, heavy, epochs=1)
        assert ended(lab, heavy, 1).outcome is Outcome.COMPLETED
    finally:
        Held.let.set()
        stop.set()
        agent.join(PATIENCE_SECONDS)
        lab.close()
