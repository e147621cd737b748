"""An archive that anybody may read, made of a study's own: coarse answers, no calendar times, no free text that nobody reviewed.

What is left is an archive like any other, from which the report is computed again, with licence, citation and deposit metadata.
"""

import csv
import hashlib
import io
import json
import random
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evenhand import __version__
from evenhand.errors import InvalidSettings
from evenhand.exchange import anonymity, codebook, deposit, export, table_files
from evenhand.exchange.anonymity import LANGUAGE, Anonymous
from evenhand.exchange.archive import Package
from evenhand.exchange.codebook import CODEBOOK, FORMAT, FORMATS, MANIFEST, STUDY, TABLES, TIME, UNREAD_FORMAT, Row
from evenhand.exchange.deposit import Deposit
from evenhand.model import codec
from evenhand.model.archive import PublicRelease
from evenhand.model.files import check_file
from evenhand.model.spreadsheets import without_formula
from evenhand.model.study import OWN_WORDS_REASON, Question, Study

LEAST_K = 5  # people who share each combination of answers, where nobody asks for another number
REVIEW_HEAD = ("id", "where", "times", "text", "publish")
YES_WORDS = ("yes", "y", "1", "true", "x")
EXCLUDED_WORDS = "left out by the researcher"  # in place of a reason that nobody reviewed
DAY_SECONDS = 86400
# Texts that people, or their own tasks' code, wrote: by table, column.
FREE_TEXTS: Mapping[str, tuple[str, ...]] = {
    "participants": ("excluded",),
    "sessions": ("name",),
    "trials": ("why",),
    "evaluations": ("why",),
}
TIMES_IN_LISTS: Mapping[str, tuple[str, ...]] = {  # of a session's columns that are lists, the times in each entry
    "pauses": ("start", "end"), "extensions": ("start",), "interventions": ("at",), "earlier_choices": ("at", "reopened_at"),
}  # fmt: skip


@dataclass(frozen=True)
class Wishes:
    """What is asked of a public archive. keep: questions that identify nobody. approved: free texts that may be published."""

    deposit: Deposit
    k: int = LEAST_K
    keep: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    form: str = "csv"


@dataclass
class _Numbers:
    """The public numbers of people and sessions, in an order that says nothing of who came first."""

    people: dict[int, int] = field(default_factory=dict)
    sessions: dict[int, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    began: dict[int, float] = field(default_factory=dict)  # of a session by its old number: the moment that becomes 0

    def person(self, new: int) -> int:
        """The old number of a participant."""
        return next(old for old, number in self.people.items() if number == new)


class PublicArchive:
    """A public archive of the archive at a path. `release` says what was done; `texts` are the free texts by where they stand."""

    def __init__(self, package: Package, wishes: Wishes) -> None:
        if package.archive.public is not None:
            raise InvalidSettings("the archive is a public one already; make another of the study's own records")
        if wishes.form not in FORMATS or wishes.form == UNREAD_FORMAT:
            known = ", ".join(form for form in FORMATS if form != UNREAD_FORMAT)
            raise InvalidSettings(f"format {wishes.form!r}: expected one of {known}: the report is computed from it again")
        self._package, self._wishes = package, wishes
        self._study = package.archive.study
        self._questions = {path: question for version in package.versions for path, question in _questions(version)}
        if unknown := sorted(wishes.keep - self._questions.keys()):
            known = ", ".join(self._questions) or "none"
            raise InvalidSettings(f"--keep {unknown[0]!r}: expected a question as QUESTIONNAIRE.QUESTION, of {known}")
        self.texts: dict[tuple[str, str], int] = {}
        self.identifying = self._identifying()
        people = package.archive.participants
        self._answered = [person.id for person in people if any(path in person.answers for path in self.identifying)]
        self._anonymous = self._coarsened()
        self._numbers = self._numbered()
        self._versions = [self._version(version) for version in package.document["versions"]]
        self._tables = {table: [*self._rows_of(table)] for table in TABLES}
        self.release = self._released()

    # Quasi-identifiers

    def _identifying(self) -> tuple[str, ...]:
        """The questions that might tell who somebody is: all that are asked before tuning, but texts and those to keep."""
        before = {f"{form.name}." for version in self._package.versions for form in version.before}
        return tuple(
            path
            for path, question in self._questions.items()
            if question.kind != "text" and path.partition(".")[0] + "." in before and path not in self._wishes.keep
        )

    def _coarsened(self) -> Anonymous:
        people = self._package.archive.participants
        attributes = [
            anonymity.attribute(
                path,
                self._questions[path],
                {person.id: person.answers[path] for person in people if path in person.answers},
                self._study.grouping,
            )
            for path in self.identifying
        ]
        languages = {person.id: person.language for person in people if person.id in self._answered}
        attributes.append(anonymity.attribute(LANGUAGE, None, languages, self._study.grouping))
        return anonymity.anonymous(attributes, self._answered, self._wishes.k)

    def _released(self) -> PublicRelease:
        """What was done, with the smallest cell counted again from the rows as they are written."""
        values: dict[str, dict[int, Any]] = {path: {} for path in self.identifying}
        for row in self._tables["answers"]:
            path = f"{row['questionnaire']}.{row['question']}"
            if path in values:
                values[path][row["participant"]] = [*values[path].get(row["participant"], []), [row["row"], row["answer"]]]
        values[LANGUAGE] = {row["participant"]: row["language"] for row in self._tables["participants"] if row["language"]}
        smallest = anonymity.smallest_cell(values, [self._numbers.people[person] for person in self._answered])
        if self._answered and smallest < self._wishes.k:
            raise InvalidSettings(f"only {smallest} people share some answers, not {self._wishes.k}; nothing was written")
        left_out = sum(count for (_, text), count in self.texts.items() if text not in self._wishes.approved)
        return PublicRelease(
            k=self._wishes.k,
            smallest=smallest,
            cells=self._anonymous.cells,
            suppressed=len(self._anonymous.suppressed),
            coarsened=dict(self._anonymous.coarsened),
            texts=left_out,
            licence=self._wishes.deposit.licence,
        )

    # Numbers and times

    def _numbered(self) -> _Numbers:
        archive, numbers = self._package.archive, _Numbers()
        order = sorted(person.id for person in archive.participants)
        random.Random(secrets.token_bytes(16)).shuffle(order)
        numbers.people = {person: place for place, person in enumerate(order, 1)}
        joined = {person.id: person.created_at for person in archive.participants}
        width = max(2, len(str(len(order))))
        for person in archive.participants:
            numbers.names[person.pseudonym] = f"P-{numbers.people[person.id]:0{width}}"
        last = len(order) + 1
        sessions = sorted(
            archive.sessions, key=lambda session: (numbers.people.get(session.participant_id or 0, last), session.id)
        )
        for place, session in enumerate(sessions, 1):
            numbers.sessions[session.id] = place
            numbers.began[session.id] = float(joined.get(session.participant_id or 0, session.opened_at))
        return numbers

    def _rows_of(self, table: str) -> Iterator[Row]:
        """A table's rows as they are published, in the order of their new numbers; events are not."""
        if table == "events":
            return
        change: Mapping[str, Callable[[Row], Row | None]] = {
            "participants": self._participant, "sessions": self._session, "answers": self._answer, "values": self._value,
        }  # fmt: skip
        rows = []
        for row in self._package.rows(table):
            plain = self._plain(table, row)
            made = change[table](plain) if table in change else plain
            if made is not None:
                rows.append(made)
        keys = ("participant", "session", "trial") if table != "sessions" else ("session",)
        yield from sorted(rows, key=lambda row: tuple(row.get(key) or 0 for key in keys))

    def _plain(self, table: str, row: Row) -> Row:
        """What is alike in all tables: numbers, times since somebody joined, and free texts."""
        session, person = row.get("session"), row.get("participant")
        began = self._numbers.began[session] if session is not None else None
        if table == "participants":
            began = row["joined_at"]
        plain = dict(row)
        for column in TABLES[table]:
            if column.unit == TIME and began is not None and row.get(column.name) is not None:
                plain[column.name] = row[column.name] - began
        for name in FREE_TEXTS.get(table, ()):
            plain[name] = self._text(f"{table}.{name}", row.get(name))
        if session is not None:
            plain["session"] = self._numbers.sessions[session]
        if person is not None:
            plain["participant"] = self._numbers.people[person]
        for name in ("tuner", "proposer", "pseudonym"):
            if name in row:
                plain[name] = self._numbers.names.get(row[name], row[name])
        return plain

    def _text(self, where: str, text: str | None) -> str | None:
        """A free text where it may be published; it is listed for the review in any case."""
        if not text:
            return text
        self.texts[where, text] = self.texts.get((where, text), 0) + 1
        return text if text in self._wishes.approved else None

    # Tables

    def _participant(self, row: Row) -> Row:
        old = self._numbers.person(row["participant"])
        excluded = {person.id for person in self._package.archive.participants if person.excluded is not None}
        if old in excluded:
            row["excluded"] = row["excluded"] or EXCLUDED_WORDS
        row["invitations"] = None
        row["language"] = self._anonymous.values[LANGUAGE].get(old, "")
        return row

    def _session(self, row: Row) -> Row:
        old = next(old for old, number in self._numbers.sessions.items() if number == row["session"])
        began = self._numbers.began[old]
        for name, times in TIMES_IN_LISTS.items():
            entries = []
            for entry in row[name]:
                moved = {key: value - began if key in times and value is not None else value for key, value in entry.items()}
                if "who" in moved:
                    moved["who"] = "researcher"
                if moved.get("reason"):
                    moved["reason"] = self._text(f"sessions.{name}", moved["reason"]) or ""
                entries.append(moved)
            row[name] = entries
        return row

    def _answer(self, row: Row) -> Row | None:
        """An answer as it is published: coarse where it might identify somebody, a text where it was reviewed."""
        path = f"{row['questionnaire']}.{row['question']}"
        old = self._numbers.person(row["participant"])
        question = self._questions.get(path)
        if question is None or question.kind == "text":
            return row if self._text(f"answers.{path}", row["answer"]) is not None else None
        if path not in self.identifying:
            return row
        published = self._anonymous.values[path]
        if old not in published:
            return None
        if path in self._anonymous.coarsened:
            return {**row, **export.unrolled(published[old])[0]}
        return row

    def _value(self, row: Row) -> Row:
        if row["reason"] == OWN_WORDS_REASON:
            own = {str(option.label) for option in self._study.reasons if option.value == OWN_WORDS_REASON} | {OWN_WORDS_REASON}
            said = row["reason_label"]
            row["reason_label"] = said if said in own else self._text("values.reason_label", said) or OWN_WORDS_REASON
        return row

    # Files

    def files(self) -> Iterator[export.File]:
        """Every file's name and its blocks; the manifest comes last."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self._contents(Path(folder)):
                yield name, [content]

    def _contents(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        hashes: dict[str, str] = {}
        described = {**deposit.files(self._wishes.deposit, self._study, self.release), "README.md": self._readme()}
        entries = {
            STUDY: _pretty(self._declared()),
            CODEBOOK: codebook.as_csv(),
            **{name: content.encode() for name, content in described.items()},
        }
        for name, content in entries.items():
            hashes[name] = hashlib.sha256(content).hexdigest()
            yield name, content
        for table, rows in self._tables.items():
            name, path = table + FORMATS[self._wishes.form], folder / table
            with path.open("wb") as out:
                writer = table_files.writer(table, self._wishes.form, out)
                writer.write(rows)
                writer.close()
            content = path.read_bytes()
            hashes[name] = hashlib.sha256(content).hexdigest()
            yield name, content
        manifest = {
            "format": FORMAT,
            "evenhand": __version__,
            "study": self._study.name,
            "mode": self._package.mode,
            "tables": self._wishes.form,
            "evaluations": bool(self._package.archive.evaluations),
            "public": codec.to_json(self.release),
            "sha256": hashes,
        }
        yield MANIFEST, _pretty(manifest)

    def _declared(self) -> Row:
        """The study as declared: merged options in place of exact ones, days in place of moments, nobody's invitations."""
        kept = {**self._package.document, "versions": self._versions, "invitations": []}
        return {**kept, "public": codec.to_json(self.release)}

    def _version(self, version: Row) -> Row:
        made = {**version, "completion": "", "note": self._text("study.note", version["note"]) or ""}
        for name in ("published_at", "created_at", "closed_at"):
            if made.get(name) is not None:
                made[name] = int(made[name]) // DAY_SECONDS * DAY_SECONDS
        study = codec.from_json(Study, {**version, "id": 1, "archived": True})
        forms = tuple(
            replace(
                form,
                sections=tuple(
                    replace(section, questions=tuple(self._question(form.name, question) for question in section.questions))
                    for section in form.sections
                ),
            )
            for form in study.questionnaires
        )
        return {**made, "questionnaires": codec.to_json(forms)}

    def _question(self, form: str, question: Question) -> Question:
        options = self._anonymous.options.get(f"{form}.{question.name}")
        return replace(question, options=options) if options else question

    def _readme(self) -> str:
        release, study = self.release, self._study
        shared = f"at least {release.smallest} people share each of {release.cells} combinations (k = {release.k})"
        lines = [
            f"# {self._wishes.deposit.title or study.title}",
            "",
            f"Records of the study `{study.name}` ({self._package.mode}), made public with Evenhand {__version__}.",
            "`codebook.csv` explains every column. The report is computed again by `evenhand study report FILE`.",
            "",
            "## What was changed",
            "",
            f"- Answers given before tuning: {shared}.",
            f"- The answers of {release.suppressed} people were left out.",
            *(f"- `{path}`: {words}." for path, words in release.coarsened.items()),
            "- Times are seconds since the participant joined (of a method: since its session was opened).",
            "- Participants and sessions have new numbers in a random order. Invitations and the log of events are left out.",
            f"- Free texts that were not reviewed were left out, {release.texts} times.",
            "- The others stand as they were typed. A spreadsheet program may take one for a formula: import tables as text.",
            "",
            f"Licence: {release.licence}.",
        ]
        return "\n".join(lines) + "\n"

    def review(self) -> bytes:
        """The list of free texts, for somebody to say of each whether it may be published."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(REVIEW_HEAD)
        for (where, words), count in sorted(self.texts.items()):
            shown = without_formula(words)
            writer.writerow((text_id(words), where, count, shown, "yes" if words in self._wishes.approved else ""))
        return text.getvalue().encode("utf-8", "replace")

    def reviewed(self, path: Path) -> frozenset[str]:
        """The texts of this archive that a reviewed list says may be published; see `approved`."""
        known = {text_id(words): words for _, words in self.texts}
        return frozenset(known[identity] for identity in approved(path) if identity in known)


def text_id(words: str) -> str:
    """What a free text is called in the list: the first digits of its SHA-256."""
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:16]


def approved(path: Path) -> Iterable[str]:
    """The ids that a reviewed list says yes to; InvalidSettings where it is no such list, or a line says neither yes nor no."""
    try:
        rows = [*csv.DictReader(io.StringIO(check_file(path).read_text(encoding="utf-8-sig")))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidSettings(f"--reviewed {path}: cannot be read ({error})") from error
    if not rows or not {"id", "publish"} <= rows[0].keys():
        raise InvalidSettings(f"--reviewed {path}: expected the list that `study export --public` wrote, with {REVIEW_HEAD}")
    for place, row in enumerate(rows, 2):
        said = str(row["publish"] or "").strip().lower()
        if said and said not in (*YES_WORDS, "no", "n", "0", "false"):
            raise InvalidSettings(f"--reviewed {path}, line {place}: publish is {said!r}, expected yes or no")
        if said in YES_WORDS:
            yield str(row["id"])


def _questions(study: Study) -> list[tuple[str, Question]]:
    return [(f"{form.name}.{question.name}", question) for form in study.questionnaires for question in form.questions]


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")
