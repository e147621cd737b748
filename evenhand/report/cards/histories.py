"""What explanations read of a run's records. A test score is in it only where somebody who may see it has looked."""

from collections.abc import Mapping
from dataclasses import replace

from evenhand.explain import History
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session


def history_of(session: Session, evaluation: Evaluation | None = None, names: Mapping[str, str] | None = None) -> History:
    """A run's history.

    Args:
        session: with its trials.
        evaluation: of its choice, where that may be seen; None else.
        names: what people are called, by how records name them; None leaves them.

    Returns:
        The history.
    """
    called = names or {}
    trials = [replace(trial, proposer=called.get(trial.proposer, trial.proposer)) for trial in session.trials]
    made = History.of(session.space, session.task.metric, session.maximize, trials)
    chosen = session.chosen_trial
    if evaluation is None or chosen is None or evaluation.metric != session.task.metric:
        return made
    scores = tuple(score.value for score in evaluation.scores if score.value is not None)
    rows, test_rows = session.task.rows("validation"), session.task.rows("test")
    return replace(made, tests={chosen.id: scores} if scores else {}, validation_rows=rows, test_rows=test_rows)
