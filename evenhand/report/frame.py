"""What every part of a report shares: the records, who counts, how a value of the metric is read."""

from dataclasses import dataclass

from evenhand.analysis.cohort import EXPERIENCE
from evenhand.analysis.items import Cohort
from evenhand.analysis.sensitivity import Sensitivity
from evenhand.declaration import Mode, Study
from evenhand.records import Archive
from evenhand.report.blocks import NARROW, number, p_value, score


@dataclass(frozen=True)
class Frame:
    """What all items share. seed: of every bootstrap and simulation, derived from the study's. moved: the headlines under each
    other choice, which the summary tells of, too.
    """

    archive: Archive
    mode: Mode
    people: Cohort
    share: bool
    seed: int
    moved: Sensitivity

    @property
    def study(self) -> Study:
        """The study at its newest version."""
        return self.archive.study

    @property
    def accuracy(self) -> str:
        """The metric's name, for an axis."""
        return self.people.metric.replace("_", " ")

    def score(self, value: float | None) -> str:
        """A value of the metric as people read it."""
        return score(value, self.share)

    def label(self, question: str) -> str:
        """A question as an axis says it."""
        found = self.study.question(question)
        return "months of experience with deep learning" if question == EXPERIENCE else found.text.markdown if found else question


def p_words(value: float | None) -> str:
    return f"= {p_value(value)}" if value is not None and value >= 1e-4 else p_value(value)


def threshold_words(frame: Frame, value: float) -> str:
    return f"{100 * value:g}{NARROW}%" if frame.share else number(value)
