"""What is known of a run: its session, how it was planned, where it was trained, and its test score where that may be shown."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evenhand.analysis.gain import Gain
from evenhand.analysis.run_comparison import TestValue, value_on_test
from evenhand.analysis.seen_before import SeenBefore
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.environment import Environment
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session
from evenhand.model.study import Study


@dataclass(frozen=True)
class RunRecords:
    """What is known of a run.

    Attributes:
        session: as it stands.
        study: as it was planned.
        environments: of its trainings, by their keys.
        evaluation: its choice on test data, where whoever asks has looked at that.
        looks: who looked at its test score, and when.
        seen_before: looks at scores on its test data, of whatever run, before its trials; None where there were none.
        gain: over its declared baseline; None where none is declared.
    """

    session: Session
    study: Study
    environments: Mapping[str, Environment]
    evaluation: Evaluation | None = None
    looks: Sequence[tuple[str, float]] = ()
    seen_before: SeenBefore | None = None
    gain: Gain | None = None

    @property
    def test(self) -> TestValue | None:
        """The choice on test data; None where that is not to be seen."""
        return None if self.evaluation is None else value_on_test(self.evaluation)


def read(lab: Lab, session: Session, who: Collection[str]) -> RunRecords:
    """What a laboratory knows of a run.

    Args:
        lab: the laboratory.
        session: the run.
        who: names whose look shows the test score; it is there only where one of them has looked at it.

    Returns:
        The records.
    """
    looks = lab.evaluations.looks(session.id)
    looker = next((name for name, _ in looks if name in who), None)
    keys = rules.trained_in([session], {})
    return RunRecords(
        session,
        lab.studies.get(session.study_id, session.version),
        {key: lab.agents.environment(key) for key in keys},
        None if looker is None or session.choice is None else lab.evaluations.get(session.id, looker),
        looks,
        lab.evaluations.seen_before(session.id),
        lab.runs.gain(session.id, looker or "") if session.purpose == "exploratory" else None,
    )


def names_in(lab: Lab, records: RunRecords) -> dict[str, str]:
    """What those are called who looked at a run's test score or proposed its trials, by how records name them."""
    named = {who for who, _ in records.looks} | {trial.proposer for trial in records.session.trials}
    return {who: lab.people.shown(who) for who in named}
