"""What a history of trials says, as a program holds it: for runs, tables, files of other tools, without a server."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.errors import InvalidSettings
from evenhand.exchange.foreign_runs import NotOpened, Opened, opened, opened_runs
from evenhand.exchange.formats import table
from evenhand.exchange.formats.base import ForeignRun, Source, Wanted
from evenhand.explain import Card, History
from evenhand.explain.explained import explained, wanted
from evenhand.model import notebook_html
from evenhand.model.direction import known_direction, words_of
from evenhand.model.domain import plain
from evenhand.model.extras import require
from evenhand.model.session import Session
from evenhand.model.space import GivenSpace, Space
from evenhand.model.words import metric_name, plural
from evenhand.report.cards import figures, svg
from evenhand.report.cards.histories import history_of
from evenhand.report.cards.pictures import picture
from evenhand.report.cards.report import cards_report

if TYPE_CHECKING:
    from altair import LayerChart, VConcatChart
    from pandas import DataFrame

    from evenhand.experiments.run_handle import RunHandle

TABLE = "the table"  # what a table of a program's own is called


@dataclass(frozen=True)
class Explanation:
    """What a history of trials says: a card for each question. A notebook shows it.

    Attributes:
        title: of what.
        metric: what was tuned.
        maximize: whether larger values are better.
        trials: that have ended.
        cards: in order.
    """

    title: str
    metric: str
    maximize: bool
    trials: int
    cards: tuple[Card, ...]

    def __getitem__(self, key: str) -> Card:
        """The card of a key.

        Args:
            key: such as "noise".

        Returns:
            The card.

        Raises:
            KeyError: there is none; the text lists those that there are.
        """
        for card in self.cards:
            if card.key == key:
                return card
        raise KeyError(f"explanation {key!r}: there is none here; expected one of {', '.join(card.key for card in self.cards)}")

    def __iter__(self) -> Iterator[Card]:
        return iter(self.cards)

    @property
    def data(self) -> dict[str, Any]:
        """All numbers, as JSON holds them, by the keys of the cards: finding, sure, how, n, says, and the card's own numbers."""
        return {card.key: card_data(card) for card in self.cards}

    @property
    def figure(self) -> "VConcatChart":
        """The pictures of all cards that have one, below each other, as a chart of Altair.

        Raises:
            PackageMissing: Altair is not installed; the text says which extra brings it.
            InvalidSettings: no card has a picture.
        """
        altair = require("altair", "a chart")
        charts = [self.figure_of(card.key).properties(title=card.title) for card in self.cards if picture(card) is not None]
        if not charts:
            raise InvalidSettings(f"{self.title}: no card has a picture; their findings say why")
        chart: VConcatChart = altair.vconcat(*(altair.LayerChart.from_dict(_bare(chart.to_dict())) for chart in charts))
        return chart

    def figure_of(self, key: str) -> "LayerChart":
        """The picture of one card as a chart of Altair.

        Args:
            key: of the card.

        Returns:
            The chart.

        Raises:
            KeyError: there is no such card.
            PackageMissing: Altair is not installed; the text says which extra brings it.
            InvalidSettings: the card has no picture.
        """
        altair = require("altair", "a chart")
        shown = picture(self[key])
        if shown is None:
            raise InvalidSettings(f"explanation {key!r}: has no picture here; its finding: {self[key].finding}")
        chart: LayerChart = altair.LayerChart.from_dict(
            {name: value for name, value in figures.figure(shown).items() if value is not None}
        )
        return chart

    def report(self, path: str | PathLike[str]) -> None:
        """Write all cards as one HTML file that needs nothing else, or as PDF.

        Args:
            path: a file that ends in .html or .pdf; one that is there is replaced.

        Raises:
            PackageMissing: what reports are made with is not installed; the text says which extra brings it.
            InvalidSettings: another ending, or it cannot be written.
        """
        from evenhand.report import document, page

        out = Path(path)
        if out.suffix not in (".html", ".pdf"):
            raise InvalidSettings(f"{str(out)!r}: expected a file that ends in .html or .pdf")
        (document if out.suffix == ".pdf" else page).check()
        facts = [("Trials", str(self.trials)), ("Metric", f"{metric_name(self.metric)}, {words_of(self.maximize)}")]
        built = cards_report(f"Understanding {self.title}", facts, self.cards)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        content = document.pdf(built, today) if out.suffix == ".pdf" else page.html(built, today).encode()
        try:
            out.write_bytes(content)
        except OSError as error:
            raise InvalidSettings(f"{str(out)!r} cannot be written ({error.strerror}); name another place") from error

    def _repr_html_(self) -> str:
        """As a notebook shows it: each finding, how sure it is, and its picture; no script."""
        parts = [notebook_html.title(f"Understanding {self.title}", plural(self.trials, "trial"))]
        for card in self.cards:
            shown = picture(card)
            parts += [
                notebook_html.title(card.title),
                notebook_html.said(card.finding, quiet=not card.says),
                notebook_html.said(card.sure, quiet=True),
                "" if shown is None else svg.svg(shown),
                notebook_html.said("; ".join(step.words for step in card.next), quiet=True),
            ]
        return notebook_html.view(*parts)

    def __repr__(self) -> str:
        lines = [f"{card.title} {card.finding}" for card in self.cards]
        return "\n".join([f"{self.title}: {plural(self.trials, 'trial')}", *lines])


def card_data(card: Card) -> dict[str, Any]:
    """A card as JSON holds it."""
    return {
        "title": card.title,
        "says": card.says,
        "finding": card.finding,
        "sure": card.sure,
        "how": card.how,
        "n": card.n,
        "next": [step.words for step in card.next],
        **card.data,
    }


def explain(
    trials: "DataFrame | Sequence[Mapping[str, Any]] | str | PathLike[str] | RunHandle",
    target: str | None = None,
    maximize: bool | None = None,
    only: Sequence[str] = (),
    space: GivenSpace | None = None,
) -> Explanation:
    """What a history of trials says: what mattered, is it noise, is the search healthy, and how sure all that is.

    It needs no server and no laboratory.

    Args:
        trials: a table of pandas or a list of dictionaries, a row a trial; or a file or storage of another tool, such as a CSV or
            a storage of Optuna; or a result, or a session.
        target: of a table or a file, the column or metric that was tuned; None where its name says it.
        maximize: whether larger values are better; None where the metric's name says it, else yes.
        only: keys of the explanations that are asked for, such as "noise"; all where none is named.
        space: of a table or a file, what could be tuned; None for what was tried.

    Returns:
        A card for each question, with numbers and pictures.

    Raises:
        InvalidSettings: it is not told what the target is, there is no explanation of a key, or the table cannot be read.
        NotFound: there is no such file.
        InvalidSpace: the space is none.
    """
    wanted(only)
    if (own := getattr(trials, "explain", None)) is not None:  # a handle's, which also knows what was looked at
        explanation: Explanation = own(only)
        return explanation
    if isinstance(trials, str | PathLike):
        return explain_source(fspath(trials), target, maximize, only, space)
    run = table.of_cells(TABLE, "a table", _cells(trials), _asked(target, maximize))
    return _of_run(opened(_in_space(run, space)), "a table of trials", only)


def explain_source(
    source: str,
    target: str | None = None,
    maximize: bool | None = None,
    only: Sequence[str] = (),
    space: GivenSpace | None = None,
    study: str | None = None,
) -> Explanation:
    """What the trials in a file, a folder or a storage of another tool say.

    Args:
        source: where they are, as for `evenhand open`.
        target: as of `explain`.
        maximize: likewise.
        only: likewise.
        space: likewise.
        study: which one, where there are several.

    Returns:
        A card for each question.

    Raises:
        InvalidSettings: as of `explain`, or there are several studies.
        NotFound: there is no such file.
    """
    with Source(source) as opened_source:
        runs = list(opened_runs(opened_source, replace(_asked(target, maximize), study=study)))
        if len(runs) > 1:
            names = ", ".join(run.name if isinstance(run, NotOpened) else run.run.name for run in runs)
            raise InvalidSettings(f"{opened_source.shown}: holds {len(runs)} studies; say which one with --study: {names}")
        (run,) = runs
        if isinstance(run, NotOpened):
            raise InvalidSettings(run.why)
        if space is not None:
            run = opened(_in_space(run.run, space))
        return _of_run(run, run.run.name, only)


def explain_session(session: Session, title: str, only: Sequence[str] = (), history: History | None = None) -> Explanation:
    """What a session's trials say.

    Args:
        session: with its trials.
        title: what it is called.
        only: keys of the explanations that are asked for; all where none is named.
        history: of the session, where more is known than it holds, as test scores.

    Returns:
        A card for each question.
    """
    read = history_of(session) if history is None else history
    return Explanation(title, read.metric, read.maximize, len(read.trials), tuple(explained(read, only)))


def _of_run(run: Opened, title: str, only: Sequence[str]) -> Explanation:
    return explain_session(run.session, title, only)


def _asked(target: str | None, maximize: bool | None) -> Wanted:
    """What is wanted: of a metric whose name does not say it, larger is better."""
    direction = None if maximize is None else "maximize" if maximize else "minimize"
    if direction is None and target is not None:
        direction = known_direction(target) or "maximize"
    return Wanted(metric=target, direction=direction)


def _in_space(run: ForeignRun, space: GivenSpace | None) -> ForeignRun:
    return run if space is None else replace(run, space=Space.of(space))


def _cells(trials: Any) -> dict[str, list[Any]]:
    """The columns of a table of pandas, or of dictionaries; None where there is no value."""
    if hasattr(trials, "to_dict") and hasattr(trials, "columns"):
        return {str(name): [_cell(value) for value in trials[name].tolist()] for name in trials.columns}
    if isinstance(trials, Sequence) and all(isinstance(row, Mapping) for row in trials):
        names = dict.fromkeys(str(name) for row in trials for name in row)
        return {name: [_cell(row.get(name)) for row in trials] for name in names}
    raise InvalidSettings(
        f"explain: got {type(trials).__name__}, expected a table of pandas, a list of dictionaries, a file, a result or a session"
    )


def _cell(value: Any) -> Any:
    own = plain(value)
    return None if own is None or own != own or (isinstance(own, float) and not math.isfinite(own)) else own


def _bare(chart: Mapping[str, Any]) -> dict[str, Any]:
    """A chart as a part of another one, which has the look of all."""
    return {name: value for name, value in chart.items() if name not in ("config", "background", "$schema")}
