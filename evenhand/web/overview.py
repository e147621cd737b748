"""What the researcher's pages show of a study and its sessions, computed from records. No test score passes through here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenhand import protocol
from evenhand.analysis import scores
from evenhand.declaration import Budget, Study
from evenhand.lab import Lab
from evenhand.records import AgentRecord, Outcome, Participant, Session, State, TaskRecord, Trial
from evenhand.web.pages import clock, plural

ENDED = frozenset({State.CHOSEN, State.EVALUATED, State.WITHDRAWN})
BADGES = {
    State.WAITING: "not started",
    State.TUNING: "tuning",
    State.CHOOSING: "time is up",
    State.CHOSEN: "chosen",
    State.EVALUATED: "evaluated",
    State.WITHDRAWN: "withdrawn",
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
    methods: int
    trials: int


@dataclass(frozen=True)
class Row:
    """One session of the table. seconds_left: None where time is not capped; ticking: whether its clock runs now."""

    session: Session
    state: State
    badge: str
    experience: str
    used: int
    left: str
    seconds_left: float | None
    ticking: bool
    best: Trial | None
    training: Trial | None
    evaluation: str


@dataclass(frozen=True)
class Overview:
    """The study's first page. rows: who is ahead comes first; those without a value, then those that withdrew, come last."""

    study: Study
    task: TaskRecord
    now: float
    flow: Flow
    rows: tuple[Row, ...]
    agents: tuple[AgentRecord, ...]

    @property
    def leader(self) -> Row | None:
        """Who is ahead on validation."""
        return self.rows[0] if self.rows and self.rows[0].best else None

    @property
    def slots(self) -> int:
        """How many trainings the agents can run at once."""
        return sum(agent.slots for agent in self.agents)

    @property
    def busy(self) -> int:
        """How many trainings they run now."""
        return sum(agent.busy for agent in self.agents)


def overview(lab: Lab, study_id: int) -> Overview:
    """The study as it is now; NotFound where there is none."""
    study, now = lab.study(study_id), lab.clock()
    sessions, people = lab.sessions(study_id), lab.participants(study_id)
    months = {person.id: person.months for person in people}
    rows = [row(session, months.get(session.participant_id or 0), now) for session in sessions]
    return Overview(study, lab.task(study.task_id), now, flow(people, sessions, now), tuple(ranked(rows)), tuple(lab.agents()))


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
        methods=sum(session.kind == "method" for session in sessions),
        trials=sum(len(session.trials) for session in sessions),
    )


def row(session: Session, months: float | None, now: float) -> Row:
    """A session as the table shows it."""
    state = protocol.state_of(session, now)
    seconds_left = protocol.seconds_left(session, now)
    training = next((trial for trial in session.trials if trial.is_open), None)
    waits = training is not None and training.claimed_at is None  # then the clock is credited and stands still
    return Row(
        session=session,
        state=state,
        badge="no choice" if _no_choice(session) else BADGES[state],
        experience=_experience(session, months),
        used=protocol.trials_used(session),
        left="–" if state in ENDED else left(session, now),
        seconds_left=None if state in ENDED else seconds_left,
        ticking=state is State.TUNING and seconds_left is not None and not waits,
        best=protocol.best_trial(session),
        training=training,
        evaluation=evaluation_progress(session),
    )


def _no_choice(session: Session) -> bool:
    return session.choice is not None and session.choice.configuration is None


def _experience(session: Session, months: float | None) -> str:
    if session.kind == "method":
        seed = session.method.get("seed")
        return "method" if seed is None else f"method, seed {seed}"
    return "not said" if months is None else plural(int(months), "month")


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
    """Best validation first; the earlier session of equals first."""

    def key(each: Row) -> tuple[bool, bool, float, int]:
        value = each.best.value if each.best else None
        sign = -1.0 if each.session.maximize else 1.0
        return each.state is State.WITHDRAWN, value is None, sign * (value or 0.0), each.session.id

    return sorted(rows, key=key)


def curves(shown: Overview) -> dict[str, Any]:
    """The best-so-far lines as JSON: x in the budget's unit (time in minutes), y in percent where the metric is a share."""
    unit = scores.unit_of(shown.study.budget)
    factor = 100.0 if scores.is_share(shown.task.metric) else 1.0
    scale = 1 / 60 if unit == "seconds" else 1.0
    lines = []
    for each in shown.rows:
        session = each.session
        steps = scores.best_so_far(session, unit, shown.now)
        if not steps:
            continue
        end = scores.used(session, session.choice.at if session.choice else shown.now, unit)
        lines.append(
            {
                "id": session.id,
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
