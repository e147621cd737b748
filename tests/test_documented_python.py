"""The Python of the guides runs as it is printed and does what is said beside it, and what they name is there."""

import importlib
import inspect
import os
import pkgutil
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand import optuna_compat, testing
from evenhand.analysis.trial_frame import FACTS
from evenhand.examples import digits_mlp
from evenhand.exchange.formats import optuna_study
from evenhand.experiments import compare
from evenhand.experiments.predict import predict
from evenhand.explain import EXPLANATIONS
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.lab.people import People
from evenhand.methods import METHODS
from evenhand.methods.stopping import RULES
from evenhand.model.archive import Archive
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Outcome
from evenhand.report import items
from evenhand.report.items import REPORT_ITEMS
from evenhand.report.study import build
from evenhand.tasks import TASKS
from evenhand.tasks.builtin.estimator_frames import ColumnLeftOut
from tests.archives import many
from tests.components import need
from tests.exported import rich, write
from tests.labs import make_lab, started, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import toy_site

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
PACKAGES = ["evenhand", *(module.name for module in pkgutil.walk_packages(evenhand.__path__, "evenhand.") if module.ispkg)]
SPOKEN_OF: dict[str, Any] = {  # what the guides call by a small name of its own
    "client": Client,
    "frame": evenhand.ReportContext,
    "configuration": evenhand.Configuration,
    "explanation": evenhand.Explanation,
    "hyperparameter": evenhand.Hyperparameter,
    "method": evenhand.Method,
    "run": evenhand.Run(digits_mlp.train, seed=0, evaluation=False, report=lambda measurement: None),
    "result": evenhand.Result,
    "session": Session,
    "space": evenhand.Space,
    "optuna": optuna_compat,
    "study": optuna_compat.Study,
    "trial": evenhand.Trial,
    **{noun.__name__: noun for noun in (Archive, People, TaskRecord)},
}
FILE_ENDINGS = "py|md|toml|html|zip|json|jsonl|csv|sqlite|csv_bi|edf|joblib|pt|npz|parquet|ts|js|sh|txt|cff"
# Others', our tests', keys of a study's file and of a command.
NOT_EVENHANDS = (
    *("ast", "torch", "tests", "benchmarks", "background", "plan", "QUESTIONNAIRE", "tasks.NAME"),
    *("best.", "set.", "metric.", "in.", "none."),
)


def blocks_of(text: str, kind: str = "python") -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


def shorter(block: str) -> str:
    """The search that stands first on two pages, of one short trial."""
    assert "trials=20" in block
    return block.replace("trials=20", "trials=1, epochs_per_trial=1")


def execute(blocks: list[str], names: dict[str, Any], page: str) -> None:
    """The blocks of a page one after the other, as somebody types them."""
    for block in blocks:
        exec(compile(block, f"<{page}>", "exec"), names)  # no file's name: else the page is read as a function's source


def test_every_page_with_python_has_a_test_here() -> None:
    pages = {page.name for page in PAGES if blocks_of(page.read_text(encoding="utf-8"))}
    assert pages == {
        "README.md",
        "agents.md",
        "data.md",
        "estimators.md",
        "aims.md",
        "methods.md",
        "optuna.md",
        "plugins.md",
        "models.md",
        "programs.md",
        "spaces.md",
        "taking-away.md",
        "tasks.md",
        "understanding.md",
    }


def test_the_block_of_understanding_explains_a_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [f"{rng.random():.4f},{rng.random():.4f}" for _ in range(40)]
    Path("trials.csv").write_text("\n".join(["rate,accuracy", *lines]))
    (block,) = blocks_of((DOCS / "understanding.md").read_text(encoding="utf-8"))
    names: dict[str, Any] = {"evenhand": evenhand}
    execute([block], names, "understanding.md")
    assert names["explanation"].trials == 40
    assert "Is it noise?" in Path("understanding.html").read_text()


@pytest.mark.slow
def test_the_block_of_the_readme_tunes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    (block,) = blocks_of((DOCS.parent / "README.md").read_text(encoding="utf-8"))
    execute([shorter(block)], {}, "README.md")
    assert "trial" in capsys.readouterr().out


@pytest.mark.slow
def test_the_task_that_is_written_there_keeps_the_contract_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of((DOCS / "tasks.md").read_text(encoding="utf-8"))
    first, called, resumable, keeping, best, restoring, revised, check = blocks
    Path("my_task.py").write_text(first)
    execute([check, called], {}, "docs/tasks.md")
    Path("resumable_task.py").write_text(first + resumable)
    Path("keeping_task.py").write_text(first + keeping)
    Path("revised_task.py").write_text(first + revised)
    Path("restoring_task.py").write_text(first + restoring)
    tasks = [evenhand.load_task(evenhand.TaskSpec(f"{name}_task.py:train")) for name in ("my", "resumable", "revised", "keeping")]
    assert len({task.version for task in tasks}) == 4
    result = evenhand.tune(tasks[1], method="asha", epochs=40)
    assert any(trial.resumes for trial in result.trials)
    assert {trial.outcome for trial in result.trials} == {evenhand.Outcome.COMPLETED}
    execute([best], {"train": tasks[0]}, "docs/tasks.md")
    restored = evenhand.tune(evenhand.load_task("restoring_task.py:train"), trials=2, epochs_per_trial=4).evaluation
    assert restored is not None
    assert restored.mode == "as tuned"
    assert restored.mean is not None
    keeping_result = evenhand.tune(tasks[3], trials=3, epochs_per_trial=2, keep_folders=1, evaluate=False)
    assert keeping_result.best is not None
    assert keeping_result.best.folder is not None
    assert (keeping_result.best.folder / "notes.txt").read_text() == f"trial {keeping_result.best.number} is done"


@pytest.mark.slow
def test_an_archive_is_read_as_the_page_on_data_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pandas")
    monkeypatch.chdir(tmp_path)
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = rich(lab, clock)
    write(lab, study, tmp_path / "study.zip")
    write(lab, study, tmp_path / "study")
    lab.close()
    names: dict[str, Any] = {}
    execute(blocks_of((DOCS / "data.md").read_text(encoding="utf-8")), names, "docs/data.md")
    assert len(names["trials"]) == sum(len(session.trials) for session in names["records"].sessions)


@pytest.mark.slow
def test_a_model_is_made_as_its_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pandas")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    execute(blocks_of((DOCS / "models.md").read_text(encoding="utf-8")), names, "docs/models.md")
    predicted = predict(Lab.connect(), "wine-model", Path("new.csv"))
    assert predicted.values == names["result"].best_estimator_.predict(names["X"].head(10)).tolist()


def test_every_block_on_spaces_says_what_is_so() -> None:
    blocks = blocks_of((DOCS / "spaces.md").read_text(encoding="utf-8"))
    assert len(blocks) == 4
    for block in blocks:
        execute([block], {}, "docs/spaces.md")


def test_a_method_tunes_over_http_as_the_page_on_agents_says(tmp_path: Path) -> None:
    (block,) = blocks_of((DOCS / "agents.md").read_text(encoding="utf-8"))
    with toy_site(tmp_path) as site:
        session = started(site.lab, toy_study(site.lab, Budget(trials=3)))
        names = {"token": site.lab.tokens.issue("method", session.id)}
        execute([block.replace("http://127.0.0.1:8765", site.address)], names, "docs/agents.md")
        (trial,) = site.lab.view(session.id).session.trials
    assert trial.configuration["epochs"] == 3


@pytest.mark.slow
def test_the_blocks_of_methods_run_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pandas")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    text = (DOCS / "methods.md").read_text().split("\n## In Python\n")[1].split("\n## ")[0]
    blocks = blocks_of(text)
    assert len(blocks) == 9
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    execute([shorter(blocks[0]), *blocks[1:]], names, "docs/methods.md")
    assert names["result"].trials[0].configuration["x"] == 0.1
    assert list(names["again"].trials.columns) == ["x", *FACTS]
    assert names["neighbors"].best_estimator_.n_features_in_ == 13
    assert names["notes"] == ()
    lab = Lab.connect()
    tuners = [session.tuner for study in lab.studies.all() for session in lab.sessions.of_study(study.id)]
    assert sorted(tuners) == ["optuna", "pibo", "random", "random", "random", "random", "tpe", "tpe"]
    lab.close()


@pytest.mark.slow
def test_a_result_is_taken_away_as_its_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pandas")
    need("report")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    execute(blocks_of((DOCS / "taking-away.md").read_text(encoding="utf-8")), names, "docs/taking-away.md")
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["best.toml", "report.html", "trials.csv"]
    assert tomllib.loads((tmp_path / "best.toml").read_text(encoding="utf-8")) == dict(names["result"].best.configuration)
    assert [column.name for column in names["compared"].columns] == ["first", "#2"]


@pytest.mark.slow
def test_the_blocks_of_aims_run_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    names: dict[str, Any] = {}
    execute(blocks_of((DOCS / "aims.md").read_text(encoding="utf-8")), names, "docs/aims.md")
    assert len(names["short"].trials) < 200
    assert len(names["result"].front) > 1
    assert names["tree"].session.method["choose"] == "simplest:max_depth"


@pytest.mark.slow
def test_estimators_are_tuned_as_their_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pandas")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    *tables, _, _ = blocks_of((DOCS / "estimators.md").read_text(encoding="utf-8"))
    assert len(tables) == 2
    names: dict[str, Any] = {}
    with pytest.warns(ColumnLeftOut, match="'ticket'"):
        execute(tables, names, "docs/estimators.md")
    for name in ("result", "own"):
        assert {trial.outcome for trial in names[name].trials} == {evenhand.Outcome.COMPLETED}
        assert names[name].best_score_ > 0.9
        assert len([score for score in names[name].trials[0].extra if score.startswith("fold ")]) == 5
    assert names["result"].left_out == ("ticket",)


BOOSTING = [("boosted.py", "lightgbm"), ("histogram.py", "")]  # what stands above each block, and the component that it needs


@pytest.mark.slow
@pytest.mark.parametrize(("script", "component"), BOOSTING)
def test_boosting_with_early_stopping_goes_on_after_ctrl_c_as_the_page_on_estimators_says(
    tmp_path: Path, script: str, component: str
) -> None:
    if component:
        need(component)
    (block,) = [block for block in blocks_of((DOCS / "estimators.md").read_text()) if block.startswith(f"# {script}\n")]
    (tmp_path / script).write_text(block)

    def start(name: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "EVENHAND_DATA": str(tmp_path / name), "PYTHONPATH": str(DOCS.parent)}
        command, pipe = [sys.executable, script], subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stdout=pipe, stderr=pipe)

    def session(name: str) -> Session | None:
        (tmp_path / name).mkdir(exist_ok=True)
        with closing(Lab.connect(f"sqlite:///{tmp_path / name / 'evenhand.sqlite'}")) as lab:
            return next((session for study in lab.studies.all() for session in lab.sessions.of_study(study.id)), None)

    def is_amid(session: Session) -> bool:
        running = [trial for trial in session.trials if trial.is_open and trial.claimed_at is not None]
        return len(session.trials) > 3 and len(running) == 2

    assert session("broken") is None  # the database is made, which this process may look into meanwhile
    first = start("broken")
    amid = wait_for(lambda: session("broken"), "two trials train, after others", is_amid)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=PATIENCE_SECONDS)
    assert "Interrupted: session 1 ('boosted'), " in said
    left = session("broken")
    assert left is not None
    assert left.choice is None
    given_back = [trial.number for trial in left.trials if trial.is_open]
    assert 0 < len(given_back) <= 2

    for name in ("broken", "unbroken"):
        again = start(name)
        said, complaints = again.communicate(timeout=PATIENCE_SECONDS)
        assert again.returncode == 0, complaints
        assert int(said.split()[-2]) < 100, "rounds"
    broken, unbroken = session("broken"), session("unbroken")
    assert broken is not None
    assert unbroken is not None
    assert broken.choice is not None
    assert [trial.configuration for trial in broken.trials] == [trial.configuration for trial in unbroken.trials]
    assert len(broken.trials) == 8
    assert {trial.outcome for trial in broken.trials} <= {Outcome.COMPLETED, Outcome.STOPPED}
    ended = [trial for trial in amid.trials if not trial.is_open]
    assert [broken.trials[trial.number - 1] for trial in ended] == ended
    # one more attempt at each; a trial that was proposed, and not yet begun, when Ctrl-C came had none
    for number in given_back:
        assert broken.trials[number - 1].attempt == left.trials[number - 1].attempt + 1, f"trial {number}"
    for one, other in zip(broken.trials, unbroken.trials, strict=True):
        assert one.epochs_done != other.epochs_done or one.value == other.value


@pytest.mark.slow
def test_the_documented_columns_and_attributes_are_the_real_ones() -> None:
    text = (DOCS / "methods.md").read_text()
    tables = text.split("### Tables and notebooks")[1].split("\n### ")[0]
    assert re.findall(r"`(\w+)`", tables.split("inactive), ")[1].split(" and the further")[0]) == [*FACTS]
    studies = text.split("### Studies of Optuna")[1].split("\n## ")[0]
    row = next(line for line in studies.splitlines() if line.startswith("| user attributes `"))
    assert tuple(re.findall(r"`(\w+)`", row)) == optuna_study.TRIAL_ATTRIBUTES
    assert evenhand.Prior(0.1, "high").confidence == "high"


@pytest.mark.slow
def test_the_method_that_is_written_there_tunes_and_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    belief, _, first, second, *_ = blocks_of((DOCS / "methods.md").read_text())
    (tmp_path / "my_methods.py").write_text(first)  # in a module, as the page says
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {}
    execute([belief, "from my_methods import *", second], names, "docs/methods.md")
    assert names["result"].session.method.items() >= {"name": "coin", "object": "my_methods:Coin", "heads": 0.6}.items()
    assert compare.contestant("my_methods.py:Coin:heads=0.6").method == {"name": "my_methods.py:Coin", "heads": 0.6}


def test_the_plug_ins_of_the_page_are_those_of_the_example_and_its_item_stands_in_a_report() -> None:
    text = (DOCS / "plugins.md").read_text()
    example = tomllib.loads((DOCS.parent / "examples" / "plugin" / "pyproject.toml").read_text())
    (shown,) = blocks_of(text, "toml")
    assert tomllib.loads(shown)["project"]["entry-points"] == example["project"]["entry-points"]
    groups = {registry.group for registry in (EXPLANATIONS, METHODS, TASKS, REPORT_ITEMS, RULES)}
    assert set(re.findall(r"^\| `(evenhand\.\w+)` \|", text, flags=re.MULTILINE)) == groups
    names: dict[str, Any] = {}
    execute(blocks_of(text), names, "docs/plugins.md")
    mine = names["first_trials"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(items, "_all", lambda frame: ((mine.section, item) for item in mine(frame)))
        (item,) = build(many(5, 1), "live").items
    assert item.table is not None
    assert len(item.table.rows) == 5
    assert mine.section == "search"
    assert re.search(r"Sections are ([a-z,\s]+) and further", text)[1].replace("\n", " ").split(", ") == list(items.SECTIONS)[:-1]  # type: ignore[index]


class Fitted:
    """A model as Keras has them, of which nothing is trained."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def fit(self, x: int, y: int, epochs: int, **_: Any) -> dict[str, list[float]]:
        return {"val_accuracy": [self.rate] * epochs}


@pytest.mark.slow
def test_the_script_of_optuna_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EVENHAND_DB", f"sqlite:///{tmp_path / 'lab.sqlite'}")
    script, hypermodel = blocks_of((DOCS / "optuna.md").read_text(encoding="utf-8"))
    execute([script], {}, "docs/optuna.md")
    names = {"compiled_model": lambda kind, units, rate: Fitted(rate), "x": 0, "y": 0, "x_val": 0, "y_val": 0}
    execute([hypermodel.replace("trials=20", "trials=3")], names, "docs/optuna.md")
    assert len(names["result"].trials) == 3  # type: ignore[attr-defined]
    assert "evenhand serve, then /sessions/1" in capsys.readouterr().out
    optuna_compat.storage_of(None).close()


def has(owner: Any, path: list[str]) -> bool:
    """Whether `owner` has the module or attribute at `path`. Of what only an instance has, its field in the class is enough."""
    if not path:
        return True
    name, *rest = path
    if isinstance(owner, ModuleType) and not hasattr(owner, name):
        try:
            return has(importlib.import_module(f"{owner.__name__}.{name}"), rest)
        except ModuleNotFoundError:
            return False
    made_of = owner if isinstance(owner, type) else type(owner)
    if name in getattr(owner, "__dataclass_fields__", {}) or isinstance(getattr(made_of, name, None), property):
        return True
    return hasattr(owner, name) and has(getattr(owner, name), rest)


def dotted_names(text: str) -> list[str]:
    """The dotted names between backticks, calls among them; not those of files."""
    code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    names = [name for words in code for name in re.findall(r"(?<![\w/.\"-])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w/-])", words)]
    return [
        name
        for name in names
        if not re.search(
            r"\.(?:py|md|toml|html|zip|json|jsonl|csv|sqlite|csv_bi|edf|joblib|pt|npz|parquet|ts|js|sh|txt|cff)$", name
        )
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_dotted_name_of_a_page_is_of_something_that_is_there(page: Path, tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'names.sqlite'}")
    spoken_of = SPOKEN_OF | {"lab": lab}
    rooms = [importlib.import_module(package) for package in PACKAGES]
    groups = {registry.group for registry in (EXPLANATIONS, METHODS, TASKS, REPORT_ITEMS, RULES)}
    for name in dotted_names(page.read_text(encoding="utf-8")):
        if name in groups or name.startswith(NOT_EVENHANDS):
            continue
        first, *rest = name.split(".")
        known = first in spoken_of and has(spoken_of[first], rest)
        assert known or any(has(room, name.removeprefix("evenhand.").split(".")) for room in rooms), f"{name}: not in Evenhand"
    lab.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_by_its_path_is_there(page: Path) -> None:
    """As `model/rules` or `tests/waiting.wait_for`: a file or folder of the package or of the repository."""
    code = re.findall(r"`([a-z_]+(?:/[a-z_]+)+)(?:\.[a-z_]+)?(?: [^`\n]*)?`", page.read_text(encoding="utf-8"))
    for path in sorted({*code} - {"datasets/prepared", "data/train"}):  # in the data directory, and in a user's own
        bases = (DOCS.parent / path, DOCS.parent / "evenhand" / path)
        there = any(base.with_suffix(ending).exists() for base in bases for ending in ("", ".py", ".md", ".js"))
        assert there, f"{path}: no such file or folder"


def test_the_public_face_is_on_the_page_and_can_be_imported() -> None:
    face = (DOCS / "plugins.md").read_text().split("## The public face")[1]
    shown = [name for row in re.findall(r"^\| (`.*?`) \|", face, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted(evenhand.__all__)
    assert all(getattr(evenhand, name).__doc__ for name in evenhand.__all__)


def public_functions() -> list[tuple[str, Any]]:
    """The functions of the public face, and the methods of its classes; not those inherited from Python's own."""
    things = [(f"{room.__name__}.{name}", getattr(room, name)) for room in (evenhand, testing) for name in room.__all__]
    functions = [(name, thing) for name, thing in things if inspect.isfunction(thing)]
    for name, thing in things:
        if inspect.isclass(thing):
            members = inspect.getmembers(thing, lambda member: inspect.isfunction(member) or inspect.ismethod(member))
            functions += [
                (f"{name}.{member}", method) for member, method in members if not method.__name__.startswith(("_", "<"))
            ]
    return [(name, function) for name, function in functions if function.__module__.startswith("evenhand.")]


@pytest.mark.parametrize(("name", "function"), public_functions(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_public_function_says_what_its_arguments_are(name: str, function: Any) -> None:
    """With one argument a single line may say so; with more each has a line under Args. Ruff holds the other sections."""
    taken = [argument for argument in inspect.signature(function).parameters if argument not in ("self", "cls")]
    text = inspect.getdoc(function) or ""
    assert text, f"{name} has no docstring"
    if len(taken) > 1 and not text.startswith("See `"):
        said = text.partition("Args:\n")[2].partition("\n\n")[0]
        assert re.findall(r"^    (\w+): ", said, flags=re.MULTILINE) == taken


@pytest.mark.parametrize("name", [name for name in evenhand.__all__ if is_dataclass(getattr(evenhand, name))])
def test_a_public_record_says_what_its_fields_are(name: str) -> None:
    record = getattr(evenhand, name)
    own = [field.name for field in fields(record) if field.name in inspect.get_annotations(record)]
    text = inspect.getdoc(record) or ""
    said = re.findall(r"^    (\w+): ", text.partition("Attributes:\n")[2].partition("\n\n")[0], flags=re.MULTILINE)
    assert [field for field in said if field in own] == own
