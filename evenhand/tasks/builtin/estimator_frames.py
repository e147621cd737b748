"""A data frame of numbers, words, dates and free text as numbers, for estimators that take nothing else.

What a column is, is read off all of its values; what is learnt of them (medians, words, scales) comes from training rows only.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np

from evenhand.errors import InvalidSettings

Kind = Literal["numbers", "words", "dates", "text", "id"]
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
MANY_WORDS = 3  # an entry of free text has at least so many on average
DISTINCT_SHARE = 0.2  # of the entries of free text at least so many differ
MOST_OPTIONS = 50  # of a column of words; rarer ones are taken together
MOST_TERMS = 300  # of a column of free text
MISSING = "missing"
SECONDS_A_DAY = 86_400


class ColumnLeftOut(UserWarning):
    """A column that numbers the rows is not learnt from."""


def kinds_of(frame: Any, keep: Sequence[str] = ()) -> dict[Any, Kind]:
    """What each column of a data frame holds, by its name. keep: columns that are no ids, whatever they look like.

    An id has another whole number, or another single word, in each row.

    Raises:
        InvalidSettings: two columns have one name, or `keep` names none of them.
    """
    names = list(frame.columns)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidSettings(f"X has two columns {twice!r}; expected distinct names")
    if isinstance(keep, str) or (unknown := [name for name in keep if name not in names]):
        given = repr(keep) if isinstance(keep, str) else ", ".join(map(repr, unknown))
        raise InvalidSettings(
            f"keep_columns: got {given}, expected a list of columns of X, which are {', '.join(map(str, names))}"
        )
    kinds: dict[Any, Kind] = {}
    for name in names:
        kind = _kind(frame[name])
        kinds[name] = "words" if kind == "id" and name in keep and not _is_number(frame[name]) else kind
        if kind == "id" and name in keep and _is_number(frame[name]):
            kinds[name] = "numbers"
    return kinds


def _is_number(column: Any) -> bool:
    types = import_module("pandas").api.types
    return bool(types.is_numeric_dtype(column) or types.is_timedelta64_dtype(column))


def _kind(column: Any) -> Kind:
    types = import_module("pandas").api.types
    if types.is_datetime64_any_dtype(column):
        return "dates"
    if types.is_bool_dtype(column):
        return "numbers"
    if _is_number(column):
        return "id" if types.is_integer_dtype(column) and _is_unique(column) else "numbers"
    if isinstance(column.dtype, import_module("pandas").CategoricalDtype):
        return "words"
    return _kind_of_texts(column)


def _kind_of_texts(column: Any) -> Kind:
    held = column[column.notna()]
    texts = [str(value).strip() for value in held]
    if not texts:
        return "words"
    if all(isinstance(value, bool | int | float | np.number | np.bool_) for value in held):
        return "numbers"
    if all(hasattr(value, "year") for value in held) or all(ISO_DATE.fullmatch(text) for text in texts):
        return "dates"
    if all(_says_number(text) for text in texts):
        return "id" if all(text.isdecimal() for text in texts) and len(set(texts)) == len(column) > 1 else "numbers"
    mean_words = sum(len(text.split()) for text in texts) / len(texts)
    if mean_words >= MANY_WORDS and len(set(texts)) >= DISTINCT_SHARE * len(texts):
        return "text"
    return "id" if len(set(texts)) == len(column) > 1 and mean_words < 2 else "words"


def _says_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_unique(column: Any) -> bool:
    return len(column) > 1 and bool(column.notna().all()) and bool(column.is_unique)


def preparation_of(kinds: Mapping[Any, Kind]) -> Any | None:
    """A transformer of scikit-learn that makes numbers of such a data frame; None where it holds numbers only.

    Raises:
        InvalidSettings: no column is left to learn from.
    """
    if all(kind == "numbers" for kind in kinds.values()):
        return None
    compose, pipeline, impute, preprocessing, text = (
        import_module(f"sklearn.{name}") for name in ("compose", "pipeline", "impute", "preprocessing", "feature_extraction.text")
    )
    columns: dict[Kind, list[Any]] = {}
    # by name, so that new examples may have their columns in another order; names that are no text go by place
    by_name = all(isinstance(name, str) for name in kinds)
    for place, (name, kind) in enumerate(kinds.items()):
        columns.setdefault(kind, []).append(name if by_name else place)
    if columns.keys() <= {"id"}:
        raise InvalidSettings(
            f"X: {', '.join(map(str, kinds))} number the rows and are left out, so that nothing is left; "
            "keep_columns=[...] keeps some"
        )

    def steps(first: Any, *others: Any) -> Any:
        return pipeline.make_pipeline(preprocessing.FunctionTransformer(first), *others)

    def scaled(first: Any) -> Any:
        return steps(first, impute.SimpleImputer(strategy="median", keep_empty_features=True), preprocessing.StandardScaler())

    encoder = preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_OPTIONS, sparse_output=False)
    made: dict[Kind, Any] = {"numbers": scaled(numbers), "dates": scaled(dates), "words": steps(words, encoder)}
    parts: list[Any] = [(kind, made[kind], columns[kind]) for kind in made if kind in columns]
    parts += [
        (
            f"text {column}".replace("__", " "),
            steps(texts, text.TfidfVectorizer(max_features=MOST_TERMS, token_pattern=r"(?u)\b\w+\b")),
            column,
        )
        for column in columns.get("text", ())
    ]
    return compose.ColumnTransformer(parts, sparse_threshold=0)  # dense, since not every estimator takes sparse examples


def numbers(frame: Any) -> Any:
    """Numbers, truth values and durations (in seconds), (N, columns), with nan where they are missing."""
    columns = [_as_number(frame[name]) for name in frame.columns]
    return np.column_stack(columns)


def _as_number(column: Any) -> Any:
    if import_module("pandas").api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    return import_module("pandas").to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def words(frame: Any) -> Any:
    """Words (N, columns); what is missing is a word of its own."""
    return np.column_stack([_as_texts(frame[name], MISSING) for name in frame.columns])


def texts(column: Any) -> Any:
    """Texts (N,); what is missing is empty."""
    return _as_texts(column, "")


def _as_texts(column: Any, missing: str) -> Any:
    there = column.notna().to_numpy()
    return np.array([str(value) if held else missing for value, held in zip(column.tolist(), there, strict=True)], dtype=object)


def dates(frame: Any) -> Any:
    """Of each date days since 1970, year, month, day, day of the week and hour, (N, 6 x columns), nan where it is missing."""
    timestamp = import_module("pandas").Timestamp
    parts = []
    for name in frame.columns:
        moments = _moments(frame[name])
        start = timestamp(0) if moments.dt.tz is None else timestamp(0, tz="UTC")
        days = (moments - start).dt.total_seconds() / SECONDS_A_DAY
        moment = moments.dt
        parts += [days, moment.year, moment.month, moment.day, moment.day_of_week, moment.hour]
    return np.column_stack([part.to_numpy(dtype=float, na_value=np.nan) for part in parts])


def _moments(column: Any) -> Any:
    """Dates and times of the column's own time zone; what is written as text has none, or is of UTC."""
    pandas = import_module("pandas")
    if isinstance(column.dtype, pandas.PeriodDtype):
        return column.dt.to_timestamp()
    if pandas.api.types.is_datetime64_any_dtype(column):
        return column
    return pandas.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
