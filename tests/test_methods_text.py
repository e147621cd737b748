"""What a run says of itself for a paper, and that it is enough to repeat the run."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evenhand
from evenhand.analysis.seen_before import seen_before
from evenhand.cli.main import app
from evenhand.experiments.tune import Result
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.report import references, run_records
from evenhand.report.methods_text import MethodsText, methods_text
from evenhand.report.reproduction import facts_of
from evenhand.report.run_records import RunRecords

SOURCE = """
import evenhand
from evenhand import Choice, Condition, Float, Hyperparameter, Integer, Space

SPACE = Space(
    [
        Hyperparameter("kind", Choice(("sharp", "flat")), "flat"),
        Hyperparameter("x", Float(1e-4, 1.0, log=True), 0.01, label="rate"),
        Hyperparameter("steps", Integer(2, 10, step=2), 4),
        Hyperparameter("slope", Float(0, 1, step=0.25), 0.5, condition=Condition("kind", ("sharp",))),
    ],
    constraints=["steps < 9"],
)


@evenhand.task(space=SPACE, metric="accuracy", max_epochs=4, statistics={"validation rows": 500, "training rows": 2000})
def train(configuration, run):
    height = 0.9 - abs(configuration["x"] - 0.1) - 0.01 * configuration["steps"] - 0.1 * configuration.get("slope", 0.5)
    for epoch in range(1, 5):
        run.report(epoch=epoch, accuracy=max(0.0, height * (1 - 0.5**epoch)) + run.seed * 1e-12)
"""


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a training script, in which one works."""
    return work_in(tmp_path / "author", monkeypatch)


def work_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir()
    (folder / "wave.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'lab.sqlite'}"


def tuned(folder: Path, **given: Any) -> Result:
    return evenhand.tune(evenhand.load_task("wave.py:train"), db=url(folder), progress=False, **given)


def text_of(folder: Path, session: Session) -> MethodsText:
    lab = Lab.connect(url(folder))
    try:
        return methods_text(run_records.read(lab, session, ()))
    finally:
        lab.close()


def shown_trials(session: Session) -> list[tuple[object, ...]]:
    """All of its trials that the function and the method decide."""
    return [
        (trial.number, dict(trial.configuration), trial.value, trial.outcome, trial.epochs_done, trial.explanation, trial.why)
        for trial in session.trials
    ]


RUNS: dict[str, dict[str, Any]] = {
    "tpe": {"method": "tpe", "trials": 9, "startup": 4, "seed": 5, "name": "first try"},
    "stopped": {"method": "random", "epochs": 24, "stopping": "median:startup=2", "seed": 3, "value": "best"},
    "believed": {
        "method": "pibo", "trials": 5, "priors": {"x": evenhand.Prior(0.1, "high")}, "until": "0.0001 in 4",
        "require": {"accuracy": "<= 0.8"}, "choose": "gap",
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_clean_machine_repeats_the_run_from_what_it_says(run: str, author: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tuned(author, **RUNS[run]).session
    said = json.loads(text_of(author, first).json())
    assert said["repeats_exactly"], said["why_not"]
    assert first.choice is not None
    assert first.choice.configuration is not None

    clean = work_in(author.parent / "clean", monkeypatch)
    function = evenhand.load_task(evenhand.TaskSpec(said["task"]["name"], said["task"]["settings"]))
    assert function.version == said["task"]["version"]
    arguments = said["arguments"]
    if "priors" in arguments:
        arguments["priors"] = {name: evenhand.Prior(**prior) for name, prior in arguments["priors"].items()}
    again = evenhand.tune(function, db=url(clean), progress=False, **arguments).session
    assert shown_trials(again) == shown_trials(first)
    assert again.tuning_seed == first.tuning_seed == said["seeds"]["tuning"]
    assert again.choice is not None
    assert again.choice.configuration == first.choice.configuration

    other = work_in(author.parent / "terminal", monkeypatch)
    words = shlex.split(said["command"])
    assert words[:2] == ["evenhand", "tune"]
    done = CliRunner().invoke(app, [*words[1:], "--db", url(other)])
    assert done.exit_code == 0, done.output
    lab = Lab.connect(url(other))
    assert shown_trials(lab.sessions.get(1)) == shown_trials(first)
    lab.close()


def test_its_space_and_settings_are_all_there(author: Path) -> None:
    session = tuned(author, **RUNS["tpe"]).session
    text = text_of(author, session)
    assert Space.from_json(text.facts["space"]) == session.space
    assert text.facts["method"] == {"name": "tpe", "settings": {"startup": 4, "candidates": 24}}
    assert text.facts["seeds"]["evaluation"] == []
    assert text.facts["spent"] == {"trials": 9, "epochs": 36, "outcomes": {"completed": 9}}
    assert text.facts["trained_in"][0]["trials"] == 9
    assert text.facts["packages"]["evenhand"] == evenhand.__version__
    rows = {row[0]: row[1] for row in text.table.rows}
    assert rows["hyperparameter x"] == "0.0001 to 1, log; default 0.01"
    assert rows["hyperparameter steps"] == "2 to 10 in steps of 2, linear; default 4"
    assert rows["hyperparameter slope"] == "0 to 1 in steps of 0.25, linear; default 0.5, active for sharp"
    assert rows["constraint"] == "steps < 9"
    assert rows["splits"] == "validation rows 500, training rows 2000"
    assert rows["method"] == "tpe; startup 4, candidates 24"
    assert rows["seeds"] == f"root 5, tuning {session.tuning_seed}, method {session.method['seed']}"
    assert rows["command"] == text.facts["command"]
    assert str(author) not in text.json() + str(text)  # no folder of this machine


def test_the_paragraph_says_how_and_cites(author: Path) -> None:
    session = tuned(author, **RUNS["tpe"]).session
    text = text_of(author, session)
    assert text.paragraph.startswith(
        "We tuned 4 hyperparameters of wave.py:train with the tree-structured Parzen estimator of Optuna, in its multivariate, "
        f"grouped form [bergstra2011tpe, falkner2018bohb, akiba2019optuna] in Evenhand {evenhand.__version__} [evenhand], under "
        "a budget of 9 trials; 9 trials ended."
    )
    assert "on the validation split of 500 rows, at its last epoch." in text.paragraph
    assert "Trial " in text.paragraph
    assert text.bibtex.count("@") == 4
    assert "PyTorch" not in text.paragraph
    latex = text.latex()
    assert r"~\cite{bergstra2011tpe,falkner2018bohb,akiba2019optuna}" in latex
    assert r"\begin{longtable}" in latex


def test_what_keeps_a_run_from_being_repeated_is_said(author: Path) -> None:
    records = RunRecords(tuned(author, method="random", trials=2).session, replace_study(author), {})
    session = records.session
    for changed, why in (
        (replace(session, budget=replace(session.budget, parallel=3)), "several trials were trained at once"),
        (replace(session, budget=replace(session.budget, seconds=60.0)), "its budget is time"),
        (replace(session, kind="participant"), "a person proposed its trials"),
        (replace(session, method={"name": "mine", "object": "notebook:Mine"}), "an object of notebook:Mine"),
        (replace(session, task=replace(session.task, spec=evenhand.TaskSpec("__main__:train"))), "is in no file"),
    ):
        facts = facts_of(replace(records, session=changed))
        assert not facts["repeats_exactly"]
        assert any(why in reason for reason in facts["why_not"])


def replace_study(folder: Path) -> Any:
    lab = Lab.connect(url(folder))
    study = lab.studies.get(1)
    lab.close()
    return study


def test_a_look_amid_the_trials_is_said(author: Path) -> None:
    session = tuned(author, method="random", trials=4).session
    moments = [trial.submitted_at for trial in session.trials]
    looks = [("person 1", (moments[1] + moments[2]) / 2)]
    records = RunRecords(session, replace_study(author), {}, None, looks, seen_before(looks, moments))
    text = methods_text(records)
    assert "Scores on this test data were seen before 2 of 4 trials (1 look)" in text.paragraph
    assert "seen before" not in methods_text(replace(records, seen_before=None)).paragraph


def test_every_reference_has_its_key_and_is_balanced() -> None:
    for key, entry in references.BIBTEX.items():
        assert entry.split("{", 1)[1].startswith(f"{key},")
        assert entry.count("{") == entry.count("}")
        assert " title" in entry
        assert " author" in entry
    for keys in (*references.METHOD_KEYS.values(), *references.STOPPING_KEYS.values(), *references.LIBRARY_KEYS.values()):
        assert set(keys) <= references.BIBTEX.keys()
    from evenhand.methods import METHODS

    assert references.METHOD_WORDS.keys() == set(METHODS.own)
