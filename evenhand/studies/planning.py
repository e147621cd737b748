"""What a study will take, estimated from one timed epoch: hours, agents, queue; all assumptions are in the result."""

import heapq
import math
from dataclasses import dataclass

import numpy as np

from evenhand.model.study import Study
from evenhand.settings import Rules

THINKING_SECONDS = 90.0  # seconds that a participant thinks between two trials, on average; an assumption, not a measurement
TRIAL_EPOCHS = 5  # of a trial, on average, where the space leaves them open; an assumption
LONGEST_WAIT_SECONDS = 60.0  # seconds that a participant should wait for an agent at the most, on average
MEASUREMENT_BYTES = 400.0  # bytes of one stored measurement, indices included; measured on SQLite
COUNTS_TOGETHER = (1, 2, 5, 10, 20, 30, 50, 100, 200)  # participants at once for whom the queue is simulated
EXPECTED_PARTICIPANTS = 31  # participants where none are expected: as many as in the paper


@dataclass(frozen=True)
class Queue:
    """What `together` participants at once get of `slots`: mean seconds that a trial waits for one, trials of each, the share of
    the time in which a slot trains, and the seconds that a session takes with its waiting, which is off its clock."""

    together: int
    slots: int
    waiting: float
    trials: float
    busy: float
    lasts: float


@dataclass(frozen=True)
class Estimate:
    """What a study takes. epoch: the timed epoch, in seconds; trials: of each participant; hours: of training and of evaluation
    on one slot, all participants together; queues: by how many take part at once; disk: bytes."""

    participants: int
    epoch: float
    epochs: int
    trials: float
    tuning_hours: float
    evaluation_hours: float
    queues: tuple[Queue, ...]
    disk: float
    assumptions: tuple[str, ...]


def estimate(
    study: Study,
    epoch: float,
    steps: int,
    participants: int,
    *,
    epochs: int = TRIAL_EPOCHS,
    slots: int | None = None,
    seed: int = 0,
) -> Estimate:
    """What a study with this many participants takes if an epoch takes `epoch` seconds and has `steps` optimizer steps.

    epochs: of a trial, on average. slots: trainings at once; None: for each number of participants the fewest with which a trial
    waits `LONGEST_WAIT_SECONDS` at most on average.
    """
    budget, trial = study.budget, max(epoch * epochs, 0.01)
    caps = (
        math.inf if budget.seconds is None else budget.seconds / (trial + THINKING_SECONDS),
        math.inf if budget.trials is None else budget.trials,
        math.inf if budget.epochs is None else budget.epochs / epochs,
    )
    trials = max(1.0, float(min(caps)))
    together = sorted({count for count in COUNTS_TOGETHER if count < participants} | {participants})
    queues = tuple(queue(count, slots or slots_for(count, trial, trials), trial, trials, seed) for count in together)
    kept = min(epochs * steps, Rules.curve_points) + epochs
    chosen = (
        f"{slots} trainings run at once"
        if slots
        else f"slots are chosen such that a trial waits {LONGEST_WAIT_SECONDS:.0f} s at most on average"
    )
    return Estimate(
        participants=participants,
        epoch=epoch,
        epochs=epochs,
        trials=trials,
        tuning_hours=participants * trials * trial / 3600,
        evaluation_hours=participants * study.evaluation_seeds * trial / 3600,
        queues=queues,
        disk=participants * trials * kept * MEASUREMENT_BYTES,
        assumptions=(
            (
                f"a trial has {epochs} epochs on average, and people think {THINKING_SECONDS:.0f} s between two "
                "(exponentially distributed)"
            ),
            "an epoch of any configuration takes as long as the timed one; small batches and slow optimizers take longer",
            f"whoever takes part at once begins at once; waiting for a slot is off the clock; {chosen}",
        ),
    )


def slots_for(together: int, trial: float, trials: float) -> int:
    """The fewest slots with which this many participants at once wait no longer than `LONGEST_WAIT_SECONDS` on average."""
    low, high = 1, together
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if queue(together, middle, trial, trials, 0).waiting <= LONGEST_WAIT_SECONDS else (middle + 1, high)
        )
    return low


def queue(together: int, slots: int, trial: float, trials: float, seed: int) -> Queue:
    """Simulate participants who think (exponentially distributed), wait in one queue, train, and think again, `trials` times."""
    rng = np.random.default_rng(seed)
    turns, free = max(1, round(trials)), [0.0] * slots
    arrivals = [(float(rng.exponential(THINKING_SECONDS)), person) for person in range(together)]
    heapq.heapify(arrivals)
    left, waited, ends = [turns] * together, 0.0, [0.0] * together
    while arrivals:
        at, person = heapq.heappop(arrivals)
        begin = max(at, heapq.heappop(free))
        ends[person], left[person], waited = begin + trial, left[person] - 1, waited + begin - at
        heapq.heappush(free, begin + trial)
        if left[person]:
            heapq.heappush(arrivals, (begin + trial + float(rng.exponential(THINKING_SECONDS)), person))
    busy = together * turns * trial / (slots * max(ends))
    return Queue(together, slots, waited / (together * turns), float(turns), busy, sum(ends) / together)
