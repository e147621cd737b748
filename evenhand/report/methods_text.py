"""A run for a paper: a paragraph on how it was tuned, what to cite, and a table by which a clean machine repeats it.

The table is for people; `MethodsText.facts` says the same to programs (`report.reproduction`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand import __version__
from evenhand.analysis.environments import where_trained
from evenhand.analysis.paper_items import space_table
from evenhand.model import rules
from evenhand.model.choice_rule import BEST, CHOOSE_KEY
from evenhand.model.domain import DRAWN_DIGITS
from evenhand.model.session import Session
from evenhand.model.words import MODE_WORDS, budget_words, exact, metric_name, plural, show_score
from evenhand.report import latex, references
from evenhand.report.blocks import Item, ReportTable, table
from evenhand.report.reproduction import PLAYED_KEYS, STREAM_WORDS, beliefs_of, facts_of
from evenhand.report.run_records import RunRecords
from evenhand.tasks import requirements

LIBRARY_NAMES = {"torch": "PyTorch", "sklearn": "scikit-learn"}
Row = tuple[str, str]


@dataclass(frozen=True)
class MethodsText:
    """A run for a paper.

    Attributes:
        paragraph: how it was tuned, in prose, with the keys of `bibtex` in brackets.
        bibtex: what to cite.
        table: what repeats it, for people.
        facts: the same for programs, as JSON values.
    """

    paragraph: str
    bibtex: str
    table: ReportTable
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        rows = "\n".join(f"{name}: {value}" for name, value in self.table.rows)
        return f"{self.paragraph}\n\nReproducibility\n\n{rows}\n\nBibTeX\n\n{self.bibtex}"

    def json(self) -> str:
        """The facts as JSON."""
        return json.dumps(self.facts, indent=2, ensure_ascii=False)

    def latex(self) -> str:
        """The paragraph with its citations, and the table, as parts of a document."""
        item = Item("reproducibility", "What repeats the run", plural(len(self.table.rows), "fact"), "", table=self.table)
        return "\n".join([_cited(self.paragraph), *latex.table_lines(item)]) + "\n"


def methods_text(records: RunRecords) -> MethodsText:
    """A run for a paper.

    Args:
        records: what is known of it.

    Returns:
        The paragraph, what to cite, and what repeats it.
    """
    facts = facts_of(records)
    return MethodsText(_paragraph(records), references.bibtex(_keys(records.session)), _table(records, facts), facts)


# Prose


def _paragraph(records: RunRecords) -> str:
    session = records.session
    return " ".join(
        [*_tuned(session), *_trained(session), *_chosen(session), *_tested(records), *_looked(records), *_written_with(session)]
    )


def _tuned(session: Session) -> Iterator[str]:
    name = str(session.method.get("name", ""))
    how = (
        "by hand" if session.kind == "participant" else f"with {references.METHOD_WORDS.get(name, f'the method {session.tuner}')}"
    )
    if session.is_brought_in:
        how = f"with {session.tuner}, whose trials were brought into Evenhand afterwards,"
    cited = _brackets(references.METHOD_KEYS.get(name, ()))
    count = plural(len(session.space.hyperparameters), "hyperparameter")
    yield (
        f"We tuned {count} of {session.task.spec.plain_name} {how}{cited} in Evenhand {__version__} [evenhand], under a budget "
        f"of {budget_words(session.budget)}; {plural(rules.trials_used(session), 'trial')} ended."
    )
    if "stopping" in session.method:
        rule = str(session.method["stopping"])
        yield f"Trials that fell behind were stopped by the rule {rule}{_brackets(_stopping_keys(session))}."
    if session.is_joint:
        yield "A person took part in it beside the method."


def _trained(session: Session) -> Iterator[str]:
    rows = session.task.rows("validation")
    data = "the validation split" if rows is None else f"the validation split of {rows} rows"
    value = "at its last epoch" if session.value_rule == "last" else "at its best epoch"
    way = "larger" if session.maximize else "smaller"
    seed = "" if session.is_brought_in else f", with the seed {session.tuning_seed} that all have in common,"
    metric = f"{metric_name(session.task.metric)} ({way} is better)"
    yield f"Each configuration was trained once{seed} and scored by {metric} on {data}, {value}."


def _chosen(session: Session) -> Iterator[str]:
    trial, metric = session.chosen_trial, session.task.metric
    if trial is not None:
        rule = str(session.method.get(CHOOSE_KEY, BEST))
        by = "the best value on validation" if rule == BEST else f"the rule {rule!r}, declared before the first trial"
        yield f"Trial {trial.number} was chosen by {by} ({metric_name(metric)} {show_score(trial.value, metric)})."
    elif session.choice is None:
        yield "Nothing was chosen when this was written."


def _tested(records: RunRecords) -> Iterator[str]:
    session, test, metric = records.session, records.test, records.session.task.metric
    if test is None:
        if not session.task.has_test:
            yield "The task has no test data that no tuner saw, so all values are on validation."
        else:
            yield "All values are on validation; no score on test data is among them."
        return
    shown = show_score(test.mean, metric)
    if test.half is not None:
        shown = f"{shown} ± {show_score(test.half, metric)} (mean and half-width of its 95 % interval by Student's t)"
    yield (
        f"The choice, {MODE_WORDS[test.mode]}, reached {metric_name(metric)} {shown} on test data over n = {len(test.values)} "
        "seeds."
    )


def _looked(records: RunRecords) -> Iterator[str]:
    if records.seen_before is not None:
        yield records.seen_before.words
    if records.gain is not None:
        yield f"Compared with its declared baseline: {records.gain.words}"


def _written_with(session: Session) -> Iterator[str]:
    cited = [f"{LIBRARY_NAMES[name]}{_brackets(references.LIBRARY_KEYS[name])}" for name in _libraries(session)]
    if cited:
        yield f"Models were trained with {' and '.join(cited)}."


def _libraries(session: Session) -> list[str]:
    """The libraries that its trainings need for certain."""
    return sorted(requirements.named_by(session.task.spec) & references.LIBRARY_KEYS.keys())


def _stopping_keys(session: Session) -> tuple[str, ...]:
    return references.STOPPING_KEYS.get(str(session.method.get("stopping", "")).partition(":")[0], ())


def _brackets(keys: Sequence[str]) -> str:
    return "" if not keys else f" [{', '.join(keys)}]"


def _keys(session: Session) -> Iterator[str]:
    """What is cited, in the order of the paragraph."""
    yield from references.METHOD_KEYS.get(str(session.method.get("name")), ())
    yield "evenhand"
    yield from _stopping_keys(session)
    for name in _libraries(session):
        yield from references.LIBRARY_KEYS[name]


def _cited(paragraph: str) -> str:
    """The paragraph as LaTeX, its keys as citations."""
    parts: list[str] = []
    for part in paragraph.split(" ["):
        keys, bracket, rest = part.partition("]")
        known = bracket and all(key in references.BIBTEX for key in keys.split(", "))
        if parts and known:
            parts.append(rf"~\cite{{{','.join(keys.split(', '))}}}{latex.escape(rest)}")
        else:
            parts.append(latex.escape(f" [{part}" if parts else part))
    return "".join(parts)


# The table


def _table(records: RunRecords, facts: Mapping[str, Any]) -> ReportTable:
    return table(("what", "value"), [*_task_rows(records.session), *_how_rows(records, facts), *_where_rows(records, facts)])


def _task_rows(session: Session) -> Iterator[Row]:
    task = session.task
    yield "run", f"{session.called} (session {session.id}), begun {exact(session.opened_at)}"
    yield "task", task.spec.plain_name + "".join(f", {name} {value}" for name, value in sorted(task.spec.settings.items()))
    yield "task version", f"{task.version} (hash of its source or revision, settings, space and data)"
    yield (
        "metric",
        f"{task.metric}, {task.direction}; value of the {session.value_rule} epoch; at most {plural(task.max_epochs, 'epoch')}",
    )
    yield "splits", ", ".join(f"{name} {value}" for name, value in task.statistics.items()) or "as the task makes them"
    for row in space_table(session.space):
        scale = f", {row.scale}" if row.scale else ""
        active = "" if row.when == "always" else f", active for {row.when}"
        yield f"hyperparameter {row.name}", f"{row.values}{scale}; default {row.default}{active}"
    for constraint in session.space.constraints:
        yield "constraint", constraint.text
    yield (
        "digits",
        f"drawn real numbers have {DRAWN_DIGITS} significant digits, more where the range is narrower than that tells apart",
    )


def _how_rows(records: RunRecords, facts: Mapping[str, Any]) -> Iterator[Row]:
    session, study = records.session, records.study
    settings = ", ".join(f"{name} {json.dumps(value)}" for name, value in facts["method"]["settings"].items())
    yield "method", f"{facts['method']['name']}; {settings or 'no settings'}"
    for key in PLAYED_KEYS:
        if session.method.get(key) is not None:
            yield key.replace("_", " "), str(session.method[key])
    for name, prior in beliefs_of(session).items():
        yield (
            f"belief about {name}",
            ", ".join(f"{key} {value}" for key, value in prior.items() if value is not None),
        )
    yield "budget", budget_words(session.budget)
    yield "spent", f"{plural(rules.trials_used(session), 'trial')}, {plural(rules.epochs_used(session), 'epoch')}"
    if not session.is_brought_in:
        yield "seeds", f"root {study.seed}, tuning {session.tuning_seed}, method {session.method.get('seed', 'none')}"
    if seeds := facts["seeds"]["evaluation"]:
        yield "evaluation", f"{MODE_WORDS[study.evaluation_mode]}, {plural(len(seeds), 'seed')}: {', '.join(map(str, seeds))}"
    yield "random streams", STREAM_WORDS
    if session.interventions:
        yield "people", f"{plural(len(session.interventions), 'act')} of people, in the JSON one by one"


def _where_rows(records: RunRecords, facts: Mapping[str, Any]) -> Iterator[Row]:
    for there in where_trained([records.session], {}):
        words = (
            "not recorded"
            if there.key is None or there.key not in records.environments
            else records.environments[there.key].words()
        )
        yield f"trained with ({plural(there.trials, 'trial')})", words
    if records.study.packages and not records.session.is_brought_in:
        yield "packages, when it was declared", ", ".join(f"{name} {version}" for name, version in records.study.packages.items())
    if records.seen_before is not None:
        yield "test data", records.seen_before.words
    if records.gain is not None:
        yield "baseline", records.gain.words
    if facts["command"]:
        yield "command", facts["command"]
    yield (
        "repeats exactly",
        "yes, with one kind of machine and these versions" if facts["repeats_exactly"] else f"no: {'; '.join(facts['why_not'])}",
    )
