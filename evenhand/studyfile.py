"""A study as a file: `study.toml` with its texts in Markdown beside it, read into what it declares, every mistake explained.

Paths in the file are relative to it. docs/studies.md lists every key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from evenhand import questionnaires as rules
from evenhand import tomlfile
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
from evenhand.errors import InvalidSettings
from evenhand.records import TaskRecord, TaskSpec
from evenhand.tomlfile import Mistake, Source
from evenhand.tomltables import Table

FILE = "study.toml"
TEXTS = ("consent", "details", "thanks")
KINDS = ("single", "multiple", "number", "text", "likert", "matrix")
TESTS = ("spearman", "kruskal-wallis", "mann-whitney", "brunner-munzel")
OPS = ("is", "is not", "at least", "at most")
FACTS = ("trials", "minutes", "choice", "answer")
TEMPLATE_MARK = "REPLACE"  # in a text: it is still the template's


@dataclass(frozen=True)
class Declared:
    """What a file declares. study: everything but its tasks' ids, which are 0; tasks: by key, the first is the study's own.

    arms: the task's key of each condition, by the condition's name. mistakes: what is wrong (errors) or worth a look (warnings).
    """

    path: Path
    study: Study
    tasks: Mapping[str, TaskSpec]
    arms: Mapping[str, str] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()

    @property
    def errors(self) -> tuple[Mistake, ...]:
        """What has to be mended."""
        return tuple(each for each in self.mistakes if each.kind == "error")

    def with_tasks(self, records: Mapping[str, TaskRecord]) -> Study:
        """The study, with the ids of its tasks, which the lab knows by now."""
        arms = tuple(replace(arm, task_id=records[self.arms[arm.name]].id) for arm in self.study.arms)
        return replace(self.study, task_id=records[next(iter(self.tasks))].id, arms=arms)


def new(folder: Path) -> list[Path]:
    """Write the commented template and its texts into a folder; InvalidSettings where one of them is there already."""
    source = resources.files("evenhand") / "texts"
    names = [FILE, *(f"{name}.md" for name in TEXTS)]
    if taken := [name for name in names if (folder / name).exists()]:
        raise InvalidSettings(
            f"{folder / taken[0]} exists already, and nothing was written; choose another folder or move it away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text((source / name).read_text(encoding="utf-8"), encoding="utf-8")
    return [folder / name for name in names]


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
    study, tasks, arms = _study(source, root)
    root.done()
    return Declared(found, study, tasks, arms, tuple(sorted(source.mistakes, key=lambda each: (each.line or 0, each.key))))


def _study(source: Source, root: Table) -> tuple[Study, dict[str, TaskSpec], dict[str, str]]:
    about = root.table("study", required=True)
    languages = about.texts("languages", ("en",)) or ("en",)
    texts = _texts(source, root.table("texts"), languages)
    tasks = _tasks(source, root.table("tasks", required=True))
    arms, arm_tasks = _arms(root, tasks)
    study = Study(
        name=about.text("name"),
        title=about.text("title"),
        task_id=0,
        budget=_budget(root.table("budget", required=True), required=True),
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
        reasons=_options(root.tables("reasons"), languages) or REASONS,
        plan=_plan(root.table("plan"), about),
        consent=texts["consent"],
        details=texts["details"],
        thanks=texts["thanks"],
    )
    about.done()
    grouping = _grouping(root.table("groups"), study)
    _cross_checks(source, study, grouping)
    return replace(study, grouping=grouping), tasks, arm_tasks


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
    text = path.read_text(encoding="utf-8")
    if not text.strip() and name != "thanks":
        table.note(name, tomlfile.said(f"{path.name}, which is empty"), f"the {name} text", "write what participants shall read")
    for number, line in enumerate(text.split("\n"), 1):
        if TEMPLATE_MARK in line:
            given = tomlfile.said(line.strip())
            source.note((*table.key, name), given, "your own words", "replace this line", "warning", path, number)
    return text


def _tasks(source: Source, table: Table) -> dict[str, TaskSpec]:
    tasks = {}
    for key, each in table.named():
        name = each.text("task")
        if ".py:" in name and not Path(name).is_absolute():
            name = str((source.path.parent / name).resolve())
        settings = dict(each.raw("settings") or {}) if isinstance(each.raw("settings") or {}, Mapping) else {}
        if isinstance(data := settings.get("data"), str) and (source.path.parent / data).exists():
            settings["data"] = str((source.path.parent / data).resolve())
        tasks[key] = TaskSpec(name, settings)
        each.done()
    if not tasks:
        fix = 'add [tasks.main] with task = "black-magic"'
        source.note((*table.key,), tomlfile.said("no task"), "at least one, such as [tasks.main]", fix)
        tasks["main"] = TaskSpec("black-magic")
    return tasks


def _budget(table: Table, required: bool = False) -> Budget:
    minutes = table.number("minutes", low=0.1, high=60 * 24 * 30)
    trials = table.number("trials", low=1, high=100_000, whole=True)
    epochs = table.number("epochs", low=1, high=10_000_000, whole=True)
    if required and minutes is None and trials is None and epochs is None:
        table.note("minutes", tomlfile.said("no cap"), "minutes, trials or epochs", "add minutes = 120")
    parallel = table.whole("parallel", 1, low=1, high=1000)
    if required:
        table.done()
    seconds = None if minutes is None else 60 * minutes
    return Budget(seconds, None if trials is None else int(trials), None if epochs is None else int(epochs), parallel)


def _arms(root: Table, tasks: Mapping[str, TaskSpec]) -> tuple[tuple[Arm, ...], dict[str, str]]:
    arms, keys = [], {}
    for each in root.tables("conditions"):
        name = each.text("name")
        own = any(cap in each for cap in ("minutes", "trials", "epochs", "parallel"))
        budget = _budget(each)
        validation = each.choice("validation", ("after", "live"), "") if "validation" in each else ""
        keys[name] = each.choice("task", tuple(tasks), next(iter(tasks)))
        arms.append(
            Arm(
                name=name,
                share=each.whole("share", 1, low=1, high=1000),
                budget=budget if own else None,
                presets=each.flag("presets", True) if "presets" in each else None,
                live_validation=validation == "live" if validation else None,
            )
        )
        each.raw("presets")
        each.raw("validation")
        each.done()
        if sum(arm.name == name for arm in arms) > 1:
            each.note("name", name, "a name that no other condition has", "rename one of them")
    used = set(keys.values()) | {next(iter(tasks))}
    for key in tasks:
        if key not in used:
            fix = f'add task = "{key}" to a condition'
            root.source.note(("tasks", key), key, "a task that the study or a condition uses", fix)
    return tuple(arms), keys


def _backup(source: Source, about: Table) -> str:
    given = about.text("backup", "")
    return str((source.path.parent / given).resolve()) if given else ""


def _webhook(about: Table) -> str:
    given = about.text("webhook", "")
    if given and not given.startswith(("https://", "http://")):
        about.note("webhook", given, "an address that begins with https:// or http://", "correct it, or leave the line out")
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
        options=_options(table.tables("options"), languages),
        rows=_options(table.tables("rows"), languages),
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


def _options(tables: list[Table], languages: tuple[str, ...]) -> tuple[Option, ...]:
    found = []
    for each in tables:
        found.append(Option(each.text("value"), each.words("label", languages) or Text("")))
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


def _cross_checks(source: Source, study: Study, grouping: Grouping) -> None:
    """What no single line shows: questions that groups and rules name, gaps and overlaps between groups."""
    if not study.contact:
        source.note(("study", "contact"), tomlfile.said("nothing"), "whom participants can ask", 'add contact = "..."', "warning")
    if grouping.by:
        question = study.question(grouping.by)
        if question is None:
            known = [f"{each.name}.{q.name}" for each in study.questionnaires for q in each.questions]
            fix = (
                tomlfile.did_you_mean(grouping.by, known)
                + f"name one of {', '.join(known) or 'the questions, once there are any'}"
            )
            source.note(("groups", "by"), grouping.by, "a question as QUESTIONNAIRE.QUESTION", fix)
        elif grouping.groups and question.kind not in ("number", "likert"):
            fix = "leave the groups out: its options are the groups"
            source.note(("groups", "by"), grouping.by, "a question whose answer is a number", fix)
    for number in gaps(grouping):
        given = tomlfile.said(f"{number:g} in no group")
        source.note(("groups", "group"), given, "every answer in a group", "move a boundary", "warning")
    for first, second in overlaps(grouping):
        given = tomlfile.said(f"{first} and {second} overlap")
        source.note(("groups", "group"), given, "each answer in one group", "move a boundary")
    for place, rule in enumerate(study.plan.exclusions):
        if rule.fact == "answer" and study.question(rule.question) is None:
            key = ("plan", "exclude", place, "question")
            source.note(key, rule.question, "a question of this file", "name it as QUESTIONNAIRE.QUESTION")


def gaps(grouping: Grouping) -> list[float]:
    """The first whole number after each group that no group holds, where there are groups above it."""
    ordered = sorted((each for each in grouping.groups), key=lambda each: each.low if each.low is not None else float("-inf"))
    return [
        one.high + 1 for one, two in pairwise(ordered) if one.high is not None and two.low is not None and two.low > one.high + 1
    ]


def overlaps(grouping: Grouping) -> list[tuple[str, str]]:
    """Pairs of groups that hold the same number."""
    found = []
    for index, one in enumerate(grouping.groups):
        for two in grouping.groups[index + 1 :]:
            low = max(each.low if each.low is not None else float("-inf") for each in (one, two))
            high = min(each.high if each.high is not None else float("inf") for each in (one, two))
            if low <= high:
                found.append((one.name, two.name))
    return found
