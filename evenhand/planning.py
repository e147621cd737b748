"""What a study will take, estimated from one timed epoch: hours, agents, queue; all assumptions are in the result."""

import heapq
import math
from dataclasses import dataclass

import numpy as np

from evenhand.declaration import Study

THINKING = 90.0  # seconds that a participant thinks between two trials, on average; an assumption, not a measurement
EPOCHS = 5  # of a trial, on average, where the space leaves them open; an assumption
WAIT = 60.0  # seconds that a participant should wait for an agent at the most, on average
STORED = 400.0  # bytes of one stored measurement, indices included; measured on SQLite


@dataclass(frozen=True)
class Queue:
    """What `together` participants at once get of `slots`: mean seconds of waiting for a trial, trials each, share trained."""

    together: int
    slots: int
    waiting: float
    trials: float
    busy: float


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


def estimate(study: Study, epoch: float, steps: int, participants: int, seed: int = 0) -> Estimate:
    """What a study with this many participants takes if an epoch takes `epoch` seconds and has `steps` optimizer steps."""
    budget = study.budget
    epochs = EPOCHS
    trial = max(epoch * epochs, 0.01)
    trials = min(
        budget.seconds / (trial + THINKING) if budget.seconds is not None else math.inf,
        float(budget.trials) if budget.trials is not None else math.inf,
        budget.epochs / epochs if budget.epochs is not None else math.inf,
    )
    minutes = budget.seconds / 60 if budget.seconds is not None else trials * (trial + THINKING) / 60
    together = sorted({1, *(count for count in (2, 5, 10, 20, 30) if count <= participants), min(participants, 40)})
    queues = tuple(queue(count, slots_for(count, trial), trial, 60 * minutes, seed) for count in together)
    return Estimate(
        participants=participants,
        epoch=epoch,
        epochs=epochs,
        trials=trials,
        tuning_hours=participants * trials * trial / 3600,
        evaluation_hours=participants * study.evaluation_seeds * trial / 3600,
        queues=queues,
        disk=participants * trials * (epochs * steps) * STORED,
        assumptions=(
            f"a trial has {epochs} epochs on average, and people think {THINKING:.0f} s between two trials",
            "an epoch of any configuration takes as long as the timed one; small batches and slow optimizers take longer",
            f"slots are chosen such that a trial waits {WAIT:.0f} s at most on average",
        ),
    )


def slots_for(together: int, trial: float) -> int:
    """The fewest slots with which this many participants at once wait no longer than WAIT on average."""
    for slots in range(1, together + 1):
        if queue(together, slots, trial, 3600.0 * 2, 0).waiting <= WAIT:
            return slots
    return together


def queue(together: int, slots: int, trial: float, seconds: float, seed: int) -> Queue:
    """Simulate participants who think (exponentially distributed), wait in one queue, train, and think again."""
    rng = np.random.default_rng(seed)
    free = [0.0] * slots
    arrivals = [(float(rng.exponential(THINKING)), person) for person in range(together)]
    heapq.heapify(arrivals)
    waited, done, trained = 0.0, 0, 0.0
    while arrivals and arrivals[0][0] < seconds:
        at, person = heapq.heappop(arrivals)
        begin = max(at, heapq.heappop(free))
        waited, done, trained = waited + begin - at, done + 1, trained + trial
        heapq.heappush(free, begin + trial)
        heapq.heappush(arrivals, (begin + trial + float(rng.exponential(THINKING)), person))
    return Queue(together, slots, waited / max(done, 1), done / together, min(1.0, trained / (slots * seconds)))
