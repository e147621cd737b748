"""What one holds of a run can do: tables, curves, charts, files, and what a paper needs. All of it is on the run's pages, too."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evenhand.analysis.trial_frame import columns_of, rows_of
from evenhand.errors import InvalidSettings, Refused
from evenhand.exchange import configuration_text
from evenhand.lab.lab import Lab
from evenhand.model import choices, rules
from evenhand.model.extras import is_here, require
from evenhand.model.session import Session
from evenhand.model.words import is_share, metric_name

if TYPE_CHECKING:
    from altair import LayerChart
    from pandas import DataFrame

    from evenhand.analysis.run_comparison import RunComparison
    from evenhand.experiments.explanation import Explanation
    from evenhand.report.methods_text import MethodsText
    from evenhand.report.run_records import RunRecords

CHARTS = ("course", "curves")


class RunHandle:
    """What the handles of a run have in common: results of `tune`, and stored sessions."""

    @property
    def _run(self) -> Session:
        """The run's record."""
        raise NotImplementedError

    @property
    def _url(self) -> str | None:
        """The laboratory that it is in; None for the default one."""
        raise NotImplementedError

    @property
    def _looked(self) -> tuple[str, ...]:
        """Whose logged looks show its test score here."""
        return ()

    def save(self, path: str | PathLike[str], trial: int | None = None) -> None:
        """Write the best trial's configuration for another program, in the format that the file's ending says.

        Args:
            path: a file that ends in .json, .toml, .yaml or .yml; one that is there is replaced.
            trial: another trial than the best one, by its number.

        Raises:
            InvalidSettings: another ending, or it cannot be written.
            NotFound: there is no trial of this number.
            Refused: no trial has a value.
        """
        taken = rules.best_trial(self._run) if trial is None else choices.taken_trial(self._run, trial)
        if taken is None:
            raise Refused(f"session {self._run.id}: no trial has a value, so there is no best configuration to write")
        configuration_text.save(self._run.space, taken.configuration, Path(path))

    def table(self) -> "DataFrame | list[dict[str, Any]]":
        """The trials, a row each; see `evenhand.experiments.dataframes.dataframe` for the columns.

        Returns:
            A table of pandas, or where that is not installed a list of dictionaries.
        """
        from evenhand.experiments import dataframes

        if is_here("pandas"):
            return dataframes.dataframe(self._run)
        names = [column.name for column in columns_of(self._run)]
        return [
            {"number": trial.number, **dict(zip(names, row, strict=True))}
            for trial, row in zip(self._run.trials, rows_of(self._run), strict=True)
        ]

    def curves(self, trials: Sequence[int] | None = None) -> "DataFrame | list[dict[str, Any]]":
        """What trials reported while they trained: a row a report, with trial, epoch, step, seconds, loss, and metrics by name.

        Args:
            trials: their numbers; None for all.

        Returns:
            A table of pandas, or where that is not installed a list of dictionaries.
        """
        session, rows = self._run, []
        with self._laboratory() as lab:
            for number in range(1, len(session.trials) + 1) if trials is None else trials:
                choices.taken_trial(session, number)
                for row in lab.curve(session.id, number).measurements:
                    own = {"trial": number, "epoch": row.epoch, "step": row.step, "seconds": row.seconds, "loss": row.loss}
                    rows.append({**own, session.task.metric: row.value, **row.extra})
        if not is_here("pandas"):
            return rows
        table: DataFrame = require("pandas", "a table of curves").DataFrame(rows)
        return table

    def plot(self, what: Literal["course", "curves"] = "course") -> "LayerChart":
        """A chart of Altair, as the run's report has it; a notebook shows it.

        Args:
            what: "course", every trial's value and the best so far, or "curves", those of the best trials by epoch.

        Returns:
            The chart.

        Raises:
            PackageMissing: Altair is not installed; the text says which extra brings it.
            InvalidSettings: it is another word, or there is nothing to be drawn.
        """
        from evenhand.analysis.run_course import course_of
        from evenhand.report import run, run_figures

        if what not in CHARTS:
            raise InvalidSettings(f"plot: got {what!r}, expected {' or '.join(map(repr, CHARTS))}")
        altair = require("altair", "a chart")
        session = self._run
        metric, share = metric_name(session.task.metric), is_share(session.task.metric)
        if what == "course":
            course = course_of(session)
            if not course.points:
                raise InvalidSettings(f"plot: session {session.id} has no trial with a value, so there is nothing to be drawn")
            spec = run_figures.course(course, metric, share)
        else:
            with self._laboratory() as lab:
                curves = run.drawn_curves(lab, session)
            if not curves:
                raise InvalidSettings(f"plot: no trial of session {session.id} reported more than one epoch, so it has no curve")
            spec = run_figures.curves(curves, metric, share)
        chart: LayerChart = altair.LayerChart.from_dict({key: value for key, value in spec.items() if value is not None})
        return chart

    def methods_text(self) -> "MethodsText":
        """The run for a paper: a paragraph, BibTeX, and all that a clean machine needs to repeat it.

        Returns:
            Its parts; as text it is all of them, `.json()` is for programs, `.latex()` for a document.
        """
        from evenhand.report.methods_text import methods_text

        return methods_text(self._records())

    def latex_row(self, trial: int | None = None) -> str:
        """A table of one row in LaTeX's booktabs: task, who tuned, trials, and the value with its seeds.

        Args:
            trial: which one; None for the chosen one, or where none is chosen the best.

        Returns:
            LaTeX that compiles as it is.
        """
        from evenhand.report.latex_row import latex_row

        return latex_row(self._records(), choices.taken_trial(self._run, trial))

    def report(self, path: str | PathLike[str]) -> None:
        """Write the run's report: one HTML file that needs nothing else, or a PDF.

        Args:
            path: a file that ends in .html or .pdf; one that is there is replaced.

        Raises:
            PackageMissing: what reports are made with is not installed; the text says which extra brings it.
            InvalidSettings: another ending, or it cannot be written.
        """
        from evenhand.report import document, page, run, run_records

        out = Path(path)
        if out.suffix not in (".html", ".pdf"):
            raise InvalidSettings(f"{str(out)!r}: expected a file that ends in .html or .pdf")
        (document if out.suffix == ".pdf" else page).check()
        records = self._records()
        with self._laboratory() as lab:
            built = run.build(records, run.drawn_curves(lab, records.session), run_records.names_in(lab, records))
        today = time.strftime("%Y-%m-%d", time.gmtime())
        content = document.pdf(built, today) if out.suffix == ".pdf" else page.html(built, today).encode()
        try:
            out.write_bytes(content)
        except OSError as error:
            raise InvalidSettings(f"{str(out)!r} cannot be written ({error.strerror}); name another place") from error

    def explain(self, only: Sequence[str] = ()) -> "Explanation":
        """What the run's trials say: what mattered, is it noise, is the search healthy, and how sure all that is.

        Args:
            only: keys of the explanations that are asked for, such as "noise"; all where none is named.

        Returns:
            A card for each question, which a notebook shows; `.data` has the numbers, `.figure` the pictures.

        Raises:
            InvalidSettings: there is no explanation of a key.
        """
        from evenhand.experiments.explanation import explain_session
        from evenhand.explain.explained import wanted
        from evenhand.report.cards.histories import history_of

        wanted(only)
        session = self._run
        evaluation = self._records().evaluation if self._looked else None
        title = session.name or f"run {session.called}"
        return explain_session(session, title, only, history_of(session, evaluation))

    def export(self, path: str | PathLike[str]) -> None:
        """Write the trials as a table for other programs; where test scores were seen before some of them, a column says which.

        Args:
            path: a file that ends in .csv or .parquet; one that is there is replaced.

        Raises:
            PackageMissing: Parquet is wanted, and pyarrow is not installed.
            InvalidSettings: another ending, or it cannot be written.
        """
        from evenhand.exchange import trial_tables

        out = Path(path)
        form = trial_tables.format_of(out)
        with self._laboratory() as lab:
            seen = lab.evaluations.seen_before(self._run.id) if self._run.purpose == "exploratory" else None
        trial_tables.write(self._run, out, form, seen)

    def compare(self, *others: "RunHandle") -> "RunComparison":
        """This run beside others of the same metric.

        Args:
            others: one to nineteen.

        Returns:
            What differs between their configurations, what they reached and spent, and what makes that unfair.
        """
        from evenhand.analysis.run_comparison import compare_runs

        handles = (self, *others)
        evaluations = {
            handle._run.id: records.evaluation
            for handle in handles
            if handle._looked and (records := handle._records()).evaluation is not None
        }
        known = {session_id: evaluation for session_id, evaluation in evaluations.items() if evaluation is not None}
        return compare_runs([handle._run for handle in handles], known)

    def _records(self) -> "RunRecords":
        from evenhand.report import run_records

        with self._laboratory() as lab:
            return run_records.read(lab, self._run, self._looked)

    @contextmanager
    def _laboratory(self) -> Iterator[Lab]:
        lab = Lab.connect(self._url)
        try:
            yield lab
        finally:
            lab.close()
