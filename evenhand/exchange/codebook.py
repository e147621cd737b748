"""The codebook of an export: of each table's columns their meaning, unit, values and source, and the names of its files.

Writing, reading back and the documentation all follow this one table. Times are seconds since the epoch (UTC).
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FORMAT = 6  # of the archive: raised where an older Evenhand could not read it any more
OLDEST_FORMAT = 2  # that is still read
MANIFEST, STUDY, CODEBOOK = "manifest.json", "study.json", "codebook.csv"
FORMATS: Mapping[str, str] = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "spreadsheet": ".csv"}
UNREAD_FORMAT = "spreadsheet"  # the one that people open and programs do not read back: some of its texts are changed

Kind = Literal["integer", "number", "text", "truth", "json"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column. optional: it may be empty; an optional text that is empty is none. source: who or what it is from.

    since: the first format of archives that has it.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    values: str = ""
    source: str = ""
    optional: bool = False
    since: int = OLDEST_FORMAT


TIME = "seconds since 1970-01-01 00:00 UTC"
OUTCOMES = "completed, stopped, diverged, invalid, failed; empty: not ended"
STOPPERS = "tuner, stopping rule, deadline, researcher, withdrawal"


def _time(name: str, meaning: str, optional: bool = True) -> Column:
    return Column(name, "number", meaning, TIME, source="server's clock", optional=optional)


WHOSE = (
    Column("study_version", "integer", "the study's version that the row was recorded under", values="from 1", source="server"),
    Column("study_hash", "text", "SHA-256 of what that version declares", source="server"),
    Column("mode", "text", "whose record it is", values="live, pilot, simulated", source="server"),
)
SESSION = Column("session", "integer", "the session's number in this archive", values="from 1", source="export")
TRIAL = Column("trial", "integer", "the trial's number within its session", values="from 1", source="server")
PERSON = Column("participant", "integer", "the participant's number in this archive", values="from 1", source="export")
ENVIRONMENT = Column(
    "environment",
    "text",
    "the key in study.json of where it was trained (the attempt that counts): versions and kind of machine",
    values="empty: not recorded",
    source="agent",
    optional=True,
    since=3,
)

PARTICIPANTS = (
    PERSON,
    Column("pseudonym", "text", "what pages and reports call them", values="P-01, ...", source="server"),
    _time("joined_at", "when they joined", optional=False),
    Column("invitations", "integer", "the batch of invitations they came by, as in study.json", source="export", optional=True),
    Column("condition", "text", "the experimental condition they were assigned to", source="server", optional=True),
    Column("language", "text", "the language they read the study in", values="a language code", source="participant"),
    Column("consent_version", "text", "the version of the terms they agreed to", source="server", optional=True),
    _time("consented_at", "when they agreed to the terms"),
    _time("read_details_at", "when they had read the details"),
    _time("practised_at", "when they began the practice trial, which is not exported"),
    _time("withdrawn_at", "when they withdrew; what they did and said was erased then"),
    Column("excluded", "text", "why the researcher left them out of the statistics", source="researcher", optional=True),
    Column("answered", "json", "the questionnaires they sent in, in order", values="a list of names", source="server"),
)
SESSIONS = (
    SESSION,
    Column("participant", "integer", "whose session it is; empty: a method's", source="export", optional=True),
    Column("tuner", "text", "a pseudonym, or a method's name", source="server"),
    Column("purpose", "text", "what it is for, from its birth", values="study, exploratory", source="server", since=3),
    Column(
        "name", "text", "what its owner called an exploratory one; empty: nothing", source="researcher", optional=True, since=3
    ),
    Column("method", "json", "a method's name, seed and settings; {} of a participant", source="researcher"),
    Column("task", "integer", "the task's number in study.json", values="from 1", source="export"),
    Column("condition", "text", "the experimental condition", source="server", optional=True),
    Column("budget_seconds", "number", "the time limit; empty: none", "seconds", source="study", optional=True),
    Column(
        "budget_trials", "integer", "how many trials there may be; empty: any number", "trials", source="study", optional=True
    ),
    Column(
        "budget_epochs", "integer", "how many epochs there may be; empty: any number", "epochs", source="study", optional=True
    ),
    Column("budget_parallel", "integer", "how many trials may train at once", "trials", source="study"),
    Column(
        "budget_until",
        "text",
        "the gain without which it ends, and in how many trials; empty: none",
        values="such as 0.001 in 20",
        source="researcher",
        optional=True,
        since=3,
    ),
    Column(
        "budget_cost",
        "text",
        "rates of training, and how much of it there may be; empty: none",
        values="such as 1.2 EUR/h; 65.0 W; at most 7200.0 s",
        source="researcher",
        optional=True,
        since=6,
    ),
    Column("tuning_seed", "integer", "the seed of every training of the session", source="derived from the study's"),
    Column("presets", "truth", "whether optional fields start filled with their defaults", values="true, false", source="study"),
    Column("live_validation", "truth", "whether validation is shown while a trial trains", values="true, false", source="study"),
    Column("resumable", "truth", "whether a trial may go on from another's epochs", values="true, false", source="study"),
    Column(
        "evaluation_mode",
        "text",
        "how its choice is trained for the test score: on train and validation data, or as its trials were",
        values="retrain, as tuned",
        source="study",
        since=3,
    ),
    Column("value_rule", "text", "which completed epoch a trial's value is of", values="last, best", source="study", since=3),
    _time("opened_at", "when the session was opened", optional=False),
    _time("started_at", "when its clock started"),
    _time("withdrawn_at", "when its participant withdrew; its trials were erased then"),
    _time("last_seen", "when its tuner was last heard of"),
    Column("pauses", "json", "times in which it stood still", values="a list of start, end, reason", source="researcher"),
    Column("extensions", "json", "time it was given", values="a list of seconds, reason, start", source="researcher"),
    Column(
        "interventions",
        "json",
        "what a person did in a method's session, or believes of its hyperparameters",
        values="a list of at, who, kind, trial, detail, reason; who: `person ID`, or `researcher` from before people had names",
        source="researcher",
    ),
    _time("chose_at", "when the final choice was made"),
    Column(
        "final_trial", "integer", "the trial that was chosen; empty: none, or one without a trial", source="tuner", optional=True
    ),
    Column("final_configuration", "json", "the configuration that was chosen; empty: no choice", source="tuner", optional=True),
    Column(
        "automatic",
        "truth",
        "whether the best trial was chosen by the rules, after the deadline",
        values="true, false; empty: no choice yet",
        source="server",
        optional=True,
    ),
    Column(
        "earlier_choices",
        "json",
        "the choices that an exploratory session was extended after, in order",
        values="a list of at, trial, configuration, automatic, reopened_at",
        source="tuner",
        since=3,
    ),
)
TRIALS = (
    SESSION,
    TRIAL,
    Column(
        "proposer",
        "text",
        "who proposed it",
        values="a participant's pseudonym, a method, or `person ID` of somebody who helped a method",
        source="server",
    ),
    _time("submitted_at", "when it was submitted", optional=False),
    _time("claimed_at", "when an agent took it (the attempt that counts)"),
    _time("finished_at", "when it ended"),
    Column(
        "holds",
        "json",
        "times in which its training stood still, since its session was paused",
        values="a list of start, end",
        source="server",
        since=5,
    ),
    Column("epochs_planned", "integer", "epochs it was submitted for", "epochs", source="tuner"),
    Column("epochs_done", "integer", "epochs completed, those it went on from included", "epochs", source="agent"),
    Column("epochs_begun", "integer", "epochs it completed itself, and the one it ended in: its cost", "epochs", source="agent"),
    Column("resumes", "integer", "the trial whose training it went on with; empty: none", source="tuner", optional=True),
    Column("epochs_before", "integer", "epochs it went on from", "epochs", values="0: from the start", source="server"),
    Column("revision", "integer", "how often the session's space had been reshaped when it was made", source="server"),
    Column("attempt", "integer", "how often it was begun; the last one counts", values="from 0", source="server"),
    Column("outcome", "text", "how it ended", values=OUTCOMES, source="agent", optional=True),
    Column("stop_by", "text", "who asked it to stop", values=STOPPERS, source="server", optional=True),
    Column(
        "value",
        "number",
        "the task's metric on validation, at its last or best completed epoch; empty: none was completed",
        "the metric's",
        source="agent",
        optional=True,
    ),
    Column(
        "value_epoch",
        "integer",
        "the epoch that the value is of; empty: no value",
        "epochs",
        source="agent",
        optional=True,
        since=3,
    ),
    Column("extra", "json", "further metrics by name, at that epoch", source="agent"),
    Column("why", "text", "the outcome's reason, or the traceback of the task's own code", source="agent", optional=True),
    Column("explanation", "text", "the method's reason for the whole configuration", source="method"),
    Column(
        "signals",
        "json",
        "how its form was filled in since the trial before: how often something was pasted, how often and how long the page was "
        "left, seconds of typing each value and reason; never what. Empty: not recorded",
        values="pastes, away, away_seconds, values, reasons",
        source="participant's browser",
        optional=True,
        since=5,
    ),
    ENVIRONMENT,
)
VALUES = (
    SESSION,
    TRIAL,
    Column("hyperparameter", "text", "its name; one that is not active has no row", source="task"),
    Column("value", "text", "the value as recorded: a number with every digit, a text as it is, else as JSON", source="tuner"),
    Column("type", "text", "what the value is", values="number, text, json", source="export", since=3),
    Column("number", "number", "the value where it is a number", "the hyperparameter's", source="tuner", optional=True),
    Column(
        "is_default",
        "truth",
        "whether it is the hyperparameter's default",
        values="true, false; empty: it has none (mandatory)",
        source="export",
        optional=True,
    ),
    Column(
        "reason",
        "text",
        "why the tuner chose it: the value of an option of the study's `reasons`; `other` for own words",
        values="guess, default, experience, learnt, other, or as declared; empty: none given",
        source="tuner",
        optional=True,
    ),
    Column(
        "reason_label",
        "text",
        "that reason as it was given: the option's label in the study's first language, or own words",
        values="empty: none given",
        source="tuner",
        optional=True,
        since=4,
    ),
)
MEASUREMENTS = (
    SESSION,
    TRIAL,
    Column("index", "integer", "number within the attempt that counts; curves of many batches are thinned", source="agent"),
    Column("step", "integer", "optimizer steps done", "steps", source="agent"),
    Column("epoch", "integer", "completed epochs; empty: a single batch", "epochs", source="agent", optional=True),
    Column("loss", "number", "of the batch, or the mean of the epoch", "the loss function's", source="agent", optional=True),
    Column("value", "number", "the metric on validation, at an epoch's end", "the metric's", source="agent", optional=True),
    Column("seconds", "number", "since the training's start", "seconds", source="agent"),
    Column("extra", "json", "further metrics by name", source="agent"),
)
EVALUATIONS = (
    SESSION,
    Column(
        "of_earlier",
        "integer",
        "which of the session's earlier choices it is of",
        values="0: the final one",
        source="server",
        since=3,
    ),
    Column("seed_index", "integer", "which of the study's evaluation seeds", values="from 0", source="server"),
    Column("seed", "integer", "the seed itself", source="derived from the study's"),
    Column("outcome", "text", "how the training ended", values=OUTCOMES, source="agent", optional=True),
    Column(
        "value", "number", "the task's metric on test, of the final configuration", "the metric's", source="agent", optional=True
    ),
    Column("why", "text", "the outcome's reason", source="agent", optional=True),
    ENVIRONMENT,
    Column("extra", "json", "further metrics that its training reported, by name", source="agent", since=3),
)
FORMS = "one, several (an option chosen of several), row (of a matrix), row of several, json"
ANSWERS = (
    PERSON,
    Column("questionnaire", "text", "the questionnaire's name", source="study"),
    Column("question", "text", "the question's name within it", source="study"),
    Column("form", "text", "how the answer is spread over rows", values=FORMS, source="export"),
    Column("row", "text", "the matrix row that this answers", source="study", optional=True),
    Column("item", "integer", "which of several options; 0: none was chosen", values="from 1", source="export", optional=True),
    Column("answer", "text", "the option's value, the text, or the number with every digit", source="participant"),
    Column("number", "number", "the answer where it is a number", source="participant", optional=True),
)
EVENTS = (
    Column("event", "integer", "its number in this archive, in order", values="from 1", source="export"),
    _time("at", "when it happened", optional=False),
    Column("kind", "text", "what happened", values="joined, submitted, claimed, finished, chose, ...", source="server"),
    Column("participant", "integer", "whom it is about", source="export", optional=True),
    Column("session", "integer", "the session it is about", source="export", optional=True),
    Column("trial", "integer", "the trial it is about, by its number in the session", source="export", optional=True),
    Column(
        "detail",
        "json",
        "the rest; agents, jobs and invitations by numbers of this archive",
        values="who: the `person ID` who asked for it, where it was one of those who run the laboratory",
        source="server",
    ),
)

TABLES: Mapping[str, tuple[Column, ...]] = {
    name: (*columns, *WHOSE)
    for name, columns in {
        "participants": PARTICIPANTS,
        "sessions": SESSIONS,
        "trials": TRIALS,
        "values": VALUES,
        "measurements": MEASUREMENTS,
        "evaluations": EVALUATIONS,
        "answers": ANSWERS,
        "events": EVENTS,
    }.items()
}
ROWS_ARE: Mapping[str, str] = {
    "participants": "one row a participant",
    "sessions": "one row a session of a participant or a method; practice sessions are left out",
    "trials": "one row a trial",
    "values": "one row a hyperparameter and trial",
    "measurements": "one row a report of a running training, of the attempt that counts",
    "evaluations": "one row a seed of an evaluated session",
    "answers": "one row a question; several options and the rows of a matrix have a row each",
    "events": "one row a change of state, from the append-only log",
}
_HEAD = ("table", "column", "kind", "unit", "values", "meaning", "source", "may be empty")


def columns_of(table: str, form: int) -> tuple[Column, ...]:
    """The columns that a table has in archives of a format."""
    return tuple(column for column in TABLES[table] if column.since <= form)


def _cells(table: str, column: Column) -> tuple[str, ...]:
    return (
        table,
        column.name,
        column.kind,
        column.unit,
        column.values,
        column.meaning,
        column.source,
        "yes" if column.optional else "no",
    )


def as_csv() -> bytes:
    """The codebook as it lies in each export."""
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(_HEAD)
    out.writerows(_cells(table, column) for table, columns in TABLES.items() for column in columns)
    return text.getvalue().encode()


def as_markdown() -> str:
    """The codebook as it stands in the documentation: one table of Markdown a table."""
    parts = []
    for table, columns in TABLES.items():
        lines = [
            f"### {table}",
            "",
            f"{ROWS_ARE[table].capitalize()}.",
            "",
            "| column | kind | meaning | values, unit | source |",
        ]
        lines.append("| --- | --- | --- | --- | --- |")
        for column in columns:
            empty = ", or empty" if column.optional else ""
            known = "; ".join(words for words in (column.values, column.unit) if words)
            lines.append(f"| `{column.name}` | {column.kind}{empty} | {column.meaning} | {known} | {column.source} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
