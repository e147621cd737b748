"""The items of "Black Magic in Deep Learning" (Anand et al., 2020), computed from a study's records.

One value a participant throughout: the mean over the evaluation's seeds, which are never counted as people.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import gaussian_kde

from evenhand.analysis import scores, stats
from evenhand.analysis.cohort import best_so_far, counted, is_better, seed_values
from evenhand.analysis.items import (
    Box,
    Boxes,
    ByTry,
    Cohort,
    Curve,
    Experience,
    Final,
    Headline,
    Histogram,
    LeveneTable,
    Point,
    Reasons,
    ReasonShares,
    Scatter,
    SpaceRow,
    Start,
    Starts,
    Tries,
    TryPoint,
    Violin,
)
from evenhand.declaration import Option
from evenhand.protocol import epochs_used
from evenhand.records import Archive, Session, Trial
from evenhand.space import Choice, Configuration, Hyperparameter, Integer, Space, show

BINS = 20  # of accuracies from 0 to 1: five points of percent each
GRID = 64  # points of a violin
GUESS = "guess"


# Fig. 1, Table 1, Fig. 3


def random_configurations(archive: Archive) -> Histogram:
    """Fig. 1: validation metric of random configurations: those of the study's sessions of the method `random` alone."""
    sessions = [
        each for each in archive.sessions if each.kind == "method" and each.method.get("name") == "random" and not each.is_joint
    ]
    trials = [trial for session in sessions for trial in counted(session)]
    how = (
        "validation metric, after the last completed epoch, of configurations drawn from the space (uniform on each "
        "hyperparameter's own scale, log where it is marked so; independent of the defaults); not of sessions in which a person "
        "took part"
    )
    if not trials:
        return _histogram([], how, why="not computable: no session of the method `random` has trials")
    return _histogram([trial.value for trial in trials], how)


def _histogram(values: Sequence[float | None], how: str, why: str | None = None, share: bool = True) -> Histogram:
    there = [value for value in values if value is not None]
    low, high = (0.0, 1.0) if share and all(0 <= value <= 1 for value in there) else _span(there)
    counts, edges = np.histogram(there, bins=BINS, range=(low, high))
    zeros = [value if value is not None else 0.0 for value in values]
    return Histogram(
        n=len(values),
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(count) for count in counts),
        mean=scores.mean(there),
        sd=scores.deviation(there),
        how=how,
        without=len(values) - len(there),
        mean_at_zero=scores.mean(zeros),
        sd_at_zero=scores.deviation(zeros),
        why=why or (None if there else "not computable: no case has a value"),
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def space_table(space: Space) -> tuple[SpaceRow, ...]:
    """Table 1: the hyperparameters that everyone could set."""
    return tuple(_space_row(space, each) for each in space)


def _space_row(space: Space, each: Hyperparameter) -> SpaceRow:
    domain = each.domain
    values = ", ".join(domain.labels) if isinstance(domain, Choice) else f"{show(domain.low)} to {show(domain.high)}"
    if not isinstance(domain, Choice | Integer) and domain.or_zero:
        values += ", or 0"
    on = space[each.condition.on] if each.condition else None
    return SpaceRow(
        name=each.name,
        label=each.label,
        kind="mandatory" if each.mandatory else "optional",
        default="–" if each.default is None else each.show(each.default),
        values=values,
        scale="" if isinstance(domain, Choice) else "log" if domain.log else "linear",
        when=", ".join(on.show(value) for value in each.condition.values) if on and each.condition else "always",
    )


def experience(cohort: Cohort) -> Experience:
    """Fig. 3: how many participants have how much experience, and how large the groups are."""
    known = [each.experience for each in cohort.members if each.experience is not None]
    how = f"answers to {cohort.experience}; groups by {cohort.by}" + (f" ({cohort.boundaries})" if cohort.boundaries else "")
    histogram = _histogram(known, how, share=False)
    sizes = tuple((group, len(cohort.of(group))) for group in cohort.groups)
    others = sum(each.group is None for each in cohort.members)
    return Experience(len(known), histogram, sizes, others, how)


# Fig. 4, Fig. 5, Table 2


def scatter(cohort: Cohort, seed: int) -> Scatter:
    """Fig. 4: final test metric against experience, with Spearman's rho."""
    points = tuple(
        Point(each.pseudonym, each.group, each.experience, each.final)
        for each in cohort.members
        if each.experience is not None and each.final is not None
    )
    correlation = stats.spearman([each.experience for each in points], [each.final for each in points], seed)
    how = f"mean test {cohort.metric} over each participant's evaluation seeds, against {cohort.experience}"
    return Scatter(len(points), points, correlation, how)


def boxes(cohort: Cohort) -> Boxes:
    """Fig. 5: final test metric by group."""
    found = tuple(_box(group, values) for group, values in cohort.finals().items())
    how = "one value a participant, the mean over seeds; whiskers end at the last point within 1.5 interquartile ranges"
    return Boxes(sum(each.n for each in found), found, how)


def _box(group: str, values: Sequence[float]) -> Box:
    ordered = tuple(sorted(values))
    if not ordered:
        return Box(group, 0, ())
    first, median, third = (float(value) for value in np.percentile(ordered, (25, 50, 75)))
    reach = 1.5 * (third - first)
    low = min(value for value in ordered if value >= first - reach)
    high = max(value for value in ordered if value <= third + reach)
    return Box(group, len(ordered), ordered, low, first, median, third, high, scores.mean(ordered), scores.deviation(ordered))


def levene(cohort: Cohort) -> LeveneTable:
    """Table 2: pairwise Levene tests of spread, with both centres; the paper does not say which one it used."""
    finals = cohort.finals()
    how = "a test of spread, not of location; one value a participant; deviations from the group's mean, and from its median"
    n = sum(len(values) for values in finals.values())
    return LeveneTable(n, stats.levene_pairs(finals, "mean"), stats.levene_pairs(finals, "median"), how)


# Fig. 6, Fig. 7


def tries(cohort: Cohort, threshold: float) -> Tries:
    """Fig. 6: how many tries each participant needed until a trial's validation metric reached the threshold."""
    violins = []
    for group in cohort.groups:
        needed = {each.pseudonym: tries_to(each.session, threshold) for each in cohort.of(group)}
        violins.append(_violin(group, list(needed.values())))
    how = (
        "number of the first counted trial whose validation metric reached the threshold (diverged and stopped trials count as "
        "tries); those who never reached it are told apart, not left out"
    )
    return Tries(sum(each.n for each in violins), threshold, tuple(violins), how)


def tries_to(session: Session, threshold: float) -> tuple[int, bool]:
    """At which try a session reached a threshold, and True; or how many tries it made in all, and False."""
    made = counted(session)
    for number, trial in enumerate(made, 1):
        if trial.value is not None and is_better(trial.value, threshold, session.maximize):
            return number, True
    return len(made), False


def _violin(group: str, needed: Sequence[tuple[int, bool]]) -> Violin:
    reached = tuple(sorted(number for number, did in needed if did))
    never = tuple(sorted(number for number, did in needed if not did))
    grid: tuple[float, ...] = ()
    density: tuple[float, ...] = ()
    if len(set(reached)) > 1:
        kernel = gaussian_kde(reached)
        points = np.linspace(max(0.0, reached[0] - 1.0), reached[-1] + 1.0, GRID)
        grid, density = tuple(map(float, points)), tuple(map(float, kernel(points)))
    median = float(statistics.median(reached)) if reached else None
    return Violin(group, len(needed), reached, len(never), never, scores.mean(reached), median, grid, density)


def by_try(cohort: Cohort) -> ByTry:
    """Fig. 7: mean validation metric of each group by try, with its standard error."""
    current, best = [], []
    for group in cohort.groups:
        values = [[trial.value for trial in counted(each.session)] for each in cohort.of(group)]
        current.append(Curve(group, _points(values)))
        best.append(Curve(group, _points([best_so_far(each, cohort.maximize) for each in values])))
    how = (
        "mean over the participants who made that try and had a value (n at each try); standard error of that mean; later "
        "tries are those of fewer and fewer people"
    )
    return ByTry(len(cohort.members), tuple(current), tuple(best), how)


def _points(values: Sequence[Sequence[float | None]]) -> tuple[TryPoint, ...]:
    found = []
    for number in range(1, max(map(len, values), default=0) + 1):
        there = [value for each in values if len(each) >= number and (value := each[number - 1]) is not None]
        if there:
            mean, sd = scores.mean(there), scores.deviation(there)
            assert mean is not None
            found.append(TryPoint(number, len(there), mean, None if sd is None else sd / len(there) ** 0.5))
    return tuple(found)


# Fig. 8, Table 3, Fig. 9


def starts(cohort: Cohort) -> Starts:
    """Fig. 8: who began with all optional hyperparameters at their defaults."""
    found = []
    for group in cohort.groups:
        began = [(each.pseudonym, each.session.space, first) for each in cohort.of(group) if (first := first_trial(each.session))]
        with_defaults = tuple(name for name, space, first in began if from_defaults(first.configuration, space))
        others = tuple(name for name, _, _ in began if name not in with_defaults)
        found.append(Start(group, len(with_defaults) + len(others), with_defaults, others))
    how = "the first counted trial has every active optional hyperparameter at its default, whether typed or left as it was"
    return Starts(sum(each.n for each in found), tuple(found), how)


def from_defaults(configuration: Configuration, space: Space, defaults: Mapping[str, object] | None = None) -> bool:
    """Whether every active optional hyperparameter is at its default; `defaults` takes other ones for some names."""
    known = defaults or {}
    optional = [each for each in space if not each.mandatory and each.name in configuration]
    return all(configuration[each.name] == known.get(each.name, each.default) for each in optional)


def reasons(cohort: Cohort, offered: Sequence[Option], seed: int) -> Reasons:
    """Table 3 and Fig. 9: the reasons given for values, by group; and whether guessing goes down with experience."""
    groups = []
    for group in cohort.groups:
        counts = [reason_counts(each.session, offered) for each in cohort.of(group)]
        groups.append(_reason_shares(group, counts, offered))
    pairs = []
    for each in cohort.members:
        given, _ = reason_counts(each.session, offered)
        if each.experience is not None and given.total():
            pairs.append((each.experience, given[GUESS] / given.total()))
    guessing = stats.spearman([pair[0] for pair in pairs], [pair[1] for pair in pairs], seed)
    n = sum(count for each in groups for _, count in each.pooled)
    how = (
        "every active value of every trial is one case; shares are of values with a reason: pooled over a group, and as the mean "
        "of its members' own shares; the correlation is over participants, of each one's share of guesses"
    )
    return Reasons(n, tuple((each.value, each.label.markdown) for each in offered), tuple(groups), guessing, how)


def reason_counts(session: Session, offered: Sequence[Option]) -> tuple[Counter[str], int]:
    """How many values were given each reason, by its stored value, and how many none."""
    known = {each.label.markdown: each.value for each in offered}
    found: Counter[str] = Counter()
    without = 0
    for trial in counted(session):
        for name in trial.configuration:
            said = trial.reasons.get(name)
            if said is None:
                without += 1
            else:
                found[known.get(said, "other")] += 1
    return found, without


def _reason_shares(group: str, counts: Sequence[tuple[Counter[str], int]], offered: Sequence[Option]) -> ReasonShares:
    values = [each.value for each in offered]
    pooled = Counter[str]()
    for given, _ in counts:
        pooled.update(given)
    gave = [given for given, _ in counts if given.total()]
    shares = tuple((value, sum(given[value] / given.total() for given in gave) / len(gave)) for value in values) if gave else ()
    without = sum(missing for _, missing in counts)
    return ReasonShares(group, len(counts), len(gave), tuple((value, pooled[value]) for value in values), shares, without)


# The text's numbers, and everyone's disclosure


def headlines(cohort: Cohort, offered: Sequence[Option]) -> tuple[Headline, ...]:
    """The numbers that the paper's text states beside its figures."""
    finals = [each.final for each in cohort.members if each.final is not None]
    made = [len(counted(each.session)) for each in cohort.members]
    nothing = None if finals else "not computable: no participant has a final test score"
    metric = cohort.metric.replace("_", " ")
    found = [
        Headline("configurations tried", float(sum(made)), "", len(made), "counted trials of all participants", "463"),
        Headline(
            f"final {metric}",
            scores.mean(finals),
            "share",
            len(finals),
            "mean over participants",
            "",
            scores.deviation(finals),
            nothing,
        ),
    ]
    if cohort.groups:
        novices, experts = cohort.groups[0], cohort.groups[-1]
        found.append(_past_experience(cohort, offered, novices))
        found.append(_worst_from_defaults(cohort))
        values = cohort.finals()[experts]
        spread = max(values) - min(values) if len(values) > 1 else None
        why = None if spread is not None else f"not computable: fewer than two {experts} participants with a score"
        how = "largest less smallest mean test score"
        found.append(
            Headline(f"spread of the final {metric}, {experts}", spread, "share", len(values), how, "about 5 %", why=why)
        )
    return tuple(found)


def _past_experience(cohort: Cohort, offered: Sequence[Option], group: str) -> Headline:
    given = Counter[str]()
    for each in cohort.of(group):
        given.update(reason_counts(each.session, offered)[0])
    share = given["experience"] / given.total() if given.total() else None
    why = None if given.total() else "not computable: this group gave no reasons"
    how = "share of the group's values with a reason"
    return Headline(f"past experience as a reason, {group}", share, "share", given.total(), how, "22 %", why=why)


def _worst_from_defaults(cohort: Cohort) -> Headline:
    values = [
        each.final
        for each in cohort.members
        if each.final is not None
        and (first := first_trial(each.session)) is not None
        and from_defaults(first.configuration, each.session.space)
    ]
    worst = (min(values) if cohort.maximize else max(values)) if values else None
    why = None if values else "not computable: nobody with a final score began from all defaults"
    how = "the worst final score among those who began from all defaults"
    return Headline("worst of those who began from defaults", worst, "share", len(values), how, "above 50 %", why=why)


def disclosure(archive: Archive, cohort: Cohort) -> tuple[Final, ...]:
    """Everyone's final settings and effort, as the paper's recommendations ask; methods come after the participants.

    A method's session in which a person took part is neither's, and is left out: see `joint`.
    """
    of = {each.session.id: each for each in cohort.members}
    joint_ids = {each.id for each in joint(archive)}
    methods = [
        each for each in archive.sessions if each.kind == "method" and each.choice is not None and each.id not in joint_ids
    ]
    found = []
    for session in [*(each.session for each in cohort.members), *methods]:
        member, choice = of.get(session.id), session.choice
        values = seed_values(archive.evaluations.get(session.id))
        chosen = choice.configuration if choice is not None else None
        best = best_so_far([trial.value for trial in counted(session)], session.maximize)
        found.append(
            Final(
                tuner=session.tuner,
                kind=session.kind,
                group=member.group if member else None,
                experience=member.experience if member else None,
                settings=_settings(session.space, chosen),
                automatic=choice is not None and choice.automatic,
                trials=len(counted(session)),
                epochs=epochs_used(session),
                seconds=scores.clock(session, choice.at) if choice is not None else None,
                best=best[-1] if best else None,
                final=scores.mean(values),
                sd=scores.deviation(values),
                seeds=len(values),
            )
        )
    return tuple(found)


def joint(archive: Archive) -> tuple[Session, ...]:
    """The methods' sessions in which a person took part: they stay out of what sets people beside methods."""
    return tuple(each for each in archive.sessions if each.kind == "method" and each.is_joint)


def _settings(space: Space, chosen: Configuration | None) -> tuple[tuple[str, str], ...]:
    return () if chosen is None else tuple((each.name, show(chosen[each.name])) for each in space if each.name in chosen)


def pooled_values(cohort: Cohort) -> Iterable[tuple[float, int, str, str]]:
    """Each trial with a value, for a mixed model: value, try, group, participant."""
    for each in cohort.members:
        if each.group is None:
            continue
        for number, trial in enumerate(counted(each.session), 1):
            if trial.value is not None:
                yield trial.value, number, each.group, each.pseudonym


def first_trial(session: Session) -> Trial | None:
    """The first try."""
    return next(iter(counted(session)), None)
