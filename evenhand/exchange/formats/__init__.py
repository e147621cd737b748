"""Formats in which other tools keep their trials: one module each, registered here, told by what a source holds, not by its name.

Each module has `NAME`, `WORDS`, `holds(source)`, `names(source)` (of the runs in it) and `read(source, name, wanted)`. Tests hold
all of them to one contract.
"""

import importlib
from typing import Protocol, cast

from evenhand.errors import InvalidSettings, NotFound
from evenhand.exchange.formats.base import ForeignRun, Source, Wanted

# In the order in which they are asked; a table, which holds anything, comes last.
FORMATS = {
    "optuna-database": "evenhand.exchange.formats.optuna_database",
    "optuna-journal": "evenhand.exchange.formats.optuna_journal",
    "mlflow-database": "evenhand.exchange.formats.mlflow_database",
    "mlflow-folder": "evenhand.exchange.formats.mlflow_folder",
    "ray-tune": "evenhand.exchange.formats.ray_tune",
    "keras-tuner": "evenhand.exchange.formats.keras_tuner",
    "table": "evenhand.exchange.formats.table",
}


class Format(Protocol):
    """What the module of a format has."""

    NAME: str
    WORDS: str

    def holds(self, source: Source) -> bool:
        """Whether a source is of this format, by what it holds."""

    def names(self, source: Source) -> list[str]:
        """The runs in a source, in order."""

    def read(self, source: Source, name: str, wanted: Wanted) -> ForeignRun:
        """One of them. InvalidSettings where it has to be said what the source does not say."""


def by_name(name: str) -> Format:
    """The format of this name; InvalidSettings where there is none."""
    if name not in FORMATS:
        raise InvalidSettings(f"--format {name!r}: expected one of {', '.join(FORMATS)}")
    return cast(Format, importlib.import_module(FORMATS[name]))


def told(source: Source, wanted: Wanted) -> Format:
    """The format of a source: the one that is wanted, else by what it holds; InvalidSettings where it is none that is known."""
    if wanted.format is not None:
        form = by_name(wanted.format)
        if not form.holds(source):
            raise InvalidSettings(f"{source.shown}: is not {form.WORDS}, which --format {wanted.format} says; leave it out")
        return form
    if words := source.own_words:
        raise InvalidSettings(words)
    for form in map(by_name, FORMATS):
        if form.holds(source):
            return form
    known = "; ".join(f"{name}: {by_name(name).WORDS}" for name in FORMATS)
    raise InvalidSettings(f"{source.shown}: holds no trials in a format that is known here. These are: {known}")


def names(source: Source, wanted: Wanted) -> tuple[Format, list[str]]:
    """The format of a source, and the runs in it, or the one that is wanted.

    Raises:
        NotFound: there is no run, or none of the wanted name.
    """
    form = told(source, wanted)
    there = form.names(source)
    if not there:
        raise NotFound(f"{source.shown}: holds no study")
    if wanted.study is not None and wanted.study not in there:
        raise NotFound(f"{source.shown}: has no study {wanted.study!r}; expected one of {', '.join(there)}")
    return form, there if wanted.study is None else [wanted.study]
