"""A study's archive becomes a report: every number is computed by `analysis`, put into words and tables here."""

from dataclasses import replace

from evenhand.analysis import paper_items
from evenhand.analysis.attrition import Milestone, flow
from evenhand.analysis.cohort import cohort, counted, grouping_by
from evenhand.model.archive import Archive
from evenhand.model.direction import words_of
from evenhand.model.rules import derive_seed
from evenhand.model.study import Grouping, Mode
from evenhand.model.words import MODE_WORDS, budget_words, cases, interval, is_share, plural, trial_share_words
from evenhand.report import figures, items
from evenhand.report.blocks import Report
from evenhand.report.context import MODE_MARKS, ReportContext, p_words, short_mark


def build(archive: Archive, mode: Mode, *, regroup: str | None = None) -> Report:
    """The whole report of a study's records of one mode. regroup: another question to group participants by."""
    frame = context(archive, mode, grouping_by(archive.study, regroup) if regroup else None)
    return Report(
        title=archive.study.title,
        mode=mode,
        mark=MODE_MARKS[mode],
        lead=(*_lead(frame), *_public(frame)),
        facts=_facts(frame),
        sections=figures.marked_sections(short_mark(mode), items.sections(frame)),
    )


def context(archive: Archive, mode: Mode, grouping: Grouping | None = None) -> ReportContext:
    """What all items of a report share, and where participants worked on several tasks, the same of each."""
    frame = _context(archive, mode, grouping)
    if len(frame.tasks) < 2:
        return frame
    return replace(
        frame, by_task={name: _context(archive.of_task(task_id), mode, grouping) for name, task_id in frame.tasks.items()}
    )


def _context(archive: Archive, mode: Mode, grouping: Grouping | None) -> ReportContext:
    people, seed = cohort(archive, mode, grouping=grouping), derive_seed(archive.study.seed, "bootstrap")
    return ReportContext(archive.of_mode(mode), mode, people, is_share(people.metric), seed)


def _lead(frame: ReportContext) -> tuple[str, ...]:
    """The headline; of each task by itself where there are several."""
    if not frame.by_task:
        return _lead_of(frame)
    return tuple(f"{task}: {words}" for task, its in frame.by_task.items() for words in _lead_of(its))


def _lead_of(frame: ReportContext) -> tuple[str, ...]:
    correlation = paper_items.scatter(frame.people, frame.seed).correlation
    if correlation.rho is None:
        return (f"Whether experience and the final {frame.accuracy} go together is {correlation.why}.",)
    sure = interval(correlation.interval.low, correlation.interval.high, lambda value: f"{value:.2f}")
    bounds = f"95 % interval {sure}, " if correlation.interval.low is not None else ""
    first = (
        f"Experience and final test {frame.accuracy}: Spearman's rho {correlation.rho:.2f} ({bounds}p {p_words(correlation.p)}, "
        f"{cases(correlation.n, 'participant')})."
    )
    below = correlation.p is not None and correlation.p < frame.study.plan.alpha
    second = f"At the planned level of {frame.study.plan.alpha:g} this is {'' if below else 'not '}significant."
    flips = sorted({row.choice for row in frame.moved.rows if row.flips})
    third = f"A conclusion changes with: {', '.join(flips)} (see the sensitivity table)." if flips else ""
    return tuple(words for words in (first, second, third) if words)


def _public(frame: ReportContext) -> tuple[str, ...]:
    """Of a public archive: which answers are coarse, and what that does to the numbers."""
    release = frame.archive.public
    if release is None:
        return ()
    first = (
        f"Computed from a public archive: at least {release.smallest} people share each combination of answers "
        f"(k = {release.k}); the answers of {plural(release.suppressed, 'participant')} were left out, so they are in no group."
    )
    if not frame.coarse:
        return (first, "No answer that a number needs is coarse.")
    kept = frame.people.by not in frame.coarse or bool(frame.study.grouping.groups and frame.people.by == frame.study.grouping.by)
    groups = "Groups are exact" if kept else "Groups are coarse, too"
    coarse = "; ".join(f"{question} ({words})" for question, words in frame.coarse.items())
    return (first, f"Coarse are {coarse}. {groups}; numbers that need the answers themselves say so.")


def _facts(frame: ReportContext) -> tuple[tuple[str, str], ...]:
    attrition = flow(frame.archive, frame.mode)
    trials = sum(len(counted(member.session)) for member in frame.people.members)
    arms = ", ".join(arm.name for arm in frame.study.arms)
    names = [*frame.tasks] or [task.spec.plain_name for task in frame.archive.tasks]
    contexts = frame.by_task or {" and ".join(names): frame}
    one_trial = trial_share_words(frame.study.budget, frame.study.trial_share)
    return (
        ("participants", f"{attrition.count(Milestone.INCLUDED)} in the statistics of {attrition.n} who joined"),
        ("configurations tried", str(trials)),
        (
            "task" if len(contexts) == 1 else "tasks",
            "; ".join(f"{name}, {its.accuracy}, {words_of(its.people.maximize)}" for name, its in contexts.items()),
        ),
        ("budget", budget_words(frame.study.budget)),
        *((("of it for one trial", f"at most {one_trial}"),) if one_trial else ()),
        (
            "evaluation",
            f"{frame.study.evaluation_seeds} seeds on test data that no tuner saw, {MODE_WORDS[frame.study.evaluation_mode]}",
        ),
        *((("trials' values", "of their best epochs"),) if frame.study.value_rule == "best" else ()),
        *((("conditions", arms),) if arms else ()),
        *((("hypothesis", frame.study.plan.hypothesis),) if frame.study.plan.hypothesis else ()),
    )
