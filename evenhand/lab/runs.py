"""Runs: all sessions outside of declared studies in one list, and what people do with their own: name, tag, note, put away."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from evenhand.analysis.gain import Gain
from evenhand.analysis.gain import gain as gain_over
from evenhand.analysis.run_rows import RunRow, run_row
from evenhand.errors import InvalidSettings, NotFound, Refused
from evenhand.lab.base import Core
from evenhand.model import rules
from evenhand.model.run_notes import KEPT_DAYS, RunNotes, read_name, read_note, read_tags
from evenhand.model.session import LABORATORY, Session
from evenhand.model.typed_numbers import whole_number
from evenhand.store import events, jobs, run_notes, sessions
from evenhand.store.cache import Newest

DAY_SECONDS = 86400.0
CHUNK_SESSIONS = 200  # that one read takes
FINAL_STATES = frozenset({"finished"})  # in which nothing changes without an event


@dataclass(frozen=True, slots=True)
class _Known:
    newest: Newest
    row: RunRow


class Runs:
    """The runs of a laboratory."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._known: dict[int, _Known] = {}
        self._lock = threading.Lock()

    def all(self) -> list[RunRow]:
        """Every session that is of no declared study, the newest first, archived and deleted ones among them."""
        return self.read()[0]

    def read(self) -> tuple[list[RunRow], dict[int, str]]:
        """What `all` gives, and by its number why another session cannot be read: what is stored of it is damaged.

        What has ended is worked out once, and again after a newer event of it.
        """
        problems: dict[int, str] = {}
        with self._core.read() as tx:
            now = self._core.clock()
            heads = sessions.heads(tx)
            notes = run_notes.every(tx)
            known = self._known_of(heads)
            left = [session_id for session_id in heads if session_id not in known]
            for first in range(0, len(left), CHUNK_SESSIONS):
                read, damaged = sessions.readable(tx, left[first : first + CHUNK_SESSIONS])
                known |= {session.id: run_row(session, RunNotes(), now) for session in read}
                problems |= damaged
        self._keep(heads, known)
        rows = (replace(row, notes=notes[row.session_id]) if row.session_id in notes else row for row in known.values())
        return sorted(rows, key=lambda row: (row.opened_at, row.session_id), reverse=True), problems

    def _known_of(self, heads: Mapping[int, Newest]) -> dict[int, RunRow]:
        with self._lock:
            entries = {session_id: self._known.get(session_id) for session_id in heads}
        return {
            session_id: entry.row
            for session_id, entry in entries.items()
            if entry is not None and entry.newest == heads[session_id] and entry.row.state in FINAL_STATES
        }

    def _keep(self, heads: Mapping[int, Newest], rows: Mapping[int, RunRow]) -> None:
        known = {session_id: _Known(heads[session_id], row) for session_id, row in rows.items()}
        with self._lock:
            self._known = known

    def notes(self, session_id: int) -> RunNotes:
        """What is written beside a session."""
        with self._core.read() as tx:
            return run_notes.of(tx, session_id)

    def write(
        self, session_id: int, *, name: str | None = None, tags: Iterable[str] | None = None, note: str | None = None
    ) -> RunNotes:
        """Write a run's name, by which programs go on with it, its tags and its note, all at once or not at all.

        Args:
            session_id: of the run.
            name: as it was typed; an empty one takes the name away. None leaves it.
            tags: all that it has from now on. None leaves them.
            note: in Markdown. None leaves it.

        Returns:
            The tags and the note.

        Raises:
            InvalidSettings: something cannot be kept; the text says what and why.
            Refused: the session is a study's; or it gets another name while a process tunes it by the one that it has, or
                another session has that name.
        """
        with self._core.change(session_id) as tx:
            session, now = self._own(tx, session_id), self._core.clock()
            if name is not None and (new := read_name(name)) != session.name:
                if session.process != LABORATORY and not rules.is_unattended(session, now):
                    raise Refused(f"{session.called} is being tuned now, by its name; rename it when its process has ended")
                if new is not None and sessions.by_name(tx, new) is not None:
                    raise Refused(f"a session named {new!r} is there already; give another name")
                sessions.update_facts(tx, session_id, name=new)
                events.record(tx, now, "renamed", session_id)
            notes = run_notes.of(tx, session_id)
            written = replace(
                notes,
                tags=notes.tags if tags is None else read_tags(tags),
                note=notes.note if note is None else read_note(note),
            )
            if written != notes:
                run_notes.put(tx, session_id, written)
                events.record(tx, now, "noted", session_id)
            return written

    def named(self, text: str) -> Session:
        """The run of a name, or of a number, as 12 or #12; InvalidSettings where there is none."""
        wanted = text.strip()
        number = whole_number(wanted.removeprefix("#"))
        with self._core.read() as tx:
            session_id = sessions.by_name(tx, wanted) if number is None else number
            try:
                return sessions.get(tx, 0 if session_id is None else session_id)
            except NotFound:
                raise InvalidSettings(f"there is no run {wanted!r}; `evenhand runs` lists them") from None

    def declare_baseline(self, session_id: int, baseline_id: int | None) -> RunNotes:
        """Declare the run that another one's gain is told over, in the place of one that was declared before.

        Args:
            session_id: of the run.
            baseline_id: of its baseline, such as a run of today's configuration alone; None takes the baseline away.

        Returns:
            What is written beside the run.

        Raises:
            Refused: the run is a study's, or its own baseline, or both are not tuned for the same metric.
        """
        with self._core.change(session_id) as tx:
            session = self._own(tx, session_id)
            if baseline_id is not None:
                _check_baseline(session, sessions.get(tx, baseline_id))
            notes = replace(run_notes.of(tx, session_id), baseline=baseline_id)
            run_notes.put(tx, session_id, notes)
            events.record(tx, self._core.clock(), "baseline declared", session_id, baseline=baseline_id)
            return notes

    def training_seconds(self, session_id: int) -> float:
        """Seconds of training by a run's trials that count, as `rules.training_used` has them, without reading the trials."""
        with self._core.read() as tx:
            return jobs.training_seconds(tx, session_id, self._core.clock())

    def gain(self, session_id: int, who: str) -> Gain | None:
        """What a run gained over its declared baseline; None where none is declared. On test only where `who` looked at both."""
        with self._core.read() as tx:
            baseline_id = run_notes.of(tx, session_id).baseline
            if baseline_id is None:
                return None
            own, base = sessions.get(tx, session_id), sessions.get(tx, baseline_id)
            seen = [one for one in (own, base) if any(looker == who for looker, _ in events.looks(tx, one.id))]
            return gain_over(own, base, {one.id: jobs.evaluation(tx, one) for one in seen if one.choice is not None})

    def add_tags(self, session_ids: Sequence[int], typed: Iterable[str]) -> list[RunNotes]:
        """Give sessions further tags."""
        tags = read_tags(typed)
        return self._change(session_ids, "noted", lambda notes: replace(notes, tags=read_tags([*notes.tags, *tags])))

    def archive(self, session_ids: Sequence[int], archived: bool = True) -> list[RunNotes]:
        """Take sessions out of the list, or put them back into it. Nothing of them changes."""
        moment = self._core.clock() if archived else None
        what = "archived" if archived else "put back"
        return self._change(session_ids, what, lambda notes: replace(notes, archived_at=moment))

    def delete(self, session_ids: Sequence[int]) -> list[RunNotes]:
        """Put sessions away; after `KEPT_DAYS` days they are erased. Looks at their test scores stay.

        Refused: one is a study's, or a process tunes or evaluates it now.
        """
        now = self._core.clock()
        with self._core.read() as tx:
            busy = [session for session in sessions.some(tx, session_ids) if not rules.is_unattended(session, now)]
        if busy:
            names = ", ".join(session.called for session in busy)
            raise Refused(f"{names}: tuned or evaluated now; end it first (on its page, or Ctrl-C where it runs), then delete it")
        return self._change(session_ids, "deleted", lambda notes: replace(notes, deleted_at=now))

    def restore(self, session_ids: Sequence[int]) -> list[RunNotes]:
        """Bring deleted sessions back that are not erased yet."""
        return self._change(session_ids, "brought back", lambda notes: replace(notes, deleted_at=None))

    def erase_due(self) -> list[int]:
        """Erase what was deleted more than `KEPT_DAYS` days ago; the ids of what was erased.

        The row of the session stays, so that its number is no other session's, and with it who looked at its test scores.
        """
        now = self._core.clock()
        with self._core.read() as tx:
            due = run_notes.deleted_before(tx, now - KEPT_DAYS * DAY_SECONDS)
        for session_id in due:
            with self._core.change(session_id) as tx:
                if run_notes.of(tx, session_id).deleted_at is None:
                    continue  # it was brought back meanwhile
                sessions.erase(tx, session_id, looks=False)
                sessions.update_facts(tx, session_id, withdrawn_at=now, name=None)
                run_notes.drop(tx, session_id)
                events.record(tx, now, "erased", session_id)
        return due

    def _change(self, session_ids: Collection[int], what: str, changed: Callable[[RunNotes], RunNotes]) -> list[RunNotes]:
        made = []
        with self._core.change() as tx:
            for session_id in session_ids:
                self._own(tx, session_id)
                notes = changed(run_notes.of(tx, session_id))
                run_notes.put(tx, session_id, notes)
                events.record(tx, self._core.clock(), what, session_id)
                made.append(notes)
        for session_id in session_ids:
            self._core.notify(session_id, acts=False)
        return made

    def _own(self, tx: Connection, session_id: int) -> Session:
        """The session; Refused where it is a study's."""
        session = sessions.get(tx, session_id)
        if session.purpose != "exploratory":
            raise Refused(f"session {session_id} belongs to a study: it cannot be renamed, tagged, archived or deleted")
        return session


def _check_baseline(session: Session, baseline: Session) -> None:
    if baseline.id == session.id:
        raise Refused(f"{session.called} cannot be its own baseline; name another run")
    if baseline.purpose != "exploratory":
        raise Refused(f"{baseline.called} belongs to a study; a baseline is a run of one's own")
    if (session.task.metric, session.maximize) != (baseline.task.metric, baseline.maximize):
        tuned = (f"{one.called} is tuned for {one.task.metric} ({one.task.direction})" for one in (session, baseline))
        raise Refused(f"{', '.join(tuned)}: expected a baseline that is tuned for the same")
