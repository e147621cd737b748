"""A study as a file: `study.toml` with its texts in Markdown beside it, read into what it declares, every mistake explained.

Paths in the file are relative to it. docs/studies.md lists every key.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evenhand import questionnaires as rules
from evenhand import studychecks, tasks, tomlfile
from evenhand.analysis.scores import is_share
from evenhand.declaration import (
    BACKGROUND,
    MONTHS,
    REASONS,
    Arm,
    Budget,
    Group,
    Grouping,
    Option,
    Plan,
    Question,
    Questionnaire,
    Rule,
    Section,
    Study,
    Text,
    When,
)
from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.records import TaskRecord, TaskSpec
from evenhand.tasks import images
from evenhand.tasks.base import Task
from evenhand.tomlfile import Mistake, Source
from evenhand.tomltables import Table

FILE = "study.toml"
TEXTS = ("consent", "details", "thanks")
KINDS = ("single", "multiple", "number", "text", "likert", "matrix")
TESTS = ("spearman", "kruskal-wallis", "mann-whitney", "brunner-munzel")
OPS = ("is", "is not", "at least", "at most")
FACTS = ("trials", "minutes", "choice", "answer")
ROOT_SEEDS = 10**6  # a fresh file's root seed is drawn below this: short enough to be told


@dataclass(frozen=True)
class Declared:
    """What a file declares. study: everything but its tasks' ids, which are 0; tasks: by key, the first is the study's own.

    arms: the task's key of each condition, by the condition's name.
    """

    source: Source
    study: Study
    tasks: Mapping[str, TaskSpec]
    arms: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """What is wrong (errors) or worth a look (warnings), as it stands in the file."""
        order = sorted(self.source.mistakes, key=lambda each: (each.file != self.path, each.file, each.line or 0, each.key))
        return tuple(dict.fromkeys(order))

    @property
    def errors(self) -> tuple[Mistake, ...]:
        """What has to be mended."""
        return tuple(each for each in self.mistakes if each.kind == "error")

    def with_tasks(self, records: Mapping[str, TaskRecord]) -> Study:
        """The study, with the ids of its tasks, which the lab knows by now."""
        arms = tuple(replace(arm, task_id=records[self.arms[arm.name]].id) for arm in self.study.arms)
        return replace(self.study, task_id=records[next(iter(self.tasks))].id, arms=arms)


def load(declared: Declared) -> dict[str, Task]:
    """The file's tasks by key. One that cannot be loaded, or cannot do what the study asks, is a further mistake of the file."""
    found, source = {}, declared.source
    for key, spec in declared.tasks.items():
        try:
            found[key] = tasks.load(spec)
        except EvenhandError as error:
            known = "black-magic, mlp, patches, eeg, sklearn, table, FILE.py:NAME or MODULE:NAME, with data that is here"
            source.note(("tasks", key, "task"), tomlfile.said(f"{spec.name}: {error}"), known, "correct the task or its settings")
            continue
        _suits(source, key, declared.study, found[key])
    first = next(iter(found.values()), None)
    for key, task in found.items():
        if first is not None and (task.metric, task.direction) != (first.metric, first.direction):
            expected = f"{first.metric}, {first.direction}d, as the first task has: conditions are compared by it"
            fix = "give every task the same metric, or make two studies of it"
            source.note(("tasks", key), tomlfile.said(f"{task.metric}, {task.direction}d"), expected, fix)
    return found


def _suits(source: Source, key: str, study: Study, task: Task) -> None:
    if study.evaluation_seeds and not task.has_test:
        fix = "give the task data with a test split (docs/tasks.md), or set evaluation_seeds = 0 under [study]"
        source.note(("tasks", key), tomlfile.said(f"{task.name}, which has no test data"), "test data to evaluate on", fix)
    for place, each in enumerate(study.plan.thresholds if is_share(task.metric) else ()):
        if not 0 < each < 1:
            fix = "write 0.25 for 25 %"
            source.note(("plan", "thresholds", place), each, f"a share between 0 and 1, as the {task.metric} is one", fix)


def new(folder: Path, task: TaskSpec | None = None, seed: int | None = None) -> list[Path]:
    """Write the commented template and its texts into a folder; InvalidSettings where one of them is there already.

    task: the study's (default: the black-magic task on the best data at hand). seed: its root seed (default: a random one).
    """
    names = [FILE, *(f"{name}.md" for name in TEXTS)]
    if taken := [name for name in names if (folder / name).exists()]:
        raise InvalidSettings(
            f"{folder / taken[0]} exists already, and nothing was written; choose another folder or move it away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    spec = task or TaskSpec("black-magic", {"data": images.best_at_hand(), "size": 32})
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "study"
    filled = {
        '"black-magic-study"': _toml(name),
        "seed = 2020": f"seed = {secrets.randbelow(ROOT_SEEDS) if seed is None else seed}",
        'task = "black-magic"': f"task = {_toml(_beside(spec.name, folder))}",
        'settings = { data = "digits", size = 32 }': f"settings = {_toml(spec.settings)}",
    }
    text = _template(FILE)
    for given, put in filled.items():
        text = text.replace(given, put, 1)
    (folder / FILE).write_text(text, encoding="utf-8")
    for each in names[1:]:
        (folder / each).write_text(_template(each), encoding="utf-8")
    return [folder / each for each in names]


def _beside(name: str, folder: Path) -> str:
    """A task of one's own, FILE.py:NAME, as it is called from within the folder."""
    place, _, attribute = name.rpartition(":")
    return f"{os.path.relpath(place, folder)}:{attribute}" if place.endswith(".py") else name


def _toml(value: Any) -> str:
    """A value of a task's settings, all of which are JSON, as TOML; null is left out, as TOML has none."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items() if each is not None) + " }"
    return json.dumps(value, ensure_ascii=False)


def _template(name: str) -> str:
    return (resources.files("evenhand") / "texts" / name).read_text(encoding="utf-8")


def read(path: Path) -> Declared:
    """What a file, or the `study.toml` in a folder, declares, with its mistakes. InvalidSettings: it cannot be read at all."""
    found = path / FILE if path.is_dir() else path
    if not found.is_file():
        raise InvalidSettings(f"{found} is not there; `evenhand study new {path}` writes one")
    try:
        source = tomlfile.read(found)
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"{found} is not UTF-8 text ({error}); save it as UTF-8") from None
    root = Table(source, (), source.data)
    if not source.data and source.mistakes:
        raise InvalidSettings("\n".join(str(each) for each in source.mistakes))
    study, tasks, arms = _study(source, root)
    root.done()
    source.settle()
    studychecks.check(source, study)
    return Declared(source, study, tasks, arms)


def _study(source: Source, root: Table) -> tuple[Study, dict[str, TaskSpec], dict[str, str]]:
    about = root.table("study", required=True)
    languages = about.texts("languages", ("en",)) or ("en",)
    texts = _texts(source, root.table("texts"), languages)
    specs = _tasks(source, root.table("tasks", required=True))
    budget = _budget(root.table("budget", required=True), required=True)
    arms, arm_tasks = _arms(root, specs, budget)
    study = Study(
        name=about.filled("name"),
        title=about.filled("title"),
        task_id=0,
        budget=budget,
        seed=about.whole("seed", 0, low=0, high=2**31 - 1),
        evaluation_seeds=about.whole("evaluation_seeds", 10, low=0, high=1000),
        live_validation=about.choice("validation", ("after", "live"), "after") == "live",
        presets=about.flag("presets", True),
        practice=about.flag("practice", True),
        languages=languages,
        reasons_required=about.flag("reasons_required", False),
        completion=about.text("completion", ""),
        contact=about.text("contact", ""),
        backup=_backup(source, about),
        webhook=_webhook(about),
        source=str(source.path),
        arms=arms,
        questionnaires=_questionnaires(root, languages),
        reasons=_options(root, "reasons", languages) or REASONS,
        plan=_plan(root.table("plan"), about),
        consent=texts["consent"],
        details=texts["details"],
        thanks=texts["thanks"],
    )
    about.done()
    study = replace(study, grouping=_grouping(root.table("groups"), study))
    return study, specs, arm_tasks


# Texts, tasks, budget, conditions


def _texts(source: Source, table: Table, languages: tuple[str, ...]) -> dict[str, Text]:
    """The three texts; those of further languages lie beside as consent.de.md."""
    found = {}
    for name in TEXTS:
        given = table.text(name, f"{name}.md")
        path = source.path.parent / given
        first = _read_text(source, table, name, path)
        others = {}
        for language in languages[1:]:
            other = path.with_suffix(f".{language}{path.suffix}")
            if other.is_file():
                others[language] = other.read_text(encoding="utf-8")
            else:
                given = tomlfile.said(f"no {other.name}")
                table.note(name, given, f"the text in {language!r}", f"write {other.name}", warning=True)
        found[name] = Text(first, others)
    table.done()
    return found


def _read_text(source: Source, table: Table, name: str, path: Path) -> str:
    if not path.is_file():
        given = tomlfile.said(f"{path.name}, which is not there")
        table.note(name, given, "a Markdown file beside the study file", "write it, or correct its name")
        return ""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        table.note(name, tomlfile.said(f"{path.name}, which is not UTF-8"), "UTF-8 text", "save it as UTF-8")
        return ""
    if not text.strip() and name != "thanks":
        table.note(name, tomlfile.said(f"{path.name}, which is empty"), f"the {name} text", "write what participants shall read")
    if name == "consent" and text.strip() and text == _template(f"{name}.md"):
        given = tomlfile.said("the template's own words")
        fix = "say who runs the study, who approved it, what is kept for how long, and whom to ask"
        source.note((*table.key, name), given, "your own consent text", fix, "warning", path, 1)
    return text


def _tasks(source: Source, table: Table) -> dict[str, TaskSpec]:
    found = {}
    for key, each in table.named():
        name = each.text("task")
        if ".py:" in name and not Path(name).is_absolute():
            name = str((source.path.parent / name).resolve())
        given = each.raw("settings") or {}
        settings = dict(given) if isinstance(given, Mapping) else {}
        if not isinstance(given, Mapping):
            each.note("settings", given, "a table", 'write settings = { data = "digits" }')
        if isinstance(data := settings.get("data"), str) and (source.path.parent / data).exists():
            settings["data"] = str((source.path.parent / data).resolve())
        found[key] = TaskSpec(name, settings)
        each.done()
    if not found:
        fix = 'add [tasks.main] with task = "black-magic"'
        source.note((*table.key,), tomlfile.said("no task"), "at least one, such as [tasks.main]", fix)
        found["main"] = TaskSpec("black-magic")
    return found


def _budget(table: Table, required: bool = False) -> Budget:
    minutes = table.number("minutes", low=0.1, high=60 * 24 * 30)
    trials = table.number("trials", low=1, high=100_000, whole=True)
    epochs = table.number("epochs", low=1, high=10_000_000, whole=True)
    if required and not any(cap in table for cap in ("minutes", "trials", "epochs")):
        table.note("minutes", tomlfile.said("no cap"), "minutes, trials or epochs", "add minutes = 120")
    parallel = table.whole("parallel", 1, low=1, high=1000)
    if required:
        table.done()
    seconds = None if minutes is None else 60 * minutes
    return Budget(seconds, None if trials is None else int(trials), None if epochs is None else int(epochs), parallel)


def _arms(root: Table, specs: Mapping[str, TaskSpec], usual: Budget) -> tuple[tuple[Arm, ...], dict[str, str]]:
    arms, keys = [], {}
    for each in root.tables("conditions"):
        name = each.filled("name")
        own = any(cap in each for cap in ("minutes", "trials", "epochs"))
        budget: Budget | None = _budget(each)
        if budget is not None and not own:
            budget = replace(usual, parallel=budget.parallel) if "parallel" in each else None
        validation = each.choice("validation", ("after", "live"), "") if "validation" in each else ""
        keys[name] = each.choice("task", tuple(specs), next(iter(specs)))
        arms.append(
            Arm(
                name=name,
                share=each.whole("share", 1, low=1, high=1000),
                budget=budget,
                presets=each.flag("presets", True) if "presets" in each else None,
                live_validation=validation == "live" if validation else None,
            )
        )
        each.raw("presets")
        each.raw("validation")
        each.done()
    if len(arms) == 1:
        root.source.note(("conditions",), tomlfile.said("one"), "two or more to compare", "add another, or remove it", "warning")
    used = set(keys.values()) | {next(iter(specs))}
    for key in specs:
        if key not in used:
            fix = f'add task = "{key}" to a condition'
            root.source.note(("tasks", key), key, "a task that the study or a condition uses", fix)
    return tuple(arms), keys


def _backup(source: Source, about: Table) -> str:
    """The folder for backups, which may have yet to be made."""
    given = about.text("backup", "")
    if not given:
        return ""
    path = (source.path.parent / Path(given).expanduser()).resolve()
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "is no folder" if not there.is_dir() else "cannot be written to"
        about.note("backup", tomlfile.said(f"{given}, but {there} {why}"), "a folder that can be written to", "name another one")
    return str(path)


def _webhook(about: Table) -> str:
    given = about.text("webhook", "")
    if given and (urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname):
        fix = 'such as webhook = "https://chat.example.org/hooks/study", or leave it empty'
        about.note("webhook", given, "an address that begins with https:// or http://", fix)
    return given


# Questions


def _questionnaires(root: Table, languages: tuple[str, ...]) -> tuple[Questionnaire, ...]:
    if "questionnaires" not in root:
        root.raw("questionnaires")
        return (BACKGROUND,)
    tables = root.tables("questionnaires")
    found = tuple(_questionnaire(each, languages) for each in tables)
    for mistake in rules.check(found, languages):
        kind = "warning" if mistake.warning else "error"
        key = _key_of(mistake.path)
        if tomlfile.key_text(key) in {each.key for each in root.source.mistakes}:
            continue  # noted already as missing, or of a wrong type
        root.source.note(key, tomlfile.said(str(mistake.given)), mistake.expected, mistake.fix, kind)  # type: ignore[arg-type]
    return found


def _key_of(path: str) -> tuple[str | int, ...]:
    """`questionnaires[1].sections[0].title` as a key of the file."""
    return tuple(int(part) if part.isdigit() else part for part in path.replace("]", "").replace("[", ".").split("."))


def _questionnaire(table: Table, languages: tuple[str, ...]) -> Questionnaire:
    at = table.choice("at", ("before", "after"), "before")
    opened = table.tables("sections")
    sections = [
        Section(
            questions=tuple(_question(each, languages) for each in section.tables("questions")),
            title=section.words("title", languages, required=False),
            when=_when(section),
        )
        for section in opened
    ]
    for section in opened:
        section.done()
    found = Questionnaire(
        name=table.text("name"),
        title=table.words("title", languages) or Text(""),
        sections=tuple(sections),
        at="after" if at == "after" else "before",
        intro=table.words("intro", languages, required=False),
    )
    table.done()
    return found


def _question(table: Table, languages: tuple[str, ...]) -> Question:
    kind: Any = table.choice("kind", KINDS)
    ends = [Text(each) for each in table.texts("ends")]
    found = Question(
        name=table.text("name"),
        kind=kind,
        text=table.words("text", languages) or Text(""),
        help=table.words("help", languages, required=False),
        required=table.flag("required", True),
        options=_options(table, "options", languages),
        rows=_options(table, "rows", languages),
        many=table.flag("many", False),
        low=table.number("low"),
        high=table.number("high"),
        whole=table.flag("whole", True),
        points=table.whole("points", 5, low=2, high=11),
        ends=tuple(ends),
        longest=table.whole("longest", 2000, low=1, high=20_000),
        when=_when(table),
    )
    table.done()
    return found


def _options(table: Table, name: str, languages: tuple[str, ...]) -> tuple[Option, ...]:
    """Options as tables of value and label, or, where both are the same, as plain strings."""
    plain = table.raw(name)
    if isinstance(plain, list) and plain and all(isinstance(each, str) for each in plain):
        return tuple(Option(each, Text(each)) for each in plain)
    found = []
    for each in table.tables(name):
        found.append(Option(each.filled("value"), each.words("label", languages) or Text("")))
        each.done()
    return tuple(found)


def _when(table: Table) -> tuple[When, ...]:
    found = []
    for each in table.tables("when"):
        value = each.raw("value")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            each.note("value", tomlfile.said("nothing") if value is None else value, "an option's value or a number", "write it")
            value = ""
        op: Any = each.choice("op", OPS, "is")
        found.append(When(each.text("question"), op, value))
        each.done()
    return tuple(found)


# Groups, plan


def _grouping(table: Table, study: Study) -> Grouping:
    if "by" not in table and "group" not in table:
        table.done()
        return MONTHS if study.question(MONTHS.by) else Grouping("")
    by = table.text("by")
    groups = []
    for each in table.tables("group"):
        groups.append(Group(each.text("name"), each.number("low"), each.number("high")))
        each.done()
        if groups[-1].low is not None and groups[-1].high is not None and groups[-1].low > groups[-1].high:
            each.note("low", groups[-1].low, f"at most {groups[-1].high:g}, this group's high", "exchange the two")
    table.done()
    return Grouping(by, tuple(groups))


def _plan(table: Table, about: Table) -> Plan:
    test: Any = table.choice("test", TESTS, "spearman")
    rules_ = []
    for each in table.tables("exclude"):
        fact: Any = each.choice("fact", FACTS)
        least = each.number("at_least", low=0)
        if fact in ("trials", "minutes") and least is None:
            fix = f"add at_least = 1: participants with fewer {fact} are left out"
            each.note("at_least", tomlfile.said("nothing"), "a number", fix)
        rules_.append(Rule(fact, least, each.text("question", ""), each.text("value", "")))
        each.done()
    plan = Plan(
        thresholds=table.numbers("thresholds", (0.25, 0.5)),
        test=test,
        alpha=table.number("alpha", 0.05, low=1e-6, high=0.5) or 0.05,
        expected=table.number("effect", 0.6, low=-1, high=1) or 0.0,
        participants=None if (wanted := about.number("participants", low=1, high=100_000, whole=True)) is None else int(wanted),
        exclusions=tuple(rules_),
        hypothesis=table.text("hypothesis", ""),
    )
    table.done()
    return plan
