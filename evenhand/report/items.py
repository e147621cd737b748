"""Report items: each is one registered function that gives numbers, words, drawing and table of a study's records.

`REPORT_ITEMS` is where Evenhand's own are registered, in the order of the report; other people's are entry points of the group
`evenhand.report_items`. One of theirs that fails is shown with the reason in its place: the rest of the report stands.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evenhand.analysis import paper_items
from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.model.registry import Registry
from evenhand.report import figures
from evenhand.report.blocks import Item, ReportSection
from evenhand.report.context import ReportContext

FURTHER_SECTION = "further"
TRACEBACK_FRAMES = -3  # of the traceback of an item that fails, the last ones
KEY_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # of an item: its file's name, and its anchor in the page

Make = Callable[[ReportContext], Item | Sequence[Item]]


@dataclass(frozen=True)
class ReportItem:
    """A function that makes one item of a study's report, or several alike (one for each threshold), or none.

    Attributes:
        make: the function.
        section: the key of the section that it stands in.
        whole_study: whether it tells of the study as a whole. Others are made of each task by itself where participants worked
            on several, since scores of different tasks are never put together.
        exact: whether its numbers need the answers on experience themselves, not only the groups: of a public archive, whose
            answers are coarse, it says so.

    Raises:
        InvalidSettings: there is no such section.
    """

    make: Make
    section: str = FURTHER_SECTION
    whole_study: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        if self.section not in SECTIONS:
            raise InvalidSettings(f"report item: there is no section {self.section!r}; expected one of {', '.join(SECTIONS)}")

    def __call__(self, frame: ReportContext) -> tuple[Item, ...]:
        """What it makes of a study's records.

        Args:
            frame: the records.

        Returns:
            Its items, in order; of each task where there are several and it is not of the whole study.
        """
        if self.whole_study or not frame.by_task:
            made = _items(self.make(frame))
        else:
            made = tuple(
                replace(item, key=f"{item.key}-task-{place}", title=f"{item.title} ({task})") if isinstance(item, Item) else item
                for place, (task, its) in enumerate(frame.by_task.items(), 1)
                for item in _items(self.make(its))
            )
        words = frame.coarse_words if self.exact else ""
        return tuple(replace(item, how=f"{item.how}. {words}") for item in made) if words else made


def _items(made: Item | Iterable[Item]) -> tuple[Item, ...]:
    return (made,) if isinstance(made, Item) else tuple(made)


@dataclass(frozen=True)
class Heading:
    """A section's title, and its introduction. optional: without items it is left out, where others say that they have none."""

    title: str
    intro: Callable[[ReportContext], str] = lambda _: ""
    optional: bool = False


def report_item(
    section: str = FURTHER_SECTION, *, whole_study: bool = False, exact: bool = False
) -> Callable[[Make], ReportItem]:
    """Make a report item of a function of `ReportContext`.

    Args:
        section: where it stands: people, setup, conditions, accuracy, efficiency, strategies, reviewers, search, sensitivity,
            disclosure, provenance, or further.
        whole_study: whether it tells of the study as a whole, and is not made of each task by itself.
        exact: whether its numbers need the answers on experience themselves, not only the groups.

    Returns:
        The decorator.

    Raises:
        InvalidSettings: there is no such section.
    """
    return lambda make: ReportItem(make, section, whole_study, exact)


def _about_random(frame: ReportContext) -> str:
    sample = paper_items.random_configurations(frame.archive)
    if sample.mean is None:
        return ""
    return f"Random configurations: mean {frame.score(sample.mean)}, SD {frame.score(sample.sd)}."


SECTIONS: Mapping[str, Heading] = {
    "people": Heading("Who took part"),
    "setup": Heading("The set-up", _about_random),
    "conditions": Heading("Conditions and tasks", lambda _: "Compared on each task, never pooled.", optional=True),
    "accuracy": Heading("Experience and accuracy"),
    "efficiency": Heading("Experience and efficiency"),
    "strategies": Heading("Differences in strategy"),
    "reviewers": Heading("What reviewers ask", lambda _: "Participants are the cases; evaluation seeds never are."),
    "search": Heading("Search behaviour", lambda _: "The paper's section 3.2, made measurable."),
    "sensitivity": Heading("Sensitivity to what is ambiguous"),
    "disclosure": Heading("Disclosure"),
    "provenance": Heading("Where the numbers come from"),
    FURTHER_SECTION: Heading("Further", optional=True),
}
REPORT_ITEMS = Registry(
    "report item",
    "evenhand.report_items",
    {
        "flow": "evenhand.report.study_paper:flow",
        "left-out": "evenhand.report.study_paper:left_out",
        "random-configurations": "evenhand.report.study_paper:random_configurations",
        "spaces": "evenhand.report.study_paper:spaces",
        "experience": "evenhand.report.study_paper:experience",
        "conditions": "evenhand.report.study_conditions:conditions",
        "contrasts": "evenhand.report.study_conditions:contrasts",
        "contrast-power": "evenhand.report.study_conditions:contrast_power",
        "reason-wordings": "evenhand.report.study_conditions:wordings",
        "across-tasks": "evenhand.report.study_conditions:across_tasks",
        "assistants": "evenhand.report.study_conditions:assistants",
        "scatter": "evenhand.report.study_paper:scatter",
        "measures": "evenhand.report.study_paper:measures",
        "boxes": "evenhand.report.study_paper:boxes",
        "levene": "evenhand.report.study_paper:levene",
        "headlines": "evenhand.report.study_paper:headlines",
        "tries": "evenhand.report.study_paper:tries",
        "by-try": "evenhand.report.study_paper:by_try",
        "starts": "evenhand.report.study_paper:starts",
        "reasons-offered": "evenhand.report.study_paper:reasons_offered",
        "reasons": "evenhand.report.study_paper:reasons",
        "contradictions": "evenhand.report.study_paper:contradictions",
        "location": "evenhand.report.study_review:location",
        "centres": "evenhand.report.study_review:centres",
        "effects": "evenhand.report.study_review:effects",
        "survival": "evenhand.report.study_review:survival",
        "mixed": "evenhand.report.study_review:mixed",
        "power": "evenhand.report.study_review:planned_power",
        "search": "evenhand.report.study_review:search",
        "likeness": "evenhand.report.study_review:likeness",
        "sensitivity": "evenhand.report.study_review:sensitivities",
        "process-signals": "evenhand.report.study_review:signals",
        "measures-figures": "evenhand.report.study_review:by_measures",
        "disclosure": "evenhand.report.study_review:disclosure",
        "versions": "evenhand.report.study_review:versions",
        "tasks": "evenhand.report.study_review:tasks",
        "packages": "evenhand.report.study_review:packages",
        "trained-in": "evenhand.report.study_review:trained_in",
        "by-environment": "evenhand.report.study_review:by_environment",
    },
)


def sections(frame: ReportContext) -> tuple[ReportSection, ...]:
    """Every registered item of a study's records, in its section."""
    placed: dict[str, list[Item]] = {key: [] for key in SECTIONS}
    for section, item in _all(frame):
        placed[section].append(item)
    return tuple(
        ReportSection(key, heading.title, heading.intro(frame), tuple(placed[key]))
        for key, heading in SECTIONS.items()
        if placed[key] or not heading.optional
    )


def _all(frame: ReportContext) -> Iterator[tuple[str, Item]]:
    """Each item with its section; Evenhand's own first, whose keys no other one may have."""
    keys: set[str] = set()
    for name in REPORT_ITEMS.own:
        maker: ReportItem = REPORT_ITEMS.own_one(name)
        for item in maker(frame):
            keys.add(item.key)
            yield maker.section, item
    for name in dict.fromkeys(entry.name for entry in REPORT_ITEMS.entries if entry.by):
        section, made = _of_others(name, frame, frozenset(keys))
        keys.update(item.key for item in made)
        yield from ((section, item) for item in made)


def _of_others(name: str, frame: ReportContext, taken: frozenset[str]) -> tuple[str, Sequence[Item]]:
    """The items of a plug-in with their section; where it fails, one that says so."""
    try:
        maker = REPORT_ITEMS.get(name)
        maker = maker if isinstance(maker, ReportItem) else report_item()(maker)
        made = maker(frame)
        for item in made:
            _check(name, item, taken)
        if len({item.key for item in made}) < len(made):
            raise REPORT_ITEMS.broken(name, "two of its items have the same key")
        return maker.section, made
    except EvenhandError as error:
        why = str(error)
    except Exception:
        why = str(REPORT_ITEMS.broken(name, f"it raised an exception\n{traceback.format_exc(limit=TRACEBACK_FRAMES)}"))
    key = f"plug-in-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}"
    return FURTHER_SECTION, [Item(key, f"Plug-in item {name}", "not computed", "", why=why)]


def _check(name: str, item: object, taken: Iterable[str]) -> None:
    """Nothing, or PluginBroken where what a plug-in made cannot be shown."""
    if not isinstance(item, Item):
        raise REPORT_ITEMS.broken(name, f"it gives a {type(item).__name__}, expected an Item, or several")
    if not KEY_PATTERN.fullmatch(item.key) or item.key in taken:
        expected = "small letters, digits and single hyphens, and no other item's"
        raise REPORT_ITEMS.broken(name, f"the key of its item is {item.key!r}, expected {expected}")
    if item.table is not None:
        for row in item.table.rows:
            if len(row) != len(item.table.columns) or not all(isinstance(cell, str) for cell in row):
                raise REPORT_ITEMS.broken(
                    name, f"a row of its table is {row!r}, expected a text for each of {item.table.columns}"
                )
    if item.spec is not None:
        figures.svg(item.spec)  # what cannot be drawn is said here, not where the page is made
