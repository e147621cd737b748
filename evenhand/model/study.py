"""What a study declares: its texts, questionnaires, conditions, groups and planned analysis, as frozen records.

A study's file is read into these (see `studies.file`), and its hash is a hash of them. Times are seconds since the epoch (UTC).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evenhand.model.cost import Cost
from evenhand.model.digest import digest
from evenhand.model.domain import Real, show
from evenhand.model.environment import Environment

Mode = Literal["live", "pilot", "simulated"]  # whose records these are: participants', those of a try-out, bots'
MODES: tuple[Mode, ...] = ("live", "pilot", "simulated")
EvaluationMode = Literal["retrain", "as tuned"]  # whether a choice's test score is of a model that learnt from validation, too
ValueRule = Literal["last", "best"]  # of which epoch a trial's value is
VALUE_RULES: tuple[ValueRule, ...] = ("last", "best")
USUAL_TRIAL_SHARE = 0.25  # of the budget: what one trial may use where a study file does not say it; no first draw takes more
EVALUATION_MODES: tuple[EvaluationMode, ...] = ("retrain", "as tuned")


@dataclass(frozen=True, slots=True)
class Until:
    """Until the best value is no better by `gain` than it was `trials` ended trials before; of a gain of 0, no better at all."""

    gain: Real
    trials: int

    def __str__(self) -> str:
        return f"{show(self.gain)} in {self.trials}"


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap in wall-clock time, trials or epochs, and how many trials may train at once. What is spent is derived.

    until: an end that the values decide. cost: rates of training, and a cap on what all of it may cost. Both are of exploratory
    sessions only, since in a study all have the same to spend.
    """

    seconds: Real | None = None
    trials: int | None = None
    epochs: int | None = None
    parallel: int = 1
    until: Until | None = None
    cost: Cost | None = None

    @property
    def training_seconds(self) -> Real | None:
        """The cap on training, added up over trials, in seconds; None where there is none."""
        return None if self.cost is None else self.cost.most_seconds


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to choose: how it is stored and exported, and what people read."""

    value: str
    label: Text


@dataclass(frozen=True, slots=True)
class When:
    """A condition on an earlier answer. question: QUESTIONNAIRE.QUESTION; an unanswered question fulfils none but `is not`.

    is: equals `value`, or contains it where several were chosen. at least, at most: compares numbers.
    """

    question: str
    op: Literal["is", "is not", "at least", "at most"]
    value: str | Real


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a questionnaire.

    Its answer is a str (single, text), a list of str (multiple), a number (number, likert: 1 to points), or a dict from row to
    str, or to a list of str where `many` (matrix).

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
    low: Real | None = None
    high: Real | None = None
    whole: bool = True
    points: int = 5
    ends: tuple[Text, ...] = ()
    longest: int = 2000
    when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionSection:
    """Questions that are shown together, or not at all (`when`)."""

    questions: tuple[Question, ...]
    title: Text | None = None
    when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """One page of questions, before tuning or after the final choice."""

    name: str
    title: Text
    sections: tuple[QuestionSection, ...]
    at: Literal["before", "after"] = "before"
    intro: Text | None = None

    @property
    def questions(self) -> tuple[Question, ...]:
        """Every question, in order."""
        return tuple(question for section in self.sections for question in section.questions)


@dataclass(frozen=True, slots=True)
class Arm:
    """An experimental condition: what differs in it from the study's own settings, and its share among the assigned.

    assistant: whether an assistant (a chatbot) may be used in it; None: nothing is said.
    reasons: the study's reasons in other words; empty: in its own. What is stored is the same under every wording.
    """

    name: str
    share: int = 1
    task_id: int | None = None
    budget: Budget | None = None
    presets: bool | None = None
    live_validation: bool | None = None
    assistant: bool | None = None
    reasons: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class ParticipantGroup:
    """Participants whose answer is a number from `low` to `high` (both included; None: no limit)."""

    name: str
    low: Real | None = None
    high: Real | None = None

    def holds(self, number: float) -> bool:
        """Whether a number lies within it."""
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


@dataclass(frozen=True, slots=True)
class Grouping:
    """How participants are grouped. by: QUESTIONNAIRE.QUESTION; without groups, each of its options is one."""

    by: str
    groups: tuple[ParticipantGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class ExclusionRule:
    """A rule, stated beforehand, by which a participant is left out of the statistics.

    trials, minutes: fewer than `at_least` were done. choice: none was made by the participant. answer: the answer to `question`
    is not `value` (an attention check).
    """

    fact: Literal["trials", "minutes", "choice", "answer"]
    at_least: Real | None = None
    question: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two conditions that are compared. expected: Cliff's delta, the first against the second, that the power is computed for."""

    first: str
    second: str
    test: Literal["mann-whitney", "brunner-munzel"] = "brunner-munzel"
    expected: Real = 0.5


@dataclass(frozen=True, slots=True)
class FlagRule:
    """Who is flagged by process signals: who pasted so often over all trials, or left the page for so many minutes in all."""

    pastes: int = 3
    away_minutes: Real = 10.0


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """The analysis as planned. thresholds: accuracies whose number of tries is told (the paper's Fig. 6).

    test: the headline's test. expected: the effect it is planned for: Spearman's rho, or Cliff's delta between the outer groups.
    target: with so many people who finished or are under way, nobody else can join; None: there is no such end.
    contrasts: between conditions. multiplicity: how their p-values are adjusted, over all contrasts and tasks. measures: other
    measures of experience beside months, as QUESTIONNAIRE.QUESTION; empty: those of OTHER_MEASURES that are asked.
    flags: whom the sensitivity table leaves out once, where the study records process signals.
    """

    thresholds: tuple[Real, ...] = (0.25, 0.5)
    test: Literal["spearman", "kruskal-wallis", "mann-whitney", "brunner-munzel"] = "spearman"
    alpha: Real = 0.05
    expected: Real = 0.6
    participants: int | None = None
    target: int | None = None
    exclusions: tuple[ExclusionRule, ...] = ()
    hypothesis: str = ""
    contrasts: tuple[Contrast, ...] = ()
    multiplicity: Literal["holm", "none"] = "holm"
    flags: FlagRule = FlagRule()
    measures: tuple[str, ...] = ()


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
        QuestionSection(
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
# Asked after the session where a condition says whether an assistant may be used.
ASSISTANT = Questionnaire(
    name="assistant",
    title=Text("An assistant"),
    at="after",
    intro=Text("Please answer as it was: nothing follows from either answer, and the analysis needs the true one."),
    sections=(
        QuestionSection(
            questions=(
                Question(
                    "used",
                    "single",
                    Text("Did you use an assistant (ChatGPT, Claude, Copilot or another chatbot) during the session?"),
                    options=(Option("no", Text("No")), Option("yes", Text("Yes"))),
                ),
                Question(
                    "which",
                    "text",
                    Text("Which one, and what for?"),
                    required=False,
                    longest=400,
                    when=(When("assistant.used", "is", "yes"),),
                ),
            )
        ),
    ),
)
ASSISTANT_USED = "assistant.used"  # the questions above, as QUESTIONNAIRE.QUESTION
ASSISTANT_WHICH = "assistant.which"
# The further measures of experience that the paper's section 4.1 names, as the template of a study asks for them.
OTHER_MEASURES = ("background.programming", "background.machine_learning", "background.level", "background.education")
OWN_WORDS_REASON = "other"  # whoever chooses it can give own words
# The paper's Table 3.
REASONS = (
    Option("guess", Text("just a guess")),
    Option("default", Text("suggested default value")),
    Option("experience", Text("worked well for me in the past")),
    Option("learnt", Text("learnt from previous submissions")),
    Option(OWN_WORDS_REASON, Text("other")),
)
# The paper says novice, medium and expert without stating where exactly nine months belong; here they are `medium`.
MONTHS = Grouping(
    "background.months",
    (ParticipantGroup("novice", 0, 0), ParticipantGroup("medium", 1, 9), ParticipantGroup("expert", 10, None)),
)


@dataclass(frozen=True, slots=True)
class Study:
    """The declared experiment, at one version.

    seed: root of every derived seed. presets: whether optional fields start filled with their defaults (the paper's
    text) or blank with the default as a hint (its screenshot). live_validation: whether validation is shown while a trial
    trains, or only after its end (as in the paper). practice: whether a trial off the clock, on another task, is offered first.
    resumable: whether a trial may go on from another's epochs, as `hyperband` and `asha` do; people's pages offer no such thing.
    classroom: a class tunes together: nicknames, a live board, no consent page. An empty consent text means no such page.
    evaluation_mode: how final choices are trained for their test score: on train and validation data together (`retrain`), or as
    their trials were (`as tuned`).
    value_rule: whether a trial's value is its last completed epoch's, as in the papers, or its best one's.
    signals: whether the tune page records process signals: how a form is filled in, never with what.
    trial_share: the largest share of the budget's time, and of its epochs, that one trial may use, a person's as a method's;
    None: all of it.
    machines: whether its trainings are for agents of one kind only, to which it is pinned when it is published, or for any.

    version, hash, packages, published_at, note, environment: of this version; None where it was not published. environment: what
    it is pinned to. closed_at: when collection ended. archived: read from an export; nobody can take part.
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
    evaluation_mode: EvaluationMode = "retrain"
    value_rule: ValueRule = "last"
    presets: bool = True
    live_validation: bool = True
    arms: tuple[Arm, ...] = ()
    questionnaires: tuple[Questionnaire, ...] = (BACKGROUND,)
    reasons: tuple[Option, ...] = REASONS
    reasons_required: bool = False
    grouping: Grouping = MONTHS
    plan: AnalysisPlan = AnalysisPlan()
    practice: bool = False
    classroom: bool = False
    resumable: bool = False
    trial_share: Real | None = None
    machines: Literal["alike", "any"] = "alike"
    signals: bool = False
    languages: tuple[str, ...] = ("en",)
    completion: str = ""
    contact: str = ""
    backup: str = ""
    webhook: str = ""
    source: str = ""
    version: int = 1
    hash: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    published_at: Real | None = None
    note: str = ""
    environment: Environment | None = None
    created_at: Real = 0.0
    closed_at: Real | None = None
    archived: bool = False
    id: int = 0

    @property
    def before(self) -> tuple[Questionnaire, ...]:
        """The questionnaires before tuning."""
        return tuple(questionnaire for questionnaire in self.questionnaires if questionnaire.at == "before")

    @property
    def after(self) -> tuple[Questionnaire, ...]:
        """The questionnaires after the final choice."""
        return tuple(questionnaire for questionnaire in self.questionnaires if questionnaire.at == "after")

    def arm(self, name: str | None) -> Arm | None:
        """The condition of this name."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def is_about_assistants(self) -> bool:
        """Whether a condition says whether an assistant may be used."""
        return any(arm.assistant is not None for arm in self.arms)

    def allows_assistant(self, condition: str | None) -> bool | None:
        """Whether an assistant may be used in a condition: not where only others say so; None where the study says nothing."""
        arm = self.arm(condition)
        return bool(arm and arm.assistant) if self.is_about_assistants else None

    def reasons_of(self, condition: str | None) -> tuple[Option, ...]:
        """The reasons as people of a condition read them."""
        arm = self.arm(condition)
        return (arm.reasons if arm else ()) or self.reasons

    def shows_live(self, condition: str | None) -> bool:
        """Whether validation is shown under this condition while a trial trains, not only when it has ended."""
        arm = self.arm(condition)
        return self.live_validation if arm is None or arm.live_validation is None else arm.live_validation

    def questionnaire(self, name: str) -> Questionnaire | None:
        """The questionnaire of this name."""
        return next((questionnaire for questionnaire in self.questionnaires if questionnaire.name == name), None)

    def question(self, path: str) -> Question | None:
        """The question at QUESTIONNAIRE.QUESTION."""
        questionnaire_name, _, name = path.partition(".")
        questionnaire = self.questionnaire(questionnaire_name)
        return next((question for question in questionnaire.questions if question.name == name), None) if questionnaire else None


def measures(study: Study) -> tuple[str, ...]:
    """The other measures of experience that are compared with months of deep learning.

    Args:
        study: whose plan names them, or whose questionnaires ask for some of OTHER_MEASURES.

    Returns:
        QUESTIONNAIRE.QUESTION of each.
    """
    named = study.plan.measures or OTHER_MEASURES
    return tuple(path for path in named if study.question(path) is not None and path != MONTHS.by)


# What is not declared but happens to a version, or names where it came from: it stays out of the hash.
UNHASHED_FIELDS = frozenset(
    {
        "id",
        "version",
        "hash",
        "published_at",
        "note",
        "environment",
        "created_at",
        "closed_at",
        "archived",
        "source",
        "task_id",
        "backup",
        "webhook",
    }
)


def reason_codes(offered: Sequence[Option]) -> dict[str, str]:
    """What a reason's words are stored as.

    Args:
        offered: the study's reasons.

    Returns:
        The values of reasons by the words that a trial keeps: an option's label, or the value itself. Other words are a person's
        own, and count as `OWN_WORDS_REASON`.
    """
    return {words: option.value for option in offered for words in (option.label.markdown, option.value)}


LATER_ARM_FIELDS = frozenset({"reasons", "assistant"})  # likewise
LATER_PLAN_FIELDS = frozenset(
    {"contrasts", "multiplicity", "measures", "target", "flags"}
)  # in no hash where they say what holds without them


def hash_of(study: Study, declared: Mapping[str, Any], tasks: Mapping[str, str]) -> str:
    """The study's content hash: of what it declares (its JSON), its tasks' versions, its packages."""
    content = {key: value for key, value in declared.items() if key not in UNHASHED_FIELDS}
    # A study that says nothing of these keeps the hash that it had before there were such things.
    if not study.resumable:
        del content["resumable"]
    if study.trial_share is None:
        del content["trial_share"]
    if study.machines == "alike":
        del content["machines"]
    if not study.signals:
        del content["signals"]
    if study.evaluation_mode == "retrain":
        del content["evaluation_mode"]
    if study.value_rule == "last":
        del content["value_rule"]
    plan = AnalysisPlan()
    content["plan"] = {
        key: value
        for key, value in declared["plan"].items()
        if key not in LATER_PLAN_FIELDS or getattr(study.plan, key) != getattr(plan, key)
    }
    content["budget"] = _caps(declared["budget"])
    arms = [
        {
            **{key: value for key, value in arm.items() if key not in LATER_ARM_FIELDS or value not in (None, [], ())},
            "task_id": tasks.get(str(arm["task_id"])),
            "budget": _caps(arm["budget"]),
        }
        for arm in declared["arms"]
    ]
    return digest({**content, "arms": arms, "task": tasks[str(study.task_id)]})


def _caps(budget: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A budget's JSON without what it does not say since there is such a thing."""
    return (
        None if budget is None else {key: cap for key, cap in budget.items() if key not in ("until", "cost") or cap is not None}
    )
