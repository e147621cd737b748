"""The filter language of lists: what a text says, and what it says of what cannot be read."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.errors import InvalidSettings
from evenhand.model.filters import LONGEST_FILTER, Field, number_of, read_filter

ROW: dict[str, Field] = {
    "name": "Wide search", "task": "churn.py:train", "method": "tpe", "state": "running", "tag": ("paper", "Class 7b"),
    "note": "lr floor widened", "accuracy": 0.91, "lr": 0.002, "trials": 41.0, "time": 3700.0, "units": None, "nesterov": True,
    "best.lr": 0.002, "a:b": 3.0,
}  # fmt: skip
OPTIONS = {"state": ("running", "finished")}


def holds(text: str) -> bool:
    return read_filter(text, ROW, OPTIONS).holds(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "accuracy>0.9",
        "accuracy>90%",
        "accuracy>=.91",
        "lr<1e-2 accuracy>0.9",
        "best.lr=2e-3",
        "tag:paper",
        'tag:"class 7b"',
        "tag:PAPER",
        "state:running",
        "STATE:Running",
        "method=TPE",
        "method:tp",
        "wide",
        "WIDE search",
        '"wide search"',
        "-narrow",
        "-tag:draft",
        "tag!=draft",
        "trials=41",
        "trials!=40",
        "time>1h",
        "time<62min",
        "nesterov=true",
        '"a:b">2',
        "accuracy>0.99 or tag:paper",
        "lr>1 OR lr<1",
        "accuracy<0.5 lr<1 or accuracy>0.9 lr<1",
        "floor",
        "7b",
    ],
)
def test_it_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "accuracy>0.91",
        "accuracy>0.9 lr>1e-2",
        "tag:pap",
        "tag!=paper",
        "-tag:paper",
        "state:finished",
        "method=tp",
        "narrow",
        "-wide",
        "units>1",
        "units<=1",
        "-units>1",  # it has none, so nothing is said of it
        "nesterov=false",
        "accuracy>0.99 or lr>1",
        "time>2h",
        "method=1",
    ],
)
def test_it_does_not_hold(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acuracy>0.9", "nothing here is called 'acuracy'; nearest: accuracy"),
        ("zzz:1", "nothing here is called 'zzz'; expected one of: a:b, accuracy, best.lr"),
        ("accuracy>high", "compares with 'high'; expected a number, such as 0.9, 1e-3, 90% or 2h"),
        ("accuracy>", "compares with nothing; expected a value after >, as in accuracy>1"),
        ("state:runing", "expected one of running, finished"),
        ("lr>0,5", "compares with '0,5'; expected a number"),
        ('tag:"paper', "has a quotation mark without its other one"),
        ("or lr<1", "'or' stands before nothing"),
        ("lr<1 or", "'or' stands after nothing"),
        ("lr<1 or or lr>1", "'or' stands before nothing"),
        ("x" * (LONGEST_FILTER + 1), f"{LONGEST_FILTER + 1} characters, expected at most {LONGEST_FILTER}"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_there_is(text: str, words: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_filter(text, ROW, OPTIONS)
    assert words in str(caught.value)


def test_a_value_that_is_no_number_is_never_compared() -> None:
    assert not read_filter("x>0", ["x"]).holds({"x": math.nan})
    assert not read_filter("x<=0", ["x"]).holds({"x": math.nan})
    assert read_filter("x!=0", ["x"]).holds({"x": math.nan})


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 0.001), ("90%", 0.9), ("-.5", -0.5), ("2h", 7200.0), ("30 s", 30.0), ("5MIN", 300.0), ("1d", 86400.0),
     ("nan", None), ("inf", None), ("1_000", None), ("0x10", None), ("", None), ("1e", None), ("٣", 3.0)],
)  # fmt: skip
def test_numbers_as_people_type_them(text: str, number: float | None) -> None:
    assert number_of(text) == number


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        wanted = read_filter(text, ROW, OPTIONS)
    except InvalidSettings:
        return
    assert wanted.holds(ROW) in (True, False)
    assert wanted.names <= ROW.keys()
