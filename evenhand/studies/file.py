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
from typing import Any, Literal
from urllib.parse import urlsplit

from evenhand import tasks
from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.model import questionnaires, toml_lines
from evenhand.model.study import (
    ASSISTANT,
    BACKGROUND,
    EVALUATION_MODES,
    MONTHS,
    REASONS,
    USUAL_TRIAL_SHARE,
    VALUE_RULES,
    AnalysisPlan,
    Arm,
    Budget,
    Contrast,
    ExclusionRule,
    FlagRule,
    Grouping,
    Option,
    ParticipantGroup,
    Question,
    Questionnaire,
    QuestionSection,
    Study,
    Text,
    When,
)
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.toml_lines import FileMistake, TomlSource
from evenhand.model.toml_tables import TomlTable
from evenhand.model.words import is_share
from evenhand.studies import checks
from evenhand.tasks.base import Task
from evenhand.tasks.builtin import presets

FILE_NAME = "study.toml"
TEXTS = ("consent", "details", "thanks")
KINDS = ("single", "multiple", "number", "text", "likert", "matrix")
TESTS = ("spearman", "kruskal-wallis", "mann-whitney", "brunner-munzel")
CONTRAST_TESTS = ("mann-whitney", "brunner-munzel")
MULTIPLICITIES = ("holm", "none")
OPS = ("is", "is not", "at least", "at most")
FACTS = ("trials", "minutes", "choice", "answer")
WORDINGS_NAME = "reasons-ab.toml"  # the conditions that `new` puts in for two wordings of the reasons
CONDITIONS_COMMENT_PATTERN = re.compile(r"^# Conditions, if .*\n(# .*\n)+", re.MULTILINE)  # in whose place they are put
ROOT_SEEDS = 10**6  # a fresh file's root seed is drawn below this: short enough to be told


@dataclass(frozen=True)
class Declared:
    """What a file declares. study: everything but its tasks' ids, which are 0; tasks: by key, the first is the study's own.

    arms: the task's key of each condition, by the condition's name.
    """

    source: TomlSource
    study: Study
    tasks: Mapping[str, TaskSpec]
    arms: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def mistakes(self) -> tuple[FileMistake, ...]:
        """What is wrong (errors) or worth a look (warnings), as it stands in the file."""
        order = sorted(
            self.source.mistakes, key=lambda mistake: (mistake.file != self.path, mistake.file, mistake.line or 0, mistake.key)
        )
        return tuple(dict.fromkeys(order))

    @property
    def errors(self) -> tuple[FileMistake, ...]:
        """What has to be mended."""
        return tuple(mistake for mistake in self.mistakes if mistake.kind == "error")

    def with_tasks(self, records: Mapping[str, TaskRecord]) -> Study:
        """The study, with the ids of its tasks, which the lab knows by now."""
        arms = tuple(replace(arm, task_id=records[self.arms[arm.name]].id) for arm in self.study.arms)
        return replace(self.study, task_id=records[next(iter(self.tasks))].id, arms=arms)


def load(declared: Declared) -> dict[str, Task]:
    """The file's tasks by key. One that cannot be loaded, or cannot do what the study asks, is a further mistake of the file."""
    loaded, source = {}, declared.source
    for key, spec in declared.tasks.items():
        try:
            loaded[key] = tasks.load(spec)
        except EvenhandError as error:
            known = f"{tasks.TASKS.known}, FILE.py:NAME or MODULE:NAME, with data that is here"
            source.note(
                ("tasks", key, "task"), toml_lines.said(f"{spec.name}: {error}"), known, "correct the task or its settings"
            )
            continue
        _suits(source, key, declared.study, loaded[key])
    first = next(iter(loaded.values()), None)
    for key, task in loaded.items():
        if first is not None and (task.metric, task.direction) != (first.metric, first.direction):
            expected = f"{first.metric}, {first.direction}d, as the first task has: conditions are compared by it"
            fix = "give every task the same metric, or make two studies of it"
            source.note(("tasks", key), toml_lines.said(f"{task.metric}, {task.direction}d"), expected, fix)
    return loaded


def _suits(source: TomlSource, key: str, study: Study, task: Task) -> None:
    if study.evaluation_seeds and not task.has_test:
        fix = "give the task data with a test split (docs/tasks.md), or set evaluation_seeds = 0 under [study]"
        source.note(("tasks", key), toml_lines.said(f"{task.name}, which has no test data"), "test data to evaluate on", fix)
    if task.value_rule != study.value_rule:
        fix = f'write value = "{task.value_rule}" under [study], if that is meant'
        source.note(("study", "value"), study.value_rule, f'"{task.value_rule}", as the task {key} says', fix, "warning")
    for place, threshold in enumerate(study.plan.thresholds if is_share(task.metric) else ()):
        if not 0 < threshold < 1:
            fix = "write 0.25 for 25 %"
            source.note(("plan", "thresholds", place), threshold, f"a share between 0 and 1, as the {task.metric} is one", fix)


def new(folder: Path, task: TaskSpec | None = None, seed: int | None = None, wordings: bool = False) -> list[Path]:
    """Write the commented template and its texts into a folder; InvalidSettings where one of them is there already.

    task: the study's (default: the black-magic task in its best preset at hand). seed: its root seed (default: a random one).
    wordings: with two conditions, which differ in how the reasons are worded.
    """
    names = [FILE_NAME, *(f"{name}.md" for name in TEXTS)]
    if taken := [name for name in names if (folder / name).exists()]:
        raise InvalidSettings(
            f"{folder / taken[0]} exists already, and nothing was written; choose another folder or move it away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    spec = task or TaskSpec("black-magic", {"preset": presets.best_at_hand()})
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "study"
    filled = {
        '"black-magic-study"': _toml(name),
        "seed = 2020": f"seed = {secrets.randbelow(ROOT_SEEDS) if seed is None else seed}",
        'task = "black-magic"': f"task = {_toml(_beside(spec.name, folder))}",
        'settings = { preset = "digits" }': f"settings = {_toml(spec.settings)}",
    }
    text = _template(FILE_NAME)
    for given, put in filled.items():
        text = text.replace(given, put, 1)
    if wordings:
        text = CONDITIONS_COMMENT_PATTERN.sub(lambda _: _template(WORDINGS_NAME), text, count=1)
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    for template in names[1:]:
        (folder / template).write_text(_template(template), encoding="utf-8")
    return [folder / file_name for file_name in names]


def _beside(name: str, folder: Path) -> str:
    """A task of one's own, FILE.py:NAME, as it is called from within the folder."""
    place, _, attribute = name.rpartition(":")
    return f"{os.path.relpath(place, folder)}:{attribute}" if place.endswith(".py") else name


def _toml(value: Any) -> str:
    """A value of a task's settings, all of which are JSON, as TOML; null is left out, as TOML has none."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items() if item is not None) + " }"
    return json.dumps(value, ensure_ascii=False)


def _template(name: str) -> str:
    return (resources.files("evenhand.studies") / "texts" / name).read_text(encoding="utf-8")


def read(path: Path) -> Declared:
    """What a file, or the `study.toml` in a folder, declares, with its mistakes. InvalidSettings: it cannot be read at all."""
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise InvalidSettings(f"{file} is not there; `evenhand study new {path}` writes one")
    try:
        source = toml_lines.read(file)
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"{file} is not UTF-8 text ({error}); save it as UTF-8") from None
    root = TomlTable(source, (), source.data)
    if not source.data and source.mistakes:
        raise InvalidSettings("\n".join(str(mistake) for mistake in source.mistakes))
    study, tasks, arms = _study(source, root)
    root.done()
    source.settle()
    checks.check(source, study)
    return Declared(source, study, tasks, arms)


def _study(source: TomlSource, root: TomlTable) -> tuple[Study, dict[str, TaskSpec], dict[str, str]]:
    about = root.table("study", required=True)
    languages = about.texts("languages", ("en",)) or ("en",)
    texts = _texts(source, root.table("texts"), languages)
    specs = _tasks(source, root.table("tasks", required=True))
    caps = root.table("budget", required=True)
    trial_share = caps.number("trial_share", USUAL_TRIAL_SHARE, low=0.01, high=1)
    budget = _budget(caps, required=True)
    arms, arm_tasks = _arms(root, specs, budget, languages)
    study = Study(
        name=about.filled("name"),
        title=about.filled("title"),
        task_id=0,
        budget=budget,
        trial_share=trial_share,
        seed=about.whole("seed", 0, low=0, high=2**31 - 1),
        evaluation_seeds=about.whole("evaluation_seeds", 10, low=0, high=1000),
        evaluation_mode=about.choice("evaluation", EVALUATION_MODES, "retrain"),  # type: ignore[arg-type] # one of these
        value_rule=about.choice("value", VALUE_RULES, "last"),  # type: ignore[arg-type] # one of these
        live_validation=about.choice("validation", ("after", "live"), "after") == "live",
        presets=about.flag("presets", True),
        practice=about.flag("practice", True),
        languages=languages,
        reasons_required=about.flag("reasons_required", False),
        machines=_machines(about),
        signals=about.flag("signals", False),
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
    if study.is_about_assistants and study.questionnaire(ASSISTANT.name) is None:
        study = replace(study, questionnaires=(*study.questionnaires, ASSISTANT))
    return study, specs, arm_tasks


# Texts, tasks, budget, conditions


def _texts(source: TomlSource, table: TomlTable, languages: tuple[str, ...]) -> dict[str, Text]:
    """The three texts; those of further languages lie beside as consent.de.md."""
    texts = {}
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
                given = toml_lines.said(f"no {other.name}")
                table.note(name, given, f"the text in {language!r}", f"write {other.name}", warning=True)
        texts[name] = Text(first, others)
    table.done()
    return texts


def _read_text(source: TomlSource, table: TomlTable, name: str, path: Path) -> str:
    if not path.is_file():
        given = toml_lines.said(f"{path.name}, which is not there")
        table.note(name, given, "a Markdown file beside the study file", "write it, or correct its name")
        return ""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        table.note(name, toml_lines.said(f"{path.name}, which is not UTF-8"), "UTF-8 text", "save it as UTF-8")
        return ""
    if not text.strip() and name != "thanks":
        table.note(
            name, toml_lines.said(f"{path.name}, which is empty"), f"the {name} text", "write what participants shall read"
        )
    if name == "consent" and text.strip() and text == _template(f"{name}.md"):
        given = toml_lines.said("the template's own words")
        fix = "say who runs the study, who approved it, what is kept for how long, and whom to ask"
        source.note((*table.key, name), given, "your own consent text", fix, "warning", path, 1)
    return text


def _tasks(source: TomlSource, table: TomlTable) -> dict[str, TaskSpec]:
    specs = {}
    for key, entry in table.named():
        name = entry.text("task")
        if ".py:" in name and not Path(name).is_absolute():
            name = str((source.path.parent / name).resolve())
        given = entry.raw("settings") or {}
        settings = dict(given) if isinstance(given, Mapping) else {}
        if not isinstance(given, Mapping):
            entry.note("settings", given, "a table", 'write settings = { data = "digits" }')
        if isinstance(data := settings.get("data"), str) and (source.path.parent / data).exists():
            settings["data"] = str((source.path.parent / data).resolve())
        specs[key] = TaskSpec(name, settings)
        entry.done()
    if not specs:
        fix = 'add [tasks.main] with task = "black-magic"'
        source.note((*table.key,), toml_lines.said("no task"), "at least one, such as [tasks.main]", fix)
        specs["main"] = TaskSpec("black-magic")
    return specs


def _budget(table: TomlTable, required: bool = False) -> Budget:
    minutes = table.number("minutes", low=0.1, high=60 * 24 * 30)
    trials = table.number("trials", low=1, high=100_000, whole=True)
    epochs = table.number("epochs", low=1, high=10_000_000, whole=True)
    if required and not any(cap in table for cap in ("minutes", "trials", "epochs")):
        table.note("minutes", toml_lines.said("no cap"), "minutes, trials or epochs", "add minutes = 120")
    parallel = table.whole("parallel", 1, low=1, high=1000)
    if required:
        table.done()
    seconds = None if minutes is None else 60 * minutes
    return Budget(seconds, None if trials is None else int(trials), None if epochs is None else int(epochs), parallel)


def _arms(
    root: TomlTable, specs: Mapping[str, TaskSpec], usual: Budget, languages: tuple[str, ...]
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    arms, keys = [], {}
    for condition in root.tables("conditions"):
        name = condition.filled("name")
        own = any(cap in condition for cap in ("minutes", "trials", "epochs"))
        budget: Budget | None = _budget(condition)
        if budget is not None and not own:
            budget = replace(usual, parallel=budget.parallel) if "parallel" in condition else None
        validation = condition.choice("validation", ("after", "live"), "") if "validation" in condition else ""
        keys[name] = condition.choice("task", tuple(specs), next(iter(specs)))
        arms.append(
            Arm(
                name=name,
                share=condition.whole("share", 1, low=1, high=1000),
                budget=budget,
                presets=condition.flag("presets", True) if "presets" in condition else None,
                live_validation=validation == "live" if validation else None,
                assistant=condition.flag("assistant", False) if "assistant" in condition else None,
                reasons=_options(condition, "reasons", languages),
            )
        )
        condition.raw("presets")
        condition.raw("assistant")
        condition.raw("validation")
        condition.done()
    if len(arms) == 1:
        root.source.note(
            ("conditions",), toml_lines.said("one"), "two or more to compare", "add another, or remove it", "warning"
        )
    used = set(keys.values()) | {next(iter(specs))}
    for key in specs:
        if key not in used:
            fix = f'add task = "{key}" to a condition'
            root.source.note(("tasks", key), key, "a task that the study or a condition uses", fix)
    return tuple(arms), keys


def _machines(about: TomlTable) -> Literal["alike", "any"]:
    return "any" if about.choice("machines", ("alike", "any"), "alike") == "any" else "alike"


def _backup(source: TomlSource, about: TomlTable) -> str:
    """The folder for backups, which may have yet to be made."""
    given = about.text("backup", "")
    if not given:
        return ""
    path = (source.path.parent / Path(given).expanduser()).resolve()
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "is no folder" if not there.is_dir() else "cannot be written to"
        about.note(
            "backup", toml_lines.said(f"{given}, but {there} {why}"), "a folder that can be written to", "name another one"
        )
    return str(path)


def _webhook(about: TomlTable) -> str:
    given = about.text("webhook", "")
    if given and (urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname):
        fix = 'such as webhook = "https://chat.example.org/hooks/study", or leave it empty'
        about.note("webhook", given, "an address that begins with https:// or http://", fix)
    return given


# Questions


def _questionnaires(root: TomlTable, languages: tuple[str, ...]) -> tuple[Questionnaire, ...]:
    if "questionnaires" not in root:
        root.raw("questionnaires")
        return (BACKGROUND,)
    tables = root.tables("questionnaires")
    forms = tuple(_questionnaire(table, languages) for table in tables)
    for mistake in questionnaires.check(forms, languages):
        kind = "warning" if mistake.warning else "error"
        key = _key_of(mistake.path)
        if toml_lines.key_text(key) in {noted.key for noted in root.source.mistakes}:
            continue  # noted already as missing, or of a wrong type
        root.source.note(key, toml_lines.said(str(mistake.given)), mistake.expected, mistake.fix, kind)  # type: ignore[arg-type]
    return forms


def _key_of(path: str) -> tuple[str | int, ...]:
    """`questionnaires[1].sections[0].title` as a key of the file."""
    return tuple(int(part) if part.isdigit() else part for part in path.replace("]", "").replace("[", ".").split("."))


def _questionnaire(table: TomlTable, languages: tuple[str, ...]) -> Questionnaire:
    at = table.choice("at", ("before", "after"), "before")
    opened = table.tables("sections")
    sections = [
        QuestionSection(
            questions=tuple(_question(question, languages) for question in section.tables("questions")),
            title=section.words("title", languages, required=False),
            when=_when(section),
        )
        for section in opened
    ]
    for section in opened:
        section.done()
    questionnaire = Questionnaire(
        name=table.text("name"),
        title=table.words("title", languages) or Text(""),
        sections=tuple(sections),
        at="after" if at == "after" else "before",
        intro=table.words("intro", languages, required=False),
    )
    table.done()
    return questionnaire


def _question(table: TomlTable, languages: tuple[str, ...]) -> Question:
    kind: Any = table.choice("kind", KINDS)
    ends = [Text(end) for end in table.texts("ends")]
    question = Question(
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
    return question


def _options(table: TomlTable, name: str, languages: tuple[str, ...]) -> tuple[Option, ...]:
    """Options as tables of value and label, or, where both are the same, as plain strings."""
    plain = table.raw(name)
    if isinstance(plain, list) and plain and all(isinstance(value, str) for value in plain):
        return tuple(Option(value, Text(value)) for value in plain)
    options = []
    for option in table.tables(name):
        options.append(Option(option.filled("value"), option.words("label", languages) or Text("")))
        option.done()
    return tuple(options)


def _when(table: TomlTable) -> tuple[When, ...]:
    conditions = []
    for condition in table.tables("when"):
        value = condition.raw("value")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            condition.note(
                "value", toml_lines.said("nothing") if value is None else value, "an option's value or a number", "write it"
            )
            value = ""
        op: Any = condition.choice("op", OPS, "is")
        conditions.append(When(condition.text("question"), op, value))
        condition.done()
    return tuple(conditions)


# Groups, plan


def _grouping(table: TomlTable, study: Study) -> Grouping:
    if "by" not in table and "group" not in table:
        table.done()
        return MONTHS if study.question(MONTHS.by) else Grouping("")
    by = table.text("by")
    groups = []
    for group in table.tables("group"):
        groups.append(ParticipantGroup(group.text("name"), group.number("low"), group.number("high")))
        group.done()
        if groups[-1].low is not None and groups[-1].high is not None and groups[-1].low > groups[-1].high:
            group.note("low", groups[-1].low, f"at most {groups[-1].high:g}, this group's high", "exchange the two")
    table.done()
    return Grouping(by, tuple(groups))


def _people(table: TomlTable, name: str) -> int | None:
    """A number of people; None where nothing is said."""
    wanted = table.number(name, low=1, high=100_000, whole=True)
    return None if wanted is None else int(wanted)


def _plan(table: TomlTable, about: TomlTable) -> AnalysisPlan:
    test: Any = table.choice("test", TESTS, "spearman")
    rules_ = []
    for exclusion in table.tables("exclude"):
        fact: Any = exclusion.choice("fact", FACTS)
        least = exclusion.number("at_least", low=0)
        if fact in ("trials", "minutes") and least is None:
            fix = f"add at_least = 1: participants with fewer {fact} are left out"
            exclusion.note("at_least", toml_lines.said("nothing"), "a number", fix)
        rules_.append(ExclusionRule(fact, least, exclusion.text("question", ""), exclusion.text("value", "")))
        exclusion.done()
    contrasts = []
    for contrast in table.tables("contrast"):
        first, second = contrast.text("first"), contrast.text("second")
        of_two: Any = contrast.choice("test", CONTRAST_TESTS, "brunner-munzel")
        contrasts.append(Contrast(first, second, of_two, contrast.number("effect", 0.5, low=-1, high=1) or 0.0))
        contrast.done()
    flag, usual = table.table("flags"), FlagRule()
    minutes = flag.number("away_minutes", usual.away_minutes, low=0)
    flags = FlagRule(flag.whole("pastes", usual.pastes, low=1, high=100_000), usual.away_minutes if minutes is None else minutes)
    flag.done()
    multiplicity: Any = table.choice("multiplicity", MULTIPLICITIES, "holm")
    plan = AnalysisPlan(
        thresholds=table.numbers("thresholds", (0.25, 0.5)),
        test=test,
        alpha=table.number("alpha", 0.05, low=1e-6, high=0.5) or 0.05,
        expected=table.number("effect", 0.6, low=-1, high=1) or 0.0,
        participants=_people(about, "participants"),
        target=_people(table, "target"),
        exclusions=tuple(rules_),
        hypothesis=table.text("hypothesis", ""),
        contrasts=tuple(contrasts),
        multiplicity=multiplicity,
        flags=flags,
        measures=table.texts("measures"),
    )
    table.done()
    return plan
