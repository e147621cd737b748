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

from evenhand import studyfile, tomlfile
from evenhand.declaration import BACKGROUND, MONTHS, REASONS, Budget, Group, Grouping, Question, Text
from evenhand.errors import InvalidSettings
from evenhand.records import TaskSpec
from evenhand.studychecks import gaps, overlaps
from evenhand.tomlfile import Key, Mistake, key_text, lines_of

ROOT = Path(__file__).parent.parent
EXAMPLE = TaskSpec(f"{ROOT / 'examples' / 'digits_mlp.py'}:train")

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
    for name, each in inside:
        yield from places(each, (*key, name))


def test_each_key_has_its_line() -> None:
    found = {key_text(key): line for key, line in lines_of(AWKWARD).items() if key}
    assert found == EXPECTED
    assert set(lines_of(AWKWARD)) == set(places(tomllib.loads(AWKWARD)))


KEYS = st.sampled_from(["a", "b-c", "D_1", '"q.r"', "'s t'", '"\\""'])
SCALARS = st.sampled_from(
    ["1", "-2.5e3", "true", '"x"', '"# [no] = {}"', "''", '""', "'''\nx = 1\n[t]\n'''", '"""a\n\\""" # ""b"""', "2020-01-01", "inf"]
)
SPACE = st.sampled_from(["", " ", "\n", " # comment ] } \"\n", "\n\n"])


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Arrays and inline tables of values."""
    pairs = st.lists(st.tuples(st.sampled_from(["k", "l.m", '"n o"']), text), max_size=3, unique_by=lambda pair: pair[0])
    table = pairs.map(lambda found: "{ " + ", ".join(f"{key} = {each}" for key, each in found) + " }")
    spaced = st.tuples(SPACE, text, SPACE).map("".join)
    return st.one_of(st.lists(spaced, max_size=3).map(lambda found: "[" + ",".join(found) + "]"), table)


VALUES = st.recursive(SCALARS, values, max_leaves=6)
PAIR = st.tuples(st.lists(KEYS, min_size=1, max_size=2), VALUES).map(lambda found: f"{' . '.join(found[0])} = {found[1]}")
HEADER = st.lists(KEYS, min_size=1, max_size=2).map(".".join)
LINE = st.one_of(PAIR, HEADER.map("[{}]".format), HEADER.map("[[{}]] # many".format), st.sampled_from(["", "# x = 1", "\t# [y]"]))


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
    data, found = tomllib.loads(text), lines_of(text)
    assert set(found) == set(places(data))
    written = text.split("\n")
    for key, line in found.items():
        if not key or isinstance(key[-1], int):
            continue
        assert any(part in written[line - 1] for part in (str(key[-1]), str(key[-1]).replace('"', '\\"'))), (key, line, text)
    order = [found[key] for key in found]
    assert all(1 <= each <= len(written) for each in order)
