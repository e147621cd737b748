"""What every part of a report shares: the records, who counts, how a value of the metric is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from evenhand.analysis import sensitivity
from evenhand.analysis.cohort import EXPERIENCE_QUESTION, own_sessions
from evenhand.analysis.sensitivity import Sensitivity
from evenhand.analysis.study_items import Cohort
from evenhand.model.archive import Archive
from evenhand.model.study import Mode, Study, measures
from evenhand.model.task import Level
from evenhand.model.words import NARROW_SPACE, metric_name, number, p_value, points, score

MODE_MARKS = {"live": "", "pilot": "Pilot: not part of the study", "simulated": "Simulated participants: no human data"}


@dataclass(frozen=True)
class ReportContext:
    """What all items of a study's report share.

    Attributes:
        archive: all records of the mode.
        mode: live, pilot or simulated.
        people: those who are in the statistics.
        share: whether the metric is a share, which people read in percent.
        seed: of every bootstrap and simulation, derived from the study's.
        by_task: where participants worked on several tasks, each one's records by its name; scores of different tasks are
            never put together.
    """

    archive: Archive
    mode: Mode
    people: Cohort
    share: bool
    seed: int
    by_task: Mapping[str, "ReportContext"] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        """The study at its newest version."""
        return self.archive.study

    @cached_property
    def moved(self) -> Sensitivity:
        """The headlines under each other choice of what is ambiguous; computed when it is first asked for."""
        return sensitivity.sensitivity(self.archive, self.mode)

    @cached_property
    def tasks(self) -> Mapping[str, int]:
        """The ids of the tasks that participants tuned, in the study's order, by names that tell them apart."""
        worked_on = {session.task.id for session in own_sessions(self.archive.sessions).values()}
        tasks = [task for task in self.archive.tasks if task.id in worked_on]
        names = [task.spec.plain_name for task in tasks]
        return {
            name if names.count(name) == 1 else f"{name}, version {task.version[:12]}": task.id
            for name, task in zip(names, tasks, strict=True)
        }

    @cached_property
    def coarse(self) -> Mapping[str, str]:
        """The measures of experience that are coarse in a public archive, and how."""
        coarsened = self.archive.public.coarsened if self.archive.public else {}
        used = (EXPERIENCE_QUESTION, self.people.by, *measures(self.study))
        return {question: coarsened[question] for question in dict.fromkeys(used) if question in coarsened}

    @property
    def coarse_words(self) -> str:
        """What is said beside numbers of coarse answers; nothing where none is."""
        if not self.coarse:
            return ""
        return f"Of coarse answers, so it differs from the number of the exact ones: {', '.join(self.coarse)}"

    @property
    def accuracy(self) -> str:
        """The metric's name, for an axis."""
        return metric_name(self.people.metric)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Chance and the simple baseline on validation data; nothing where tasks of several levels are shown together."""
        levels = {session.task.levels for session in self.archive.sessions}
        return levels.pop() if len(levels) == 1 else ()

    @property
    def level_words(self) -> str:
        """What a figure's description adds of its lines; nothing where it has none."""
        said = ", ".join(f"{level.name} {self.score(level.value)}" for level in self.levels)
        return f"; lines: {said}, on validation data" if said else ""

    def score(self, value: float | None) -> str:
        """A value of the metric as people read it.

        Args:
            value: the value; None where there is none.

        Returns:
            It in words, in percent where it is a share.
        """
        return score(value, self.share)

    def points(self, difference: float | None) -> str:
        """A difference of two values of the metric as people read it.

        Args:
            difference: one value less the other; None where there is none.

        Returns:
            It in words, in points of percent where the metric is a share.
        """
        return points(difference, self.share)

    def label(self, question: str) -> str:
        """A question as an axis says it.

        Args:
            question: QUESTIONNAIRE.QUESTION.

        Returns:
            Its text.
        """
        definition = self.study.question(question)
        return (
            "months of experience with deep learning"
            if question == EXPERIENCE_QUESTION
            else definition.text.markdown
            if definition
            else question
        )


def measure_name(question: str) -> str:
    """A measure of experience as a table's head says it: the question's name."""
    return question.rpartition(".")[2].replace("_", " ")


def short_mark(mode: Mode) -> str:
    """What a figure says of itself: nothing in a live study."""
    return MODE_MARKS[mode].partition(":")[0]


def p_words(value: float | None) -> str:
    """A p-value behind "p": with the sign before it."""
    return f"= {p_value(value)}" if value is not None and value >= 1e-4 else p_value(value)


def threshold_words(frame: ReportContext, value: float) -> str:
    """A threshold of the metric, in percent where it is a share."""
    return f"{100 * value:g}{NARROW_SPACE}%" if frame.share else number(value)
