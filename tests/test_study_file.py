"""The study as a file: the lines of TOML, every mistake with its line and fix, the template, and what becomes of it."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.errors import InvalidSettings
from evenhand.examples import digits_mlp
from evenhand.model.study import BACKGROUND, MONTHS, REASONS, Budget, Grouping, ParticipantGroup, Question, Text
from evenhand.model.task import TaskSpec
from evenhand.model.toml_lines import FileMistake, Key, key_text, lines_of
from evenhand.studies import file
from evenhand.studies.checks import gaps, overlaps

ROOT = Path(__file__).parent.parent
EXAMPLE = TaskSpec(f"{digits_mlp.__file__}:train")

# The lines of a TOML text

AWKWARD = '''# a comment with [brackets] and key = 1
first = 1
dotted.key = "x # no comment" # a comment
dotted."quoted.part" = 3

[table."a.b"]
list = [1, # one, [
  [2,
   3], {k = 1, l.m = """
several
lines with ] and } and # and ""quotes"""""}]
date = 1979-05-27 07:32:00
'literal' = 'C:\\new # no comment'
[[many]]
name = "first"
[many.inner]
n = 1
[[many.nested]]
text = \'\'\'
[[many]]
name = "not a table"
\'\'\'
[[many.nested]]
inline = { a = [
  { b = 2 } ], c = "\\" ] }" }
[[many]]
[[many.nested]]
last = true
'''
EXPECTED = {
    "first": 2, "dotted": 3, "dotted.key": 3, "dotted.quoted.part": 4, "table": 6, "table.a.b": 6, "table.a.b.list": 7,
    "table.a.b.list[1]": 7, "table.a.b.list[2]": 8, "table.a.b.list[2][1]": 8, "table.a.b.list[2][2]": 9,
    "table.a.b.list[3]": 9, "table.a.b.list[3].k": 9, "table.a.b.list[3].l": 9, "table.a.b.list[3].l.m": 9,
    "table.a.b.date": 12, "table.a.b.literal": 13, "many": 14, "many[1]": 14, "many[1].name": 15, "many[1].inner": 16,
    "many[1].inner.n": 17, "many[1].nested": 18, "many[1].nested[1]": 18, "many[1].nested[1].text": 19,
    "many[1].nested[2]": 23, "many[1].nested[2].inline": 24, "many[1].nested[2].inline.a": 24,
    "many[1].nested[2].inline.a[1]": 25, "many[1].nested[2].inline.a[1].b": 25, "many[1].nested[2].inline.c": 25,
    "many[2]": 26, "many[2].nested": 27, "many[2].nested[1]": 27, "many[2].nested[1].last": 28,
}  # fmt: skip


def places(value: Any, key: Key = ()) -> Iterator[Key]:
    """Every place in a TOML file's values."""
    yield key
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inside:
        yield from places(child, (*key, name))


def test_each_key_has_its_line() -> None:
    lines = {key_text(key): line for key, line in lines_of(AWKWARD).items() if key}
    assert lines == EXPECTED
    assert set(lines_of(AWKWARD)) == set(places(tomllib.loads(AWKWARD)))


KEYS = st.sampled_from(["a", "b-c", "D_1", '"q.r"', "'s t'", '"\\""'])
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "true",
        '"x"',
        '"# [no] = {}"',
        "''",
        '""',
        "'''\nx = 1\n[t]\n'''",
        '"""a\n\\""" # ""b"""',
        "2020-01-01",
        "inf",
    ]
)
SPACE = st.sampled_from(["", " ", "\n", ' # comment ] } "\n', "\n\n"])


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Arrays and inline tables of values."""
    pairs = st.lists(st.tuples(st.sampled_from(["k", "l.m", '"n o"']), text), max_size=3, unique_by=lambda pair: pair[0])
    table = pairs.map(lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }")
    spaced = st.tuples(SPACE, text, SPACE).map("".join)
    return st.one_of(st.lists(spaced, max_size=3).map(lambda items: "[" + ",".join(items) + "]"), table)


VALUES = st.recursive(SCALARS, values, max_leaves=6)
PAIR = st.tuples(st.lists(KEYS, min_size=1, max_size=2), VALUES).map(lambda pair: f"{' . '.join(pair[0])} = {pair[1]}")
HEADER = st.lists(KEYS, min_size=1, max_size=2).map(".".join)
LINE = st.one_of(PAIR, HEADER.map("[{}]".format), HEADER.map("[[{}]] # many".format), st.sampled_from(["", "# x = 1", "\t# [y]"]))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(LINE, max_size=12))
def test_every_value_of_any_toml_has_the_line_on_which_its_key_stands(lines: list[str]) -> None:
    kept: list[str] = []
    for line in lines:  # what contradicts the lines before it is left out
        try:
            tomllib.loads("\n".join([*kept, line]))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(line)
    text = "\n".join(kept)
    data, key_lines = tomllib.loads(text), lines_of(text)
    assert set(key_lines) == set(places(data))
    written = text.split("\n")
    for key, stands in key_lines.items():
        assert 1 <= stands <= len(written)
        if key and isinstance(key[-1], str):
            assert key[-1].replace('"', '\\"') in written[stands - 1], (key, stands, text)


# A fresh file


def fresh(folder: Path) -> Path:
    """A new study on the example task, in `folder`."""
    file.new(folder, EXAMPLE, seed=7)
    return folder / file.FILE_NAME


def changed(path: Path, old: str, new: str) -> Path:
    """The file with one text replaced, which has to be there."""
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))
    return path


def warnings(mistakes: tuple[FileMistake, ...]) -> list[str]:
    return [mistake.key for mistake in mistakes if mistake.kind == "warning"]


def test_a_fresh_file_is_the_paper_and_lacks_only_what_nobody_else_can_write(tmp_path: Path) -> None:
    path = fresh(tmp_path / "My Study")
    declared = file.read(path.parent)
    study = declared.study
    assert (declared.errors, warnings(declared.mistakes)) == ((), ["study.contact", "texts.consent"])
    assert (study.name, study.seed, study.languages, study.source) == ("my-study", 7, ("en",), str(path))
    assert (study.budget, study.evaluation_seeds, study.live_validation) == (Budget(seconds=7200), 10, False)
    assert (study.reasons, study.grouping) == (REASONS, MONTHS)
    assert (study.plan.test, study.plan.expected, study.plan.participants, study.plan.thresholds) == (
        "spearman",
        0.6,
        31,
        (0.25, 0.5),
    )
    months, education, *wishes = study.questionnaires[0].questions
    paper = BACKGROUND.questions
    assert (months.text, months.low, months.high, education) == (paper[0].text, 0, 600, paper[1])
    assert [wish.name for wish in wishes] == ["programming", "machine_learning", "level"]
    assert not any(wish.required for wish in wishes)
    assert study.backup == str(path.parent / "backups")
    assert declared.tasks == {"main": EXAMPLE}
    assert file.load(declared).keys() == {"main"}
    assert declared.errors == ()


def test_every_setting_of_the_template_is_explained_on_its_line(tmp_path: Path) -> None:
    lines = fresh(tmp_path).read_text().split("\n")
    start, end = lines.index("[study]"), lines.index("[texts]")
    bare = [line for line in lines[start + 1 : end] if "=" in line and not re.search(r"= .+ # \S", line)]
    assert [line.split(" = ")[0] for line in bare] == ["title"]


def test_two_wordings_of_the_reasons_are_ready_conditions_as_the_documentation_shows_them(tmp_path: Path) -> None:
    path = file.new(tmp_path, EXAMPLE, wordings=True)[0]
    study = file.read(path).study
    assert file.read(path).errors == ()
    assert [arm.name for arm in study.arms] == ["as in the paper", "before or in this session"]
    assert study.reasons_of("as in the paper") == study.reasons
    words = {option.value: str(option.label) for option in study.reasons_of("before or in this session")}
    assert words["experience"] == "worked well for me before this study"
    assert [*words] == [option.value for option in study.reasons]
    block = path.read_text().partition("[[conditions]]")[2].partition("\n\n")[0]
    documented = Path(__file__).parent.parent / "docs" / "studies.md"
    assert f"```toml\n[[conditions]]{block}\n```" in documented.read_text(encoding="utf-8")
    path.write_text(
        path.read_text().replace('[[conditions.reasons]]\nvalue = "guess"', '[[conditions.reasons]]\nvalue = "hunch"', 1)
    )
    assert [mistake.key for mistake in file.read(path).errors] == ["conditions[2].reasons"]


def test_a_new_study_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "thanks.md").write_text("mine")
    with pytest.raises(InvalidSettings, match=r"thanks\.md exists already, and nothing was written"):
        file.new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thanks.md"]


def test_each_fresh_study_has_a_root_seed_of_its_own(tmp_path: Path) -> None:
    seeds = set()
    for name in ("one", "two", "three"):
        file.new(tmp_path / name, EXAMPLE)
        seeds.add(file.read(tmp_path / name).study.seed)
    assert len(seeds) > 1


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    shutil.copy(digits_mlp.__file__, tmp_path / "mine.py")
    file.new(tmp_path / "study", TaskSpec(f"{tmp_path / 'mine.py'}:train"))
    assert 'task = "../mine.py:train"' in (tmp_path / "study" / "study.toml").read_text()
    moved = shutil.move(tmp_path / "study", tmp_path / "other")
    assert file.read(Path(moved)).tasks == {"main": TaskSpec(f"{tmp_path / 'mine.py'}:train")}


def test_settings_of_a_task_are_written_as_toml(tmp_path: Path) -> None:
    settings = {"data": '/a "b"\\c/ö', "size": 24, "augment": None, "last_relu": False}
    file.new(tmp_path, TaskSpec("black-magic", settings))
    assert file.read(tmp_path).tasks["main"] == TaskSpec(
        "black-magic", {name: value for name, value in settings.items() if value is not None}
    )


# Mistakes

CONDITIONS = """
[[conditions]]
name = "a"
[[conditions]]
@@name = "b"
"""
QUESTION = '[[questionnaires.sections.questions]]\nname = "level"\n'
EXPERT = '[[groups.group]]\nname = "expert"\nlow = 10'
RULE = "[[plan.exclude]] "
MISTAKES = [  # what is replaced in a fresh file, by what (@@: the line at fault, else the first), words that must be said
    ("minutes = 120", 'minutes = "two hours"', ("budget.minutes", '"two hours"', "a number from 0.1")),
    ("minutes = 120", "minutes = -5", ("-5", "a number from 0.1")),
    ("[budget]", "[budget]\n@@trials = 2.5 #", ("budget.trials", "a whole number from 1")),
    ("minutes = 120", "minuets = 120", ("did you mean minutes?",)),
    ("minutes = 120", "minutes = 120\n@@seed = 4", ("move it to [study]",)),
    ("[texts]", "[txets]", ("did you mean texts?",)),
    ("evaluation_seeds = 10", "evaluation_seeds = 2.5", ("a whole number",)),
    ("seed = 7", "seed = true", ("true", "a whole number")),
    ('validation = "after"', 'validation = "afterwards"', ("one of after, live", "did you mean after?")),
    ("presets = true", 'presets = "yes"', ("true or false",)),
    ('name = "my-study"', 'name = ""', ("study.name", "a text")),
    ('languages = ["en"]', 'languages = "en"', ('["en", "de"]',)),
    ('languages = ["en"]', 'languages = ["en",\n@@"Deutsch"]', ("study.languages[2]", "a language's code")),
    ('webhook = ""', 'webhook = "chat.example.org"', ("https://",)),
    ('webhook = ""', 'webhook = "https://"', ("https://",)),
    ('backup = "backups"', 'backup = "study.toml/x"', ("is no folder",)),
    ('consent = "consent.md"', 'consent = "consnet.md"', ("consnet.md, which is not there",)),
    ('test = "spearman"', 'test = "pearson"', ("did you mean spearman?",)),
    ("effect = 0.6", "effect = 1.5", ("from -1 to 1",)),
    ("effect = 0.6", "effect = 0", ("not 0",)),
    ("alpha = 0.05", "alpha = 5", ("to 0.5",)),
    ("thresholds = [0.25, 0.5]", "thresholds = [0.5,\n@@0.25]", ("plan.thresholds[2]", "put them in order")),
    (RULE, f'[[plan.contrast]]\n@@first = "a"\nsecond = "b"\n{RULE}', ("a condition: there is none",)),
    ('fact = "trials"', 'fact = "trails"', ("did you mean trials?",)),
    (RULE, f'@@{RULE}\nfact = "minutes"\n{RULE}', ("at_least = 1",)),
    (RULE, f'{RULE}\nfact = "choice"\n@@value = "x"\n{RULE}', ("no value beside fact = 'choice'",)),
    (RULE, f'{RULE}\nfact = "minutes"\n@@at_least = 500\n{RULE}', ("at most the budget, 120",)),
    (RULE, f'{RULE}\nfact = "answer"\n@@question = "background.levle"\nvalue = "x"\n{RULE}', ("did you mean background.level?",)),
    (RULE, f'{RULE}\nfact = "answer"\nquestion = "background.level"\n@@value = "x"\n{RULE}', ("novice, medium, expert",)),
    ('by = "background.months"', 'by = "background.month"', ("did you mean background.months?",)),
    ('by = "background.months"', 'by = "background.level"', ("a question whose answer is a number",)),
    (
        '[[groups.group]]\nname = "expert"\nlow = 10',
        '[[groups.group]]\nname = "expert"\nlow = 8',
        ("groups.group[3]: got 8 to 9 in 'medium' and in 'expert'",),
    ),
    ("high = 9", 'high = "9"', ("a number",)),
    ('value = "default"', 'value = "guess"', ("reasons[2].value", "one that reasons[1] does not have")),
    ("options = [", "options = [1, 2]\nrows = [", ("a list of tables",)),
    ('{ value = "master", label', '{ value = "master", lable', ("options[5].lable", "did you mean label?")),
    ('kind = "single"', 'kind = "singel"', ("did you mean single?",)),
    (QUESTION, QUESTION.replace("name", "@@name").replace("level", "months"), ("a second time",)),
    (QUESTION, f'{QUESTION}@@when = [{{ question = "background.x", value = 1 }}]\n', ("background.x",)),
    ('text = "How would', 'text = "{background.z} How would', ("{background.z}",)),
    ("[budget]", f'{CONDITIONS.replace("@@", "")}@@task = "other"\n[budget]', ("conditions[2].task", "one of main")),
    ("[budget]", f"{CONDITIONS.replace('@@', '')}@@share = 0\n[budget]", ("a whole number from 1",)),
    ("[budget]", f"{CONDITIONS.replace('b', 'a')}[budget]", ("conditions[2].name", "rename one of the two")),
    ("[budget]", '@@[tasks.spare]\ntask = "x.py:y"\n[budget]', ('add task = "spare"',)),
    ("settings = {  }", "settings = 3", ("a table",)),
]


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES)
def test_each_mistake_is_told_with_its_line_what_was_given_and_what_to_do(
    tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    path = fresh(tmp_path / "my-study")
    text = changed(path, old, new if "@@" in new else f"@@{new}").read_text()
    line = text[: text.index("@@")].count("\n") + 1
    path.write_text(text.replace("@@", ""))
    errors = file.read(path).errors
    texts = [str(error) for error in errors if all(word in str(error) for word in words)]
    assert texts, "\n".join(map(str, errors))
    assert texts[0].startswith(f"study.toml:{line}: "), (line, texts)
    assert all(error.expected and error.fix for error in errors)
    assert len(errors) <= 2, "\n".join(map(str, errors))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    for old, new in (("presets = true", "presets = 1"), ("minutes = 120", "minutes = 0"), ("alpha = 0.05", 'alpha = "5 %"')):
        changed(path, old, new)
    errors = file.read(path).errors
    assert [error.key for error in errors] == ["study.presets", "budget.minutes", "plan.alpha"]
    lines = [error.line for error in errors if error.line is not None]
    assert lines == sorted(lines)


SYNTAX = [  # a line, and words of what is expected and of the fix
    ("title = Black magic", ("title = Black magic", "quotation marks")),
    ('title = "Black magic', ("text on one line", "close its quotation marks")),
    ("practice = True", ("a value that TOML knows", "write true and false small")),
    ("seed = 7\nseed = 8 # again", ("each key once", "remove one")),
    ('contact = "a" "b"', ("one KEY = VALUE on a line",)),
]


@pytest.mark.parametrize(("line", "words"), SYNTAX)
def test_a_line_that_is_no_toml_is_told_with_the_mistakes_of_the_rest(tmp_path: Path, line: str, words: tuple[str, ...]) -> None:
    path = changed(fresh(tmp_path), "minutes = 120", "minutes = 0")
    name = line.partition(" ")[0]
    path.write_text(re.sub(rf"(?m)^{name} = .*$", line, path.read_text(), count=1))
    errors = file.read(path).errors
    at = next(number for number, other in enumerate(path.read_text().split("\n"), 1) if other == line.split("\n")[-1])
    assert [error.line for error in errors if error.key == ""] == [at], "\n".join(map(str, errors))
    assert all(word in str(errors[0]) for word in words), str(errors[0])
    assert [error.key for error in errors] == ["", "budget.minutes"], "\n".join(map(str, errors))


@pytest.mark.parametrize("line", ["[plan", "options [", '"""', "[plan]\n[plan]"])
def test_a_file_whose_rest_cannot_be_read_says_where_it_ends(tmp_path: Path, line: str) -> None:
    path = fresh(tmp_path)
    path.write_text(f"{path.read_text()}\n{line}\n")
    with pytest.raises(InvalidSettings, match=r"study\.toml:\d+: got "):
        file.read(path)


def test_what_is_no_file_or_no_text_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="evenhand study new"):
        file.read(tmp_path)
    (tmp_path / "study.toml").write_bytes(b'[study]\nname = "\xff"\n')
    with pytest.raises(InvalidSettings, match="UTF-8"):
        file.read(tmp_path)


@pytest.mark.slow
def test_any_text_in_the_place_of_a_value_is_explained_and_never_raises(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    text = path.read_text()
    values = ["-1", "1e9", '""', "[]", "{}", "[{}]", "true", '"x"', "[[1]]", "2020-01-01", "nan", '{ en = "x" }', '["a", 1]']
    for number, match in enumerate(re.finditer(r"(?m)^(\w+) = (?!\[$)[^#\n]*", text)):
        for value in values[number % 4 :: 4]:
            path.write_text(f"{text[: match.start()]}{match[1]} = {value} {text[match.end() :]}")
            for mistake in file.read(path).mistakes:
                assert mistake.expected
                assert mistake.fix
                assert mistake.line is not None


# Languages


def test_further_languages_are_read_and_what_is_missing_is_told(tmp_path: Path) -> None:
    path = changed(fresh(tmp_path), 'languages = ["en"]', 'languages = ["en", "de"]')
    changed(path, 'label = "just a guess"', 'label = { en = "just a guess", de = "nur geraten" }')
    (tmp_path / "consent.de.md").write_text("Einwilligung")
    declared = file.read(path)
    assert declared.errors == ()
    assert declared.study.consent.said("de") == "Einwilligung"
    assert declared.study.reasons[0].label == Text("just a guess", {"de": "nur geraten"})
    texts = [str(mistake) for mistake in declared.mistakes]
    assert any("write details.de.md" in text for text in texts)
    assert any("reasons[2].label" in text and "'de'" in text for text in texts)
    assert any("questionnaires[1].title" in text for text in texts)
    assert not any("consent.de.md" in text or "reasons[1]" in text for text in texts)


# Groups


def question(**limits: Any) -> Question:
    return Question("months", "number", Text("?"), **limits)


@pytest.mark.parametrize(
    ("groups", "asked", "expected"),
    [
        ([(0, 0), (1, 9), (10, None)], question(low=0), []),
        ([(0, 0), (1, 8), (10, None)], question(low=0), [(9, 9)]),
        ([(0, 0), (12, None)], question(low=0), [(1, 11)]),
        ([(10, None), (1, 9)], question(low=0), [(0, 0)]),
        ([(0, 9)], question(low=0, high=12), [(10, 12)]),
        ([(0, 9)], question(low=0), [(10, float("inf"))]),
        ([(None, 0), (1, None)], question(), []),
        ([(0, 1), (2, None)], question(low=0, whole=False), [(1, 2)]),
        ([(1, 2), (4, 5)], Question("level", "likert", Text("?"), points=5), [(3, 3)]),
        ([(0, 20), (5, 6), (21, None)], question(low=0), []),
    ],
)
def test_answers_in_no_group_are_named(groups: list[tuple[Any, Any]], asked: Question, expected: list[Any]) -> None:
    grouping = Grouping(
        "background.months", tuple(ParticipantGroup(str(index), *settings) for index, settings in enumerate(groups))
    )
    assert gaps(grouping, asked) == expected


def test_answers_in_two_groups_are_named() -> None:
    grouping = Grouping(
        "a.b", (ParticipantGroup("one", None, 3), ParticipantGroup("two", 3, 9), ParticipantGroup("three", 4, None))
    )
    assert overlaps(grouping) == [("one", "two", 3, 3), ("two", "three", 4, 9)]


# Tasks and conditions


def test_a_task_that_cannot_be_loaded_is_a_mistake_of_its_line(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    path.write_text(re.sub(r"(?m)^task = .*$", 'task = "nowhere.py:train"', path.read_text()))
    declared = file.read(path)
    assert not declared.errors
    assert file.load(declared) == {}
    error = declared.errors[0]
    assert error.line == path.read_text()[: path.read_text().index("nowhere.py")].count("\n") + 1
    assert "there is no file" in error.given


def test_what_the_task_cannot_do_is_a_mistake_of_the_line_that_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(BARE)
    file.new(tmp_path, TaskSpec(f"{tmp_path / 'bare.py'}:train"))
    path = changed(tmp_path / "study.toml", "thresholds = [0.25, 0.5]", "thresholds = [0.25, 50]")
    declared = file.read(path)
    file.load(declared)
    assert [error.key for error in declared.errors] == ["tasks.main", "plan.thresholds[2]"]
    assert "evaluation_seeds = 0" in declared.errors[0].fix
    assert "0.25 for 25 %" in declared.errors[1].fix


BARE = """
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.tasks import task

@task(space=Space([Hyperparameter("x", Float(0, 1), 0.5)]), metric="accuracy", max_epochs=1)
def train(configuration, run):
    run.report(epoch=1, accuracy=configuration["x"])
"""


def test_conditions_differ_from_the_study_in_what_they_say(tmp_path: Path) -> None:
    path = changed(fresh(tmp_path), "[budget] ", f"{ARMS}[budget] ")
    declared = file.read(path)
    assert declared.errors == (), "\n".join(map(str, declared.errors))
    plain, short, other = declared.study.arms
    assert (plain.budget, plain.presets, plain.live_validation, plain.share) == (None, None, None, 2)
    assert (short.budget, short.live_validation) == (Budget(trials=5), True)
    assert (other.budget, other.presets) == (Budget(seconds=7200, parallel=2), False)
    records = {key: replace(task.record, id=number) for number, (key, task) in enumerate(file.load(declared).items(), 3)}
    study = declared.with_tasks(records)
    assert study.task_id == 3
    assert [arm.task_id for arm in study.arms] == [3, 3, 4]


ARMS = f"""
[tasks.second]
task = "{EXAMPLE.name}"
[[conditions]]
name = "plain"
share = 2
[[conditions]]
name = "short"
trials = 5
validation = "live"
[[conditions]]
name = "other"
task = "second"
parallel = 2
presets = false
[[plan.contrast]]
first = "plain"
second = "short"
test = "mann-whitney"
effect = 0.3
"""


# The reference


def test_the_documented_keys_are_those_that_are_read(tmp_path: Path) -> None:
    path = changed(fresh(tmp_path), "[budget] ", f"{ARMS}[budget] ")
    path.write_text(path.read_text() + WHEN)
    declared = file.read(path)
    assert declared.errors == (), "\n".join(map(str, declared.errors))
    alike = ("questionnaires.sections.questions.rows", "questionnaires.sections.when")  # documented with options, questions.when
    read = {table: keys for table, keys in declared.source.known.items() if table and table not in alike}
    read["groups"].remove("group")
    read["plan"] -= {"exclude", "contrast", "flags"}
    documented: dict[str, set[str]] = {}
    for section in re.split(r"(?m)^### ", (ROOT / "docs" / "studies.md").read_text())[1:]:
        table = re.sub(r"[\[\]]", "", section.split("\n")[0])
        first = re.findall(r"(?m)^\| (`[^|]*`) \|", section)
        documented[table] = {key for cell in first for key in re.findall(r"`(\w+)`", cell)}
    assert documented == read


WHEN = """
[[questionnaires.sections.questions]]
name = "tools"
kind = "matrix"
text = "How often did you use these?"
options = ["never", "often"]
rows = [{ value = "grid", label = "Grid search" }]
when = [{ question = "background.months", op = "at least", value = 1 }]
[[questionnaires.sections]]
when = [{ question = "background.level", value = "expert" }]
[[questionnaires.sections.questions]]
name = "years"
kind = "number"
text = "For how many years, after {background.months} months?"
"""


def test_tasks_of_a_study_are_compared_by_one_metric(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    (path.parent / "other.py").write_text(
        "from evenhand import Float, Hyperparameter, Space\nfrom evenhand.tasks import task\n"
        "SPACE = Space([Hyperparameter('rate', Float(0, 1), 0.5)])\n"
        "@task(space=SPACE, metric='loss', direction='minimize', max_epochs=1)\n"
        "def train(configuration, run):\n    run.report(epoch=1, loss=1.0)\n"
    )
    more = '\n[tasks.other]\ntask = "other.py:train"\n[[conditions]]\nname = "a"\n[[conditions]]\nname = "b"\ntask = "other"\n'
    path.write_text(path.read_text() + more)
    declared = file.read(path)
    file.load(declared)
    said = [str(error) for error in declared.errors if error.key == "tasks.other"]
    assert any("loss, minimized" in error and "make two studies" in error for error in said), said


def test_the_value_and_the_evaluation_are_declared_and_a_task_of_another_rule_is_worth_a_look(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    plain = file.read(path)
    assert (plain.study.value_rule, plain.study.evaluation_mode) == ("last", "retrain")
    file.load(plain)
    assert "study.value" not in warnings(plain.mistakes)
    changed(path, 'value = "last"', 'value = "best"')
    changed(path, 'evaluation = "retrain"', 'evaluation = "as tuned"')
    declared = file.read(path)
    assert (declared.study.value_rule, declared.study.evaluation_mode) == ("best", "as tuned")
    file.load(declared)
    assert "study.value" in warnings(declared.mistakes)
    assert not declared.errors
    changed(path, 'evaluation = "as tuned"', 'evaluation = "tuned"')
    assert [error.key for error in file.read(path).errors] == ["study.evaluation"]


def test_a_text_that_says_another_number_than_the_study_is_worth_a_look(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    assert warnings(file.read(path).mistakes) == ["study.contact", "texts.consent"]  # the template's own texts fit its numbers
    (tmp_path / "thanks.md").write_text("It is trained ten times, in 120 minutes or 2 hours.")
    changed(path, "alpha = 0.05", "alpha = 0.05\ntarget = 9")
    declared = file.read(path)
    assert "texts.thanks" not in warnings(declared.mistakes)
    assert (declared.study.plan.target, declared.study.plan.participants) == (9, 31)
    assert "plan.target" in warnings(declared.mistakes)
    changed(path, "minutes = 120", "minutes = 30")
    changed(path, "evaluation_seeds = 10", "evaluation_seeds = 3")
    said = [str(mistake) for mistake in file.read(path).mistakes if mistake.key == "texts.thanks"]
    assert [
        expected in words for expected, words in zip(("3 times, as", "30 minutes, as", "30 minutes, as"), said, strict=True)
    ] == [True] * 3
