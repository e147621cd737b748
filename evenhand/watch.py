"""What needs the researcher's attention now: sessions that stall, agents that vanished, a full disk, backups that stopped.

`alerts` is a function of facts and the time. `Watch` looks again and again beside the server, pauses sessions whose trainings all
fail alike, and tells each study's webhook what is new and what has ended. No alert holds personal data: sessions are named by
number.
"""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from evenhand import protocol
from evenhand.declaration import Study
from evenhand.lab import Lab
from evenhand.leases import AGENT_SILENCE
from evenhand.records import AgentRecord, Outcome, Session, State, Trial

log = logging.getLogger(__name__)

STALL = 120.0  # seconds without a measurement, or without a move of a method
UNSERVED = 300.0  # seconds that a participant's trial may wait while no agent is connected
QUEUE = 600.0  # seconds that a trial may wait while agents are connected
SILENCE = 60.0  # seconds after which an agent that did not end in order is missed, or the lack of any agent is told
DAY = 86400.0  # seconds for which a silent agent is missed
FREE_BYTES, FREE_SHARE = 2e9, 0.05  # of the disk, below which it counts as nearly full
BACKUP = 7200.0  # seconds that the newest backup of a live study may be old
FAILURES = 5  # trainings in a row that fail alike
FAILED_ALIKE = f"{FAILURES} trainings in a row failed in the same way; the researcher has been told"
WEBHOOK_SECONDS = 5.0  # that a webhook may take to answer
NAMED = 5  # sessions that an alert names one by one


@dataclass(frozen=True)
class Alert:
    """One thing that is wrong. since: when it began, seconds since the epoch. words: what is wrong. what_to_do: about it.

    about: what it is of, where a kind can be of several things. study_id: the study that it concerns, None where it is all.
    """

    kind: str
    since: float
    words: str
    what_to_do: str
    about: str = ""
    study_id: int | None = None

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What makes two alerts the same one, however its words change."""
        return self.kind, self.about, self.study_id


@dataclass(frozen=True)
class Facts:
    """What alerts are a function of. Times are seconds since the epoch.

    up_since: when this server started to look: while it was down, nobody could be heard. sessions: those with a clock that runs
    and no choice. measured: by the id of a trial that trains, the time of its newest measurement. agents: those heard of within a
    day that did not end in order. free, total: bytes of the disk that holds the data. backups: by the id of a study that collects
    and names a folder for backups, the time of the newest file there, None where there is none.
    """

    up_since: float
    studies: tuple[Study, ...] = ()
    sessions: tuple[Session, ...] = ()
    measured: Mapping[int, float] = field(default_factory=dict)
    agents: tuple[AgentRecord, ...] = ()
    free: float = float("inf")
    total: float = 0.0
    backups: Mapping[int, float | None] = field(default_factory=dict)


def facts_of(lab: Lab, data_dir: Path, up_since: float) -> Facts:
    """The facts as they are now."""
    studies = tuple(each for each in lab.studies() if not each.archived)
    disk = shutil.disk_usage(data_dir)
    live = [each for each in studies if each.published_at is not None and each.closed_at is None and each.backup.strip()]
    return Facts(
        up_since=up_since,
        studies=studies,
        sessions=tuple(lab.running_sessions()),
        measured=lab.last_measured(),
        agents=tuple(lab.agents(within=DAY)),
        free=disk.free,
        total=disk.total,
        backups={each.id: newest_file(Path(each.backup).expanduser()) for each in live},
    )


def newest_file(folder: Path) -> float | None:
    """When the newest backup in a folder was written; None where it holds none, or cannot be read."""
    try:
        return max((each.stat().st_mtime for each in folder.glob("evenhand-*.zip")), default=None)
    except OSError:
        return None


def alerts(facts: Facts, now: float) -> tuple[Alert, ...]:
    """All that is wrong, what stops people first."""
    connected = any(_heard(each) >= now - AGENT_SILENCE for each in facts.agents)
    found: list[Alert] = []
    found += _failing(facts)
    found += _unserved(facts, now, connected)
    found += _stalled(facts, now)
    found += _vanished(facts, now)
    found += _disk(facts, now)
    found += _backups(facts, now)
    return tuple(found)


# Sessions


def failing(sessions: Iterable[Session]) -> list[Session]:
    """Sessions whose last five trainings failed alike since they last stood still, so that going on is of no use."""
    return [each for each in sessions if not _is_paused(each) and _same_failures(each)]


def _same_failures(session: Session) -> float | None:
    """When the last of five failures in a row came that have the same reason; None where there are no such."""
    after = session.pauses[-1].start if session.pauses else 0.0
    ended = [(each.finished_at, each) for each in session.trials if each.finished_at is not None and each.submitted_at > after]
    last = [each for _, each in sorted(ended, key=lambda pair: (pair[0], pair[1].number))][-FAILURES:]
    alike = len({(each.outcome, each.why) for each in last}) == 1
    failed = len(last) == FAILURES and last[-1].outcome in (Outcome.FAILED, Outcome.INVALID)
    return last[-1].finished_at if alike and failed else None


def _is_paused(session: Session) -> bool:
    return bool(session.pauses) and session.pauses[-1].end is None


def _failing(facts: Facts) -> list[Alert]:
    found = []
    for session in facts.sessions:
        since = _same_failures(session)
        if _is_paused(session) and session.pauses[-1].reason == FAILED_ALIKE:
            since = session.pauses[-1].start
        if since is not None:
            words = f"session {session.id} is paused: {FAILURES} trainings in a row failed in the same way"
            do = "open the session to read why they failed; mend the cause, then let the session go on."
            found.append(Alert("failures", since, words, do, f"session {session.id}", session.study_id))
    return found


def _unserved(facts: Facts, now: float, connected: bool) -> list[Alert]:
    """Trials that wait for an agent: for too long with none, or for too long although there are some."""
    waiting = [
        (session, max(trial.submitted_at, facts.up_since)) for session, trial in _open_trials(facts) if trial.claimed_at is None
    ]
    found = []
    if waiting and not connected:
        since = max(min(at for _, at in waiting), *(_heard(each) for each in facts.agents), facts.up_since)
        if now - since > SILENCE:
            do = "start the agents, or `evenhand serve` with --slots on this machine; `evenhand add-agent` makes a token."
            found.append(Alert("no agent", since, f"{_trials(len(waiting))} and no agent is connected", do))
    participants = [(session, at) for session, at in waiting if session.kind == "participant"]
    if connected:
        do = "connect more agents, or look whether those that are there have the study's version of the task."
        found += _by_study("queue", waiting, QUEUE, now, "has waited for an agent for over 10 minutes", do)
    else:
        do = "connect an agent; the wait does not count against anybody's time."
        found += _by_study("unserved", participants, UNSERVED, now, "has waited for over 5 minutes, and no agent is there", do)
    return found


def _trials(count: int) -> str:
    return "a training waits" if count == 1 else f"{count} trainings wait"


def _open_trials(facts: Facts) -> list[tuple[Session, Trial]]:
    return [(each, trial) for each in facts.sessions if not _is_paused(each) for trial in each.trials if trial.is_open]


def _stalled(facts: Facts, now: float) -> list[Alert]:
    """Trainings that measure nothing, and methods that make no move."""
    trains = [
        (session, max(facts.measured.get(trial.id, 0.0), trial.claimed_at, facts.up_since))
        for session, trial in _open_trials(facts)
        if trial.claimed_at is not None
    ]
    do = "look at the agent that trains it; the training can be stopped on the session's page."
    found = _by_study("stalled", trains, STALL, now, "has measured nothing for over 2 minutes", do)
    idle = [
        (session, max(session.started_at or 0.0, facts.up_since, *(each.finished_at or 0.0 for each in session.trials)))
        for session in facts.sessions
        if session.kind == "method"
        and protocol.state_of(session, now) is State.TUNING
        and not any(trial.is_open for trial in session.trials)
    ]
    do = "look at the server's log, or start again the program that plays the method; it goes on where it was."
    return found + _by_study("idle", idle, STALL, now, "is a method's and has made no move for over 2 minutes", do)


def _by_study(
    kind: str, times: Sequence[tuple[Session, float]], limit: float, now: float, words: str, what_to_do: str
) -> list[Alert]:
    """One alert a study about all its sessions in which something has lasted longer than `limit` seconds."""
    late = [(session, at) for session, at in times if now - at > limit]
    found = []
    for study_id in dict.fromkeys(session.study_id for session, _ in late):
        mine = {session.id: at for session, at in late if session.study_id == study_id}
        named = ", ".join(map(str, sorted(mine)[:NAMED]))
        more = f" and {len(mine) - NAMED} more" if len(mine) > NAMED else ""
        which = f"session {named}" if len(mine) == 1 else f"each of the sessions {named}{more}"
        found.append(Alert(kind, min(mine.values()), f"{which} {words}", what_to_do, study_id=study_id))
    return found


# Machines


def _heard(agent: AgentRecord) -> float:
    return agent.last_seen or 0.0


def _vanished(facts: Facts, now: float) -> list[Alert]:
    """Agents that fell silent without ending in order, unless another one of the same name and machine took their place."""
    here = {(each.name, each.machine) for each in facts.agents if now - _heard(each) <= SILENCE}
    found = []
    for agent in facts.agents:
        heard = max(_heard(agent), facts.up_since)
        if now - heard > SILENCE and (agent.name, agent.machine) not in here:
            words = f"the agent {agent.name} has not been heard of for over a minute"
            do = "look at its machine and its network; what it trained has gone back to the queue."
            found.append(Alert("agent", _heard(agent), words, do, f"agent {agent.id}"))
    return found


def _disk(facts: Facts, now: float) -> list[Alert]:
    if facts.free >= max(FREE_BYTES, FREE_SHARE * facts.total):
        return []
    share = f" ({facts.free / facts.total:.0%})" if facts.total else ""
    words = f"the disk is nearly full: {facts.free / 1e9:.1f} GB{share} are free"
    return [Alert("disk", now, words, "make room on the disk that holds the data; where it is full, nothing can be recorded.")]


def _backups(facts: Facts, now: float) -> list[Alert]:
    """Live studies whose newest backup is old, counted from when they were published and the server came up."""
    found = []
    for study in facts.studies:
        if study.id not in facts.backups:
            continue
        newest = facts.backups[study.id]
        since = newest if newest is not None else max(study.published_at or 0.0, facts.up_since)
        if now - max(since, facts.up_since) > BACKUP:
            words = f"the study {study.name} has no backup of the last two hours"
            do = "look whether its folder for backups is there and can be written to, and at the server's log."
            found.append(Alert("backup", since, words, do, study_id=study.id))
    return found


# Beside the server


class Watch:
    """Looks at a lab again and again, and keeps what is wrong: since when, and whether it was told."""

    def __init__(self, lab: Lab, data_dir: Path) -> None:
        self._lab = lab
        self._data_dir = data_dir
        self._up_since = lab.clock()
        self._unheard: dict[int, Alert] = {}  # by study: that its webhook did not take what it was told last
        self.alerts: tuple[Alert, ...] = ()

    def look(self) -> tuple[Alert, ...]:
        """Everything that is wrong now. Sessions that fail alike are paused, and webhooks are told once of every change."""
        facts, now = facts_of(self._lab, self._data_dir, self._up_since), self._lab.clock()
        if ids := [each.id for each in failing(facts.sessions)]:
            self._lab.pause(ids, FAILED_ALIKE)
            facts = replace(facts, sessions=tuple(self._lab.running_sessions()))
        since = {each.key: each.since for each in self.alerts}
        found = [replace(each, since=since.get(each.key, each.since)) for each in alerts(facts, now)]
        self._tell(facts.studies, found, now)
        self.alerts = (*found, *self._unheard.values())
        return self.alerts

    def _tell(self, studies: Sequence[Study], found: Sequence[Alert], now: float) -> None:
        before, after = {each.key: each for each in self.alerts if each.kind != "webhook"}, {each.key: each for each in found}
        new = [each for key, each in after.items() if key not in before]
        ended = [each for key, each in before.items() if key not in after]
        open_studies = [each for each in studies if each.closed_at is None]
        self._unheard = {each.id: self._unheard[each.id] for each in open_studies if each.webhook and each.id in self._unheard}
        for study in open_studies:
            news, over = _of(study, new), _of(study, ended)
            if not study.webhook or not (news or over):
                continue
            problem = post(study.webhook, message(study, news, over, now))
            if problem:
                log.warning("the webhook of study %r was not told of %d changes: %s", study.name, len(news + over), problem)
                words = f"the webhook of the study {study.name} was not told of the last change: {problem}"
                do = "look at `webhook` in the study's file; what it missed is not sent again."
                self._unheard[study.id] = Alert("webhook", now, words, do, study_id=study.id)
            else:
                self._unheard.pop(study.id, None)


def _of(study: Study, found: Sequence[Alert]) -> list[Alert]:
    return [each for each in found if each.study_id in (None, study.id)]


def message(study: Study, new: Sequence[Alert], ended: Sequence[Alert], now: float) -> dict[str, Any]:
    """What a webhook gets: `text` for people (as chat services show it), and `alerts` for programs. Times are ISO 8601, UTC."""
    changes = [("new", each) for each in new] + [("ended", each) for each in ended]
    return {
        "study": study.name,
        "at": _iso(now),
        "text": "\n".join(f"{study.name}: {'ended: ' if state == 'ended' else ''}{each.words}" for state, each in changes),
        "alerts": [
            {
                "state": state,
                "kind": each.kind,
                "about": each.about,
                "since": _iso(each.since),
                "words": each.words,
                "what_to_do": each.what_to_do,
            }
            for state, each in changes
        ],
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def post(url: str, content: Mapping[str, Any]) -> str:
    """Send JSON to an address, once; why it did not arrive, "" where it did. The address, which may be secret, is not said."""
    try:
        address = httpx.URL(url)
        if address.scheme not in ("http", "https") or not address.host:
            return "its address does not start with http:// or https://"
        local = address.host in ("127.0.0.1", "localhost", "::1")
        answer = httpx.post(address, json=dict(content), timeout=WEBHOOK_SECONDS, trust_env=not local)
    except httpx.InvalidURL:
        return "its address is none"
    except httpx.HTTPError as error:
        return f"it did not answer ({type(error).__name__})"
    return "" if answer.is_success else f"it answered with status {answer.status_code}"
