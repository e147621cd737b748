"""Questionnaires by rule: every mistake of a declaration, what is shown on conditions, piping, and forms of any content."""

import dataclasses
import json
from collections.abc import Mapping
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.model.questionnaires import Form, check, escape, field, fields, holds, piped, pipes, read, shown, typed
from evenhand.model.study import BACKGROUND, Budget, Option, Question, Questionnaire, QuestionSection, Study, Text, When
from evenhand.web.pages import inline

TOOLS = (Option("torch", Text("PyTorch", {"de": "PyTorch"})), Option("tf", Text("TensorFlow *2*", {"de": "TensorFlow zwei"})))
YES_NO = (Option("yes", Text("Yes", {"de": "Ja"})), Option("no", Text("No", {"de": "Nein"})))
ROWS = (Option("vision", Text("Vision", {"de": "Bilder"})), Option("speech", Text("Speech", {"de": "Sprache"})))


def two(english: str, german: str = "") -> Text:
    return Text(english, {"de": german or english})


TUNED = Question("tuned", "single", two("Have you tuned before?", "Schon getunt?"), options=YES_NO)
EVERY = Questionnaire(
    "experience",
    two("Your experience"),
    (
        QuestionSection(
            (
                TUNED,
                Question("tools", "multiple", two("Which tools?"), options=TOOLS, when=(When("experience.tuned", "is", "yes"),)),
            )
        ),
        QuestionSection(
            (
                Question("months", "number", two("For how many months with {experience.tools}?"), low=0, high=600),
                Question("hours", "number", two("Hours a week"), whole=False, low=0.5, required=False),
                Question("rate", "likert", two("How good are you?"), points=7, ends=(two("poor"), two("superb"))),
            ),
            when=(When("experience.tools", "is", "torch"),),
        ),
        QuestionSection(
            (
                Question("words", "text", two("In your words"), required=False, longest=50),
                Question("areas", "matrix", two("Areas"), options=YES_NO, rows=ROWS, required=False),
                Question("uses", "matrix", two("Uses"), options=TOOLS, rows=ROWS, many=True),
            ),
            title=two("More"),
        ),
    ),
)
LANGUAGES = ("en", "de")


def study(*questionnaires: Questionnaire) -> Study:
    texts = (Text(""), Text(""), Text(""))
    return Study("s", "S", 1, Budget(trials=1), 0, *texts, questionnaires=questionnaires, languages=LANGUAGES)


def one(question: Question, **settings: Any) -> Questionnaire:
    return Questionnaire("form", two("Form"), (QuestionSection((dataclasses.replace(question, **settings),)),))


def answered(question: Question, *texts: str) -> Any:
    """The answer that these texts give, or the words that refuse them."""
    answers, problems = read(one(question), {"q." + question.name: list(texts)}, {})
    return problems.get("q." + question.name) or answers.get(f"form.{question.name}")


# Declarations


def mistakes(*questionnaires: Questionnaire) -> dict[str, str]:
    return {mistake.path: str(mistake) for mistake in check(questionnaires, LANGUAGES)}


def test_the_papers_form_and_one_of_every_kind_have_no_mistake() -> None:
    assert check((BACKGROUND,), ("en",)) == []
    assert check((EVERY,), LANGUAGES) == []


def test_every_mistake_is_found_at_once_with_its_path_and_its_fix() -> None:
    wrong = Questionnaire(
        "Your experience",
        two("Title"),
        (
            QuestionSection(
                (
                    Question("a", "single", two("A")),
                    Question("a", "matrix", two("{b.c} and {form.late}"), options=YES_NO),
                    Question("b", "number", two("B"), low=5, high=1, rows=ROWS, options=TOOLS),
                    Question("c", "likert", two("C"), points=1, ends=(two("low"),)),
                    Question("d", "single", two("D"), options=(*YES_NO, YES_NO[0], Option("", two("blank")))),
                    Question("e", "text", two(" "), longest=0, many=True),
                ),
                when=(When("form.late", "is", "x"),),
            ),
        ),
    )
    late = Questionnaire("form", two("Form"), (QuestionSection((Question("late", "text", two("Late")),)),))
    problems = mistakes(wrong, late)
    at = "questionnaires[0].sections[0]"
    assert set(problems) == {
        "questionnaires[0].name",
        f"{at}.when[0].question",
        f"{at}.questions[0].options",
        f"{at}.questions[1].name",
        f"{at}.questions[1].text",
        f"{at}.questions[1].text.de",
        f"{at}.questions[1].rows",
        f"{at}.questions[2].low",
        f"{at}.questions[2].rows",
        f"{at}.questions[2].options",
        f"{at}.questions[3].points",
        f"{at}.questions[3].ends",
        f"{at}.questions[4].options[2].value",
        f"{at}.questions[4].options[3].value",
        f"{at}.questions[5].text",
        f"{at}.questions[5].text.de",
        f"{at}.questions[5].many",
        f"{at}.questions[5].longest",
    }
    assert "for example your_experience" in problems["questionnaires[0].name"]
    assert "at most the `high` of 1" in problems[f"{at}.questions[2].low"]
    assert "asked earlier" in problems[f"{at}.when[0].question"]


@pytest.mark.parametrize(
    ("when", "wrong"),
    [
        (When("form.pick", "is", "yes"), ""),
        (When("form.pick", "is", "Yes"), "one of yes, no"),
        (When("form.pick", "at least", 3), '"is" or "is not"'),
        (When("form.count", "at least", 3), ""),
        (When("form.count", "at least", "many"), "a number"),
        (When("form.count", "is", 11), "from 0 to 10"),
        (When("form.count", "is", 2.5), "a whole number"),
        (When("form.scale", "is not", 6), "a point from 1 to 5"),
        (When("form.table", "is", "yes"), "a question with one answer"),
        (When("form.itself", "is", "x"), "asked earlier"),
        (When("other.nothing", "is", "x"), "in this study"),
    ],
)
def test_conditions_are_checked_against_the_question_that_they_look_at(when: When, wrong: str) -> None:
    questions = (
        Question("pick", "single", two("Pick"), options=YES_NO),
        Question("count", "number", two("Count"), low=0, high=10),
        Question("scale", "likert", two("Scale")),
        Question("table", "matrix", two("Table"), options=YES_NO, rows=ROWS),
        Question("itself", "text", two("Itself"), when=(when,)),
    )
    problems = mistakes(Questionnaire("form", two("Form"), (QuestionSection(questions),)))
    assert len(problems) == bool(wrong)
    for path, words in problems.items():
        assert path.startswith("questionnaires[0].sections[0].questions[4].when[0].")
        assert wrong in words


def test_a_questionnaire_after_tuning_is_later_than_one_before_it_wherever_it_is_written() -> None:
    after = Questionnaire("end", two("End"), (QuestionSection((Question("why", "text", two("{form.what}?")),)),), at="after")
    before = Questionnaire("form", two("Form"), (QuestionSection((Question("what", "text", two("What?")),)),))
    assert mistakes(after, before) == {}
    swapped = mistakes(dataclasses.replace(after, at="before"), dataclasses.replace(before, at="after"))
    assert set(swapped) == {
        "questionnaires[0].sections[0].questions[0].text",
        "questionnaires[0].sections[0].questions[0].text.de",
    }


def test_a_missing_or_needless_translation_warns() -> None:
    question = Question("what", "text", Text("What?", {"fr": "Quoi ?"}))
    problems = check((Questionnaire("form", two("Form"), (QuestionSection((question,)),)),), LANGUAGES)
    assert {problem.path.rpartition("text.")[2] for problem in problems} == {"de", "fr"}
    assert all(problem.warning for problem in problems)


def test_two_questionnaires_of_one_name_are_a_mistake() -> None:
    assert set(mistakes(one(TUNED), one(TUNED))) == {"questionnaires[1].name"}


# What is shown


def names(answers: Mapping[str, Any]) -> list[str]:
    return [question.name for section in shown(EVERY, answers) for question in section.questions]


def test_sections_and_questions_appear_on_earlier_answers() -> None:
    end = ["words", "areas", "uses"]
    assert names({}) == ["tuned", *end]
    assert names({"experience.tuned": "yes"}) == ["tuned", "tools", *end]
    assert names({"experience.tuned": "yes", "experience.tools": ["tf", "torch"]}) == [
        "tuned", "tools", "months", "hours", "rate", *end,
    ]  # fmt: skip


def test_a_hidden_question_counts_as_unanswered() -> None:
    assert "months" not in names({"experience.tuned": "no", "experience.tools": ["torch"]})


@pytest.mark.parametrize(
    ("op", "value", "answer", "expected"),
    [
        ("is", "yes", None, False),
        ("is", "yes", "yes", True),
        ("is", "torch", ["tf", "torch"], True),
        ("is", 3.0, 3, True),
        ("is", "3", 3, True),
        ("is", 3.0, "3", True),
        ("is not", "yes", None, True),
        ("is not", "torch", ["tf", "torch"], False),
        ("at least", 3, 3, True),
        ("at least", 3, 2.9, False),
        ("at most", 3, None, False),
        ("at most", "3", 2, True),
        ("at most", 3, "words", False),
        ("at most", 3, True, False),
    ],
)
def test_a_condition_holds(op: Any, value: str | float, answer: Any, expected: bool) -> None:
    assert holds([When("a.b", op, value)], {} if answer is None else {"a.b": answer}) is expected


# Piping


def test_an_earlier_answer_is_piped_in_the_language_of_the_page_as_plain_text() -> None:
    text = two("With {experience.tools}, {experience.hours} hours: {experience.words}", "Mit {experience.tools}!")
    answers = {"experience.tools": ["torch", "tf"], "experience.hours": 0.5, "experience.words": "<b>*a*</b>\n{experience.hours}"}
    assert piped(text, "en", answers, study(EVERY)) == (
        "With PyTorch\\, TensorFlow \\*2\\*, 0\\.5 hours: \\<b\\>\\*a\\*\\<\\/b\\> \\{experience\\.hours\\}"
    )
    assert piped(text, "de", answers, study(EVERY)) == "Mit PyTorch\\, TensorFlow zwei!"
    assert piped(text, "en", {}, study(EVERY)) == "With …, … hours: …"
    assert piped(Text("{no.such} stays"), "en", {}, study(EVERY)) == "{no.such} stays"
    assert pipes(text.markdown) == ("experience.tools", "experience.hours", "experience.words")


def test_a_matrix_is_piped_row_by_row() -> None:
    answers = {"experience.uses": {"vision": ["torch", "tf"], "speech": ["torch"]}}
    said = piped(Text("{experience.uses}"), "de", answers, study(EVERY))
    assert said.replace("\\", "") == "Bilder: PyTorch, TensorFlow zwei; Sprache: PyTorch"


@pytest.mark.slow
@given(st.text())
def test_escaped_text_is_rendered_as_it_was(text: str) -> None:
    kept = "".join(character for character in text if character not in "\0\ufffd")
    rendered = str(inline(escape(kept)))
    assert "<" not in rendered
    assert unescape(rendered) == " ".join(kept.split())


# Reading a form


def test_every_kind_is_read_and_hidden_answers_are_dropped() -> None:
    form: Form = {
        "q.tuned": "yes",
        "q.tools": ["tf", "torch"],
        "q.months": " 18 ",
        "q.hours": "2,5",
        "q.rate": "7",
        "q.words": " first\r\nsecond\x07 ",
        "q.areas.vision": "no",
        "q.uses.vision": ["torch"],
        "q.uses.speech": "tf",
        "q.unknown": "x",
        "csrf_token": "y",
    }
    answers, problems = read(EVERY, form, {})
    assert problems == {}
    assert answers == {
        "experience.tuned": "yes",
        "experience.tools": ["torch", "tf"],
        "experience.months": 18,
        "experience.hours": 2.5,
        "experience.rate": 7,
        "experience.words": "first\nsecond",
        "experience.areas": {"vision": "no"},
        "experience.uses": {"vision": ["torch"], "speech": ["tf"]},
    }
    answers, problems = read(EVERY, {**form, "q.tuned": "no"}, answers)
    assert problems == {}
    assert set(answers) == {"experience.tuned", "experience.words", "experience.areas", "experience.uses"}


def test_all_that_is_wrong_or_missing_is_told_at_once_by_field() -> None:
    _, problems = read(EVERY, {"q.tuned": "yes", "q.tools": "torch", "q.months": "two", "q.areas.vision": "maybe"}, {})
    assert problems == {
        "q.months": "two is not possible here. Please enter a whole number from 0 to 600.",
        "q.rate": "Please choose a point from 1 to 7.",
        "q.areas.vision": "Please choose one of the answers shown.",
        "q.uses.vision": "Please choose at least one in this row.",
        "q.uses.speech": "Please choose at least one in this row.",
    }


WHOLE = Question("n", "number", two("N"), low=-5, high=600)
DECIMAL = Question("n", "number", two("N"), whole=False)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("007", 7), ("+3", 3), ("-5", -5), ("\u22125", -5), ("600", 600), ("\t12\n", 12)]
)
def test_a_whole_number(text: str, expected: int) -> None:
    assert answered(WHOLE, text) == expected
    assert type(answered(WHOLE, text)) is int


@pytest.mark.parametrize(
    "text", ["601", "-6", "1.5", "1,000", "1e2", "nan", "inf", "٣", "²", "1_0", "0x1", "1 0", "9" * 18, "9" * 5000, "--1", "."]
)
def test_no_whole_number_in_range(text: str) -> None:
    assert answered(WHOLE, text).endswith("is not possible here. Please enter a whole number from -5 to 600.")
    assert len(answered(WHOLE, text)) < 150


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2,5", 2.5), (".5", 0.5), ("5.", 5.0), ("1e-5", 1e-5), ("0,125", 0.125), ("1.125", 1.125), ("-3", -3.0)],
)
def test_a_number_with_a_comma_or_a_dot(text: str, expected: float) -> None:
    assert answered(DECIMAL, text) == expected


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "1e1000", "1.2.3", "1,2,3", "NaN", "infinity", "e5", "1e"])
def test_no_number(text: str) -> None:
    assert answered(DECIMAL, text) == f"{text} is not possible here. Please enter a number."


def test_a_number_that_can_be_read_in_two_ways_is_asked_about() -> None:
    assert answered(DECIMAL, "1,125") == "1,125 can be read in two ways: please write 1125 or 1.125."
    assert answered(DECIMAL, "-12,500") == "-12,500 can be read in two ways: please write -12500 or -12.500."


def test_limits_that_are_open_on_one_side_are_told() -> None:
    assert answered(dataclasses.replace(DECIMAL, low=0.5), "0").endswith("Please enter a number, at least 0.5.")
    assert answered(dataclasses.replace(DECIMAL, high=2), "3").endswith("Please enter a number, at most 2.")
    assert answered(dataclasses.replace(WHOLE, low=None, high=None), str(2**53)) == 2**53
    assert "not possible" in answered(dataclasses.replace(WHOLE, low=None, high=None), str(2**53 + 1))


def test_two_answers_where_one_is_asked_for_are_refused() -> None:
    assert answered(TUNED, "yes", "no") == "Please choose one of the answers shown."
    assert answered(Question("r", "likert", two("R")), "1", "2") == "Please choose a point from 1 to 5."
    assert answered(Question("r", "likert", two("R")), "6") == "Please choose a point from 1 to 5."
    assert answered(Question("r", "multiple", two("R"), options=TOOLS), "torch", "jax") == (
        "Please choose only among the answers shown."
    )


def test_a_text_that_is_too_long_says_by_how_much() -> None:
    assert (
        answered(Question("t", "text", two("T"), longest=3), "four") == "Please shorten this to at most 3 characters; it has 4."
    )
    assert answered(Question("t", "text", two("T"), longest=3), "\0\x1b\ud800 abc") == "abc"


def test_nothing_is_asked_of_who_leaves_an_optional_question_out() -> None:
    for question in EVERY.questions:
        assert read(one(question, when=(), required=False), {field(question): "  "}, {}) == ({}, {})


def test_what_was_typed_is_kept_for_the_next_page() -> None:
    form: Form = {
        "q.tuned": "maybe",
        "q.tools": ["jax", "tf"],
        "q.uses.vision": ["torch"],
        "q.other": "x",
        "q.months": "",
        "q.rate": 7,
    }
    assert typed(EVERY, form) == {"q.tuned": ("maybe",), "q.tools": ("jax", "tf"), "q.uses.vision": ("torch",)}
    assert len(typed(EVERY, {"q.words": "x" * 200_000})["q.words"][0]) == 100_000


# Any form, any answer

FIELDS = [name for question in EVERY.questions for name in fields(question)]
LIKELY = st.sampled_from(["yes", "no", "torch", "tf", "1", "7", "12", "0,5", "1e999", "nan", "-0", "\0", "\ud800", "9" * 400])
ANYTHING = st.one_of(LIKELY, st.text(), st.none(), st.integers(), st.binary())


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(FIELDS), st.text()), st.one_of(ANYTHING, st.lists(ANYTHING, max_size=5)), max_size=20
    ),
    st.dictionaries(st.sampled_from(["experience.tuned", "experience.tools", "other.x"]), ANYTHING),
)
def test_nothing_that_is_posted_raises_and_all_that_is_kept_is_valid(form: dict[str, Any], before: dict[str, Any]) -> None:
    answers, problems = read(EVERY, form, before)
    typed(EVERY, form)
    others = {path: answer for path, answer in before.items() if not path.startswith("experience.")}
    json.dumps(answers, allow_nan=False).encode()
    visible = {question.name: question for section in shown(EVERY, {**others, **answers}) for question in section.questions}
    assert {path.partition(".")[2] for path in answers} <= set(visible)
    assert {name.split(".")[1] for name in problems} <= set(visible)
    assert not {path.partition(".")[2] for path in answers} & {name.split(".")[1] for name in problems}
    missing = {name for name, question in visible.items() if question.required} - {path.partition(".")[2] for path in answers}
    assert missing <= {name.split(".")[1] for name in problems}
    assert read(EVERY, rendered(EVERY, answers), before)[0] == answers


def rendered(questionnaire: Questionnaire, answers: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """The form that a browser posts for these answers."""
    form: dict[str, str | list[str]] = {}
    for question in questionnaire.questions:
        answer = answers.get(f"{questionnaire.name}.{question.name}")
        if isinstance(answer, dict):
            form |= {field(question, row): value for row, value in answer.items()}
        elif answer is not None:
            form[field(question)] = answer if isinstance(answer, list | str) else repr(answer)
    return form


def some(question: Question) -> st.SearchStrategy[Any]:
    """A valid answer to a question."""
    values = [option.value for option in question.options]
    several = st.lists(st.sampled_from(values), min_size=1, unique=True).map(lambda options: sorted(options, key=values.index))
    if question.kind == "number" and question.whole:
        return st.integers(
            0 if question.low is None else int(question.low), 10**6 if question.high is None else int(question.high)
        )
    if question.kind == "text":
        return st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=question.longest).filter(
            lambda x: x and x == x.strip()
        )
    if question.kind == "matrix":
        rows = {row.value: several if question.many else st.sampled_from(values) for row in question.rows}
        return st.fixed_dictionaries(rows)
    kinds = {"single": st.sampled_from(values or [""]), "multiple": several, "likert": st.integers(1, question.points)}
    return kinds.get(question.kind, st.floats(question.low, allow_nan=False, allow_infinity=False))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({f"experience.{question.name}": some(question) for question in EVERY.questions}))
def test_a_valid_answer_comes_back_as_it_was_given(answers: dict[str, Any]) -> None:
    visible = {f"experience.{question.name}" for section in shown(EVERY, answers) for question in section.questions}
    expected = {path: answer for path, answer in answers.items() if path in visible}
    assert read(EVERY, rendered(EVERY, answers), {}) == (expected, {})
