"""What people read of how a study, a session or a trial stands."""

import shlex
from collections.abc import Mapping

from evenhand.model.rules import ParticipantStep, Phase
from evenhand.model.session import LABORATORY, Session, State
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Outcome, Stopper, Trial
from evenhand.model.words import plural

SESSIONS: Mapping[State, str] = {
    State.WAITING: "not started",
    State.TUNING: "tuning",
    State.PAUSED: "paused",
    State.CHOOSING: "time is up",
    State.CHOSEN: "chosen",
    State.EVALUATED: "evaluated",
    State.WITHDRAWN: "withdrawn",
}
INTERRUPTED = "interrupted"  # an exploratory session whose process is gone, and that has no choice
# What somebody does at a step that is none of tuning; at a questionnaire they answer the one that is named.
STEPS: Mapping[ParticipantStep, str] = {
    ParticipantStep.TERMS: "reading the terms",
    ParticipantStep.DETAILS: "reading the details",
    ParticipantStep.PRACTICE: "practising",
    ParticipantStep.WITHDRAWN: "withdrawn",
}
PHASES: Mapping[Phase, str] = {
    Phase.DRAFT: "not published yet",
    Phase.PILOT: "being tried out",
    Phase.LIVE: "collecting",
    Phase.CLOSED: "collection has ended",
    Phase.ARCHIVE: "read from an export",
}
STOPS: Mapping[Stopper, str] = {Stopper.TUNER: "stopped early", Stopper.DEADLINE: "stopped: time up"}


def how_to_go_on(session: Session) -> str:
    """What goes on with an exploratory session whose process is gone, and what ends one that has no choice."""
    name = session.called
    if session.process == LABORATORY:
        return "The laboratory's server keeps it going, and agents train what is left of it."
    if session.space.is_open:
        return (
            f"Its program goes on with it by its name, {name!r} (load_if_exists=True); evenhand end {session.id} chooses its "
            "best trial and ends it."
        )
    given = "" if session.name else f", with name={name!r} (on the command line --name {shlex.quote(name)})"
    ends = "" if session.choice else f"; evenhand end {session.id} chooses its best trial and ends it"
    return f"The same command goes on with it{given}{ends}."


def status_of(trial: Trial) -> str:
    """One word for where a trial stands."""
    if trial.outcome is not None:
        return str(trial.outcome)
    if trial.stop_by is not None:
        return "stopping"
    if trial.is_held:
        return "held"
    return "waiting" if trial.claimed_at is None else "training"


def hold_words(trial: Trial) -> str:
    """What becomes of an open trial of a session that is paused."""
    if trial.stop_by is not None:
        return f"Trial {trial.number} stops."
    if trial.is_held:
        return f"Trial {trial.number} stands still, and goes on from there after the pause."
    if trial.claimed_at is None:
        return f"Trial {trial.number} waits, and begins after the pause."
    return (
        f"Trial {trial.number} still trains: at its next report it is held. An agent of an older version cannot hold it and "
        "trains it to its end."
    )


def back_words(trial: Trial) -> str:
    """What becomes of a trial that a pause held, after the pause: another one may have its slot."""
    return f"Trial {trial.number} goes on from where it stood as soon as its machine has room for it; this time is not counted."


def outcome_words(trial: Trial) -> str:
    """Where a trial stands, and of one that was stopped, by whom."""
    if trial.outcome is not Outcome.STOPPED:
        return status_of(trial)
    return STOPS.get(trial.stop_by or Stopper.TUNER, f"stopped by the {trial.stop_by}")


def epochs_words(task: TaskRecord, trial: Trial) -> str:
    """How many epochs a trial has done: "4 of 10 epochs", or "4 epochs" where it is not known how many it takes."""
    of = f"{trial.epochs_done} of " if task.knows_epochs else ""
    return of + plural(trial.epochs_planned if task.knows_epochs else trial.epochs_done, "epoch")


def epoch_words(task: TaskRecord, trial: Trial) -> str:
    """Which epoch a trial trains: "epoch 5 of 10", or "epoch 5" where it is not known how many it takes."""
    if not task.knows_epochs:
        return f"epoch {trial.epochs_done + 1}"
    return f"epoch {min(trial.epochs_done + 1, trial.epochs_planned)} of {trial.epochs_planned}"


def value_epoch_words(session: Session, trial: Trial) -> str:
    """The words ", value of epoch 7", where a trial's value is its best epoch's; nothing where it is the last one's."""
    return f", value of epoch {trial.value_epoch}" if session.value_rule == "best" and trial.value_epoch is not None else ""
