"""The report of one run: what came out and how sure it is, how it went, who proposed, what it cost, and what repeats it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from evenhand.analysis.certainty import certainty_of
from evenhand.analysis.run_course import course_of
from evenhand.analysis.summaries import changes, clock
from evenhand.lab.lab import Lab
from evenhand.model import choices, rules
from evenhand.model.direction import best_first
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.words import budget_words, cases, exact, is_share, metric_name, number, plural, show_score
from evenhand.report import run_figures
from evenhand.report.blocks import Item, Report, ReportSection, table
from evenhand.report.certainty import paragraph
from evenhand.report.disclosure import OUTCOME_ORDER
from evenhand.report.methods_text import MethodsText, methods_text
from evenhand.report.run_records import RunRecords

MOST_BEST_TRIALS = 10  # rows of the table of the best trials
MOST_CURVES = 5  # trials whose curves are drawn

Curves = Mapping[int, Sequence[tuple[int, float]]]  # by a trial's number: epoch and value


def drawn_curves(lab: Lab, session: Session) -> Curves:
    """The values after each epoch of the best trials, of those that have more than one."""
    curves = {}
    for trial in best_first(session.trials, session.maximize)[:MOST_CURVES]:
        measured = lab.curve(session.id, trial.number).measurements
        points = [(row.epoch, row.value) for row in measured if row.epoch is not None and row.value is not None]
        if len(points) > 1:
            curves[trial.number] = points
    return curves


def build(records: RunRecords, curves: Curves, names: Mapping[str, str]) -> Report:
    """The report of a run.

    Args:
        records: what is known of it.
        curves: of its best trials.
        names: what people are called who looked at its test score, or proposed trials, by how records name them.

    Returns:
        The report; the same records give the same one.
    """
    session = records.session
    repeats = methods_text(records)
    return Report(
        title=session.name or f"Run {session.called} on {session.task.spec.plain_name}",
        mode="live",
        mark="",
        lead=_lead(records),
        facts=_facts(records),
        sections=(
            _result(records),
            _course(session, curves),
            _effort(records, names),
            _repeats(repeats),
        ),
    )


def _lead(records: RunRecords) -> tuple[str, ...]:
    session = records.session
    evaluation = records.evaluation
    sure = paragraph(session, certainty_of(session, evaluation.scores if evaluation else ()))
    further = (None if fact is None else fact.words for fact in (records.gain, records.seen_before))
    return (sure, *filter(None, further))


def _facts(records: RunRecords) -> tuple[tuple[str, str], ...]:
    session = records.session
    metric = session.task.metric
    best = rules.best_trial(session, ended=True)
    facts = [
        ("Task", session.task.spec.plain_name),
        ("Tuned by", session.tuner),
        ("Budget", budget_words(session.budget)),
        ("Trials", number(len(session.trials))),
        (f"Best {metric_name(metric)} on validation", "none" if best is None else show_score(best.value, metric)),
    ]
    if (test := records.test) is not None:
        half = "" if test.half is None else f" ± {show_score(test.half, metric)}"
        facts.append(
            (f"{metric_name(metric)} on test, {plural(len(test.values), 'seed')}", f"{show_score(test.mean, metric)}{half}")
        )
    return tuple(facts)


# What came out


def _result(records: RunRecords) -> ReportSection:
    session = records.session
    trial = session.chosen_trial or rules.best_trial(session, ended=True)
    items = [] if trial is None else [_configuration(session, trial)]
    items.append(_best_trials(session))
    if records.evaluation is not None:
        items.append(_seeds(records))
    return ReportSection("result", "What came out", "", tuple(items))


def _configuration(session: Session, trial: Trial) -> Item:
    rows = [
        (
            hyperparameter.label,
            hyperparameter.show(trial.configuration[hyperparameter.name]),
            "–" if hyperparameter.mandatory else hyperparameter.show(hyperparameter.default),
        )
        for hyperparameter in session.space
        if hyperparameter.name in trial.configuration
    ]
    seed = "" if session.is_brought_in else f" with seed {session.tuning_seed}"
    value = f"{metric_name(session.task.metric)} {show_score(trial.value, session.task.metric)} on validation"
    return Item(
        "configuration",
        f"The configuration of trial {trial.number}, {choices.role_of(session, trial)}",
        cases(len(rows), "hyperparameter"),
        f"{value}, one training{seed}; what is inactive is left out",
        table=table(("hyperparameter", "value", "default"), rows, (1, 2)),
    )


def _best_trials(session: Session) -> Item:
    best = best_first(session.trials, session.maximize)[:MOST_BEST_TRIALS]
    rows = []
    for trial in best:
        differences = changes(session.space, best[0].configuration, trial.configuration)
        shown = ", ".join(f"{change.label} {change.after}" for change in differences)
        rows.append(
            (
                str(trial.number),
                show_score(trial.value, session.task.metric),
                str(trial.epochs_done),
                _seconds(trial),
                trial.proposer,
                shown if trial.number != best[0].number else "the best",
            )
        )
    return Item(
        "best-trials",
        "The best trials",
        f"n = {len(rows)} of {plural(len(session.trials), 'trial')}",
        "by their value on validation; the last column says what differs from the best one",
        table=table(
            ("trial", metric_name(session.task.metric), "epochs", "seconds", "proposed by", "differs in"), rows, range(4)
        ),
        why="" if rows else "no trial has a value",
    )


def _seconds(trial: Trial) -> str:
    return "–" if trial.finished_at is None else number(trial.seconds(trial.finished_at))


def _seeds(records: RunRecords) -> Item:
    evaluation = records.evaluation
    assert evaluation is not None
    rows = [
        (str(score.index + 1), str(score.seed), show_score(score.value, evaluation.metric), str(score.outcome or "open"))
        for score in evaluation.scores
    ]
    test = records.test
    return Item(
        "test-scores",
        "The choice on test data",
        cases(len(rows), "seed"),
        "scored on data that no tuner saw" + (f"; {test.how} over the seeds" if test else ""),
        table=table(("seed", "its number", metric_name(evaluation.metric), "outcome"), rows, (0, 1, 2)),
    )


# How it went


def _course(session: Session, curves: Curves) -> ReportSection:
    metric, share = metric_name(session.task.metric), is_share(session.task.metric)
    course = course_of(session)
    steps = [(str(step.number), show_score(step.value, session.task.metric)) for step in course.bests]
    thinned = "; of so many trials the lowest and the highest of each stretch are drawn" if course.is_thinned else ""
    drawn = Item(
        "course",
        "Best so far",
        cases(len(course.points), "trial with a value", "trials with a value"),
        f"each point is a trial, the line is the best so far, of trials that have ended{thinned}",
        spec=run_figures.course(course, metric, share) if course.points else None,
        table=table(("trial", f"best {metric}"), steps, (0, 1)),
        why="" if course.points else "no trial has a value",
        alt=f"the best {metric} after trial {steps[-1][0]} is {steps[-1][1]}, first {steps[0][1]} after trial {steps[0][0]}"
        if steps
        else "",
    )
    items = [drawn]
    if curves:
        rows = [
            (str(trial), str(epoch), show_score(value, session.task.metric))
            for trial, points in curves.items()
            for epoch, value in points
        ]
        items.append(
            Item(
                "curves",
                "Curves of the best trials",
                cases(len(curves), "trial"),
                f"{metric} on validation after each epoch",
                spec=run_figures.curves(curves, metric, share),
                table=table(("trial", "epoch", metric), rows, (0, 1, 2)),
                alt=f"{metric} by epoch of the trials {', '.join(map(str, curves))}",
            )
        )
    return ReportSection("course", "How it went", "", tuple(items))


# What it cost, and who proposed


def _effort(records: RunRecords, names: Mapping[str, str]) -> ReportSection:
    session = records.session
    outcomes = Counter(str(trial.outcome or "open") for trial in session.trials)
    ordered = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in (*OUTCOME_ORDER, "open") if outcomes[outcome])
    last = max((trial.finished_at or 0.0 for trial in session.trials), default=session.opened_at)
    end = session.choice.at if session.choice is not None else last
    rows = [
        ("budget", budget_words(session.budget)),
        ("trials", f"{rules.trials_used(session)}: {ordered}" if ordered else "none"),
        ("epochs", number(rules.epochs_used(session))),
        ("seconds on its clock", number(round(clock(session, end), 1))),
        ("seconds of training", number(round(sum(trial.seconds(end) for trial in session.trials), 1))),
    ]
    spent = Item("spent", "What it cost", cases(len(session.trials), "trial"), "", table=table(("what", "spent"), rows))
    return ReportSection(
        "effort", "What it cost, and who proposed", "", (spent, _proposers(session, names), _looks(records, names))
    )


def _proposers(session: Session, names: Mapping[str, str]) -> Item:
    counts = Counter(trial.proposer for trial in session.trials)
    rows = [(names.get(proposer, proposer), str(count)) for proposer, count in counts.most_common()]
    return Item(
        "proposers",
        "Who proposed",
        cases(len(session.trials), "trial"),
        "",
        table=table(("who", "trials"), rows, (1,)),
        why="" if rows else "nobody has proposed a trial",
    )


def _looks(records: RunRecords, names: Mapping[str, str]) -> Item:
    rows = [(names.get(who, who), exact(at)) for who, at in records.looks]
    return Item(
        "looks",
        "Who looked at the test score",
        cases(len(rows), "look"),
        "a score that was seen before a trial was proposed is no unbiased estimate any more" if rows else "",
        table=table(("who", "when"), rows),
        why="" if rows else "nobody has looked at a test score of this run",
    )


# What repeats it


def _repeats(repeats: MethodsText) -> ReportSection:
    rows = repeats.table.rows
    facts = Item("reproducibility", "What repeats the run", cases(len(rows), "fact"), "", table=repeats.table)
    cited = [(entry,) for entry in repeats.bibtex.split("\n\n")]
    cites = Item("bibtex", "What to cite", cases(len(cited), "reference"), "BibTeX", table=table(("entry",), cited), folded=True)
    return ReportSection("repeats", "For a paper", repeats.paragraph, (facts, cites))
