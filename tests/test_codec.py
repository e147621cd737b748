"""The codec: what it refuses, in which words, and that a record's types let it."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.model import archive, codec, evaluation, job, participant, session, study, task, trial
from evenhand.model.configuration import Configuration
from evenhand.model.job import Assignment
from evenhand.model.session import Intervention, Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome, Stopper, Trial
from tests.labs import SPACE

MODULES = (archive, evaluation, job, participant, session, study, task, trial)  # of the records

TRIAL = Trial(
    id=1, session_id=1, number=1, configuration=Configuration({"rate": 0.1, "epochs": 3, "optimizer": "adam"}), proposer="a",
    submitted_at=5, epochs_planned=3, reasons={"rate": "guess"}, outcome=Outcome.STOPPED, stop_by=Stopper.RULE, value=0.5,
    extra={"f1": 0.25},
)  # fmt: skip
TASK = TaskRecord(TaskSpec("toy", {"classes": [1, {"deep": None}]}), "v", SPACE, "accuracy", "maximize", 10)
SESSION = Session(
    id=1, study_id=1, task=TASK, kind="method", tuner="a", budget=Budget(60, 3), tuning_seed=2**63, opened_at=1.5,
    trials=(TRIAL,), interventions=(Intervention(1.0, "me", "added", 1),),
)  # fmt: skip
STUDY = Study("a", "b", 1, Budget(60, 3), 7, Text("c", {"de": "d"}), Text("e"), Text("f"))
JOB = Assignment(1, 1, "trial", TaskSpec("toy"), "v", {"rate": 0.1}, 2**63)
ROW = [0, 1, None, 0.5, None, 1, {"f1": 0.25}]
FREE = {"space", "settings", "statistics", "method", "detail"}  # what says itself what is wrong with it, or may be any JSON
WRONG: tuple[Any, ...] = (None, True, 2.5, math.nan, math.inf, "", "text", [], {}, [1], {"a": math.nan}, {"a": True}, 10**400)


def places(data: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path to every part of JSON."""
    if before:
        yield before
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, part in items:
        yield from places(part, (*before, key))


def changed(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """JSON with another value at a path."""
    if not path:
        return value
    copy: Any = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = changed(data[path[0]], path[1:], value)
    return copy


def plain(record: object) -> Any:
    """What arrives of a record that was sent."""
    return json.loads(json.dumps(codec.to_json(record), allow_nan=False))


@pytest.mark.parametrize(
    "record", [SESSION, TRIAL, TASK, STUDY, JOB, codec.measurement_of(ROW)], ids=lambda value: type(value).__name__
)
def test_whatever_is_wrong_is_refused_with_its_place_or_is_kept_as_it_is(record: Any) -> None:
    kind, data = type(record), plain(record)
    assert codec.from_json(kind, data) == record
    for path in places(data):
        if FREE & {*path} or (kind is Assignment and "configuration" in path):
            continue
        for value in WRONG:
            problem, read_back = read(kind, changed(data, path, value))
            if read_back is None:
                assert f"{kind.__name__}.{path[0]}" in problem, f"{path} = {value!r}: {problem}"
                assert "expected" in problem, problem
                continue
            again = codec.to_json(read_back)
            json.dumps(again, allow_nan=False)  # no NaN or infinity came in
            for step in path:
                again = again[step]
            defaults = isinstance(value, dict)  # of a record all of whose fields have one
            assert defaults or json.dumps(again) == json.dumps(value), f"{path} = {value!r} became {again!r}"


def read(kind: type, data: Any) -> tuple[str, Any]:
    """Why JSON is refused, or what it is."""
    try:
        return "", codec.from_json(kind, data)
    except EvenhandError as error:
        return str(error), None


@pytest.mark.parametrize(
    ("kind", "path", "value", "words"),
    [
        (Trial, ("outcome",), "over", "Trial.outcome: got 'over', expected one of completed, stopped, diverged, invalid, failed"),
        (Trial, ("value",), True, "Trial.value: got 'True', expected a finite number or null"),
        (Trial, ("value",), math.inf, "Trial.value: got 'inf', expected a finite number"),
        (Trial, ("number",), 1.0, "Trial.number: got '1.0', expected int"),
        (Trial, ("extra", "f1"), "high", "Trial.extra.f1: got 'high', expected a finite number"),
        (Trial, ("reasons",), ["guess"], "Trial.reasons: got \"['guess']\", expected an object"),
        (
            Trial,
            ("configuration", "rate"),
            math.nan,
            "Trial.configuration: rate: got 'nan', expected text, a finite number, true, false, null, or a list of these",
        ),
        (Trial, ("configuration",), 3, "Trial.configuration: got '3', expected an object"),
        (Session, ("trials", 0, "stop_by"), "me", "Session.trials[0].stop_by: got 'me', expected one of tuner, stopping rule,"),
        (Session, ("interventions",), {}, "Session.interventions: got '{}', expected a list"),
    ],
)
def test_a_refusal_says_where_what_and_what_was_expected(kind: Any, path: tuple[str | int, ...], value: Any, words: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        codec.from_json(kind, changed(plain(SESSION if kind is Session else TRIAL), path, value))
    assert str(caught.value).startswith(words)


def test_a_field_that_is_missing_is_named_or_takes_its_default() -> None:
    data = plain(STUDY)
    with pytest.raises(InvalidSettings, match=r"Study\.seed: got 'None', expected a value"):
        codec.from_json(Study, {key: value for key, value in data.items() if key != "seed"})
    older = codec.from_json(Study, {key: value for key, value in data.items() if key not in ("resumable", "plan")})
    assert older == STUDY
    assert codec.to_json(older) == codec.to_json(STUDY)  # the defaults too
    assert codec.from_json(Study, {**data, "unheard of": 1}) == STUDY


def test_a_whole_number_stays_one_so_that_hashes_do() -> None:
    budget = codec.from_json(Budget, {"seconds": 60})
    caps = '{"seconds": 60, "trials": null, "epochs": null, "parallel": 1, "until": null, "cost": null}'
    assert json.dumps(codec.to_json(budget)) == caps


def test_what_a_record_derives_is_not_sent() -> None:
    assert SESSION.current_space == SPACE
    assert codec.to_json(SESSION).keys() == {field.name for field in fields(Session)}
    assert codec.from_json(Session, plain(SESSION)).trials == (TRIAL,)
    assert replace(SESSION, trials=SESSION.trials) == SESSION


def test_what_has_no_json_is_told() -> None:
    with pytest.raises(TypeError, match="object has no JSON"):
        codec.to_json({"a": object()})


@pytest.mark.parametrize("row", [None, [], [*ROW, 1], {"index": 0}, changed(ROW, (5,), None), changed(ROW, (6, "f1"), math.nan)])
def test_a_measurement_that_is_none_is_refused(row: Any) -> None:
    with pytest.raises(InvalidSettings, match=r"^measurement[:.]"):
        codec.measurement_of(row)
    assert codec.row_of(codec.measurement_of(ROW)) == ROW


def test_every_record_has_slots_and_no_number_that_may_be_nan() -> None:
    """msgspec leaves what was not given out of the JSON of a record without slots, and reads NaN as a float: see `space.Real`."""
    kinds = [
        member for module in MODULES for member in vars(module).values() if is_dataclass(member) and isinstance(member, type)
    ]
    assert Measurement in kinds
    for kind in kinds:
        if kind.__module__ not in {module.__name__ for module in MODULES}:
            continue
        assert "__slots__" in vars(kind), f"{kind.__name__}: expected @dataclass(frozen=True, slots=True)"
        for name, hint in get_type_hints(kind, include_extras=True).items():
            assert float not in parts(hint), f"{kind.__name__}.{name}: expected Real (of model.space) in place of float"


def parts(hint: Any) -> set[Any]:
    """The types that a type is made of; what is annotated is one by itself."""
    inner = get_args(hint)
    if hasattr(hint, "__metadata__") or not inner:
        return {hint, NoneType}
    return set().union(*(parts(part) for part in inner if part is not ... and not isinstance(part, str)), {NoneType})
