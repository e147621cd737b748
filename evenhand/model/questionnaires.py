"""The rules of questionnaires: what is wrong with a declaration, which questions are shown, what a posted form answers.

Pure functions of `study`'s records. Answers are kept by QUESTIONNAIRE.QUESTION (`study.Question` says in which form).
A form's fields are named `q.QUESTION`, those of a matrix `q.QUESTION.ROW`.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.model.domain import show
from evenhand.model.study import Option, Question, Questionnaire, QuestionSection, Study, Text, When
from evenhand.model.typed_numbers import plainly, why_ambiguous

Form = Mapping[str, object]  # as posted: a str for each field, or a list of str; anything else is passed over
Answers = Mapping[str, Any]

FIELD_PREFIX = "q."  # what the names of a form's fields begin with
UNANSWERED = "…"
MOST_KEPT_CHARACTERS = 100_000  # characters of one field that are shown again where they were wrong
WHOLE_LIMIT = 2**53  # whole numbers beyond it are not exact in every program that reads an export
LONGEST_TEXT, MOST_POINTS = 20_000, 11

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PIPE = re.compile(r"\{([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)\}")
_LIKE_A_PIPE = re.compile(r"\{\s*([\w-]+\s*\.\s*[\w-]+)\s*\}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,30}([.,][0-9]{0,30})?|[.,][0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")  # every ASCII punctuation mark can be escaped (CommonMark 2.4)


# What is shown


def shown(questionnaire: Questionnaire, answers: Answers) -> tuple[QuestionSection, ...]:
    """The sections that are in sight beside the answers given so far, each with its questions in sight only.

    A hidden question counts as unanswered for those after it, whatever `answers` holds for it.
    """
    own = f"{questionnaire.name}."
    known = {path: answer for path, answer in answers.items() if not path.startswith(own)}
    sections = []
    for section in questionnaire.sections:
        if not holds(section.when, known):
            continue
        questions = []
        for question in section.questions:
            if holds(question.when, known):
                questions.append(question)
                if own + question.name in answers:
                    known[own + question.name] = answers[own + question.name]
        if questions:
            sections.append(replace(section, questions=tuple(questions)))
    return tuple(sections)


def holds(conditions: Iterable[When], answers: Answers) -> bool:
    """Whether every condition is fulfilled; an unanswered question fulfils none but `is not`."""
    return all(_holds(condition, answers.get(condition.question)) for condition in conditions)


def _holds(when: When, answer: object) -> bool:
    if when.op == "is":
        return answer is not None and _same(when.value, answer)
    if when.op == "is not":
        return answer is None or not _same(when.value, answer)
    number, limit = _as_number(answer), _as_number(when.value)
    if number is None or limit is None:
        return False
    return number >= limit if when.op == "at least" else number <= limit


def _same(value: str | float, answer: object) -> bool:
    if isinstance(answer, list | tuple):
        return any(_same(value, choice) for choice in answer)
    if isinstance(answer, str):
        return answer == (value if isinstance(value, str) else show(value))
    number = _as_number(value)
    return number is not None and number == _as_number(answer)


def _as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


# Piping


def piped(text: Text, language: str, answers: Answers, study: Study) -> str:
    """A text in this language, in Markdown, with every {QUESTIONNAIRE.QUESTION} replaced by the answer given there.

    The answer stands as plain text, escaped for Markdown: an option's label in that language, a number, several joined by commas;
    an ellipsis where there is none.
    """

    def value(match: re.Match[str]) -> str:
        question = study.question(match[1])
        return match[0] if question is None else escape(said(question, answers.get(match[1]), language))

    return _PIPE.sub(value, text.said(language))


def said(question: Question, answer: object, language: str) -> str:
    """An answer in words: labels in this language, numbers as typed, several joined by commas; an ellipsis for none."""
    labels = {option.value: option.label.said(language) for option in question.options}
    if isinstance(answer, Mapping):
        rows = {row.value: row.label.said(language) for row in question.rows}
        return (
            "; ".join(f"{rows.get(row, row)}: {said(question, choice, language)}" for row, choice in answer.items()) or UNANSWERED
        )
    if isinstance(answer, list | tuple):
        return ", ".join(said(question, choice, language) for choice in answer) or UNANSWERED
    if isinstance(answer, str):
        return labels.get(answer, answer) or UNANSWERED
    return show(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else UNANSWERED


def escape(text: str) -> str:
    """Plain text as Markdown that reads the same: one line, every mark of punctuation escaped."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def pipes(text: str) -> tuple[str, ...]:
    """Every QUESTIONNAIRE.QUESTION whose answer a text holds."""
    return tuple(match[1] for match in _PIPE.finditer(text))


# Reading a form


def field(question: Question, row: str = "") -> str:
    """The name of a question's field in the form, or of one row of a matrix."""
    return f"{FIELD_PREFIX}{question.name}.{row}" if row else f"{FIELD_PREFIX}{question.name}"


def fields(question: Question) -> tuple[str, ...]:
    """The names of all fields of a question."""
    return tuple(field(question, row.value) for row in question.rows) if question.kind == "matrix" else (field(question),)


def typed(questionnaire: Questionnaire, form: Form) -> dict[str, tuple[str, ...]]:
    """The texts that a form held, by field, so that the next page can show them again. Fields of no question are passed over."""
    names = (name for question in questionnaire.questions for name in fields(question))
    return {name: texts for name in names if (texts := _texts(form, name))}


def read(questionnaire: Questionnaire, form: Form, answers: Answers) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers that a posted form gives, by QUESTIONNAIRE.QUESTION, and what is wrong with others, by field.

    answers: those given before, which conditions may look at. A problem says what to type instead. Questions that are hidden
    beside the given answers are passed over, as are empty ones that are not required. Nothing that is posted raises.
    """
    known = {path: answer for path, answer in answers.items() if not path.startswith(f"{questionnaire.name}.")}
    entries: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for section in questionnaire.sections:
        if not holds(section.when, {**known, **entries}):
            continue
        for question in section.questions:
            if holds(question.when, {**known, **entries}):
                answer, wrong = _read(question, form)
                problems |= wrong
                if answer is not None and not wrong:
                    entries[f"{questionnaire.name}.{question.name}"] = answer
    return entries, problems


def _read(question: Question, form: Form) -> tuple[Any, dict[str, str]]:
    """A question's answer, None where there is none, and its problems by field."""
    if question.kind == "matrix":
        return _read_matrix(question, form)
    name = field(question)
    texts = _texts(form, name)
    if not texts:
        return None, {name: _ask(question)} if question.required else {}
    try:
        return _answer(question, texts), {}
    except ValueError as error:
        return None, {name: str(error)}


def _read_matrix(question: Question, form: Form) -> tuple[Any, dict[str, str]]:
    answer: dict[str, Any] = {}
    problems = {}
    for row in question.rows:
        name = field(question, row.value)
        texts = _texts(form, name)
        if not texts:
            if question.required:
                problems[name] = f"Please choose {'at least ' if question.many else ''}one in this row."
            continue
        try:
            answer[row.value] = _chosen(question, texts) if question.many else _one(question, texts)
        except ValueError as error:
            problems[name] = str(error)
    return answer or None, problems


def _answer(question: Question, texts: Sequence[str]) -> Any:
    """One or several texts as an answer; ValueError with words for whoever typed them."""
    if question.kind == "multiple":
        return _chosen(question, texts)
    if question.kind == "single":
        return _one(question, texts)
    if question.kind == "likert":
        points = [str(point) for point in range(1, question.points + 1)]
        if len(set(texts)) > 1 or texts[0] not in points:
            raise ValueError(_ask(question))
        return int(texts[0])
    if question.kind == "number":
        return _number(question, texts[0])
    text = texts[0]
    if len(text) > question.longest:
        raise ValueError(f"Please shorten this to at most {question.longest} characters; it has {len(text)}.")
    return text


def _one(question: Question, texts: Sequence[str]) -> str:
    if len(set(texts)) > 1 or texts[0] not in {option.value for option in question.options}:
        raise ValueError("Please choose one of the answers shown.")
    return texts[0]


def _chosen(question: Question, texts: Sequence[str]) -> list[str]:
    """The chosen options, in the question's order."""
    options = [option.value for option in question.options]
    if not set(texts) <= set(options):
        raise ValueError("Please choose only among the answers shown.")
    return [value for value in options if value in texts]


def _number(question: Question, text: str) -> int | float:
    plain = plainly(text)
    ask = _ask(question)
    given = text if len(text) <= 40 else f"{text[:40]}…"
    if not question.whole and (why := why_ambiguous(plain)):
        raise ValueError(why)
    if not (_WHOLE if question.whole else _NUMBER).fullmatch(plain):
        raise ValueError(f"{given} is not possible here. {ask}")
    value = int(plain) if question.whole else float(plain.replace(",", "."))
    fits = abs(value) <= WHOLE_LIMIT if question.whole else math.isfinite(value)
    low, high = question.low, question.high
    if not fits or (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"{given} is not possible here. {ask}")
    return value


def _ask(question: Question) -> str:
    """What to do at a question that was left empty."""
    if question.kind == "number":
        return f"Please enter {'a whole number' if question.whole else 'a number'}{_range(question)}."
    return {
        "single": "Please choose one of the answers shown.",
        "multiple": "Please choose at least one.",
        "likert": f"Please choose a point from 1 to {question.points}.",
    }.get(question.kind, "Please write an answer.")


def hint(question: Question) -> str:
    """What a number or a short text may be, in few words; nothing for other questions."""
    if question.kind == "number":
        text = f"{'Whole number' if question.whole else 'Number'}{_range(question)}"
        return "" if text == "Number" else text
    return f"At most {question.longest} characters" if question.kind == "text" and question.longest <= 500 else ""


def _range(question: Question) -> str:
    if question.low is not None and question.high is not None:
        return f" from {show(question.low)} to {show(question.high)}"
    if question.low is not None:
        return f", at least {show(question.low)}"
    return "" if question.high is None else f", at most {show(question.high)}"


def _texts(form: Form, name: str) -> tuple[str, ...]:
    """What a field holds: without empty texts, and without the control characters that nobody types."""
    given = form.get(name)
    raw = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
    cleaned = (_clean(entry) for entry in raw[:1000] if isinstance(entry, str))
    return tuple(text for text in cleaned if text)


def _clean(text: str) -> str:
    lines = text[:MOST_KEPT_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        character for character in lines if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
    ).strip()


# Checking a declaration


@dataclass(frozen=True)
class DeclarationMistake:
    """Something wrong in a declaration. path: where, as `questionnaires[0].sections[1].questions[2].when[0]`, counted from 0.

    warning: the study could run with it, but hardly as meant.
    """

    path: str
    given: str
    expected: str
    fix: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.path}: got {self.given}, expected {self.expected}; {self.fix}"


def check(questionnaires: Sequence[Questionnaire], languages: Sequence[str]) -> list[DeclarationMistake]:
    """Every mistake of the questionnaires of a study in these languages, the study's own language first."""
    mistakes = [*_names("questionnaires", [questionnaire.name for questionnaire in questionnaires], "questionnaire")]
    earlier: dict[str, Question] = {}  # what participants were asked before, in the order in which they are asked
    everything = {
        f"{questionnaire.name}.{question.name}" for questionnaire in questionnaires for question in questionnaire.questions
    }
    order = sorted(range(len(questionnaires)), key=lambda index: questionnaires[index].at != "before")
    for index in order:
        mistakes += _check_questionnaire(
            f"questionnaires[{index}]", questionnaires[index], _Known(earlier, everything, languages)
        )
    return mistakes


@dataclass(frozen=True)
class _Known:
    """What a check stands on: questions asked earlier, the paths of all, the languages."""

    earlier: dict[str, Question]
    everything: set[str]
    languages: Sequence[str]

    def why_not(self, path: str) -> str:
        """What is wrong with looking at the answer of a question that was not asked earlier."""
        names = ", ".join(self.earlier) or "none: nothing is asked before"
        return f"a question that is asked {'earlier' if path in self.everything else 'in this study, earlier'} ({names})"


def _check_questionnaire(path: str, questionnaire: Questionnaire, known: _Known) -> Iterator[DeclarationMistake]:
    yield from _check_text(f"{path}.title", questionnaire.title, known)
    if questionnaire.intro is not None:
        yield from _check_text(f"{path}.intro", questionnaire.intro, known)
    if questionnaire.at not in ("before", "after"):
        yield DeclarationMistake(
            f"{path}.at", repr(questionnaire.at), '"before" or "after"', 'write at = "before" or at = "after"'
        )
    if not questionnaire.questions:
        yield DeclarationMistake(
            f"{path}.sections", "no question", "at least one question", "add a question, or remove the questionnaire"
        )
    seen: set[str] = set()
    for number, section in enumerate(questionnaire.sections):
        here = f"{path}.sections[{number}]"
        yield from _check_when(f"{here}.when", section.when, known)
        if section.title is not None:
            yield from _check_text(f"{here}.title", section.title, known)
        for index, question in enumerate(section.questions):
            at = f"{here}.questions[{index}]"
            if question.name in seen:
                yield _twice(f"{at}.name", question.name, "question", "this questionnaire")
            seen.add(question.name)
            yield from _check_name(f"{at}.name", question.name)
            yield from _check_question(at, question, known)
            known.earlier[f"{questionnaire.name}.{question.name}"] = question


def _check_question(path: str, question: Question, known: _Known) -> Iterator[DeclarationMistake]:
    yield from _check_text(f"{path}.text", question.text, known)
    if question.help is not None:
        yield from _check_text(f"{path}.help", question.help, known)
    yield from _check_when(f"{path}.when", question.when, known)
    yield from _check_options(f"{path}.options", question, known)
    yield from _check_rows(f"{path}.rows", question, known)
    if question.kind not in ("single", "multiple", "number", "text", "likert", "matrix"):
        kinds = "single, multiple, number, text, likert or matrix"
        yield DeclarationMistake(f"{path}.kind", repr(question.kind), kinds, "write one of these kinds")
    yield from _check_numbers(path, question)
    if question.kind == "likert" and not 2 <= question.points <= MOST_POINTS:
        yield DeclarationMistake(f"{path}.points", str(question.points), f"2 to {MOST_POINTS}", "5 and 7 are usual")
    if len(question.ends) not in (0, 2):
        fix = "say what the lowest and the highest point mean, or leave it out"
        yield DeclarationMistake(f"{path}.ends", f"{len(question.ends)} texts", "two texts, or none", fix)
    elif question.ends and question.kind != "likert":
        yield _unused(f"{path}.ends", question, "a likert question")
    for index, end in enumerate(question.ends):
        yield from _check_text(f"{path}.ends[{index}]", end, known)
    if not 1 <= question.longest <= LONGEST_TEXT:
        yield DeclarationMistake(
            f"{path}.longest", str(question.longest), f"1 to {LONGEST_TEXT} characters", "leave it out for 2000"
        )


def _check_options(path: str, question: Question, known: _Known) -> Iterator[DeclarationMistake]:
    least = {"single": 2, "multiple": 1, "matrix": 1 if question.many else 2}.get(question.kind, 0)
    if least == 0 and question.options:
        yield _unused(path, question, "a single, multiple or matrix question")
    if len(question.options) < least:
        what = "columns" if question.kind == "matrix" else "options"
        fix = f"list the {what} to choose from, each with a value and a label"
        yield DeclarationMistake(path, f"{len(question.options)} {what}", f"at least {least}", fix)
    yield from _check_choices(path, question.options, known)


def _check_rows(path: str, question: Question, known: _Known) -> Iterator[DeclarationMistake]:
    if question.kind == "matrix" and not question.rows:
        yield DeclarationMistake(path, "no rows", "at least one row", "list the rows, each with a value and a label")
    if question.kind != "matrix" and question.rows:
        yield _unused(path, question, "a matrix")
    if question.kind != "matrix" and question.many:
        yield DeclarationMistake(
            path.removesuffix("rows") + "many", "true", f"no such setting at {question.kind}", 'for several answers: "multiple"'
        )
    for index, row in enumerate(question.rows):
        yield from _check_name(f"{path}[{index}].value", row.value)
    yield from _check_choices(path, question.rows, known)


def _check_choices(path: str, options: Sequence[Option], known: _Known) -> Iterator[DeclarationMistake]:
    seen: set[str] = set()
    for index, option in enumerate(options):
        at = f"{path}[{index}]"
        if not option.value or option.value != _clean(option.value) or len(option.value) > 60 or "\n" in option.value:
            fix = "write a short value; it is what the export holds, and the label is what people read"
            yield DeclarationMistake(f"{at}.value", repr(option.value), "1 to 60 characters on one line", fix)
        elif option.value in seen:
            yield _twice(f"{at}.value", option.value, "value", "this question")
        seen.add(option.value)
        yield from _check_text(f"{at}.label", option.label, known)


def _check_numbers(path: str, question: Question) -> Iterator[DeclarationMistake]:
    limits = {name: limit for name, limit in (("low", question.low), ("high", question.high)) if limit is not None}
    for name, limit in limits.items():
        if question.kind != "number":
            yield _unused(f"{path}.{name}", question, "a number question")
        elif not math.isfinite(limit):
            yield DeclarationMistake(f"{path}.{name}", str(limit), "a finite number", "leave it out for no limit")
        elif question.whole and limit != int(limit):
            fix = "write a whole number, or whole = false"
            yield DeclarationMistake(f"{path}.{name}", show(limit), "a whole number, since the question asks for one", fix)
    if question.low is not None and question.high is not None and question.low > question.high:
        fix = "exchange the two" if question.kind == "number" else "leave both out"
        yield DeclarationMistake(f"{path}.low", show(question.low), f"at most the `high` of {show(question.high)}", fix)


def _check_when(path: str, conditions: Sequence[When], known: _Known) -> Iterator[DeclarationMistake]:
    for index, when in enumerate(conditions):
        at = f"{path}[{index}]"
        question = known.earlier.get(when.question)
        if question is None:
            yield DeclarationMistake(
                f"{at}.question", repr(when.question), known.why_not(when.question), "name it as QUESTIONNAIRE.QUESTION"
            )
        elif question.kind == "matrix":
            fix = "ask for it in a question of its own"
            yield DeclarationMistake(f"{at}.question", f"{when.question!r}, a matrix", "a question with one answer", fix)
        elif when.op in ("at least", "at most"):
            yield from _check_compared(at, when, question)
        elif when.op not in ("is", "is not"):
            yield DeclarationMistake(f"{at}.op", repr(when.op), '"is", "is not", "at least" or "at most"', "write one of these")
        else:
            yield from _check_value(f"{at}.value", when.value, question)


def _check_compared(path: str, when: When, question: Question) -> Iterator[DeclarationMistake]:
    if question.kind not in ("number", "likert"):
        fix = 'write "is" or "is not"'
        yield DeclarationMistake(f"{path}.op", f'"{when.op}" of a {question.kind} question', '"is" or "is not"', fix)
    elif _as_number(when.value) is None:
        yield DeclarationMistake(f"{path}.value", repr(when.value), "a number", f"the answer to {when.question} is a number")


def _check_value(path: str, value: str | float, question: Question) -> Iterator[DeclarationMistake]:
    number = _as_number(value)
    if question.kind in ("single", "multiple"):
        values = [option.value for option in question.options]
        if not any(_same(value, choice) for choice in values):
            expected = f"one of {', '.join(values)}"
            yield DeclarationMistake(
                path, repr(value), expected, f"write the value (not the label) of an option of {question.name}"
            )
    elif question.kind == "likert" and number not in range(1, question.points + 1):
        yield DeclarationMistake(path, repr(value), f"a point from 1 to {question.points}", "no answer can be this value")
    elif question.kind == "number":
        low, high = question.low, question.high
        outside = number is not None and ((low is not None and number < low) or (high is not None and number > high))
        if number is None or outside or (question.whole and number != int(number)):
            kind = "a whole number" if question.whole else "a number"
            yield DeclarationMistake(path, repr(value), f"{kind}{_range(question)}", "no answer can be this value")


def _check_text(path: str, text: Text, known: _Known) -> Iterator[DeclarationMistake]:
    own, *others = known.languages
    if not text.markdown.strip():
        yield DeclarationMistake(path, "no text", "a text that people read", f"write it in the study's first language, {own}")
    for language in others:
        if not text.translations.get(language, "").strip():
            fix = f"add its translation; until then people read it in {own}"
            yield DeclarationMistake(
                f"{path}.{language}", "no text", f"the text in {language}, a language of this study", fix, warning=True
            )
    for language, translation in {own: text.markdown, **text.translations}.items():
        if language not in known.languages:
            fix = "add it to the study's languages, or remove the translation"
            yield DeclarationMistake(
                f"{path}.{language}", repr(language), f"one of {', '.join(known.languages)}", fix, warning=True
            )
        at = path if language == own else f"{path}.{language}"
        for match in _LIKE_A_PIPE.finditer(translation):
            if not _PIPE.fullmatch(match[0]) or match[1] not in known.earlier:
                fix = "write {QUESTIONNAIRE.QUESTION} of an earlier question"
                yield DeclarationMistake(at, match[0], known.why_not(match[1]), fix)


def _names(path: str, names: Sequence[str], what: str) -> Iterator[DeclarationMistake]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield _twice(f"{path}[{index}].name", name, what, "this study")
        yield from _check_name(f"{path}[{index}].name", name)


def _check_name(path: str, name: str) -> Iterator[DeclarationMistake]:
    if not _NAME.fullmatch(name) or len(name) > 60:
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60]
        better = f"for example {plain}" if _NAME.fullmatch(plain) else "for example experience"
        expected = "a name of small letters, digits and _, beginning with a letter"
        yield DeclarationMistake(path, repr(name), expected, f"{better}; it names columns of the export")


def _twice(path: str, name: str, what: str, where: str) -> DeclarationMistake:
    return DeclarationMistake(path, f"{name!r} a second time", f"{what}s of {where} that differ", "rename one of the two")


def _unused(path: str, question: Question, where: str) -> DeclarationMistake:
    return DeclarationMistake(
        path, f"a setting of a {question.kind} question", f"this only at {where}", "remove it, or change the kind"
    )
