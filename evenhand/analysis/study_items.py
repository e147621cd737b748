"""What the report tells of a study, as numbers: one frozen record for each figure and table of "Black Magic in Deep Learning".

Accuracies are in the metric's own unit (shares from 0 to 1). Each record says how many cases it has (`n`), how it was computed
(`how`), and, where it could not be, why (`why`); it never holds a NaN.
"""

from dataclasses import dataclass
from typing import Literal

from evenhand.analysis.stats import Correlation, Pair, Skewness, Test
from evenhand.model.session import Session
from evenhand.model.study import Mode


@dataclass(frozen=True)
class CohortMember:
    """A participant in the statistics. final: mean test metric over the evaluation's seeds, None where there is none yet."""

    pseudonym: str
    experience: float | None
    group: str | None
    condition: str | None
    session: Session
    final: float | None
    seeds: int


@dataclass(frozen=True)
class Left:
    """A participant who is left out of the statistics, and why."""

    pseudonym: str
    why: str


@dataclass(frozen=True)
class Cohort:
    """Who counts. groups: names in their order; of members whose answer belongs to none, `group` is None.

    experience: the question whose number the x-axis of Fig. 4 is; by: the question that the groups are of.
    """

    mode: Mode
    metric: str
    maximize: bool
    experience: str
    by: str
    groups: tuple[str, ...]
    members: tuple[CohortMember, ...]
    left: tuple[Left, ...] = ()
    boundaries: str = ""

    def of(self, group: str) -> tuple[CohortMember, ...]:
        """The members of a group."""
        return tuple(member for member in self.members if member.group == group)

    def finals(self) -> dict[str, list[float]]:
        """Final test scores by group, one value a participant."""
        return {group: [member.final for member in self.of(group) if member.final is not None] for group in self.groups}

    @property
    def evaluated(self) -> tuple[CohortMember, ...]:
        """Members with a final test score."""
        return tuple(member for member in self.members if member.final is not None)


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins (edges: one more than counts), with their mean and standard deviation (n - 1).

    without: cases that have no value; mean_at_zero, sd_at_zero: the same numbers with those counted as 0, where that means
    anything.
    """

    n: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float | None
    sd: float | None
    how: str
    without: int = 0
    mean_at_zero: float | None = None
    sd_at_zero: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class SpaceRow:
    """A hyperparameter (Table 1). default: as people read it, a dash where it is mandatory. when: what it is active for."""

    name: str
    label: str
    kind: Literal["mandatory", "optional"]
    default: str
    values: str
    scale: str
    when: str


@dataclass(frozen=True)
class Experience:
    """Fig. 3: how experience is spread, and how large the groups are; others: members of no group."""

    n: int
    histogram: Histogram
    sizes: tuple[tuple[str, int], ...]
    others: int
    how: str


@dataclass(frozen=True)
class ParticipantPoint:
    """A participant in Fig. 4: experience, and mean final test metric."""

    pseudonym: str
    group: str | None
    experience: float
    final: float


@dataclass(frozen=True)
class Scatter:
    """Fig. 4: final test metric against experience."""

    n: int
    points: tuple[ParticipantPoint, ...]
    correlation: Correlation
    how: str


@dataclass(frozen=True)
class Box:
    """One group of Fig. 5: quartiles (linear interpolation), whiskers at the last point within 1.5 interquartile ranges."""

    group: str
    n: int
    values: tuple[float, ...]
    low: float | None = None
    first: float | None = None
    median: float | None = None
    third: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True)
class Boxes:
    """Fig. 5: final test metric by group."""

    n: int
    boxes: tuple[Box, ...]
    how: str


@dataclass(frozen=True)
class LeveneTable:
    """Table 2: do groups differ in spread? With deviations from the median (Brown-Forsythe) and from the mean (as Levene)."""

    n: int
    median: tuple[Pair, ...]
    mean: tuple[Pair, ...]
    skewness: Skewness
    how: str


@dataclass(frozen=True)
class Violin:
    """One group of Fig. 6: tries to reach a threshold. tries: of those who reached it; never: how many did not, in `made` tries.

    grid, density: a Gaussian kernel's estimate (Scott's bandwidth), empty below two different values.
    """

    group: str
    n: int
    tries: tuple[int, ...]
    never: int
    made: tuple[int, ...]
    mean: float | None
    median: float | None
    grid: tuple[float, ...] = ()
    density: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tries:
    """Fig. 6 for one threshold."""

    n: int
    threshold: float
    violins: tuple[Violin, ...]
    how: str


@dataclass(frozen=True)
class TryPoint:
    """Mean and standard error over the `n` members of a group with a value at this try; error is None below two."""

    number: int
    n: int
    mean: float
    error: float | None


@dataclass(frozen=True)
class GroupCurve:
    """One group's line in Fig. 7."""

    group: str
    points: tuple[TryPoint, ...]


@dataclass(frozen=True)
class ByTry:
    """Fig. 7: validation metric by try: of the trial itself (`current`), and the best so far (`best`)."""

    n: int
    current: tuple[GroupCurve, ...]
    best: tuple[GroupCurve, ...]
    how: str


@dataclass(frozen=True)
class Start:
    """One group of Fig. 8: who began with all optional hyperparameters at their defaults."""

    group: str
    n: int
    defaults: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Starts:
    """Fig. 8."""

    n: int
    starts: tuple[Start, ...]
    how: str


@dataclass(frozen=True)
class ReasonShares:
    """One group of Fig. 9. pooled: how many values were given each reason; shares: mean over members of each one's own share.

    without: values without a reason; members: those who gave any.
    """

    group: str
    n: int
    members: int
    pooled: tuple[tuple[str, int], ...]
    shares: tuple[tuple[str, float], ...]
    without: int


@dataclass(frozen=True)
class Reasons:
    """Table 3 and Fig. 9: the reasons offered (stored value, words), their shares, and guessing against experience."""

    n: int
    offered: tuple[tuple[str, str], ...]
    groups: tuple[ReasonShares, ...]
    guessing: Correlation
    how: str


@dataclass(frozen=True)
class Contradictions:
    """Reasons that the records contradict. counts: by group, of each kind; groups: the shares of Fig. 9 without them."""

    n: int
    counts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    groups: tuple[ReasonShares, ...]
    how: str


@dataclass(frozen=True)
class WordingCounts:
    """Reasons under one condition. n: participants who gave any; given: values with a reason; mean: of each one's own share."""

    condition: str
    n: int
    given: int
    contradicted: int
    mean: float | None


@dataclass(frozen=True)
class Wordings:
    """Contradicted reasons by condition, and whether conditions differ in each participant's own share of them."""

    conditions: tuple[WordingCounts, ...]
    test: Test
    how: str


@dataclass(frozen=True)
class Headline:
    """One number of the paper's text: ours, the paper's where it states one, of how many cases.

    unit: "share", "points" for a difference of shares, "" for counts.
    """

    name: str
    value: float | None
    unit: str
    n: int
    how: str
    paper: str = ""
    sd: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class TunerDisclosure:
    """One participant's (or method's) disclosure: what was chosen, with which effort, and what it scored."""

    tuner: str
    kind: str
    group: str | None
    experience: float | None
    settings: tuple[tuple[str, str], ...]
    automatic: bool
    trials: int
    epochs: int
    seconds: float | None
    best: float | None
    final: float | None
    sd: float | None
    seeds: int
