"""What an installation without this or that package does: it says what it lacks and how to get it, at nobody's cost."""

import importlib
import importlib.util
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evenhand
from evenhand import tasks
from evenhand.analysis import stats
from evenhand.cli import main
from evenhand.errors import LaneMissing, MissingHere, PackageMissing, TaskMissing
from evenhand.exchange import formats, optuna
from evenhand.exchange.formats.base import Source, Wanted
from evenhand.lab.lab import Lab
from evenhand.model import extras
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.rehearsal.run import held_port
from evenhand.runners.agent import run_agent
from evenhand.store.engine import Store
from evenhand.studies.sample import TASK_WITHOUT_TORCH, sample_study
from evenhand.tasks import Run, Task, engines, task
from evenhand.tasks.running import TrainingRequest, run_together
from evenhand.web.access import Role
from evenhand.web.serving import Server
from tests.agents import ended, opened, record_of, submit
from tests.waiting import wait_for
from tests.web import evaluated, toy_site, tuned_study

ROOT = Path(__file__).parent.parent
LINE = Space([Hyperparameter("x", Float(-1, 1), default=0.0)])
Lacking = Callable[[str], None]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> Lacking:
    """Makes a package look as if it were not installed."""
    find = importlib.util.find_spec
    gone: set[str] = set()

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in gone else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    return gone.add


def made(train: Callable[[Configuration, Run], None]) -> Task:
    return task(space=LINE, metric="accuracy", max_epochs=1)(train)


# What an extra brings


def test_the_table_of_packages_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = {
        extra: {re.split(r"[\[<>=;]", requirement)[0] for requirement in requirements}
        for extra, requirements in project["optional-dependencies"].items()
    }
    for module, extra in extras.EXTRA_OF.items():
        assert {module, extras.NAME_OF.get(module)} & optional[extra], f"{module} does not come with the extra {extra}"
    hard = {re.split(r"[\[<>=;]", requirement)[0] for requirement in project["dependencies"]}
    assert not hard & set().union(*(optional[extra] for extra in ("torch", "postgres", "report", "eeg", "bench", "smac")))


@pytest.mark.parametrize("module", extras.EXTRA_OF)
def test_what_is_missing_is_said_with_the_command_that_installs_it(module: str, lacking: Lacking) -> None:
    lacking(module)
    with pytest.raises(PackageMissing, match=rf"^this needs .*; pip install 'evenhand\[{extras.EXTRA_OF[module]}\]'$"):
        extras.require(f"{module}.part", "this")


def test_a_package_of_no_extra_is_named_and_a_broken_one_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PackageMissing, match="this needs no_such_package, which is not installed here; install it beside"):
        extras.require("no_such_package.part", "this")
    (tmp_path / "half_there.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        extras.require("half_there", "this")
    with pytest.raises(ModuleNotFoundError):
        extras.require("json.no_such_part", "this")


def test_statistics_say_what_they_need(lacking: Lacking) -> None:
    groups = {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 5.0], "c": [4.0, 6.0, 7.0]}
    lacking("statsmodels")
    with pytest.raises(PackageMissing, match=r"Holm's adjustment needs statsmodels.*evenhand\[report\]"):
        stats.pairwise(groups, "mann-whitney")


def test_a_report_that_cannot_be_made_costs_no_look_and_no_hours(tmp_path: Path, lacking: Lacking) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        evaluated(site, session.id, agent, 0.5)
        lacking("statsmodels")
        researcher = site.caller(Role.RESEARCHER)
        answer = researcher.get(f"/studies/{study.id}/report", accept="application/json")
        assert (answer.status_code, answer.json()["error"]) == (409, "PackageMissing")
        assert "a report needs statsmodels" in answer.json()["message"]
        for command in (["study", "report", str(study.id)], ["compare", "--task", "mlp", "--method", "random", "--trials", "1"]):
            refused = CliRunner().invoke(main.app, [*command, "--db", f"sqlite:///{tmp_path / 'lab.sqlite'}"])
            assert isinstance(refused.exception, PackageMissing)
        assert not site.lab.evaluations.has_looked(study.task_id, researcher.identity.who)


@pytest.mark.slow
def test_neither_the_server_nor_the_statistics_load_what_an_extra_brings() -> None:
    names = ", ".join(repr(name) for name in extras.EXTRA_OF)
    code = f"import sys, evenhand.web.app, evenhand.report, evenhand.analysis.stats; print(*({{{names}}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_database_whose_package_is_missing_keeps_its_password(lacking: Lacking, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking("psycopg")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PackageMissing, match=r"needs psycopg.*pip install 'evenhand\[postgres\]'") as caught:
        Store("postgresql+psycopg://me:secret@127.0.0.1:1/lab")
    assert "me:***@127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_optuna_s_storage_says_what_it_needs(lacking: Lacking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lacking("psycopg")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    storage, words = "postgresql+psycopg://me:secret@127.0.0.1:1/studies", r"needs psycopg.*evenhand\[postgres\]"
    with pytest.raises(PackageMissing, match=words) as caught, Source(storage) as source:
        formats.names(source, Wanted())
    assert "secret" not in str(caught.value)
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    session = opened(lab, record_of("steady"))
    with pytest.raises(PackageMissing, match=words):
        optuna.export_session(session.id, storage=storage, db=f"sqlite:///{tmp_path / 'lab.sqlite'}")


# Tasks


@pytest.mark.parametrize("name", ["black-magic", "eeg", "patches"])
def test_a_task_is_refused_when_it_is_loaded(name: str, lacking: Lacking) -> None:
    lacking("torch")
    with pytest.raises(PackageMissing, match=rf"task '{name}' needs PyTorch.*pip install 'evenhand\[torch\]'"):
        tasks.load(TaskSpec(name))


def test_points_are_learnt_without_torch_where_the_compiled_lane_is_there(lacking: Lacking) -> None:
    lacking("torch")
    with pytest.raises(LaneMissing, match=r"'stacked' is not on this machine: it needs PyTorch.*pip install 'evenhand\[torch\]'"):
        tasks.load(TaskSpec("mlp", {"scale": 0.01, "lane": "stacked"}))
    if engines.why_not("whole") is None:
        assert tasks.load(TaskSpec("mlp", {"scale": 0.01})).settings["lane"] == "whole"


def test_a_file_that_imports_what_is_missing_says_what_to_install(tmp_path: Path, lacking: Lacking) -> None:
    lacking("torch")
    (tmp_path / "own.py").write_text("import no_such_package\n")
    with pytest.raises(TaskMissing, match="cannot be imported: it needs no_such_package, which is not installed"):
        tasks.load(TaskSpec(f"{tmp_path / 'own.py'}:train"))
    (tmp_path / "other.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    with pytest.raises(TaskMissing, match=r"it needs PyTorch, which is not installed here; pip install 'evenhand\[torch\]'"):
        tasks.load(TaskSpec(f"{tmp_path / 'other.py'}:train"))


@pytest.mark.slow
def test_the_sample_study_takes_a_task_that_can_run_here(tmp_path: Path, lacking: Lacking) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    lacking("torch")
    with pytest.raises(PackageMissing, match="task 'black-magic' needs PyTorch"):
        sample_study(lab, {"size": 16})
    record = lab.studies.task(sample_study(lab, {}).task_id)
    assert (record.spec.name, record.spec.settings["data"]) == (TASK_WITHOUT_TORCH.name, TASK_WITHOUT_TORCH.settings["data"])
    measurements: list[Measurement] = []
    configuration = record.space.configuration(
        {hyperparameter.name: hyperparameter.domain.from_unit(0.5) for hyperparameter in record.space}
    )
    outcome, why = tasks.run_trial(
        tasks.load(record.spec), configuration, seed=1, evaluation=True, report=measurements.append
    )  # what a participant chooses has a test score
    assert (outcome, why) == (Outcome.COMPLETED, None)


def test_serving_the_sample_study_says_what_pytorch_would_bring(
    tmp_path: Path, lacking: Lacking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    monkeypatch.setattr(Server, "run", lambda self: None)
    lacking("torch")
    with held_port() as port:
        served = CliRunner().invoke(main.app, ["serve", "--sample", "--port", str(port), "--slots", "0"])
        refused = CliRunner().invoke(main.app, ["serve", "--size", "16", "--port", str(port), "--slots", "0"])
    assert "PyTorch is not installed" in served.output
    assert "pip install 'evenhand[torch]'" in served.output
    assert isinstance(refused.exception, PackageMissing)


# Trainings


def imports_it(configuration: Configuration, run: Run) -> None:
    import no_such_package  # type: ignore[import-not-found] # noqa: F401


def says_it_in_its_own_words(configuration: Configuration, run: Run) -> None:
    try:
        import no_such_package  # noqa: F401
    except ImportError as error:
        raise ImportError("reading this format takes an optional dependency") from error


def has_no_lane(configuration: Configuration, run: Run) -> None:
    raise LaneMissing("the training lane 'other' is not on this machine")


@pytest.mark.parametrize("train", [imports_it, says_it_in_its_own_words, has_no_lane])
def test_what_this_machine_lacks_is_no_outcome_of_a_training(train: Callable[[Configuration, Run], None]) -> None:
    words = "no_such_package, which is not installed here|'other' is not on this machine"
    with pytest.raises(MissingHere, match=words):
        tasks.run_trial(made(train), {}, seed=1, evaluation=False, report=lambda measurement: None)
    one, two = run_together(made(train), [TrainingRequest({}, seed, False, lambda measurement: None) for seed in (1, 2)])
    assert isinstance(one, MissingHere)
    assert isinstance(two, MissingHere)


def lacks_a_name(configuration: Configuration, run: Run) -> None:
    from json import no_such_name  # type: ignore[attr-defined] # noqa: F401


def lacks_a_part(configuration: Configuration, run: Run) -> None:
    import json.no_such_part  # type: ignore[import-not-found] # noqa: F401


def does_without_it_and_fails(configuration: Configuration, run: Run) -> None:
    try:
        import no_such_package  # noqa: F401
    except ImportError:
        raise ValueError("no such rate") from None


@pytest.mark.parametrize("train", [lacks_a_name, lacks_a_part, does_without_it_and_fails])
def test_a_mistake_in_the_code_is_one_still(train: Callable[[Configuration, Run], None]) -> None:
    outcome, why = tasks.run_trial(made(train), {}, seed=1, evaluation=False, report=lambda measurement: None)
    assert outcome is Outcome.INVALID
    assert "no such" in str(why).replace("_", " ")


def test_a_module_that_another_thread_imports_right_now_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.5)\nwhole = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert extras.loaded("slow_to_import") is None
    thread = threading.Thread(target=importlib.import_module, args=("slow_to_import",))
    thread.start()
    wait_for(lambda: "slow_to_import" in sys.modules, "its import begins")
    assert extras.loaded("slow_to_import").whole
    thread.join()


def test_tuning_ends_and_the_trial_costs_nothing(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    with pytest.raises(PackageMissing, match="needs no_such_package"):
        evenhand.tune(made(imports_it), trials=3, db=db, progress=False)
    (trial,) = Lab.connect(db).sessions.get(1).trials
    assert trial.is_open
    assert trial.claimed_at is None  # nobody holds it


OWN = """
from evenhand import Float, Hyperparameter, Space, task

@task(space=Space([Hyperparameter("x", Float(-1, 1), default=0.0)]), metric="accuracy", max_epochs=1)
def train(configuration, run):
    import no_such_package
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Lab]:
    """A lab with an agent of one slot that trains for it."""
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    agent_id, _ = lab.agents.add("test", 1)
    stop = threading.Event()
    thread = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": 1, "stop": stop})
    thread.start()
    yield lab
    stop.set()
    thread.join(timeout=30)


@pytest.mark.slow
def test_an_agent_gives_back_what_it_lacks_a_package_for_and_trains_the_rest(agent: Lab, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    record = replace(tasks.load(TaskSpec(f"{tmp_path / 'own.py'}:train")).record)
    session, other = opened(agent, record), opened(agent, record_of("steady"))
    submit(agent, session)
    wait_for(lambda: [event for event in agent.sessions.events(session.id) if event.kind == "attempt ended"], "it is given back")
    submit(agent, other, epochs=1)
    assert ended(agent, other, 1).outcome is Outcome.COMPLETED
    refusals = [event for event in agent.sessions.events(session.id) if event.kind == "attempt ended"]
    assert "needs no_such_package, which is not installed here" in refusals[-1].detail["why"]
    trial = agent.sessions.get(session.id).trials[0]
    assert trial.is_open
    assert trial.claimed_at is None
