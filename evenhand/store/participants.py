"""Participants: their answers, exclusions, and the invitations that they came by."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, case, delete, exists, func, insert, select, update

from evenhand.errors import NotFound
from evenhand.model.participant import Batch, Participant
from evenhand.model.places import Place
from evenhand.model.study import Mode
from evenhand.store import tables
from evenhand.store.cache import Of
from evenhand.store.studies import inserted

_CONSENT = ("consent_version", "consented_at", "read_details_at", "practised_at", "withdrawn_at")
_WHOSE = ("mode", "batch_id", "version", "condition", "language", "nickname")
_PLAIN = ("id", "study_id", "created_at", *_WHOSE, *_CONSENT)
_person = tables.participant.c


def add(tx: Connection, row: Mapping[str, Any]) -> int:
    """A new participant of the study, with the next number; the row's id.

    row: study_id, resume_hash, created_at, mode, batch_id, version, language, nickname.
    """
    last = tx.execute(select(func.max(_person.number)).where(_person.study_id == row["study_id"])).scalar() or 0
    return inserted(tx, tables.participant, {"number": last + 1, **row})


def update_facts(tx: Connection, participant_id: int, **facts: Any) -> None:
    """Set columns of a participant's row."""
    tx.execute(update(tables.participant).where(_person.id == participant_id).values(**facts))


def answer(tx: Connection, participant_id: int, questionnaire: str, answers: Mapping[str, Any], now: float) -> None:
    """Store a questionnaire's answers by QUESTIONNAIRE.QUESTION, in place of any given before."""
    table = tables.answer.c
    known = and_(table.participant_id == participant_id, table.question.startswith(f"{questionnaire}.", autoescape=True))
    tx.execute(delete(tables.answer).where(known))
    rows = [{"participant_id": participant_id, "question": name, "value": value} for name, value in answers.items()]
    if rows:
        tx.execute(insert(tables.answer), rows)
    done = {"participant_id": participant_id, "questionnaire": questionnaire}
    tx.execute(delete(tables.answered).filter_by(**done))
    tx.execute(insert(tables.answered).values(**done, at=now))


def erase(tx: Connection, participant_id: int) -> None:
    """Delete what a participant said; the row stays, so that the count is true."""
    for table in (tables.answer, tables.answered, tables.exclusion):
        tx.execute(delete(table).where(table.c.participant_id == participant_id))
    update_facts(tx, participant_id, nickname=None, writer=None, writer_at=None)


def exclude(tx: Connection, participant_id: int, excluded: bool, reason: str, now: float) -> None:
    """Leave a participant out of the statistics, or take them in again; the last word stands."""
    row = {"participant_id": participant_id, "at": now, "excluded": excluded, "reason": reason}
    tx.execute(insert(tables.exclusion).values(row))


def writer(tx: Connection, participant_id: int) -> tuple[str | None, float | None]:
    """The window that may write for a participant, and when it was last heard of."""
    row = tx.execute(_WRITER, {"id": participant_id}).one()
    return row.writer, row.writer_at


_WRITER = select(_person.writer, _person.writer_at).where(_person.id == bindparam("id"))


def places(tx: Connection, study_id: int, mode: Mode) -> list[Place]:
    """The places of all participants of a mode who neither withdrew nor are excluded."""
    rows = tx.execute(_PLACES, {"study_id": study_id, "mode": mode}).all()
    excluded = _exclusions(tx, [row.id for row in rows])
    return [
        Place(row.condition, max(moment for moment in row[2:-1] if moment is not None), bool(row.finished))
        for row in rows
        if excluded.get(row.id) is None
    ]


def get(tx: Connection, participant_id: int) -> Participant:
    """The participant with this id."""
    rows = _with_all(tx, tx.execute(_BY_ID, {"id": participant_id}).mappings().all())
    if not rows:
        raise NotFound(f"participant {participant_id} does not exist")
    return rows[0]


def session_ids(tx: Connection, participant_id: int) -> list[int]:
    """The ids of a participant's sessions, the one for practice included."""
    return [row["id"] for row in _SESSIONS(tx, [participant_id])]


def by_resume_hash(tx: Connection, resume_hash: str) -> Participant | None:
    """The participant whose resume code has this hash."""
    return next(iter(_select(tx, _person.resume_hash == resume_hash)), None)


def of_study(tx: Connection, study_id: int) -> list[Participant]:
    """All participants of a study, in order of joining."""
    return _select(tx, _person.study_id == study_id)


def some(tx: Connection, ids: Sequence[int]) -> list[Participant]:
    """The participants with these ids, in order of joining."""
    return _select(tx, _person.id.in_(ids))


def _select(tx: Connection, condition: Any) -> list[Participant]:
    return _with_all(tx, tx.execute(select(tables.participant).where(condition).order_by(_person.id)).mappings().all())


def _with_all(tx: Connection, rows: Sequence[RowMapping]) -> list[Participant]:
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    session_ids, answers, answered, excluded = _sessions(tx, ids), _answers(tx, ids), _answered(tx, ids), _exclusions(tx, ids)
    return [
        _participant(row, session_ids[row["id"]], answers[row["id"]], answered[row["id"]], excluded.get(row["id"]))
        for row in rows
    ]


def _participant(
    row: RowMapping, session_ids: Mapping[bool, int], answers: Mapping[str, Any], answered: Sequence[str], excluded: str | None
) -> Participant:
    facts = {key: row[key] for key in _PLAIN}
    return Participant(
        pseudonym=f"P-{row['number']:02d}",
        session_id=session_ids.get(False),
        practice_id=session_ids.get(True),
        answers=answers,
        answered=tuple(answered),
        excluded=excluded,
        **facts,
    )


_session, _answer, _sent, _exclusion = tables.session.c, tables.answer.c, tables.answered.c, tables.exclusion.c
_BY_ID = select(tables.participant).where(_person.id == bindparam("id"))
_SESSIONS = Of(select(_session.id, _session.participant_id, _session.practice), _session.participant_id)
_ANSWERS = Of(select(tables.answer).order_by(_answer.question), _answer.participant_id)
_ANSWERED = Of(select(tables.answered).order_by(_sent.at, _sent.questionnaire), _sent.participant_id)
_EXCLUSIONS = Of(select(tables.exclusion).order_by(_exclusion.id), _exclusion.participant_id)


_ANSWERED_LAST = select(func.max(_sent.at)).where(_sent.participant_id == _person.id).scalar_subquery()
_SEEN_LAST = select(func.max(_session.last_seen)).where(_session.participant_id == _person.id).scalar_subquery()
_CHOSE = exists().where(
    tables.choice.c.session_id == _session.id,
    tables.choice.c.configuration.is_not(None),
    _session.participant_id == _person.id,
    _session.practice.is_(False),
)
_PLACES = select(
    _person.id,
    _person.condition,
    _person.created_at,
    _person.consented_at,
    _person.read_details_at,
    _person.practised_at,
    _person.writer_at,
    _ANSWERED_LAST,
    _SEEN_LAST,
    _CHOSE.label("finished"),
).where(_person.study_id == bindparam("study_id"), _person.mode == bindparam("mode"), _person.withdrawn_at.is_(None))


def _sessions(tx: Connection, ids: Sequence[int]) -> Mapping[int, dict[bool, int]]:
    sessions: dict[int, dict[bool, int]] = defaultdict(dict)
    for row in _SESSIONS(tx, ids):
        sessions[row["participant_id"]][row["practice"]] = row["id"]
    return sessions


def _answers(tx: Connection, ids: Sequence[int]) -> Mapping[int, dict[str, Any]]:
    answers: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in _ANSWERS(tx, ids):
        answers[row["participant_id"]][row["question"]] = row["value"]
    return answers


def _answered(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[str]]:
    questionnaires: dict[int, list[str]] = defaultdict(list)
    for row in _ANSWERED(tx, ids):
        questionnaires[row["participant_id"]].append(row["questionnaire"])
    return questionnaires


def _exclusions(tx: Connection, ids: Sequence[int]) -> Mapping[int, str | None]:
    return {row["participant_id"]: row["reason"] if row["excluded"] else None for row in _EXCLUSIONS(tx, ids)}


# Invitations


def add_batch(tx: Connection, row: Mapping[str, Any]) -> int:
    """A new batch of invitations; its id."""
    return inserted(tx, tables.batch, dict(row))


def switch_batch(tx: Connection, batch_id: int, enabled: bool) -> None:
    """Switch a batch on or off."""
    tx.execute(update(tables.batch).where(tables.batch.c.id == batch_id).values(enabled=enabled))


def batch(tx: Connection, batch_id: int) -> Batch:
    """The batch with this id."""
    batches = _batches(tx, tables.batch.c.id == batch_id)
    if not batches:
        raise NotFound(f"batch {batch_id} of invitations does not exist")
    return batches[0]


def batches(tx: Connection, study_id: int) -> list[Batch]:
    """A study's batches, the newest first."""
    return _batches(tx, tables.batch.c.study_id == study_id)


def _batches(tx: Connection, condition: Any) -> list[Batch]:
    rows = tx.execute(select(tables.batch).where(condition).order_by(tables.batch.c.id.desc())).mappings().all()
    ids = [row["id"] for row in rows]
    counts = select(_person.batch_id, func.count()).where(_person.batch_id.in_(ids)).group_by(_person.batch_id)
    joined = {row[0]: row[1] for row in tx.execute(counts)}
    token = tables.token.c
    unused = func.sum(case((token.spent_at.is_(None), 1), else_=0))
    invites = select(token.subject, func.count(), unused).where(token.kind == "invite", token.subject.in_(ids))
    links = {subject: {"links": count, "unused": left} for subject, count, left in tx.execute(invites.group_by(token.subject))}
    return [Batch(**row, joined=joined.get(row["id"], 0), **links.get(row["id"], {})) for row in rows]
