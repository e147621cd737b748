"""Data frames of numbers, words, dates and free text as numbers; ids are told from them."""

import datetime
import pickle
from typing import Any

import numpy as np
import pytest

from evenhand.errors import InvalidSettings
from evenhand.tasks.builtin.estimator_frames import dates, kinds_of, preparation_of
from tests.components import need

pandas = need("pandas")
COUNT = 60


def frame(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    made = pandas.DataFrame(
        {
            "number": np.arange(COUNT) + 100,
            "key": [f"K-{row}" for row in range(COUNT)],
            "age": rng.normal(40, 10, COUNT),
            "rooms": rng.integers(1, 5, COUNT),
            "city": rng.choice(["Bern", "Basel"], COUNT),
            "size": pandas.Categorical(rng.choice(["S", "M"], COUNT)),
            "new": rng.random(COUNT) > 0.5,
            "seen": pandas.date_range("2024-01-01", periods=COUNT, tz="Europe/Zurich"),
            "written": [f"2024-02-{row % 28 + 1:02}" for row in range(COUNT)],
            "note": [" ".join(rng.choice(["good", "bad", "slow", "fast"], 4)) + f" {row}" for row in range(COUNT)],
            "count": pandas.array([None, *range(1, 4)] * (COUNT // 4), dtype="Int64"),
            "waited": pandas.to_timedelta(rng.integers(1, 9, COUNT), unit="h"),
            "mixed": [1, "two", None, 2.5] * (COUNT // 4),
            "typed": [f"{row}.5" for row in range(COUNT)],
            "day": [datetime.date(2024, 3, row % 28 + 1) for row in range(COUNT)],
            "month": pandas.period_range("2020-01", periods=COUNT, freq="M"),
        }
    )
    made.loc[3, ["age", "seen", "note", "city", "written", "waited"]] = None
    return made


def test_columns_are_told_apart() -> None:
    assert kinds_of(frame()) == {
        "number": "id",
        "key": "id",
        "age": "numbers",
        "rooms": "numbers",
        "city": "words",
        "size": "words",
        "new": "numbers",
        "seen": "dates",
        "written": "dates",
        "note": "text",
        "count": "numbers",
        "waited": "numbers",
        "mixed": "words",
        "typed": "numbers",
        "day": "dates",
        "month": "dates",
    }


def test_dates_keep_their_day_whatever_they_are_written_as() -> None:
    moments = pandas.DataFrame(
        {
            "text": ["2024-03-05", "2024-03-05T06:00:00+01:00"],
            "date": [datetime.date(2024, 3, 5)] * 2,
            "moment": pandas.to_datetime(["2024-03-05"] * 2).tz_localize("Europe/Zurich"),
            "period": pandas.PeriodIndex(["2024-03-05"] * 2, freq="D"),
        }
    )
    days = dates(moments).reshape(2, 4, 6)
    assert days[0, :, 1:].tolist() == [[2024, 3, 5, 1, 0]] * 4
    assert days[0, :, 0].tolist() == pytest.approx([19787, 19787, 19787 - 1 / 24, 19787])
    assert days[1, 0].tolist() == [19787 + 5 / 24, 2024, 3, 5, 1, 5]


def test_what_is_asked_for_is_kept() -> None:
    kinds = kinds_of(frame(), ["number", "key"])
    assert (kinds["number"], kinds["key"]) == ("numbers", "words")


def test_a_frame_becomes_numbers_learnt_from_the_training_rows_only() -> None:
    whole = frame()
    preparation = preparation_of(kinds_of(whole))
    assert preparation is not None
    learnt = preparation.fit_transform(whole[:40])
    assert learnt.dtype == float
    assert np.isfinite(learnt).all()
    new = frame(1).assign(city="Genf", size="XL", note=None, seen=pandas.NaT)  # words that were not there
    again = pickle.loads(pickle.dumps(preparation)).transform(new[new.columns[::-1]])
    assert np.isfinite(again).all()
    assert again.shape == (COUNT, learnt.shape[1])
    age = whole["age"][:40]
    middle = age.fillna(age.median())
    assert np.allclose(learnt[:, 0], (middle - middle.mean()) / middle.std(ddof=0))


def test_a_frame_of_numbers_is_left_as_it_is() -> None:
    assert preparation_of(kinds_of(frame()[["age", "rooms", "new"]])) is None
    assert preparation_of({}) is None
    assert preparation_of(kinds_of(frame()[["age", "number"]])) is not None


def test_names_that_are_no_text_go_by_place() -> None:
    numbered = frame()[["age", "city"]].set_axis([0, 1], axis=1)
    preparation = preparation_of(kinds_of(numbered))
    assert preparation is not None
    assert preparation.fit_transform(numbered).shape == (COUNT, 4)


@pytest.mark.parametrize(
    ("columns", "keep", "message"),
    [
        (["age", "age"], [], "two columns 'age'"),
        (["age", "city"], ["town"], "keep_columns: got 'town', expected a list of columns of X, which are age, city"),
        (["age", "city"], "city", "keep_columns: got 'city', expected a list"),
    ],
)
def test_what_cannot_be_told_is_refused(columns: list[str], keep: Any, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        kinds_of(frame()[columns], keep)


def test_nothing_but_ids_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"number, key number the rows.*nothing is left"):
        preparation_of(kinds_of(frame()[["number", "key"]]))
