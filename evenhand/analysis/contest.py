"""The contest of paper 003 in numbers: what it prints, what was measured here, and who came out ahead.

"On Automating Hyperparameter Optimization for Deep Learning Applications": five data sets, tuned by hand and by an autotuner.
Error rates are in percent, on train, dev and eval.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evenhand.analysis.surface import Surface
from evenhand.model.session import Session

Role = Literal["baseline", "hand", "auto", "limit"]


@dataclass(frozen=True)
class Rates:
    """Error rates in percent."""

    train: float
    dev: float
    eval: float


# Table 3, by data set and system.
TABLE_3: Mapping[str, Mapping[str, Rates]] = {
    "08": {
        "KNN": Rates(23.48, 26.62, 64.18),
        "RNF": Rates(29.23, 29.45, 59.77),
        "MLP-M": Rates(32.56, 32.29, 56.39),
        "MLP-A": Rates(36.42, 30.70, 57.38),
        "BER": Rates(23.48, 24.45, 20.07),
    },
    "09": {
        "KNN": Rates(2.11, 3.81, 16.63),
        "RNF": Rates(2.06, 3.82, 18.32),
        "MLP-M": Rates(2.21, 3.91, 12.87),
        "MLP-A": Rates(3.70, 5.30, 14.22),
        "BER": Rates(2.06, 2.30, 1.85),
    },
    "10": {
        "KNN": Rates(7.63, 38.83, 33.44),
        "RNF": Rates(2.15, 39.74, 33.28),
        "MLP-M1": Rates(8.74, 38.52, 32.80),
        "MLP-M2": Rates(9.91, 40.88, 32.00),
        "MLP-A1": Rates(28.95, 26.95, 42.07),
        "MLP-A2": Rates(12.42, 40.11, 32.34),
        "BER": Rates(2.15, 11.70, 13.74),
    },
    "11": {"Manual": Rates(12.17, 12.56, 20.88), "Auto": Rates(35.28, 24.28, 41.55)},
    "12": {"Manual": Rates(24.85, 27.32, 36.08), "Auto": Rates(50.00, 50.00, 50.00)},
}
# Table 1: description, classes, and the sizes of train, dev and eval.
TABLE_1: Mapping[str, tuple[str, int, tuple[int, int, int]]] = {
    "08": ("Synthetic data", 3, (300_000, 15_000, 15_000)),
    "09": ("Synthetic data", 2, (500_000, 250_000, 250_000)),
    "10": ("Synthetic data", 2, (100_000, 10_000, 10_000)),
    "11": ("Cancer images", 2, (10_000, 2_500, 2_500)),
    "12": ("EEG signals", 2, (10_000, 2_500, 2_500)),
}
EFFORT_NOTE = (
    "about three hours on #08 to #10, with 15 manual iterations against 500 explorations; on #11 and #12 the autotuner halted at "
    "settings whose layers did not fit, and explored little"
)


@dataclass(frozen=True)
class Entrant:
    """One row of Table 3. published: what the paper prints of it. ours: what was measured here; None: `why` says why not.

    how: what it is. session: the tuner's. configuration: the one that was chosen, and weights: of its network, biases included.
    looks: how often the eval split was opened for it. surface: its decision surface, where there are two features.
    uncertainty: of `ours`, in percentage points, where it was computed and not counted. note: what to beware of.
    """

    name: str
    role: Role
    published: Rates | None = None
    ours: Rates | None = None
    why: str = ""
    how: str = ""
    session: Session | None = None
    configuration: Mapping[str, Any] | None = None
    weights: int | None = None
    looks: int = 0
    surface: Surface | None = None
    uncertainty: float | None = None
    note: str = ""


@dataclass(frozen=True)
class DataSet:
    """One of the paper's data sets as it was here. label: where its data comes from. sizes: of train, dev and eval.

    why: why there is none here, and what to do; then nobody took part in it.
    """

    number: str
    label: str
    generated: bool
    classes: int
    sizes: tuple[int, int, int] | None
    entrants: tuple[Entrant, ...]
    why: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contest:
    """All of it. scale: the share of the points of #08 to #10. method: the autotuner's, as it was asked for."""

    sets: tuple[DataSet, ...]
    scale: float
    trials: int
    method: str
    seed: int


@dataclass(frozen=True)
class Difficulty:
    """What a tuner's search took, and how much of it went wrong. Times in seconds.

    outcomes: how many trials ended in each way. training: of all trials together. until_best: from the session's start to the end
    of the trial that was chosen, or None where none was.
    """

    trials: int
    outcomes: Mapping[str, int]
    training: float
    until_best: float | None


def difficulty(session: Session) -> Difficulty:
    """The paper's "implementation difficulties" of one session, in numbers."""
    ended = [trial for trial in session.trials if trial.finished_at is not None]
    best = session.chosen_trial
    until = None
    if best is not None and best.finished_at is not None and session.started_at is not None:
        until = best.finished_at - session.started_at
    return Difficulty(
        trials=len(session.trials),
        outcomes=Counter(str(trial.outcome) for trial in ended),
        training=sum(trial.seconds(trial.finished_at) for trial in ended if trial.finished_at is not None),
        until_best=until,
    )


@dataclass(frozen=True)
class Margin:
    """The lowest eval errors, by hand and automatic, of one data set: here, and in the paper."""

    number: str
    hand: Entrant | None
    auto: Entrant | None
    published: tuple[float, float]

    @property
    def difference(self) -> float | None:
        """Automatic less by hand, in percentage points: above 0 where the hand-tuned one is ahead."""
        if self.hand is None or self.auto is None or self.hand.ours is None or self.auto.ours is None:
            return None
        return self.auto.ours.eval - self.hand.ours.eval


def margins(contest: Contest) -> tuple[Margin, ...]:
    """One for each data set."""
    return tuple(
        Margin(
            data_set.number, _lowest(data_set.entrants, "hand"), _lowest(data_set.entrants, "auto"), _published(data_set.number)
        )
        for data_set in contest.sets
    )


def _lowest(entrants: Sequence[Entrant], role: Role) -> Entrant | None:
    scored = [
        (entrant.ours.eval, at, entrant)
        for at, entrant in enumerate(entrants)
        if entrant.role == role and entrant.ours is not None
    ]
    return min(scored)[2] if scored else None


def _published(number: str) -> tuple[float, float]:
    rows = TABLE_3[number]
    by_hand = [rates.eval for name, rates in rows.items() if name.startswith(("MLP-M", "Manual"))]
    automatic = [rates.eval for name, rates in rows.items() if name.startswith(("MLP-A", "Auto"))]
    return min(by_hand), min(automatic)
