"""What needs the researcher's attention now: sessions that stall, agents that vanished, a full disk, backups that stopped.

`alerts` is a function of facts and the time. `Watch` looks again and again beside the server, pauses sessions whose trainings all
fail alike, and tells each study's webhook what is new and what has ended. No alert holds personal data: sessions are named by
number.
"""

import logging
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from evenhand.lab.backups import BackupTrouble
from evenhand.lab.lab import Lab
from evenhand.lab.places import Fault
from evenhand.model import rules
from evenhand.model.environment import Environment
from evenhand.model.job import AgentRecord, pinned_away
from evenhand.model.session import Session, State
from evenhand.model.study import Study
from evenhand.model.trial import Outcome, Trial
from evenhand.settings import AGENT_SILENCE_SECONDS

log = logging.getLogger(__name__)

NO_AGENT, UNSERVED = "no agent", "unserved"  # kinds of alerts of which the second, told later, says the first of some sessions
STALL_SECONDS = 120.0  # seconds without a measurement, or without a move of a method
UNSERVED_SECONDS = 300.0  # seconds that a participant's trial may wait while no agent is connected
QUEUE_SECONDS = 600.0  # seconds that a trial may wait while agents are connected
UNFITTING_SECONDS = 60.0  # seconds that a trial may wait while the study takes no claim of any connected agent
SILENCE_SECONDS = 60.0  # seconds after which an agent that did not end in order is missed, or the lack of any agent is told
DAY_SECONDS = 86400.0  # seconds for which a silent agent is missed
FREE_BYTES, FREE_SHARE = 2e9, 0.05  # of the disk, below which it counts as nearly full
BACKUP_SECONDS = 7200.0  # seconds that the newest backup of a live study may be old
ALIKE_FAILURES = 5  # trainings in a row that fail alike
FAILED_ALIKE_REASON = f"{ALIKE_FAILURES} trainings in a row failed in the same way; the researcher has been told"
WEBHOOK_SECONDS = 5.0  # that a webhook may take to answer
UNREAD_SECONDS = 30.0  # for which the database's file may be unreadable before it is told: a server out of files comes to itself
NAMED_SESSIONS = 5  # sessions that an alert names one by one
SESSION_TIMES = ("opened_at", "started_at", "last_seen")
TRIAL_TIMES = ("submitted_at", "claimed_at", "finished_at")


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
class AlertFacts:
    """What alerts are a function of. Times are seconds since the epoch.

    up_since: when this server started to look: while it was down, nobody could be heard. sessions: those with a clock that runs
    and no choice. measured: by the id of a trial that trains, the time of its newest measurement. agents: those heard of within a
    day that did not end in order. pins: what studies are pinned to, by ids and versions. free, total: bytes of the disk with the
    data. backups: by the id of a study that collects and names a folder for backups, the time of the newest file there,
    None where there is none. unreadable: why sessions that go on cannot be read, by id.
    """

    up_since: float
    studies: tuple[Study, ...] = ()
    pins: Mapping[tuple[int, int], Environment] = field(default_factory=dict)
    sessions: tuple[Session, ...] = ()
    measured: Mapping[int, float] = field(default_factory=dict)
    agents: tuple[AgentRecord, ...] = ()
    free: float = float("inf")
    total: float = 0.0
    backups: Mapping[int, float | None] = field(default_factory=dict)
    unreadable: Mapping[int, str] = field(default_factory=dict)


def _watched(lab: Lab) -> tuple[tuple[Session, ...], Mapping[int, str]]:
    """The sessions of studies that go on, and by id why others cannot be read.

    Exploratory ones say on their own pages what is the matter.
    """
    running, unreadable = lab.sessions.running()
    odd = {session.id: why for session in running if (why := _why_odd(session)) is not None}
    return tuple(session for session in running if session.id not in odd), {**unreadable, **odd}


def _why_odd(session: Session) -> str | None:
    """Which of a session's times is none, as a damaged row may have it; None where all are."""
    times = [(name, getattr(session, name)) for name in SESSION_TIMES]
    times += [(f"trial {trial.number}: {name}", getattr(trial, name)) for trial in session.trials for name in TRIAL_TIMES]
    odd = next((time for time in times if time[1] is not None and not isinstance(time[1], int | float)), None)
    return None if odd is None else f"{odd[0]} is {odd[1]!r}, expected seconds since the epoch"


def facts_of(lab: Lab, data_dir: Path, up_since: float) -> AlertFacts:
    """The facts as they are now."""
    studies = tuple(study for study in lab.studies.all() if not study.archived)
    sessions, unreadable = _watched(lab)
    keys = {session.study_id for session in sessions}
    versions = {(version.id, version.version): version for key in keys for version in lab.studies.versions(key)}
    disk = shutil.disk_usage(data_dir)
    live = [study for study in studies if study.published_at is not None and study.closed_at is None and study.backup.strip()]
    return AlertFacts(
        unreadable=unreadable,
        up_since=up_since,
        studies=studies,
        pins={key: version.environment for key, version in versions.items() if version.environment is not None},
        sessions=tuple(sessions),
        measured=lab.agents.last_measured(),
        agents=tuple(lab.agents.all(within=DAY_SECONDS)),
        free=disk.free,
        total=disk.total,
        backups={study.id: newest_file(Path(study.backup).expanduser()) for study in live},
    )


def newest_file(folder: Path) -> float | None:
    """When the newest backup in a folder was written; None where it holds none, or cannot be read."""
    try:
        return max((path.stat().st_mtime for path in folder.glob("evenhand-*.zip")), default=None)
    except OSError:
        return None


def alerts(facts: AlertFacts, now: float) -> tuple[Alert, ...]:
    """All that is wrong, what stops people first."""
    connected = any(_heard(agent) >= now - AGENT_SILENCE_SECONDS for agent in facts.agents)
    problems: list[Alert] = []
    problems += _unreadable(facts, now)
    problems += _failing(facts)
    problems += _unserved(facts, now, connected)
    problems += _unfitting(facts, now)
    problems += _stalled(facts, now)
    problems += _vanished(facts, now)
    problems += _disk(facts, now)
    problems += _backups(facts, now)
    return tuple(problems)


# Sessions


def failing(sessions: Iterable[Session]) -> list[Session]:
    """Sessions whose last five trainings failed alike since they last stood still, so that going on is of no use."""
    return [session for session in sessions if not session.is_paused and _same_failures(session)]


def _same_failures(session: Session) -> float | None:
    """When the last of five failures in a row came that have the same reason; None where there are no such."""
    after = session.pauses[-1].start if session.pauses else 0.0
    ended = [
        (trial.finished_at, trial) for trial in session.trials if trial.finished_at is not None and trial.submitted_at > after
    ]
    last = [trial for _, trial in sorted(ended, key=lambda pair: (pair[0], pair[1].number))][-ALIKE_FAILURES:]
    alike = len({(trial.outcome, trial.why) for trial in last}) == 1
    failed = len(last) == ALIKE_FAILURES and last[-1].outcome in (Outcome.FAILED, Outcome.INVALID)
    return last[-1].finished_at if alike and failed else None


def _failing(facts: AlertFacts) -> list[Alert]:
    problems = []
    for session in facts.sessions:
        since = _same_failures(session)
        if session.is_paused and session.pauses[-1].reason == FAILED_ALIKE_REASON:
            since = session.pauses[-1].start
        if since is not None:
            words = f"session {session.id} is paused: {ALIKE_FAILURES} trainings in a row failed in the same way"
            do = "open the session to read why they failed; mend the cause, then let the session go on."
            problems.append(Alert("failures", since, words, do, f"session {session.id}", session.study_id))
    return problems


def _unserved(facts: AlertFacts, now: float, connected: bool) -> list[Alert]:
    """Trials that wait for an agent: for too long with none, or for too long although there are some."""
    waiting = [
        (session, max(trial.submitted_at, facts.up_since, _went_on(session)))
        for session, trial in _open_trials(facts)
        if trial.claimed_at is None
    ]
    problems = []
    if waiting and not connected:
        since = max(min(at for _, at in waiting), *(_heard(agent) for agent in facts.agents), facts.up_since)
        if now - since > SILENCE_SECONDS:
            do = "start the agents, or `evenhand serve` with --slots on this machine; `evenhand add-agent` makes a token."
            problems.append(Alert(NO_AGENT, since, f"{_trials(len(waiting))} and no agent is connected", do))
    participants = [(session, at) for session, at in waiting if session.kind == "participant"]
    if connected:
        do = "connect more agents, or look whether those that are there have the study's version of the task."
        problems += _by_study("queue", waiting, QUEUE_SECONDS, now, "has waited for an agent for over 10 minutes", do)
    else:
        do = "connect an agent; the wait does not count against anybody's time."
        problems += _by_study(
            UNSERVED, participants, UNSERVED_SECONDS, now, "has waited for over 5 minutes, and no agent is there", do
        )
    return problems


def _unfitting(facts: AlertFacts, now: float) -> list[Alert]:
    """Studies whose trainings wait while agents are connected, none of which they take a claim of."""
    agents = [agent for agent in facts.agents if _heard(agent) >= now - AGENT_SILENCE_SECONDS]
    waiting: dict[tuple[int, int], float] = {}
    for session, trial in _open_trials(facts):
        if trial.claimed_at is None and not session.practice:
            key = session.study_id, session.version
            waiting[key] = min(waiting.get(key, now), max(trial.submitted_at, facts.up_since, _went_on(session)))
    problems = []
    for key, since in waiting.items():
        refused = pinned_away(facts.pins.get(key), agents)
        if refused and len(refused) == len(agents) and now - since > UNFITTING_SECONDS:
            do = 'connect an agent that fits, or publish an amendment: it is pinned anew, or to nothing with machines = "any".'
            words = "; ".join(dict.fromkeys(refused.values()))
            problems.append(Alert("refused agents", since, words, do, f"version {key[1]}", key[0]))
    return problems


def _unreadable(facts: AlertFacts, now: float) -> list[Alert]:
    do = "restore a backup from before it was damaged, or end the session; the other sessions go on."
    return [
        Alert("unreadable", now, f"what is stored of session {session_id} cannot be read ({why})", do, f"session {session_id}")
        for session_id, why in facts.unreadable.items()
    ]


def _trials(count: int) -> str:
    return "a training waits" if count == 1 else f"{count} trainings wait"


def _open_trials(facts: AlertFacts) -> list[tuple[Session, Trial]]:
    return [(session, trial) for session in facts.sessions if not session.is_paused for trial in session.trials if trial.is_open]


def _went_on(session: Session) -> float:
    """When a session began, or went on after its last pause."""
    return (session.pauses[-1].end if session.pauses else None) or session.started_at or 0.0


def _measured(facts: AlertFacts, trial: Trial, now: float) -> float:
    """When a trial measured last: what is known is without the times in which it stood still."""
    return facts.measured.get(trial.id, 0.0) + sum(hold.seconds(now) for hold in trial.holds)


def _stalled(facts: AlertFacts, now: float) -> list[Alert]:
    """Trainings that measure nothing, and methods that make no move."""
    trains = [
        (session, max(_measured(facts, trial, now), trial.claimed_at, facts.up_since, _went_on(session)))
        for session, trial in _open_trials(facts)
        if trial.claimed_at is not None
    ]
    do = "look at the agent that trains it; the training can be stopped on the session's page."
    problems = _by_study("stalled", trains, STALL_SECONDS, now, "has measured nothing for over 2 minutes", do)
    idle = [
        (session, max(_went_on(session), facts.up_since, *(trial.finished_at or 0.0 for trial in session.trials)))
        for session in facts.sessions
        if session.kind == "method"
        and rules.state_of(session, now) is State.TUNING
        and not any(trial.is_open for trial in session.trials)
    ]
    do = "look at the server's log, or start again the program that plays the method; it goes on where it was."
    return problems + _by_study("idle", idle, STALL_SECONDS, now, "is a method's and has made no move for over 2 minutes", do)


def _by_study(
    kind: str, times: Sequence[tuple[Session, float]], limit: float, now: float, words: str, what_to_do: str
) -> list[Alert]:
    """One alert a study about all its sessions in which something has lasted longer than `limit` seconds."""
    late = [(session, at) for session, at in times if now - at > limit]
    problems = []
    for study_id in dict.fromkeys(session.study_id for session, _ in late):
        mine = {session.id: at for session, at in late if session.study_id == study_id}
        named = ", ".join(map(str, sorted(mine)[:NAMED_SESSIONS]))
        more = f" and {len(mine) - NAMED_SESSIONS} more" if len(mine) > NAMED_SESSIONS else ""
        which = f"session {named}" if len(mine) == 1 else f"each of the sessions {named}{more}"
        problems.append(Alert(kind, min(mine.values()), f"{which} {words}", what_to_do, study_id=study_id))
    return problems


# Machines


def _heard(agent: AgentRecord) -> float:
    return agent.last_seen or 0.0


def _vanished(facts: AlertFacts, now: float) -> list[Alert]:
    """Agents that fell silent without ending in order, unless another one of the same name and machine took their place."""
    here = {(peer.name, peer.machine) for peer in facts.agents if now - _heard(peer) <= SILENCE_SECONDS}
    problems = []
    for agent in facts.agents:
        heard = max(_heard(agent), facts.up_since)
        if now - heard > SILENCE_SECONDS and (agent.name, agent.machine) not in here:
            words = f"the agent {agent.name} has not been heard of for over a minute"
            do = "look at its machine and its network; what it trained has gone back to the queue."
            problems.append(Alert("agent", _heard(agent), words, do, f"agent {agent.id}"))
    return problems


def _disk(facts: AlertFacts, now: float) -> list[Alert]:
    if facts.free >= max(FREE_BYTES, FREE_SHARE * facts.total):
        return []
    share = f" ({facts.free / facts.total:.0%})" if facts.total else ""
    words = f"the disk is nearly full: {facts.free / 1e9:.1f} GB{share} are free"
    return [Alert("disk", now, words, "make room on the disk that holds the data; where it is full, nothing can be recorded.")]


def _backups(facts: AlertFacts, now: float) -> list[Alert]:
    """Live studies whose newest backup is old, counted from when they were published and the server came up."""
    problems = []
    for study in facts.studies:
        if study.id not in facts.backups:
            continue
        newest = facts.backups[study.id]
        since = newest if newest is not None else max(study.published_at or 0.0, facts.up_since)
        if now - max(since, facts.up_since) > BACKUP_SECONDS:
            words = f"the study {study.name} has no backup of the last two hours"
            do = "look whether its folder for backups is there and can be written to, and at the server's log."
            problems.append(Alert("backup", since, words, do, study_id=study.id))
    return problems


# Beside the server


class Watch:
    """Looks at a lab again and again, and keeps what is wrong: since when, and whether it was told.

    One thread may call `look` while others call `look_at_database` and `note_backups`: each keeps what it found itself.
    """

    def __init__(self, lab: Lab, data_dir: Path) -> None:
        self._lab = lab
        self._data_dir = data_dir
        self._up_since = lab.clock()
        self._unheard: dict[int, Alert] = {}  # by study: that its webhook did not take what it was told last
        self._studies: tuple[Study, ...] = ()  # as they were read last
        self._within: tuple[Alert, ...] = ()  # what `look` found
        self._database: Alert | None = None  # what `look_at_database` found
        self._kept: tuple[Alert, ...] = ()  # what `note_backups` was told
        self._unread_since: float | None = None  # that looks at the database could not read its file
        self._telling = threading.Lock()

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Everything that was wrong at the last looks, the database first."""
        database = self._database
        return (*(() if database is None else (database,)), *self._kept, *self._within, *self._unheard.values())

    def look(self) -> tuple[Alert, ...]:
        """Everything that is wrong now. Sessions that fail alike are paused, and webhooks are told once of every change."""
        if self._lab.fault() is not None:
            return self.alerts
        facts, now = facts_of(self._lab, self._data_dir, self._up_since), self._lab.clock()
        if ids := [session.id for session in failing(facts.sessions)]:
            self._lab.sessions.pause(ids, FAILED_ALIKE_REASON)
            facts = replace(facts, sessions=_watched(self._lab)[0])
        self._studies = facts.studies
        before = self._within
        since = {alert.key: alert.since for alert in before}
        self._within = tuple(replace(alert, since=since.get(alert.key, alert.since)) for alert in alerts(facts, now))
        self._tell(facts.studies, before, self._within, now)
        return self.alerts

    def look_at_database(self) -> Alert | None:
        """What is wrong with the database itself, and tell webhooks once of every change; None where nothing is."""
        fault, now, before = self._lab.fault(), self._lab.clock(), self._database
        if fault is None or fault.lasts:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        may_pass = self._unread_since is not None and now - self._unread_since < UNREAD_SECONDS
        problem = None if fault is None or may_pass else _of_database(fault, now)
        if problem is not None and before is not None and problem.key == before.key:
            return before
        self._database = problem
        if problem is not None:
            log.error("%s; %s", problem.words, problem.what_to_do)
        self._tell(self._studies, [before] if before else [], [problem] if problem else [], now)
        return problem

    def note_backups(self, troubles: Iterable[BackupTrouble]) -> None:
        """Keep what is wrong with the backups that were due last, and tell webhooks once of every change."""
        now, before = self._lab.clock(), self._kept
        since = {alert.key: alert.since for alert in before}
        alerts = [_of_backup(trouble, now) for trouble in troubles]
        self._kept = tuple(replace(alert, since=since.get(alert.key, now)) for alert in alerts)
        self._tell(self._studies, before, self._kept, now)

    def _tell(self, studies: Sequence[Study], before: Sequence[Alert], current: Sequence[Alert], now: float) -> None:
        """Tell each study's webhook what is new in what one look found, and what has ended."""
        keys_before, keys_now = {alert.key for alert in before}, {alert.key for alert in current}
        new = [alert for alert in current if alert.key not in keys_before]
        ended = [alert for alert in before if alert.key not in keys_now]
        with self._telling:
            self._post_changes(studies, new, ended, now)

    def _post_changes(self, studies: Sequence[Study], new: Sequence[Alert], ended: Sequence[Alert], now: float) -> None:
        open_studies = [study for study in studies if study.closed_at is None]
        self._unheard = {
            open_study.id: self._unheard[open_study.id]
            for open_study in open_studies
            if open_study.webhook and open_study.id in self._unheard
        }
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


def _of_database(fault: Fault, now: float) -> Alert:
    if not fault.lasts:
        do = "look at the server's log, its disk, the rights of the file and how many files the server may open."
        return Alert("database", now, f"the database cannot be looked at: {fault.words}", do, "unread")
    words = f"the database is not what it was: {fault.words}; nothing is recorded any more"
    do = "stop the server; `evenhand restore FILE` puts a backup in its place and keeps the ruin; then start it again."
    return Alert("database", now, words, do)


def _of_backup(trouble: BackupTrouble, now: float) -> Alert:
    about = f"folder {trouble.folder.name}"
    if trouble.failed:
        do = "look at its folder and disk, and at the server's log; it is tried again each minute."
        return Alert("backup failed", now, f"a backup failed: {trouble.words}", do, about, trouble.study_id)
    do = (
        "another program wrote to the database, or its disk damaged it; pages that show these values may fail. "
        "Look at them in the backup's .odd.jsonl files."
    )
    words = f"of what the database holds {trouble.words}; the backup was made and keeps them as they are"
    return Alert("odd values", now, words, do, about, trouble.study_id)


def _of(study: Study, changes: Sequence[Alert]) -> list[Alert]:
    return [alert for alert in changes if alert.study_id in (None, study.id)]


def message(study: Study, new: Sequence[Alert], ended: Sequence[Alert], now: float) -> dict[str, Any]:
    """What a webhook gets: `text` for people (as chat services show it), and `alerts` for programs. Times are ISO 8601, UTC."""
    changes = [("new", alert) for alert in new] + [("ended", alert) for alert in ended]
    return {
        "study": study.name,
        "at": _iso(now),
        "text": "\n".join(f"{study.name}: {'ended: ' if state == 'ended' else ''}{alert.words}" for state, alert in changes),
        "alerts": [
            {
                "state": state,
                "kind": alert.kind,
                "about": alert.about,
                "since": _iso(alert.since),
                "words": alert.words,
                "what_to_do": alert.what_to_do,
            }
            for state, alert in changes
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
