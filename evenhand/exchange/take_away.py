"""What a run's configuration is taken away as: each format of `configuration_text`, as text to copy and as a file.

A file says where it came from in a comment, where its format has comments.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand import __version__
from evenhand.analysis.run_comparison import TestValue
from evenhand.errors import InvalidSettings
from evenhand.exchange.configuration_text import FORMATS
from evenhand.model.choices import role_of
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.words import moment, plural, show_score
from evenhand.tasks import versions

UNSAFE_PATTERN = re.compile(r"[^A-Za-z0-9._-]+")  # in a file's name
LONGEST_STEM = 60  # characters of a file's name before its number and ending


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """What pages and files need to know of a format.

    Attributes:
        title: its name for people.
        ending: of its files.
        media_type: as servers say it.
        comment: what a comment's line begins with; nothing where the format has none.
    """

    title: str
    ending: str
    media_type: str
    comment: str


FACTS: Mapping[str, FormatFacts] = {
    "json": FormatFacts("JSON", ".json", "application/json", ""),
    "toml": FormatFacts("TOML", ".toml", "application/toml", "#"),
    "yaml": FormatFacts("YAML", ".yaml", "application/yaml", "#"),
    "python": FormatFacts("Python", ".py", "text/x-python", "#"),
    "args": FormatFacts("Command-line arguments", ".txt", "text/plain", "#"),
}


@dataclass(frozen=True, slots=True)
class TakenText:
    """A configuration in one format.

    Attributes:
        form: the format's key.
        facts: what there is to know of it.
        text: the configuration alone, as it is copied.
        name: of the file.
        content: of the file, with where it came from.
    """

    form: str
    facts: FormatFacts
    text: str
    name: str
    content: str


def origin(session: Session, trial: Trial, test: TestValue | None = None) -> tuple[str, ...]:
    """Where a configuration came from, in lines of plain text.

    Args:
        session: its run.
        trial: its trial.
        test: the run's choice on test data, where that may be shown; it is said of the chosen trial alone.

    Returns:
        Lines, none of which can end a comment.
    """
    metric = session.task.metric
    value = "no value" if trial.value is None else f"{metric} {trial.value!r} on validation ({show_score(trial.value, metric)})"
    seed = "" if session.is_brought_in else f" with seed {session.tuning_seed}"
    lines = [
        f"trial {trial.number} of run {session.called} (session {session.id}), {role_of(session, trial)}",
        f"{value}, one training{seed}, {plural(trial.epochs_done, 'epoch')}",
    ]
    if test is not None and role_of(session, trial) == "chosen":
        lines.append(f"{metric} {test.mean!r} on test, mean of n = {len(test.values)} seeds ({test.mode})")
    task = f"task {session.task.spec.plain_name}, version {versions.short(session.task.version)}"
    began = moment(session.started_at if session.started_at is not None else session.opened_at)
    lines.append(
        f"{task}; tuned by {session.tuner}, {plural(len(session.trials), 'trial')}, begun {began}; Evenhand {__version__}"
    )
    return tuple(_one_line(line) for line in lines)


def texts(session: Session, trial: Trial, test: TestValue | None = None) -> tuple[TakenText, ...]:
    """A trial's configuration in every format that can hold it.

    Args:
        session: its run.
        trial: its trial.
        test: as of `origin`.

    Returns:
        One a format, in the order in which pages offer them.
    """
    lines = origin(session, trial, test)
    made = []
    for form, facts in FACTS.items():
        try:
            text = FORMATS[form](session.space, trial.configuration)
        except InvalidSettings:  # a value that no argument of a command line can be
            continue
        made.append(TakenText(form, facts, text, file_name(session, trial, facts.ending), commented(facts, text, lines)))
    return tuple(made)


def commented(facts: FormatFacts, text: str, lines: Sequence[str]) -> str:
    """A file's content: where it came from, in a comment where the format has one, and the configuration."""
    head = "".join(f"{facts.comment} {line}\n" for line in lines) if facts.comment else ""
    return f"{head}{text}\n"


def file_name(session: Session, trial: Trial, ending: str) -> str:
    """What a trial's file is called."""
    return run_file_name(session, f"-trial-{trial.number}{ending}")


def run_file_name(session: Session, ending: str) -> str:
    """What a run's file is called: the run in letters that every system takes, and what the file is."""
    stem = UNSAFE_PATTERN.sub("-", session.name or "").strip("-.")[:LONGEST_STEM]
    return f"{stem or f'run-{session.id}'}{ending}"


def _one_line(words: str) -> str:
    """Text in which nothing ends a line or moves a terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in words)
