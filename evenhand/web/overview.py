"""What the researcher's pages show of a study and its sessions, computed from records. No test score passes through here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenhand import protocol
from evenhand.analysis import scores
from evenhand.declaration import MODES, Budget, Mode, Study
from evenhand.lab import Lab
from evenhand.protocol import Step
from evenhand.records import AgentRecord, Outcome, Participant, Session, State, TaskRecord, Trial
from evenhand.space import show
from evenhand.web.attrition import Attrition, attrition
from evenhand.web.pages import clock, plural

ENDED = frozenset({State.CHOSEN, State.EVALUATED, State.WITHDRAWN})
OPEN = frozenset({State.TUNING, State.CHOOSING, State.PAUSED})
BADGES = {
    State.WAITING: "not started",
    State.TUNING: "tuning",
    State.PAUSED: "paused",
    State.CHOOSING: "time is up",
    State.CHOSEN: "chosen",
    State.EVALUATED: "evaluated",
    State.WITHDRAWN: "withdrawn",
}
STEPS = {
    Step.TERMS: "reading the terms",
    Step.DETAILS: "reading the details",
    Step.PRACTICE: "practising",
    Step.WITHDRAWN: "withdrawn",
}
PHASES = {
    "draft": "not published yet",
    "pilot": "being tried out",
    "live": "collecting",
    "closed": "collection has ended",
    "archive": "read from an export",
}


@dataclass(frozen=True)
class Flow:
    """How many participants got how far; each count is part of the one before. And what methods did beside them."""

    joined: int
    consented: int
    tuning: int
    chose: int
    evaluated: int
    withdrew: int
    excluded: int
    methods: int
    trials: int


@dataclass(frozen=True)
class Row:
    """A participant, or a method's session, as the table shows it.

    key: names the row. state: of the session, None before there is one. badge: the state or the step, in words. note: what else
    is worth a word. seconds_left: None where time is not capped; ticking: whether its clock runs now.
    """

    key: str
    kind: Literal["participant", "method"]
    tuner: str
    address: str
    session: Session | None
    person: Participant | None
    state: State | None
    badge: str
    note: str
    experience: str
    used: int
    left: str
    seconds_left: float | None
    ticking: bool
    best: Trial | None
    training: Trial | None
    evaluation: str
    last_seen: float | None

    @property
    def is_open(self) -> bool:
        """Whether its session can be paused or extended."""
        return self.state in OPEN

    @property
    def is_joint(self) -> bool:
        """Whether a person and a method worked on its session together, so that it is compared with neither."""
        return self.kind == "method" and self.session is not None and self.session.is_joint


@dataclass(frozen=True)
class Overview:
    """The study's first page, in one mode. rows: who is ahead comes first; those without a value, joint ones, then those that
    withdrew, last.

    newest: the newest version, which may not be published. counts: participants in each mode.
    """

    study: Study
    newest: Study
    phase: str
    mode: Mode
    counts: Mapping[Mode, int]
    task: TaskRecord
    now: float
    flow: Flow
    attrition: Attrition
    rows: tuple[Row, ...]
    agents: tuple[AgentRecord, ...]

    @property
    def leader(self) -> Row | None:
        """Who is ahead on validation, joint sessions aside."""
        return self.rows[0] if self.rows and self.rows[0].best and not self.rows[0].is_joint else None

    @property
    def joint(self) -> int:
        """How many sessions are joint."""
        return sum(row.is_joint for row in self.rows)

    @property
    def slots(self) -> int:
        """How many trainings the agents can run at once."""
        return sum(agent.slots for agent in self.agents)

    @property
    def busy(self) -> int:
        """How many trainings they run now."""
        return sum(agent.busy for agent in self.agents)

    @property
    def open(self) -> int:
        """How many participants can be paused or given time."""
        return sum(row.is_open for row in self.rows if row.kind == "participant")


def default_mode(study: Study, counts: Mapping[Mode, int]) -> Mode:
    """What a study's page shows first. counts: participants in each mode; an archive may hold one mode only."""
    if study.archived:
        return next((mode for mode in MODES if counts[mode]), "live")
    return "pilot" if study.published_at is None else "live"


def phase(study: Study, tried: bool) -> str:
    """Where a study stands, as a key of PHASES. tried: whether there are pilot participants."""
    if study.archived:
        return "archive"
    if study.closed_at is not None:
        return "closed"
    return "live" if study.published_at is not None else "pilot" if tried else "draft"


def overview(lab: Lab, study_id: int, mode: Mode | None = None) -> Overview:
    """The study as it is now, in one mode; NotFound where there is none. Practice sessions are not part of it."""
    study, now, versions = lab.study(study_id), lab.clock(), lab.versions(study_id)
    everyone = lab.participants(study_id)
    counts: dict[Mode, int] = {each: sum(person.mode == each for person in everyone) for each in MODES}
    mode = mode or default_mode(study, counts)
    people = [each for each in everyone if each.mode == mode]
    sessions = [each for each in lab.sessions(study_id) if each.mode == mode and not each.practice]
    return Overview(
        study=study,
        newest=versions[-1],
        phase=phase(study, counts["pilot"] > 0),
        mode=mode,
        counts=counts,
        task=lab.task(study.task_id),
        now=now,
        flow=flow(people, sessions, now),
        attrition=attrition(study, people, sessions, now),
        rows=tuple(ranked(_rows(versions, people, sessions, now))),
        agents=tuple(lab.agents()),
    )


def flow(people: Sequence[Participant], sessions: Sequence[Session], now: float) -> Flow:
    """The counts of a study's participants and methods."""
    theirs = {session.participant_id: session for session in sessions if session.participant_id is not None}
    begun = [each for person in people if (each := theirs.get(person.id)) and each.started_at is not None]
    return Flow(
        joined=len(people),
        consented=sum(person.consented_at is not None for person in people),
        tuning=len(begun),
        chose=sum(session.choice is not None for session in begun),
        evaluated=sum(protocol.state_of(session, now) is State.EVALUATED for session in begun),
        withdrew=sum(person.withdrawn_at is not None for person in people),
        excluded=sum(person.excluded is not None for person in people),
        methods=sum(session.kind == "method" for session in sessions),
        trials=sum(len(session.trials) for session in sessions),
    )


def _rows(versions: Sequence[Study], people: Sequence[Participant], sessions: Sequence[Session], now: float) -> list[Row]:
    declared = {each.version: each for each in versions}
    theirs = {each.participant_id: each for each in sessions if each.participant_id is not None}
    rows = [row(each, None, declared[each.version], now) for each in sessions if each.kind == "method"]
    return rows + [row(theirs.get(each.id), each, declared[each.version], now) for each in people]


def row(session: Session | None, person: Participant | None, study: Study, now: float) -> Row:
    """A session, a participant, or both, as the table shows it. study: at their version."""
    state = protocol.state_of(session, now) if session else State.WITHDRAWN if person and person.withdrawn_at else None
    seconds_left = protocol.seconds_left(session, now) if session else None
    training = next((trial for trial in session.trials if trial.is_open), None) if session else None
    waits = training is not None and training.claimed_at is None  # then the clock is credited and stands still
    badge, note = _step(session, state, person, study, now)
    return Row(
        key=f"p{person.id}" if person else f"s{session.id if session else 0}",
        kind="participant" if person else "method",
        tuner=person.pseudonym if person else session.tuner if session else "",
        address=f"/participants/{person.id}" if person else f"/sessions/{session.id if session else 0}",
        session=session,
        person=person,
        state=state,
        badge=badge,
        note=note,
        experience=experience(person, study) if person else _seeded(session),
        used=protocol.trials_used(session) if session else 0,
        left="–" if session is None or state in ENDED else left(session, now),
        seconds_left=None if state in ENDED else seconds_left,
        ticking=state is State.TUNING and seconds_left is not None and not waits,
        best=protocol.best_trial(session) if session else None,
        training=training,
        evaluation=evaluation_progress(session) if session else "after the choice",
        last_seen=last_seen(person, session),
    )


def _step(session: Session | None, state: State | None, person: Participant | None, study: Study, now: float) -> tuple[str, str]:
    """The badge, and the note beside it: what step somebody is at before and after tuning, else how the session stands."""
    step = protocol.next_step(study, person, session, now) if person else Step.TUNE
    before = protocol.next_questionnaire(study, person, "before") if person and step is Step.BACKGROUND else None
    badge = f"answering: {before.title}" if before else STEPS.get(step, BADGES[state] if state else "joined")
    if session and session.choice is not None:
        badge = "no choice" if session.choice.configuration is None else badge
        automatic = "chosen automatically" if session.choice.automatic else ""
        return badge, "questions afterwards are open" if step is Step.AFTER else automatic
    paused = session.pauses[-1].reason if session and state is State.PAUSED else ""
    return badge, paused


def last_seen(person: Participant | None, session: Session | None) -> float | None:
    """When somebody last did something that is known; None for a method, and for whoever withdrew."""
    if person is None or person.withdrawn_at is not None:
        return None
    steps = (person.created_at, person.consented_at, person.read_details_at, person.practised_at)
    return max(at for at in (*steps, session.last_seen if session else None) if at is not None)


def experience(person: Participant, study: Study) -> str:
    """The answer by which the study groups its participants, and the group: 12 months, expert."""
    grouping = study.grouping
    answer, number, question = person.answers.get(grouping.by), person.number(grouping.by), study.question(grouping.by)
    if answer is None:
        return "not said"
    if number is None:
        labels = {option.value: str(option.label) for option in question.options} if question else {}
        return labels.get(str(answer), str(answer))
    words = plural(int(number), "month") if grouping.by.endswith(".months") else show(number)
    group = next((each.name for each in grouping.groups if each.holds(number)), "")
    return f"{words}, {group}" if group else words


def _seeded(session: Session | None) -> str:
    seed = session.method.get("seed") if session else None
    return "method" if seed is None else f"method, seed {seed}"


def left(session: Session, now: float) -> str:
    """What of the budget is left, in its own unit."""
    seconds, trials, epochs = protocol.seconds_left(session, now), protocol.trials_left(session), protocol.epochs_left(session)
    parts = [clock(seconds)] if seconds is not None else []
    parts += [plural(trials, "trial")] if trials is not None else []
    parts += [plural(epochs, "epoch")] if epochs is not None else []
    return ", ".join(parts)


def evaluation_progress(session: Session) -> str:
    """How far the evaluation is, in words without a score."""
    if session.choice is None:
        return "after the choice"
    if session.choice.configuration is None:
        return "nothing to evaluate"
    done, planned = session.evaluated.done, session.evaluated.planned
    if not planned:
        return "this task has no test data"
    return f"all {planned} seeds" if done >= planned else f"{done} of {planned} seeds"


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Best validation first; the earlier session of equals first. Joint sessions come after all that are compared."""

    def key(each: Row) -> tuple[bool, bool, bool, float, bool, int]:
        value = each.best.value if each.best else None
        sign = 1.0 if each.session and not each.session.maximize else -1.0
        number = each.session.id if each.session else each.person.id if each.person else 0
        return each.state is State.WITHDRAWN, each.is_joint, value is None, sign * (value or 0.0), each.session is None, number

    return sorted(rows, key=key)


def curves(shown: Overview) -> dict[str, Any]:
    """The best-so-far lines as JSON, joint sessions left out.

    x is in the budget's unit (time in minutes), y in percent where the metric is a share.
    """
    unit = scores.unit_of(shown.study.budget)
    factor = 100.0 if scores.is_share(shown.task.metric) else 1.0
    scale = 1 / 60 if unit == "seconds" else 1.0
    lines = []
    for each in shown.rows:
        session = each.session
        if session is None or each.is_joint:
            continue
        steps = scores.best_so_far(session, unit, shown.now)
        if not steps:
            continue
        end = scores.used(session, session.choice.at if session.choice else shown.now, unit)
        lines.append(
            {
                "id": each.key,
                "tuner": session.tuner,
                "kind": session.kind,
                "live": each.state not in ENDED,
                "points": [[step.used * scale, step.value * factor, step.number] for step in steps],
                "end": max(end, steps[-1].used) * scale,
            }
        )
    return {
        "unit": "minutes" if unit == "seconds" else unit,
        "limit": limit(shown.study.budget, unit) * scale,
        "percent": factor > 1,
        "maximize": shown.task.maximize,
        "lines": lines,
    }


def limit(budget: Budget, unit: scores.Unit) -> float:
    """The budget's cap in its unit."""
    return float({"seconds": budget.seconds, "trials": budget.trials, "epochs": budget.epochs}[unit] or 0)


def budget_words(budget: Budget) -> str:
    """A budget as people say it: 120 minutes, 20 trials."""
    parts = []
    if budget.seconds is not None:
        minutes = budget.seconds / 60
        parts.append(plural(int(minutes), "minute") if minutes == int(minutes) else clock(budget.seconds))
    parts += [plural(budget.trials, "trial")] if budget.trials is not None else []
    parts += [plural(budget.epochs, "epoch")] if budget.epochs is not None else []
    return " and ".join(parts)


def outcome_words(trial: Trial) -> str:
    """A trial's outcome as its badge says it."""
    if trial.outcome is None:
        return "waiting" if trial.claimed_at is None else "stopping" if trial.stop_by else "training"
    if trial.outcome is Outcome.STOPPED:
        return {"tuner": "stopped early", "deadline": "stopped: time up"}.get(str(trial.stop_by), f"stopped: {trial.stop_by}")
    return str(trial.outcome)
