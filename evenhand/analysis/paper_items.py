"""The items of "Black Magic in Deep Learning" (Anand et al., 2020), computed from a study's records.

One value a participant throughout: the mean over the evaluation's seeds, which are never counted as people.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import gaussian_kde

from evenhand.analysis import stats, summaries
from evenhand.analysis.cohort import counted, seed_values
from evenhand.analysis.study_items import (
    Box,
    Boxes,
    ByTry,
    Cohort,
    CohortMember,
    Contradictions,
    Experience,
    GroupCurve,
    Headline,
    Histogram,
    LeveneTable,
    ParticipantPoint,
    Reasons,
    ReasonShares,
    Scatter,
    SpaceRow,
    Start,
    Starts,
    Tries,
    TryPoint,
    TunerDisclosure,
    Violin,
    WordingCounts,
    Wordings,
)
from evenhand.model.archive import Archive
from evenhand.model.configuration import Configuration
from evenhand.model.direction import best_of, best_so_far, reaches, recorded_value, value_of, worst_of
from evenhand.model.domain import Choice, is_same, range_words, show
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import epochs_used
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import OWN_WORDS_REASON, Option, reason_codes
from evenhand.model.trial import Trial
from evenhand.model.words import metric_name, p_value

ACCURACY_BINS = 20  # of accuracies from 0 to 1: five points of percent each
VIOLIN_POINTS = 64  # points of a violin
GUESS_REASON = "guess"
CONTRADICTION_KINDS = ("learnt in the first trial", "past experience at 0 months", "a default that is none")


# Fig. 1, Table 1, Fig. 3


def random_configurations(archive: Archive) -> Histogram:
    """Fig. 1: validation metric of random configurations: those of the study's sessions of the method `random` alone."""
    sessions = [
        session
        for session in archive.sessions
        if session.kind == "method" and session.method.get("name") == "random" and session.is_compared
    ]
    trials = [trial for session in sessions for trial in counted(session)]
    how = (
        f"validation metric, after the {archive.study.value_rule} completed epoch, of configurations drawn from the space "
        "(uniform on each hyperparameter's own scale, log where it is marked so; independent of the defaults); not of sessions "
        "in which a person took part"
    )
    if not trials:
        return _histogram([], how, why="not computable: no session of the method `random` has trials")
    return _histogram([trial.value for trial in trials], how)


def _histogram(values: Sequence[float | None], how: str, why: str | None = None, share: bool = True) -> Histogram:
    there = [value for value in values if value is not None]
    is_whole = share and all(0 <= value <= 1 for value in there)
    unit = 1.0 if is_whole else summaries.scale_of(there)  # a power of two, so that distances are numbers
    scaled = [value / unit for value in there]
    counts, edges = np.histogram(scaled, bins=ACCURACY_BINS, range=(0.0, 1.0) if is_whole else _span(scaled))
    zeros = [value if value is not None else 0.0 for value in values]
    return Histogram(
        n=len(values),
        edges=tuple(summaries.bounded(float(edge) * unit) for edge in edges),
        counts=tuple(int(count) for count in counts),
        mean=summaries.mean(there),
        sd=summaries.deviation(there),
        how=how,
        without=len(values) - len(there),
        mean_at_zero=summaries.mean(zeros),
        sd_at_zero=summaries.deviation(zeros),
        why=why or (None if there else "not computable: no case has a value"),
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def space_table(space: Space) -> tuple[SpaceRow, ...]:
    """Table 1: the hyperparameters that everyone could set."""
    return tuple(_space_row(space, hyperparameter) for hyperparameter in space)


def _space_row(space: Space, hyperparameter: Hyperparameter) -> SpaceRow:
    domain = hyperparameter.domain
    return SpaceRow(
        name=hyperparameter.name,
        label=hyperparameter.label,
        kind="mandatory" if hyperparameter.mandatory else "optional",
        default="–" if hyperparameter.mandatory else hyperparameter.show(hyperparameter.default),
        values=range_words(domain),
        scale="" if isinstance(domain, Choice) else "log" if domain.log else "linear",
        when=space.belongs_to(hyperparameter) or "always",
    )


def experience(cohort: Cohort) -> Experience:
    """Fig. 3: how many participants have how much experience, and how large the groups are."""
    known = [member.experience for member in cohort.members if member.experience is not None]
    how = f"answers to {cohort.experience}; groups by {cohort.by}" + (f" ({cohort.boundaries})" if cohort.boundaries else "")
    histogram = _histogram(known, how, share=False)
    sizes = tuple((group, len(cohort.of(group))) for group in cohort.groups)
    others = sum(member.group is None for member in cohort.members)
    return Experience(len(known), histogram, sizes, others, how)


# Fig. 4, Fig. 5, Table 2


def scatter(cohort: Cohort, seed: int) -> Scatter:
    """Fig. 4: final test metric against experience, with Spearman's rho."""
    points = tuple(
        ParticipantPoint(member.pseudonym, member.group, member.experience, member.final)
        for member in cohort.members
        if member.experience is not None and member.final is not None
    )
    correlation = stats.spearman([point.experience for point in points], [point.final for point in points], seed)
    how = f"mean test {cohort.metric} over each participant's evaluation seeds, against {cohort.experience}"
    return Scatter(len(points), points, correlation, how)


def boxes(cohort: Cohort) -> Boxes:
    """Fig. 5: final test metric by group."""
    group_boxes = tuple(_box(group, values) for group, values in cohort.finals().items())
    how = "one value a participant, the mean over seeds; whiskers end at the last point within 1.5 interquartile ranges"
    return Boxes(sum(box.n for box in group_boxes), group_boxes, how)


def _box(group: str, values: Sequence[float]) -> Box:
    ordered = tuple(sorted(values))
    if not ordered:
        return Box(group, 0, ())
    unit = summaries.scale_of(ordered)  # a power of two, so that distances are numbers
    first, median, third = (float(value) for value in np.percentile([value / unit for value in ordered], (25, 50, 75)))
    reach = 1.5 * (third - first)
    low = min(value for value in ordered if value / unit >= first - reach)
    high = max(value for value in ordered if value / unit <= third + reach)
    quartiles = (first * unit, median * unit, third * unit)
    return Box(group, len(ordered), ordered, low, *quartiles, high, summaries.mean(ordered), summaries.deviation(ordered))


def levene(cohort: Cohort) -> LeveneTable:
    """Table 2: pairwise Levene tests of spread, with both centres; the paper does not say which one it used."""
    finals = cohort.finals()
    skewness = stats.skewness(finals)
    how = "a test of spread, not of location; one value a participant; deviations from the group's median, and from its mean"
    if skewness.is_seen:
        how += (
            f"; the scores are skewed within their groups (skewness {skewness.value:.2f}, p {p_value(skewness.p)} by "
            "D'Agostino's test): about the mean the test is liberal then and finds differences of spread where there are none; "
            "go by the median"
        )
    n = sum(len(values) for values in finals.values())
    return LeveneTable(n, stats.levene_pairs(finals, "median"), stats.levene_pairs(finals, "mean"), skewness, how)


# Fig. 6, Fig. 7


def tries(cohort: Cohort, threshold: float) -> Tries:
    """Fig. 6: how many tries each participant needed until a trial's validation metric reached the threshold."""
    violins = []
    for group in cohort.groups:
        needed = {member.pseudonym: tries_to(member.session, threshold) for member in cohort.of(group)}
        violins.append(_violin(group, list(needed.values())))
    how = (
        "number of the first counted trial whose validation metric reached the threshold (diverged and stopped trials count as "
        "tries); those who never reached it are told apart, not left out"
    )
    return Tries(sum(violin.n for violin in violins), threshold, tuple(violins), how)


def tries_to(session: Session, threshold: float) -> tuple[int, bool]:
    """At which try a session reached a threshold, and True; or how many tries it made in all, and False."""
    return first_reaching([recorded_value(trial) for trial in counted(session)], threshold, session.maximize)


def first_reaching(values: Sequence[float | None], threshold: float, maximize: bool) -> tuple[int, bool]:
    """The number of the first of the tries' values that reaches a threshold, and True; or how many there are, and False."""
    for number, value in enumerate(values, 1):
        if value is not None and reaches(value, threshold, maximize):
            return number, True
    return len(values), False


def _violin(group: str, needed: Sequence[tuple[int, bool]]) -> Violin:
    reached = tuple(sorted(number for number, did in needed if did))
    never = tuple(sorted(number for number, did in needed if not did))
    grid: tuple[float, ...] = ()
    density: tuple[float, ...] = ()
    if len(set(reached)) > 1:
        kernel = gaussian_kde(reached)
        points = np.linspace(max(0.0, reached[0] - 1.0), reached[-1] + 1.0, VIOLIN_POINTS)
        grid, density = tuple(map(float, points)), tuple(map(float, kernel(points)))
    median = float(statistics.median(reached)) if reached else None
    return Violin(group, len(needed), reached, len(never), never, summaries.mean(reached), median, grid, density)


def by_try(cohort: Cohort) -> ByTry:
    """Fig. 7: mean validation metric of each group by try, with its standard error."""
    current, best = [], []
    for group in cohort.groups:
        values = [[trial.value for trial in counted(member.session)] for member in cohort.of(group)]
        current.append(GroupCurve(group, _points(values)))
        counting = [[value_of(trial) for trial in counted(member.session)] for member in cohort.of(group)]
        best.append(GroupCurve(group, _points([best_so_far(row, cohort.maximize) for row in counting])))
    how = (
        "mean over the participants who made that try and had a value (n at each try); standard error of that mean; later "
        "tries are those of fewer and fewer people"
    )
    return ByTry(len(cohort.members), tuple(current), tuple(best), how)


def _points(values: Sequence[Sequence[float | None]]) -> tuple[TryPoint, ...]:
    points = []
    for number in range(1, max(map(len, values), default=0) + 1):
        there = [value for row in values if len(row) >= number and (value := row[number - 1]) is not None]
        if there:
            mean, sd = summaries.mean(there), summaries.deviation(there)
            assert mean is not None
            points.append(TryPoint(number, len(there), mean, None if sd is None else sd / len(there) ** 0.5))
    return tuple(points)


# Fig. 8, Table 3, Fig. 9


def starts(cohort: Cohort) -> Starts:
    """Fig. 8: who began with all optional hyperparameters at their defaults."""
    group_starts = []
    for group in cohort.groups:
        began = [
            (member.pseudonym, member.session.space, first)
            for member in cohort.of(group)
            if (first := first_trial(member.session))
        ]
        with_defaults = tuple(name for name, space, first in began if from_defaults(first.configuration, space))
        others = tuple(name for name, _, _ in began if name not in with_defaults)
        group_starts.append(Start(group, len(with_defaults) + len(others), with_defaults, others))
    how = "the first counted trial has every active optional hyperparameter at its default, whether typed or left as it was"
    return Starts(sum(start.n for start in group_starts), tuple(group_starts), how)


def from_defaults(configuration: Configuration, space: Space, defaults: Mapping[str, object] | None = None) -> bool:
    """Whether every active optional hyperparameter is at its default; `defaults` takes other ones for some names."""
    known = defaults or {}
    optional = [
        hyperparameter for hyperparameter in space if not hyperparameter.mandatory and hyperparameter.name in configuration
    ]
    return all(
        configuration[hyperparameter.name] == known.get(hyperparameter.name, hyperparameter.default)
        for hyperparameter in optional
    )


def reasons(cohort: Cohort, offered: Sequence[Option], seed: int | None) -> Reasons:
    """Table 3 and Fig. 9: the reasons given for values, by group; and whether guessing goes down with experience."""
    groups = []
    for group in cohort.groups:
        counts = [reason_counts(person.session, offered) for person in cohort.of(group)]
        groups.append(_reason_shares(group, counts, offered))
    pairs = []
    for member in cohort.members:
        given, _ = reason_counts(member.session, offered)
        if member.experience is not None and given.total():
            pairs.append((member.experience, given[GUESS_REASON] / given.total()))
    guessing = stats.spearman([pair[0] for pair in pairs], [pair[1] for pair in pairs], seed)
    n = sum(count for shares in groups for _, count in shares.pooled)
    how = (
        "every active value of every trial is one case; shares are of values with a reason: pooled over a group, and as the mean "
        "of its members' own shares; the correlation is over participants, of each one's share of guesses"
    )
    return Reasons(n, tuple((option.value, option.label.markdown) for option in offered), tuple(groups), guessing, how)


def reason_counts(session: Session, offered: Sequence[Option]) -> tuple[Counter[str], int]:
    """How many values were given each reason, by its stored value, and how many none."""
    known = reason_codes(offered)
    counts: Counter[str] = Counter()
    without = 0
    for trial in counted(session):
        for name in trial.configuration:
            said = trial.reasons.get(name)
            if said is None:
                without += 1
            else:
                counts[known.get(said, OWN_WORDS_REASON)] += 1
    return counts, without


def contradictions(cohort: Cohort, offered: Sequence[Option]) -> Contradictions:
    """Reasons that the records contradict, by kind and group, and Fig. 9's shares without them."""
    counts, groups = [], []
    for group in cohort.groups:
        kinds: Counter[str] = Counter()
        consistent = []
        for member in cohort.of(group):
            against = contradicted(member, offered)
            kinds.update(kind for _, kind in against)
            said, without = reason_counts(member.session, offered)
            said.subtract(reason for reason, _ in against)
            consistent.append((said, without))
        counts.append((group, tuple((kind, kinds[kind]) for kind in CONTRADICTION_KINDS)))
        groups.append(_reason_shares(group, consistent, offered))
    n = sum(count for _, kinds_of_group in counts for _, count in kinds_of_group)
    how = (
        "a reason is contradicted where something was learnt from previous submissions in the first trial, worked well in the "
        "past of somebody with 0 months of experience, or is called a default and is none "
        "(mandatory values have none to compare with); shares: mean over members, without those values"
    )
    return Contradictions(n, tuple(counts), tuple(groups), how)


def wordings(cohort: Cohort, offered: Sequence[Option], conditions: Sequence[str]) -> Wordings:
    """Contradicted reasons by condition: where conditions word the reasons differently, whether one confuses fewer people."""
    shares: dict[str, list[float]] = {}
    rows = []
    for condition in conditions:
        counts = [
            (reason_counts(member.session, offered)[0].total(), len(contradicted(member, offered)))
            for member in cohort.members
            if member.condition == condition
        ]
        there = [(given, against) for given, against in counts if given]
        shares[condition] = [against / given for given, against in there]
        sums = (sum(given for given, _ in there), sum(against for _, against in there))
        rows.append(WordingCounts(condition, len(there), *sums, summaries.mean(shares[condition])))
    test = stats.mann_whitney(*shares.values()) if len(shares) == 2 else stats.kruskal(shares)
    how = f"one share a participant: contradicted values of those with a reason; {test.name}: {test.how}"
    return Wordings(tuple(rows), test, how)


def contradicted(member: CohortMember, offered: Sequence[Option]) -> list[tuple[str, str]]:
    """The stored value and the kind of contradiction of each of a participant's reasons that the records contradict."""
    known = reason_codes(offered)
    space, against = member.session.space, []
    for number, trial in enumerate(counted(member.session), 1):
        for name, words in trial.reasons.items():
            if name not in trial.configuration:
                continue
            reason, hyperparameter = known.get(words, OWN_WORDS_REASON), space[name]
            is_default = hyperparameter.mandatory or is_same(trial.configuration[name], hyperparameter.default)
            if reason == "learnt" and number == 1:
                against.append((reason, CONTRADICTION_KINDS[0]))
            elif reason == "experience" and member.experience == 0:
                against.append((reason, CONTRADICTION_KINDS[1]))
            elif reason == "default" and not is_default:
                against.append((reason, CONTRADICTION_KINDS[2]))
    return against


def _reason_shares(group: str, counts: Sequence[tuple[Counter[str], int]], offered: Sequence[Option]) -> ReasonShares:
    values = [option.value for option in offered]
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
    finals = [member.final for member in cohort.members if member.final is not None]
    made = [len(counted(member.session)) for member in cohort.members]
    nothing = None if finals else "not computable: no participant has a final test score"
    metric = metric_name(cohort.metric)
    numbers = [
        Headline("configurations tried", float(sum(made)), "", len(made), "counted trials of all participants", "463"),
        Headline(
            f"final {metric}",
            summaries.mean(finals),
            "share",
            len(finals),
            "mean over participants",
            "",
            summaries.deviation(finals),
            nothing,
        ),
    ]
    if cohort.groups:
        novices, experts = cohort.groups[0], cohort.groups[-1]
        numbers.append(_past_experience(cohort, offered, novices))
        numbers.append(_worst_from_defaults(cohort))
        values = cohort.finals()[experts]
        spread = max(values) - min(values) if len(values) > 1 else None
        why = None if spread is not None else f"not computable: fewer than two {experts} participants with a score"
        how = "largest less smallest mean test score"
        numbers.append(
            Headline(f"spread of the final {metric}, {experts}", spread, "points", len(values), how, "about 5 %", why=why)
        )
    return tuple(numbers)


def _past_experience(cohort: Cohort, offered: Sequence[Option], group: str) -> Headline:
    given = Counter[str]()
    for member in cohort.of(group):
        given.update(reason_counts(member.session, offered)[0])
    share = given["experience"] / given.total() if given.total() else None
    why = None if given.total() else "not computable: this group gave no reasons"
    how = "share of the group's values with a reason"
    return Headline(f"past experience as a reason, {group}", share, "share", given.total(), how, "22 %", why=why)


def _worst_from_defaults(cohort: Cohort) -> Headline:
    values = [
        member.final
        for member in cohort.members
        if member.final is not None
        and (first := first_trial(member.session)) is not None
        and from_defaults(first.configuration, member.session.space)
    ]
    worst = worst_of(values, cohort.maximize)
    why = None if values else "not computable: nobody with a final score began from all defaults"
    how = "the worst final score among those who began from all defaults"
    return Headline("worst of those who began from defaults", worst, "share", len(values), how, "above 50 %", why=why)


def disclosure(archive: Archive, cohort: Cohort) -> tuple[TunerDisclosure, ...]:
    """Everyone's final settings and effort, as the paper's recommendations ask; methods come after the participants.

    A method's session in which a person took part is neither's, and is left out: see `joint`. So is an exploratory one.
    """
    of = {person.session.id: person for person in cohort.members}
    methods = [
        session for session in archive.sessions if session.kind == "method" and session.choice is not None and session.is_compared
    ]
    disclosures = []
    for session in [*(person.session for person in cohort.members), *methods]:
        member, choice = of.get(session.id), session.choice
        values = seed_values(archive.evaluations.get(session.id))
        chosen = choice.configuration if choice is not None else None
        disclosures.append(
            TunerDisclosure(
                tuner=session.tuner,
                kind=session.kind,
                group=member.group if member else None,
                experience=member.experience if member else None,
                settings=_settings(session.space, chosen),
                automatic=choice is not None and choice.automatic,
                trials=len(counted(session)),
                epochs=epochs_used(session),
                seconds=summaries.clock(session, choice.at) if choice is not None else None,
                best=best_of(map(value_of, counted(session)), session.maximize),
                final=summaries.mean(values),
                sd=summaries.deviation(values),
                seeds=len(values),
            )
        )
    return tuple(disclosures)


def joint(archive: Archive) -> tuple[Session, ...]:
    """The methods' sessions in which a person took part: they stay out of what sets people beside methods."""
    return tuple(session for session in archive.sessions if session.kind == "method" and session.is_joint)


def _settings(space: Space, chosen: Configuration | None) -> tuple[tuple[str, str], ...]:
    return (
        ()
        if chosen is None
        else tuple(
            (hyperparameter.name, show(chosen[hyperparameter.name])) for hyperparameter in space if hyperparameter.name in chosen
        )
    )


def pooled_values(cohort: Cohort) -> Iterable[tuple[float, int, str, str]]:
    """Each trial with a recorded value, for a mixed model: value, try, group, participant."""
    for member in cohort.members:
        if member.group is None:
            continue
        for number, trial in enumerate(counted(member.session), 1):
            if (value := recorded_value(trial)) is not None:
                yield value, number, member.group, member.pseudonym


def first_trial(session: Session) -> Trial | None:
    """The first try."""
    return next(iter(counted(session)), None)
