"""How sure a session's result is, in one paragraph; the numbers are of `analysis.certainty`."""

from evenhand.analysis.certainty import Certainty, Picked, RunnerUp
from evenhand.model import choices
from evenhand.model.session import Session
from evenhand.model.words import amount, grouped, metric_name, plural, show_score

NO_TEST = "The task has no test data that no tuner saw, so how good the choice is on new data is not known"
NOT_SCORED = "The choice was not scored on test, so how good it is on new data is not known"
NOT_SEEN = "Its score on test is not among what is shown here"


def paragraph(session: Session, certainty: Certainty) -> str:
    """How sure the result is: on validation, on test, how far picking explains the gap, and how far the runner-up is behind.

    Args:
        session: whose result it is.
        certainty: its numbers.

    Returns:
        Some sentences; where something cannot be said, they say so, and why.
    """
    metric, winner = session.task.metric, certainty.winner
    if winner is None and session.choice is not None and session.choice.configuration is not None:
        best = "The choice was submitted without a training, so it has no value on validation."
    elif winner is None or winner.value is None:
        why = choices.no_choice_words(session) or "no trial has a value"
        return f"Nothing can be said of how good the model is: {why}."
    else:
        of_all = f", {'chosen' if session.choice is not None else 'the best'} of {certainty.count} with a value,"
        rows = "an unknown number of" if certainty.validation_rows is None else grouped(certainty.validation_rows)
        best = (
            f"On validation trial {winner.number}{of_all} reached {metric_name(metric)} {show_score(winner.value, metric)}, "
            f"on {rows} rows."
        )
    sentences = [best, *_on_test(session, certainty), *_gap(session, certainty)]
    if winner is not None:
        sentences.append(_behind(certainty.runner_up, metric))
    return " ".join(sentences)


def _on_test(session: Session, certainty: Certainty) -> list[str]:
    metric = session.task.metric
    if certainty.test is None:
        why = NO_TEST if not session.task.has_test else NOT_SCORED if not session.evaluated.planned else NOT_SEEN
        return [f"{why}."]
    shown = show_score(certainty.test, metric)
    if certainty.spread is None:
        said = f"On test it reached {shown} with one seed, so how much another seed would change is not known."
    else:
        said = (
            f"On test {plural(certainty.seeds, 'seed')} reached {shown} on average, with a standard deviation of "
            f"{amount(certainty.spread, metric)} over the seeds."
        )
    return [said, _rows(certainty, metric)]


def _rows(certainty: Certainty, metric: str) -> str:
    likely = ""
    if certainty.interval is not None:
        low, high = (show_score(end, metric) for end in certainty.interval)
        likely = f" {low} to {high} is likely (95 %)"
    if certainty.row_error is not None and certainty.test_rows is not None:
        return (
            f"Other {grouped(certainty.test_rows)} test rows would change that, too: their number leaves a standard error of "
            f"{amount(certainty.row_error, metric)}, and with the seeds{likely}."
        )
    why = (
        "their number is not known"
        if certainty.counted
        else f"{metric_name(metric)} is no share of right answers, of which their number alone would say it"
    )
    for_seeds = f"; for other seeds alone{likely}" if likely else ""
    return f"How much other test rows would change it cannot be said: {why}{for_seeds}."


def _gap(session: Session, certainty: Certainty) -> list[str]:
    if certainty.test is None or certainty.winner is None:
        return []
    if certainty.picked is None:
        missing = "the numbers of rows" if certainty.counted else "a share of right answers"
        return [f"Whether the gap between validation and test is more than luck cannot be said without {missing}."]
    return [_luck(session, certainty.picked)]


def _luck(session: Session, picked: Picked) -> str:
    metric, draws = session.task.metric, "epochs" if session.value_rule == "best" else "trials"
    way = "better" if picked.gap >= 0 else "worse"
    gap = f"Validation is {amount(abs(picked.gap), metric)} {way} than test"
    best = (
        f"picking the best of {grouped(picked.count)} equally good {draws} would make it {amount(picked.luck, metric)} too "
        "good on average, at most"
        if picked.count > 1
        else "one trial was not picked from others"
    )
    if picked.is_luck:
        return f"{gap}, no more than luck explains: {best}."
    if picked.gap > 0:
        return f"{gap}, more than luck explains ({best}): the two sets differ, or validation was learnt from in another way."
    more = ", or the models for test learnt from more data" if session.evaluation_mode == "retrain" else ""
    return f"{gap}, more than luck explains: the two sets differ{more}."


def _behind(runner_up: RunnerUp | None, metric: str) -> str:
    if runner_up is None:
        return "No other configuration has a value to compare it with."
    which = f"the runner-up (trial {runner_up.trial.number}, {show_score(runner_up.trial.value, metric)})"
    if runner_up.noise is None:
        return f"Whether it is better than {which} by more than the seeds' noise cannot be said without several seeds."
    noise = f"two seeds of one configuration differ by up to {amount(runner_up.noise, metric)} (95 %)"
    if runner_up.differs:
        return f"It is better than {which} by more than the seeds' noise: {noise}."
    return f"It differs from {which} by no more than the seeds' noise, so either may be the better one: {noise}."
