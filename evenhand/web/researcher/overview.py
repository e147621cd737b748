"""What the researcher's pages show of a study and its sessions, computed from records. No test score passes through here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenhand.analysis import attrition, summaries
from evenhand.analysis.cohort import group_of, own_sessions
from evenhand.lab.lab import Lab
from evenhand.model import rules, state_words
from evenhand.model.direction import sign_of
from evenhand.model.domain import show
from evenhand.model.job import AgentRecord, pinned_away
from evenhand.model.participant import Participant
from evenhand.model.places import Occupancy
from evenhand.model.rules import ENDED_STATES, GOING_ON_STATES, ParticipantStep, Phase
from evenhand.model.session import Session, State
from evenhand.model.study import MODES, Mode, Study
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Trial
from evenhand.model.words import clock, is_share, plural


@dataclass(frozen=True)
class Totals:
    """How many participants left or were left out, and what was done in all."""

    withdrew: int
    excluded: int
    methods: int
    trials: int


@dataclass(frozen=True)
class TunerRow:
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
        return self.state in GOING_ON_STATES

    @property
    def is_joint(self) -> bool:
        """Whether a person and a method worked on its session together, so that it is compared with neither."""
        return self.kind == "method" and self.session is not None and self.session.is_joint

    @property
    def counts(self) -> bool:
        """Whether it can be ahead: of one tuner alone, whom nobody left out."""
        return not self.is_joint and not (self.person is not None and self.person.excluded)


@dataclass(frozen=True)
class Overview:
    """The study's first page, in one mode. rows: who is ahead comes first; those without a value, joint ones, then those that
    withdrew, last.

    newest: the newest version, which may not be published. counts: participants in each mode. occupancy: of the live study,
    where it looks for so many people. refused: why the study takes no claim of some of the connected agents.
    """

    study: Study
    newest: Study
    phase: Phase
    mode: Mode
    counts: Mapping[Mode, int]
    occupancy: Occupancy | None
    task: TaskRecord
    now: float
    totals: Totals
    attrition: attrition.Attrition
    rows: tuple[TunerRow, ...]
    agents: tuple[AgentRecord, ...]
    refused: tuple[str, ...]

    @property
    def leader(self) -> TunerRow | None:
        """Who is ahead on validation, joint sessions and whoever is left out aside."""
        return next((row for row in self.rows if row.best and row.counts), None)

    @property
    def tied(self) -> int:
        """How many share the leader's value, so that nobody is ahead; 1 where it is the leader's alone."""
        leader = self.leader
        if leader is None or leader.best is None:
            return 0
        return sum(row.best is not None and row.best.value == leader.best.value for row in self.rows if row.counts)

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


def overview(lab: Lab, study_id: int, mode: Mode | None = None) -> Overview:
    """The study as it is now, in one mode; NotFound where there is none. Practice sessions are not part of it."""
    study, now, versions = lab.studies.get(study_id), lab.clock(), lab.studies.versions(study_id)
    everyone = lab.participants.of_study(study_id)
    counts: dict[Mode, int] = {counted_mode: sum(person.mode == counted_mode for person in everyone) for counted_mode in MODES}
    mode = mode or default_mode(study, counts)
    people = [person for person in everyone if person.mode == mode]
    sessions = [session for session in lab.sessions.of_study(study_id) if session.mode == mode and not session.practice]
    agents = lab.agents.all()
    return Overview(
        study=study,
        newest=versions[-1],
        phase=rules.phase_of(study, counts["pilot"] > 0),
        mode=mode,
        counts=counts,
        occupancy=lab.participants.occupancy(study_id) if study.plan.target is not None and mode == "live" else None,
        task=lab.studies.task(study.task_id),
        now=now,
        totals=_totals(people, sessions),
        attrition=attrition.live(study, versions, people, sessions, now),
        rows=tuple(ranked(_rows(versions, people, sessions, now))),
        agents=tuple(agents),
        refused=tuple(pinned_away(study.environment, agents).values()),
    )


def _totals(people: Sequence[Participant], sessions: Sequence[Session]) -> Totals:
    return Totals(
        withdrew=sum(person.withdrawn_at is not None for person in people),
        excluded=sum(person.excluded is not None for person in people),
        methods=sum(session.kind == "method" for session in sessions),
        trials=sum(len(session.trials) for session in sessions),
    )


def _rows(versions: Sequence[Study], people: Sequence[Participant], sessions: Sequence[Session], now: float) -> list[TunerRow]:
    declared = {version.version: version for version in versions}
    session_of = own_sessions(sessions)
    rows = [row(session, None, declared[session.version], now) for session in sessions if session.kind == "method"]
    return rows + [row(session_of.get(person.id), person, declared[person.version], now) for person in people]


def row(session: Session | None, person: Participant | None, study: Study, now: float) -> TunerRow:
    """A session, a participant, or both, as the table shows it. study: at their version."""
    state = rules.state_of(session, now) if session else State.WITHDRAWN if person and person.withdrawn_at else None
    seconds_left = rules.seconds_left(session, now) if session else None
    training = next((trial for trial in session.trials if trial.is_open), None) if session else None
    interrupted = session is not None and rules.is_interrupted(session, now)
    waits = training is not None and (training.claimed_at is None or training.is_held)  # then the clock stands still
    badge, note = _step(session, state, person, study, now)
    return TunerRow(
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
        used=rules.trials_used(session) if session else 0,
        left="–" if session is None or state in ENDED_STATES else left(session, now),
        seconds_left=None if state in ENDED_STATES else seconds_left,
        ticking=state is State.TUNING and seconds_left is not None and not waits and not interrupted,
        best=rules.best_trial(session, ended=True) if session else None,
        training=training,
        evaluation=evaluation_progress(session) if session else "after the choice",
        last_seen=rules.last_seen(person, session) if person else None,
    )


def _step(session: Session | None, state: State | None, person: Participant | None, study: Study, now: float) -> tuple[str, str]:
    """The badge, and the note beside it: what step somebody is at before and after tuning, else how the session stands."""
    step = rules.next_step(study, person, session, now) if person else ParticipantStep.TUNE
    before = rules.next_questionnaire(study, person, "before") if person and step is ParticipantStep.BACKGROUND else None
    stands = state_words.SESSIONS[state] if state else "joined"
    if session and rules.is_interrupted(session, now):
        return state_words.INTERRUPTED, ""
    badge = f"answering: {before.title}" if before else state_words.STEPS.get(step, stands)
    if session and session.choice is not None:
        badge = "no choice" if session.choice.configuration is None else badge
        automatic = "chosen automatically" if session.choice.automatic else ""
        return badge, "questions afterwards are open" if step is ParticipantStep.AFTER else automatic
    paused = session.pauses[-1].reason if session and state is State.PAUSED else ""
    return badge, paused


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
    group = group_of(study, grouping, person) if grouping.groups else None
    return f"{words}, {group}" if group else words


def _seeded(session: Session | None) -> str:
    seed = session.method.get("seed") if session else None
    return "method" if seed is None else f"method, seed {seed}"


def left(session: Session, now: float) -> str:
    """What of the budget is left, in its own unit."""
    seconds, trials, epochs = rules.seconds_left(session, now), rules.trials_left(session), rules.epochs_left(session)
    parts = [clock(seconds)] if seconds is not None else []
    parts += [plural(trials, "trial")] if trials is not None else []
    parts += [plural(epochs, "epoch")] if epochs is not None else []
    parts += [rules.stall_words(session)] if session.budget.until is not None else []
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


def ranked(rows: Sequence[TunerRow]) -> list[TunerRow]:
    """Best validation first; the earlier session of equals first. Joint sessions come after all that are compared."""

    def key(row: TunerRow) -> tuple[bool, bool, bool, float, bool, int]:
        value = row.best.value if row.best else None
        sign = -sign_of(row.session is None or row.session.maximize)
        number = row.session.id if row.session else row.person.id if row.person else 0
        return row.state is State.WITHDRAWN, row.is_joint, value is None, sign * (value or 0.0), row.session is None, number

    return sorted(rows, key=key)


def curves(shown: Overview) -> dict[str, Any]:
    """The best-so-far lines as JSON, joint sessions left out.

    x is in the budget's unit (time in minutes), y in percent where the metric is a share.
    """
    unit = summaries.unit_of(shown.study.budget)
    factor = 100.0 if is_share(shown.task.metric) else 1.0
    scale = 1 / 60 if unit == "seconds" else 1.0
    lines = []
    for row in shown.rows:
        session = row.session
        if session is None or row.is_joint:
            continue
        steps = summaries.best_so_far(session, unit)
        if not steps:
            continue
        end = summaries.used(session, session.choice.at if session.choice else shown.now, unit)
        lines.append(
            {
                "id": row.key,
                "tuner": session.tuner,
                "kind": session.kind,
                "live": row.state not in ENDED_STATES,
                "points": [[step.used * scale, summaries.drawn(step.value) * factor, step.number] for step in steps],
                "end": max(end, steps[-1].used) * scale,
            }
        )
    return {
        "unit": "minutes" if unit == "seconds" else unit,
        "limit": summaries.cap(shown.study.budget, unit) * scale,
        "percent": factor > 1,
        "maximize": shown.task.maximize,
        "lines": lines,
    }
