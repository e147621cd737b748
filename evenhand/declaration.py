"""What a study declares: its texts, questionnaires, conditions, groups and planned analysis, as frozen records.

A study's file is read into these (see `studyfile`), and its hash is a hash of them. Times are seconds since the epoch (UTC).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evenhand.space import digest

Mode = Literal["live", "pilot", "simulated"]  # whose records these are: participants', those of a try-out, bots'
MODES: tuple[Mode, ...] = ("live", "pilot", "simulated")


@dataclass(frozen=True)
class Budget:
    """A cap in wall-clock time, trials or epochs, and how many trials may train at once. What is spent is derived."""

    seconds: float | None = None
    trials: int | None = None
    epochs: int | None = None
    parallel: int = 1


@dataclass(frozen=True)
class Text:
    """A text that participants read, in Markdown; its version is its content's hash.

    translations: the same text by language code, for the languages beside the study's first.
    """

    markdown: str
    translations: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The first twelve digits of the text's SHA-256."""
        return digest({"": self.markdown, **self.translations} if self.translations else self.markdown)[:12]

    def said(self, language: str) -> str:
        """The text in this language; in the study's first language where it was not translated."""
        return self.translations.get(language, self.markdown)

    def __str__(self) -> str:
        return self.markdown


@dataclass(frozen=True)
class Option:
    """One answer to choose: how it is stored and exported, and what people read."""

    value: str
    label: Text


@dataclass(frozen=True)
class When:
    """A condition on an earlier answer. question: QUESTIONNAIRE.QUESTION; an unanswered question fulfils none but `is not`.

    is: equals `value`, or contains it where several were chosen. at least, at most: compares numbers.
    """

    question: str
    op: Literal["is", "is not", "at least", "at most"]
    value: str | float


@dataclass(frozen=True)
class Question:
    """One question. Its answer is a str (single, text), a list of str (multiple), a number (number, likert: 1 to points), or
    a dict from row to str, or to a list of str where `many` (matrix).

    text: may hold {QUESTIONNAIRE.QUESTION}, which becomes the answer given there. options: of single, multiple and the
    columns of a matrix. low, high, whole: limits of a number. ends: what the lowest and highest point of a Likert scale mean.
    """

    name: str
    kind: Literal["single", "multiple", "number", "text", "likert", "matrix"]
    text: Text
    help: Text | None = None
    required: bool = True
    options: tuple[Option, ...] = ()
    rows: tuple[Option, ...] = ()
    many: bool = False
    low: float | None = None
    high: float | None = None
    whole: bool = True
    points: int = 5
    ends: tuple[Text, ...] = ()
    longest: int = 2000
    when: tuple[When, ...] = ()


@dataclass(frozen=True)
class Section:
    """Questions that are shown together, or not at all (`when`)."""

    questions: tuple[Question, ...]
    title: Text | None = None
    when: tuple[When, ...] = ()


@dataclass(frozen=True)
class Questionnaire:
    """One page of questions, before tuning or after the final choice."""

    name: str
    title: Text
    sections: tuple[Section, ...]
    at: Literal["before", "after"] = "before"
    intro: Text | None = None

    @property
    def questions(self) -> tuple[Question, ...]:
        """Every question, in order."""
        return tuple(question for section in self.sections for question in section.questions)


@dataclass(frozen=True)
class Arm:
    """An experimental condition: what differs in it from the study's own settings, and its share among the assigned."""

    name: str
    share: int = 1
    task_id: int | None = None
    budget: Budget | None = None
    presets: bool | None = None
    live_validation: bool | None = None


@dataclass(frozen=True)
class Group:
    """Participants whose answer is a number from `low` to `high` (both included; None: no limit)."""

    name: str
    low: float | None = None
    high: float | None = None

    def holds(self, number: float) -> bool:
        """Whether a number lies within it."""
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


@dataclass(frozen=True)
class Grouping:
    """How participants are grouped. by: QUESTIONNAIRE.QUESTION; without groups, each of its options is one."""

    by: str
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule, stated beforehand, by which a participant is left out of the statistics.

    trials, minutes: fewer than `at_least` were done. choice: none was made by the participant. answer: the answer to `question`
    is not `value` (an attention check).
    """

    fact: Literal["trials", "minutes", "choice", "answer"]
    at_least: float | None = None
    question: str = ""
    value: str = ""


@dataclass(frozen=True)
class Plan:
    """The analysis as planned. thresholds: accuracies whose number of tries is told (the paper's Fig. 6).

    test: the headline's test. expected: the effect it is planned for: Spearman's rho, or Cliff's delta between the outer groups.
    """

    thresholds: tuple[float, ...] = (0.25, 0.5)
    test: Literal["spearman", "kruskal-wallis", "mann-whitney", "brunner-munzel"] = "spearman"
    alpha: float = 0.05
    expected: float = 0.6
    participants: int | None = None
    exclusions: tuple[Rule, ...] = ()
    hypothesis: str = ""


EDUCATION: Mapping[str, str] = {
    "none": "No degree",
    "school": "Secondary school",
    "vocational": "Vocational training",
    "bachelor": "Bachelor's degree",
    "master": "Master's degree",
    "doctorate": "Doctorate",
    "other": "Something else",
}
# The paper's background form (its supplement, Fig. 2).
BACKGROUND = Questionnaire(
    name="background",
    title=Text("Background"),
    sections=(
        Section(
            questions=(
                Question(
                    "months",
                    "number",
                    Text("How many months of experience with deep learning do you have?"),
                    help=Text("Roughly; 0 if you have none."),
                    low=0,
                    high=600,
                ),
                Question(
                    "education",
                    "single",
                    Text("What is your highest completed education?"),
                    options=tuple(Option(value, Text(label)) for value, label in EDUCATION.items()),
                ),
            )
        ),
    ),
)
# The paper's Table 3. `other` asks for own words.
REASONS = (
    Option("guess", Text("just a guess")),
    Option("default", Text("suggested default value")),
    Option("experience", Text("worked well for me in the past")),
    Option("learnt", Text("learnt from previous submissions")),
    Option("other", Text("other")),
)
# The paper says novice, medium and expert without stating where exactly nine months belong; here they are `medium`.
MONTHS = Grouping("background.months", (Group("novice", 0, 0), Group("medium", 1, 9), Group("expert", 10, None)))


@dataclass(frozen=True)
class Study:
    """The declared experiment, at one version.

    seed: root of every derived seed. presets: whether optional fields start filled with their defaults (the paper's
    text) or blank with the default as a hint (its screenshot). live_validation: whether validation is shown while a trial
    trains, or only after its end (as in the paper). practice: whether a trial off the clock, on another task, is offered first.
    resumable: whether a trial may go on from another's epochs, as `hyperband` and `asha` do; people's pages offer no such thing.
    classroom: a class tunes together: nicknames, a live board, no consent page. An empty consent text means no such page.

    version, hash, packages, published_at, note: of this version; None where it was not published. closed_at: when collection
    ended. archived: read from an export; nobody can take part.
    """

    name: str
    title: str
    task_id: int
    budget: Budget
    seed: int
    consent: Text
    details: Text
    thanks: Text
    evaluation_seeds: int = 10
    presets: bool = True
    live_validation: bool = True
    arms: tuple[Arm, ...] = ()
    questionnaires: tuple[Questionnaire, ...] = (BACKGROUND,)
    reasons: tuple[Option, ...] = REASONS
    reasons_required: bool = False
    grouping: Grouping = MONTHS
    plan: Plan = Plan()
    practice: bool = False
    classroom: bool = False
    resumable: bool = False
    languages: tuple[str, ...] = ("en",)
    completion: str = ""
    contact: str = ""
    backup: str = ""
    webhook: str = ""
    source: str = ""
    version: int = 1
    hash: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    published_at: float | None = None
    note: str = ""
    created_at: float = 0.0
    closed_at: float | None = None
    archived: bool = False
    id: int = 0

    @property
    def before(self) -> tuple[Questionnaire, ...]:
        """The questionnaires before tuning."""
        return tuple(each for each in self.questionnaires if each.at == "before")

    @property
    def after(self) -> tuple[Questionnaire, ...]:
        """The questionnaires after the final choice."""
        return tuple(each for each in self.questionnaires if each.at == "after")

    def arm(self, name: str | None) -> Arm | None:
        """The condition of this name."""
        return next((each for each in self.arms if each.name == name), None)

    def questionnaire(self, name: str) -> Questionnaire | None:
        """The questionnaire of this name."""
        return next((each for each in self.questionnaires if each.name == name), None)

    def question(self, path: str) -> Question | None:
        """The question at QUESTIONNAIRE.QUESTION."""
        name, _, question = path.partition(".")
        found = self.questionnaire(name)
        return next((each for each in found.questions if each.name == question), None) if found else None


# What is not declared but happens to a version, or names where it came from: it stays out of the hash.
UNHASHED = frozenset(
    {
        "id",
        "version",
        "hash",
        "published_at",
        "note",
        "created_at",
        "closed_at",
        "archived",
        "source",
        "task_id",
        "backup",
        "webhook",
    }
)


def hash_of(study: Study, declared: Mapping[str, Any], tasks: Mapping[str, str]) -> str:
    """The study's content hash: of what it declares (its JSON), its tasks' versions (source, settings, data), its packages."""
    content = {key: value for key, value in declared.items() if key not in UNHASHED}
    if not study.resumable:
        del content["resumable"]  # a study that says nothing of it keeps the hash that it had before there was such a thing
    arms = [{**arm, "task_id": tasks.get(str(arm["task_id"]))} for arm in declared["arms"]]
    return digest({**content, "arms": arms, "task": tasks[str(study.task_id)]})
