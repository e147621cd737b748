"""The gain of a run over its declared baseline: on validation by one training each, on test paired by seed, with an interval.

Both are trained anew with the same seeds for their test scores, so that what a seed does to both of them cancels out in the
difference (a paired comparison; Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.analysis.stats import Interval, student_interval
from evenhand.analysis.summaries import mean
from evenhand.model import rules
from evenhand.model.direction import sign_of
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.words import is_share, metric_name, plural, rounded, show_score


@dataclass(frozen=True, slots=True)
class PairedGain:
    """The differences of two choices on test data, seed by seed.

    Attributes:
        values: of each seed that has both scores; positive where the run is better.
        mean: over them.
        interval: of the mean, by Student's t; without ends where there are fewer than two.
    """

    values: tuple[float, ...]
    mean: float
    interval: Interval

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.interval.low, self.interval.high
        return low is not None and high is not None and (low > 0 or high < 0)


@dataclass(frozen=True, slots=True)
class Gain:
    """What a run gained over its baseline.

    Attributes:
        metric: what both were tuned for.
        baseline_id: the number of the baseline's session.
        baseline: what that is called.
        baseline_value: of its choice, else its best trial, on validation; None where it has none yet.
        value: of the run's.
        trials: from how many trials of the run that one was picked.
        on_validation: the difference of both, positive where the run is better; None where one of them has no value.
        on_test: paired by seed; None where not both were scored with the same seeds, or not both may be seen.
        same_task: whether both are of one version of the task.
    """

    metric: str
    baseline_id: int
    baseline: str
    baseline_value: float | None
    value: float | None
    trials: int
    on_validation: float | None
    on_test: PairedGain | None
    same_task: bool

    @property
    def words(self) -> str:
        """The finding as sentences."""
        said = " ".join(sentence for sentence in (self._test_words(), self._validation_words()) if sentence)
        other = "" if self.same_task else " The baseline is of another version of the task, so the code or the data differ, too."
        return f"{said}{other}"

    def _test_words(self) -> str:
        if self.on_test is None:
            return ""
        seeds = plural(len(self.on_test.values), "seed")
        gained = f"{_signed(self.on_test.mean, self.metric)} {metric_name(self.metric)}"
        low, high = self.on_test.interval.low, self.on_test.interval.high
        if low is None or high is None:
            return f"{gained} on test over {self.baseline} (paired, {seeds}: no interval)."
        ends = f"95 % {_signed(low, self.metric)} to {_signed(high, self.metric)}, paired over {seeds}"
        if self.on_test.is_told_apart:
            return f"{gained} on test over {self.baseline} ({ends})."
        return f"No gain on test over {self.baseline} that can be told from the noise of the seeds: {gained} ({ends})."

    def _validation_words(self) -> str:
        if self.baseline_value is None:
            return f"The baseline, {self.baseline}, has no value yet."
        if self.on_validation is None:
            return f"The baseline, {self.baseline}, has {show_score(self.baseline_value, self.metric)} on validation."
        picked = f", the best of {plural(self.trials, 'trial')} against one training" if self.trials > 1 else ""
        gained = f"{_signed(self.on_validation, self.metric)} {metric_name(self.metric)} on validation over {self.baseline}"
        return f"{gained} ({show_score(self.baseline_value, self.metric)}; one seed{picked})."


def gain(session: Session, baseline: Session, evaluations: Mapping[int, Evaluation]) -> Gain:
    """What a run gained over its baseline.

    Args:
        session: the run.
        baseline: the session of what it is compared with.
        evaluations: the test scores that may be seen, by the session's number.

    Returns:
        The gain, as far as it can be told.
    """
    own, base = _compared(session), _compared(baseline)
    value, baseline_value = (None if trial is None else trial.value for trial in (own, base))
    sign = sign_of(session.maximize)
    difference = None if value is None or baseline_value is None else sign * (value - baseline_value)
    return Gain(
        metric=session.task.metric,
        baseline_id=baseline.id,
        baseline=baseline.called,
        baseline_value=baseline_value,
        value=value,
        trials=sum(trial.value is not None for trial in session.trials),
        on_validation=difference,
        on_test=_paired(evaluations.get(session.id), evaluations.get(baseline.id), sign),
        same_task=session.task.version == baseline.task.version,
    )


def _compared(session: Session) -> Trial | None:
    """The trial that a session stands for: the chosen one, else the best."""
    return session.chosen_trial or rules.best_trial(session)


def _paired(own: Evaluation | None, base: Evaluation | None, sign: float) -> PairedGain | None:
    """The differences by seed; None where no seed has both scores."""
    if own is None or base is None:
        return None
    by_seed = {score.seed: score.value for score in base.scores if score.value is not None}
    pairs = [(score.value, by_seed[score.seed]) for score in own.scores if score.value is not None and score.seed in by_seed]
    values = tuple(sign * (value - other) for value, other in pairs)
    middle = mean(values)
    return None if middle is None else PairedGain(values, middle, student_interval(values))


def _signed(difference: float, metric: str) -> str:
    """A difference with its sign: of shares in points."""
    if is_share(metric):
        return f"{100 * difference:+.1f} points"
    return f"{'+' if difference >= 0 else '-'}{rounded(abs(difference))}"
