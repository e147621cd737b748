"""What "Black Magic in Deep Learning" (Anand et al., 2020, 4.3) recommends, held against a comparison: a reviewer's checklist."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.analysis.anytime import Race, Setup, effort, tested
from evenhand.analysis.ranks import CriticalDifference, Ranking
from evenhand.analysis.summaries import Unit, unit_of
from evenhand.model.words import number, plural

Verdict = Literal["passed", "not passed", "unknown"]
EQUAL_SHARE = 0.9  # of the most that another contestant spent on a task: from here on an effort is called equal
LEAST_REPETITIONS = 2  # sessions of each contestant on each task, below which nothing says how much chance there is


@dataclass(frozen=True)
class Recommendation:
    """A recommendation, whether the comparison follows it, and the fact that says so."""

    name: str
    verdict: Verdict
    fact: str


@dataclass(frozen=True)
class LessEffort:
    """A contestant with less effort than another on a task, in one unit, per session."""

    task: str
    contestant: str
    unit: Unit
    spent: float
    most: float
    other: str

    @property
    def words(self) -> str:
        """As people read it."""
        spent, most = (number(round(value, 1)) for value in (self.spent, self.most))
        return f"{self.contestant} on {self.task}: {spent} of the {most} {self.unit} a session that {self.other} had"


def checklist(race: Race, setup: Setup, ranking: Ranking, difference: CriticalDifference) -> tuple[Recommendation, ...]:
    """Each recommendation, held against what was recorded."""
    return (
        _settings(race),
        _equal(race),
        _baselines_reported(race),
        _claim(ranking, difference),
        _unseen(race),
        _repeated(race),
        _reproducible(race, setup),
        _compute(race),
    )


def less_effort(race: Race) -> tuple[LessEffort, ...]:
    """Who had less effort than another contestant on the same task: in trials, or in time, by a tenth or more.

    Whoever is compared as a baseline is among them; effort is per session, so that fewer repetitions are no smaller effort.
    """
    rows = []
    for task in race.tasks:
        spent = {
            name: effort(name, kind, [course.entry.session for course in courses])
            for name, kind in race.contestants.items()
            if (courses := race.of(task, name))
        }
        for unit in ("trials", "seconds"):
            amounts = {name: (its.trials if unit == "trials" else its.clock) / its.sessions for name, its in spent.items()}
            other = max(amounts, key=lambda name: amounts[name], default="")
            for name, amount in amounts.items():
                if amount < EQUAL_SHARE * amounts[other]:
                    rows.append(LessEffort(task, name, unit, amount, amounts[other], other))
    return tuple(rows)


def _settings(race: Race) -> Recommendation:
    name = "Reproducibility: the final hyperparameter settings are shared"
    chosen = [course.entry.session.choice is not None for course in race.courses]
    fact = f"{sum(chosen)} of {plural(len(chosen), 'session')} have a final configuration, listed in the disclosure sheet"
    return Recommendation(name, "passed" if all(chosen) else "not passed", fact)


def _equal(race: Race) -> Recommendation:
    name = "Baselines: tuned with the same effort as what is compared with them"
    if len(race.contestants) < 2:
        return Recommendation(name, "unknown", "there is one contestant")
    counted = {task: "seconds" if unit_of(race.budgets[task]) == "seconds" else "trials" for task in race.tasks}
    less = [one for one in less_effort(race) if one.unit == counted[one.task]]
    if less:
        return Recommendation(name, "not passed", f"less effort: {'; '.join(one.words for one in less)}")
    return Recommendation(name, "passed", f"nobody had less than {EQUAL_SHARE:.0%} of the most that another had on the same task")


def _baselines_reported(race: Race) -> Recommendation:
    name = "Baselines: their own settings and search spaces are reported"
    methods = {
        entry.contestant: bool(entry.settings or entry.session.method)
        for entry in (course.entry for course in race.courses)
        if entry.kind == "method"
    }
    without = [contestant for contestant, known in methods.items() if not known]
    if without:
        return Recommendation(name, "not passed", f"no settings were recorded of {', '.join(without)}")
    if not methods:
        return Recommendation(name, "unknown", "no method takes part")
    return Recommendation(
        name, "passed", f"settings of {plural(len(methods), 'method')} and all spaces are in the disclosure sheet"
    )


def _claim(ranking: Ranking, difference: CriticalDifference) -> Recommendation:
    """Superior performance: a best rank says little where chance would have it, too."""
    name = "Claims: who is ahead is ahead by more than chance"
    if ranking.why is not None:
        return Recommendation(name, "unknown", ranking.why)
    best = ranking.standings[0].contestant
    leaders = [standing.contestant for standing in ranking.standings if math.isclose(standing.rank, ranking.standings[0].rank)]
    if len(leaders) > 1:
        return Recommendation(name, "not passed", f"{' and '.join(leaders)} share the best average rank: claim no superiority")
    beaten = {
        pair.second if pair.first == best else pair.first
        for pair in difference.pairs
        if best in (pair.first, pair.second) and pair.adjusted is not None and pair.adjusted < difference.alpha
    }
    others = [standing.contestant for standing in ranking.standings[1:]]
    alike = [name for name in others if name not in beaten]
    if not alike:
        return Recommendation(name, "passed", f"{best} differs from every other one (Wilcoxon, Holm)")
    few = f"; with {plural(difference.tasks, 'task')} the test can hardly tell" if difference.tasks < 6 else ""
    fact = f"{best}, with the best rank, cannot be told from {', '.join(alike)} (Wilcoxon, Holm){few}: claim no superiority"
    return Recommendation(name, "not passed", fact)


def _unseen(race: Race) -> Recommendation:
    name = "Claims: choices are scored on data that no tuner saw"
    scored = [result for result in tested(race) if result.n]
    if not scored:
        return Recommendation(name, "unknown", "no session was evaluated on test data")
    missing = sum(result.missing for result in tested(race))
    fact = f"{sum(result.n for result in scored)} test scores" + (f", {missing} missing" if missing else "")
    return Recommendation(name, "not passed" if missing else "passed", fact)


def _repeated(race: Race) -> Recommendation:
    name = "Claims: repeated with several seeds"
    counts = [len(race.of(task, contestant)) for task in race.tasks for contestant in race.contestants]
    least = min((count for count in counts if count), default=0)
    fact = f"each contestant has at least {plural(least, 'session')} on each task that it ran on"
    return Recommendation(name, "passed" if least >= LEAST_REPETITIONS else "not passed", fact)


def _reproducible(race: Race, setup: Setup) -> Recommendation:
    name = "Reproducibility: command, packages and machines are recorded"
    trials = [trial for course in race.courses for trial in course.entry.session.trials if trial.claimed_at is not None]
    known = sum(trial.environment is not None for trial in trials)
    lacks = [what for what, there in (("the command", setup.command), ("packages", setup.packages)) if not there]
    fact = f"where {known} of {plural(len(trials), 'trial')} were trained is recorded"
    fact += f"; not recorded: {', '.join(lacks)}" if lacks else ""
    return Recommendation(name, "passed" if known == len(trials) and not lacks else "not passed", fact)


def _compute(race: Race) -> Recommendation:
    name = "Claims: how much computation and thinking went into each is told"
    sessions: Sequence[float] = [
        effort(name, kind, [course.entry.session for course in race.courses if course.entry.contestant == name]).clock
        for name, kind in race.contestants.items()
    ]
    return Recommendation(
        name, "passed", f"trials, epochs and seconds of each are told; {number(sum(sessions))} s of sessions in all"
    )
