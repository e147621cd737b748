"""The plug-in example is built, installed in a fresh environment and used by name; broken plug-ins break nothing else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evenhand import methods, tasks
from evenhand.errors import InvalidSettings, PluginBroken, TaskMissing
from evenhand.methods import stopping
from evenhand.model.task import TaskSpec
from evenhand.report import items, page
from evenhand.report import study as study_report
from tests.archives import many
from tests.components import need
from tests.exported import rich
from tests.labs import make_lab

ROOT = Path(__file__).parent.parent
Install = Callable[..., None]


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_is_built_installed_and_used_by_name(tmp_path: Path) -> None:
    need("hatchling")
    need("report")
    source = shutil.copytree(ROOT / "examples" / "plugin", tmp_path / "plugin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run([*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", str(source), "-w", str(tmp_path)], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "fresh")], tmp_path)
    python = str(tmp_path / "fresh" / "bin" / "python")
    (packages,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    (packages / "outer.pth").write_text("\n".join([str(ROOT), *(path for path in sys.path if path)]))
    run([*pip, "--python", python, "install", "--no-deps", "--no-index", str(wheel)], tmp_path)

    home = {"EVENHAND_DATA": str(tmp_path / "data"), "PYTHONPATH": ""}
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    command = [python, "-m", "evenhand.cli.main"]
    done = run([*command, "tune", "waves", "--method", "nearby:draws=3", "--trials", "4", "--db", url], tmp_path, **home)
    assert "nearby, 4 trials (4 completed)" in done
    assert "test" in done
    again = run([*command, "replay", "1", "3", "--db", url], tmp_path, **home)
    assert "bit for bit" in again

    lab, clock = make_lab(url)
    rich(lab, clock)
    lab.close()
    run([*command, "study", "report", "rich", "--db", url, "--out", "report.html"], tmp_path, **home)
    report = (tmp_path / "report.html").read_text()
    assert "Further" in report
    assert "Configurations that each participant tried" in report
    run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(source / "test_contracts.py")], tmp_path, **home)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with entry points, and modules by name and text, on Python's path."""

    def put(distribution: str, entry_points: str, **modules: str) -> None:
        place = tmp_path / distribution
        info = place / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for name, text in modules.items():
            (place / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(place))

    return put


METHOD = """
from evenhand import draw_untried
class Mine:
    name = "mine"
    def suggest(self, space, trials, n, rng):
        return draw_untried(space, trials, n, rng, "a draw of mine")
class Other(Mine):
    name = "other"
class Half:
    name = "half"
TASK = 3
"""


def test_a_plug_in_is_found_by_its_name_beside_the_built_in_ones(install: Install) -> None:
    assert "mine" not in methods.METHODS
    install("good", "[evenhand.methods]\nmine = good_method:Mine\n", good_method=METHOD)
    assert "mine" in methods.METHODS
    assert len(methods.METHODS) == len(list(methods.METHODS)) == len(methods.METHODS.own) + 1
    assert methods.method("mine", maximize=True).name == "mine"
    with pytest.raises(InvalidSettings, match=r"expected one of grid, .*manual, mine, FILE.py:NAME"):
        methods.method("nobody", maximize=True)


def test_a_plug_in_that_fails_breaks_itself_only_and_names_its_distribution(install: Install) -> None:
    install(
        "bad",
        "[evenhand.methods]\nmine = bad_method:Mine\nother = fine_method:Mine\nhalf = fine_method:Half\n"
        "[evenhand.tasks]\nthree = fine_method:TASK\n[evenhand.stopping_rules]\nno-rule = fine_method:Half\n",
        bad_method="raise RuntimeError('no licence')",
        fine_method=METHOD,
    )
    assert methods.method("tpe", maximize=True).name == "tpe"
    with pytest.raises(PluginBroken, match=r"(?s)method 'mine' of the distribution bad 1.0: bad_method:Mine .*no licence"):
        methods.method("mine", maximize=True)
    with pytest.raises(PluginBroken, match=r"'other' of the distribution bad 1.0: it calls itself 'mine'"):
        methods.method("other", maximize=True)
    with pytest.raises(PluginBroken, match=r"'half' of the distribution bad 1.0: .*has no `suggest`"):
        methods.method("half", maximize=True)
    with pytest.raises(PluginBroken, match=r"task 'three' of the distribution bad 1.0: it gives a int"):
        tasks.load(TaskSpec("three"))
    with pytest.raises(TaskMissing, match=r"expected black-magic, .*three, FILE.py:NAME"):
        tasks.load(TaskSpec("four"))
    with pytest.raises(PluginBroken, match=r"stopping rule 'no-rule' of the distribution bad 1.0: .*maximize"):
        stopping.rule("no-rule", maximize=True)


RAISING = """
class Lost:
    name = "lost"
    def __init__(self, **settings):
        raise KeyError("no model of mine")
    def suggest(self, space, trials, n, rng):
        return []
def load(settings):
    raise KeyError("no data of mine")
"""


def test_what_raises_while_it_is_made_is_named_with_its_distribution(install: Install) -> None:
    install(
        "raising",
        "[evenhand.methods]\nlost = raising_module:Lost\n[evenhand.tasks]\nlost = raising_module:load\n"
        "[evenhand.stopping_rules]\nlost = raising_module:Lost\n",
        raising_module=RAISING,
    )
    with pytest.raises(PluginBroken, match=r"(?s)method 'lost' of the distribution raising 1.0: it cannot be made.*no model"):
        methods.method("lost", maximize=True)
    with pytest.raises(PluginBroken, match=r"(?s)stopping rule 'lost' of the distribution raising 1.0: it cannot be.*no model"):
        stopping.rule("lost", maximize=True)
    with pytest.raises(PluginBroken, match=r"(?s)task 'lost' of the distribution raising 1.0: its load failed.*no data of mine"):
        tasks.load(TaskSpec("lost"))


def test_two_of_one_name_and_a_built_in_name_are_refused_by_their_distributions(install: Install) -> None:
    install("one", "[evenhand.methods]\nmine = one_method:Mine\ntpe = one_method:Mine\n", one_method=METHOD)
    install("two", "[evenhand.methods]\nmine = two_method:Mine\n", two_method=METHOD)
    with pytest.raises(PluginBroken, match=r"registered 2 times, by the distribution one 1.0 .* and by the distribution two 1.0"):
        methods.method("mine", maximize=True)
    with pytest.raises(
        PluginBroken, match=r"by Evenhand itself and by the distribution one 1.0 .* rename or uninstall one \(one\)"
    ):
        methods.method("tpe", maximize=True)
    assert methods.method("random", maximize=True).name == "random"
    assert list(methods.METHODS).count("tpe") == 1


ITEMS = """
from evenhand import Item, ReportTable, report_item
@report_item("search")
def good(frame):
    return Item("good", "A good one", "n = 1", "counted", table=ReportTable(("who",), (("all",),)))
def plain(frame):
    return [Item("plain", "A plain function", "n = 1", "counted")]
def raising(frame):
    return 1 / 0
def taken(frame):
    return Item("disclosure", "The key of another one", "n = 1", "")
def torn(frame):
    return Item("torn", "A torn table", "n = 1", "", table=ReportTable(("a", "b"), (("x",),)))
def drawn(frame):
    return Item("drawn", "No drawing", "n = 1", "", spec={"mark": 3})
"""


@pytest.mark.slow
def test_report_items_of_plug_ins_stand_in_their_sections_and_broken_ones_say_why(install: Install) -> None:
    need("report")
    before = study_report.build(many(5, 1), "live")
    names = ("good", "plain", "raising", "taken", "torn", "drawn", "absent")
    entries = "".join(f"{name} = its_items:{name}\n" for name in names)
    install("mixed", f"[evenhand.report_items]\n{entries}flow = its_items:good\n", its_items=ITEMS)
    report = study_report.build(many(5, 1), "live")
    search = next(section for section in report.sections if section.key == "search")
    assert [item.key for item in search.items] == ["search", "likeness", "good"]
    assert report.sections[:-1] == tuple(section if section.key != "search" else search for section in before.sections)
    further = {item.key: item.why for item in report.sections[-1].items}
    assert list(further) == [
        "plug-in-absent", "plug-in-drawn", "plug-in-flow", "plain", "plug-in-raising", "plug-in-taken", "plug-in-torn",
    ]  # fmt: skip
    assert further["plain"] == ""
    assert "division by zero" in further["plug-in-raising"]
    assert "by Evenhand itself and by the distribution mixed 1.0" in further["plug-in-flow"]
    for key in ("absent", "drawn", "raising", "taken", "torn"):
        assert "report item" in further[f"plug-in-{key}"], key
        assert "mixed 1.0" in further[f"plug-in-{key}"], key
    assert "A plain function" in page.html(report, "2026-11-28")


def test_every_built_in_thing_is_what_its_table_says() -> None:
    for name in methods.METHODS.own:
        assert methods.METHODS.get(name).name == name
    for name in tasks.TASKS.own:
        assert callable(tasks.TASKS.get(name))
    for name in stopping.RULES.own:
        assert stopping.RULES.get(name).name == name
    for name in items.REPORT_ITEMS.own:
        assert isinstance(items.REPORT_ITEMS.get(name), items.ReportItem)
