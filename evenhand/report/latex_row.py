"""A run as a row of a table of a paper, in LaTeX's booktabs."""

from evenhand.model.choices import role_of
from evenhand.model.trial import Trial
from evenhand.model.words import metric_name, show_score
from evenhand.report.latex import escape
from evenhand.report.run_records import RunRecords

PREAMBLE = r"% In the preamble: \usepackage{booktabs}"


def latex_row(records: RunRecords, trial: Trial) -> str:
    """A table of one row: task, who tuned, trials, and the value with its seeds.

    The value is the mean on test with half the width of its 95 % interval where the records hold that and the trial is the chosen
    one, else the value of its one training on validation; the head says which.

    Args:
        records: what is known of the run.
        trial: the one that the row stands for.

    Returns:
        LaTeX that compiles as it is.
    """
    session, metric = records.session, records.session.task.metric
    test = records.test if role_of(session, trial) == "chosen" else None
    where, shown, seeds = "validation", show_score(trial.value, metric), 1
    if test is not None:
        half = "" if test.half is None else f" ± {show_score(test.half, metric)}"
        where, shown, seeds = "test", f"{show_score(test.mean, metric)}{half}", len(test.values)
    head = ("Task", "Tuned by", "Trials", f"{metric_name(metric)} ({where})", "Seeds")
    cells = (session.task.spec.plain_name, session.tuner, str(len(session.trials)), shown, str(seeds))
    lines = [
        PREAMBLE,
        *(
            [f"% mean, and half the width of its interval ({escape(test.how)})"]
            if test is not None and test.half is not None
            else []
        ),
        r"\begin{tabular}{@{}llrrr@{}}",
        r"\toprule",
        " & ".join(map(escape, head)) + r" \\",
        r"\midrule",
        " & ".join(map(escape, cells)) + r" \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)
