"""A study's questionnaires as pages: each kind of question, follow-up questions, earlier answers in the text, languages.

With scripts, follow-up questions appear while the page is filled in; without, the page comes again with them.
"""

import asyncio
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from evenhand.model.domain import show
from evenhand.model.questionnaires import field, hint, holds, piped, pipes, read, shown, typed
from evenhand.model.study import Option, Question, Questionnaire, QuestionSection, Text, When
from evenhand.web.entry import go
from evenhand.web.pages import LANGUAGE_NAMES, inline, markdown
from evenhand.web.participant.flow import Here, ParticipantPlace, page
from evenhand.web.seats import PLACE

router = APIRouter(prefix=PLACE)

MOST_RADIOS = 8  # a single choice of more options is a list to pull down
MOST_NARROW_COLUMNS = 5  # columns; a matrix of more needs a wider page
LONG_TEXT_CHARACTERS = 150  # characters; a longer answer gets several lines
_OPEN, _MIDDLE, _CLOSE = "\ue000", "\ue001", "\ue002"  # around an answer of this page, until its text is HTML
_MARKED = re.compile(f"{_OPEN}([a-z0-9_.]+){_MIDDLE}(.*?){_CLOSE}", re.DOTALL)


@dataclass(frozen=True)
class ShownOption:
    """A radio, a box or an item of a list."""

    id: str
    value: str
    label: Markup
    ticked: bool


@dataclass(frozen=True)
class ShownField:
    """One field of the form: a row of a matrix, or the whole of any other question. text: what is typed in it."""

    name: str
    id: str
    label: Markup
    choices: tuple[ShownOption, ...]
    text: str
    problem: str


@dataclass(frozen=True)
class ShownQuestion:
    """A question as the page shows it. when: its conditions on answers of this page, as JSON. fresh: it just came into sight."""

    question: Question
    path: str
    id: str
    look: str
    text: Markup
    help: Markup
    hint: str
    ends: tuple[Markup, ...]
    rows: tuple[ShownField, ...]
    when: str
    hidden: bool
    fresh: bool

    @property
    def wide(self) -> bool:
        """Whether it is a table that needs room."""
        return self.look == "matrix" and len(self.rows[0].choices) > MOST_NARROW_COLUMNS

    @property
    def problem(self) -> str:
        """What is wrong with it; a matrix says it row by row."""
        return "" if self.look == "matrix" else self.rows[0].problem

    @property
    def wrong(self) -> bool:
        """Whether any of its fields is wrong."""
        return any(row.problem for row in self.rows)


@dataclass(frozen=True)
class ShownSection:
    """A section as the page shows it."""

    title: Markup
    questions: tuple[ShownQuestion, ...]
    when: str

    @property
    def hidden(self) -> bool:
        """Whether none of its questions is in sight."""
        return all(question.hidden for question in self.questions)


@dataclass(frozen=True)
class Sheet:
    """What a questionnaire's page is made from. known: answers given so far, those on this page included.

    texts: what is in the form, by field. fresh: names of questions that just came into sight.
    """

    here: ParticipantPlace
    questionnaire: Questionnaire
    known: Mapping[str, Any]
    texts: Mapping[str, Sequence[str]]
    problems: Mapping[str, str]
    fresh: Collection[str] = ()

    @cached_property
    def visible(self) -> tuple[str, ...]:
        """Names of the questions in sight."""
        return _visible(self.questionnaire, self.known)

    def said(self, text: Text | None, block: bool = False) -> Markup:
        """A text as HTML, in the participant's language, with earlier answers; scripts keep answers of this page up to date."""
        if text is None:
            return Markup()
        language = self.here.participant.language
        source = text.said(language)
        for path in set(pipes(source)):
            if path.startswith(f"{self.questionnaire.name}."):
                source = source.replace(f"{{{path}}}", f"{_OPEN}{path}{_MIDDLE}{{{path}}}{_CLOSE}")
        html = str((markdown if block else inline)(piped(Text(source), language, self.known, self.here.study)))
        return Markup(_MARKED.sub(r'<span data-piped="\1">\2</span>', html))


@router.get("/questions/{name}")
def questions_page(request: Request, here: Here, name: str) -> Response:
    """A questionnaire, empty."""
    asked = here.questionnaire
    if asked is None or asked.name != name:
        return go(here.address)
    return _page(request, Sheet(here, asked, here.participant.answers, {}, {}))


@router.post("/questions/{name}")
async def answer(request: Request, here: Here, name: str) -> Response:
    """Keep the answers and go on, or show what is wrong beside each; follow-up questions that were not in sight are asked first.

    A `language` changes the page's language and keeps what was typed.
    """
    form = await request.form()
    return await asyncio.to_thread(_answer, request, here, name, {key: form.getlist(key) for key in form})


def _answer(request: Request, here: ParticipantPlace, name: str, form: Mapping[str, list[Any]]) -> Response:
    asked = here.questionnaire
    if asked is None or asked.name != name:
        return go(here.address)
    answers, problems = read(asked, form, here.participant.answers)
    known = {**here.participant.answers, **answers}
    sheet = Sheet(here, asked, known, typed(asked, form), problems)
    languages = form.get("language", [])
    if languages and languages[0] in here.study.languages:
        person = here.lab.participants.set_language(here.participant.id, languages[0])
        return _page(request, replace(sheet, here=replace(here, participant=person), problems={}))
    fresh = _fresh(sheet, form)
    of_seen = {path: words for path, words in problems.items() if path.split(".")[1] not in fresh}
    if of_seen or fresh:
        return _page(request, replace(sheet, problems=of_seen, fresh=fresh), 422 if of_seen else 200)
    here.lab.participants.answer(here.participant.id, asked.name, answers)
    return go(here.home)


def _fresh(sheet: Sheet, form: Mapping[str, list[Any]]) -> frozenset[str]:
    """Questions in sight now that were not when the form was sent, and were not answered: a page without scripts."""
    if not form.get("seen"):
        return frozenset()
    seen = set(str(form["seen"][0]).split()) | {name.split(".")[1] for name in sheet.texts}
    return frozenset(sheet.visible) - seen


def _visible(questionnaire: Questionnaire, answers: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(question.name for section in shown(questionnaire, answers) for question in section.questions)


def _page(request: Request, sheet: Sheet, status: int = 200) -> Response:
    here, asked = sheet.here, sheet.questionnaire
    siblings = here.study.before if asked.at == "before" else here.study.after
    parts = [part for section in asked.sections if (part := _part(sheet, section))]
    return page(
        request,
        here,
        "questions",
        status=status,
        title=sheet.said(asked.title),
        intro=sheet.said(asked.intro, block=True),
        place=f"Page {siblings.index(asked) + 1} of {len(siblings)}" if len(siblings) > 1 else "",
        address=f"{here.home}/questions/{asked.name}",
        parts=parts,
        seen=" ".join(sheet.visible),
        focus=_focus(parts),
        wide=any(question.wide for part in parts for question in part.questions),
        wrong=sum(question.wrong for part in parts for question in part.questions),
        fresh=len(sheet.fresh),
        languages=[(code, LANGUAGE_NAMES.get(code, code)) for code in here.study.languages],
    )


def _focus(parts: Sequence[ShownSection]) -> str:
    """The id of the control that the page opens at: the first that is wrong, the first that is new, the first of all."""
    visible = [question for part in parts for question in part.questions if not question.hidden]
    rows = [(question, row) for question in visible for row in question.rows]
    wrong = next((row for _, row in rows if row.problem), None)
    target = wrong or next((row for question, row in rows if question.fresh), None)
    if target is None:
        return visible[0].rows[0].id if visible and visible[0].look in ("number", "text", "lines", "list") else ""
    ticked = next((choice for choice in target.choices if choice.ticked), None)
    return (ticked or target.choices[0]).id if target.choices and target.choices[0].id else target.id


def _part(sheet: Sheet, section: QuestionSection) -> ShownSection | None:
    """A section; None where an answer of an earlier page rules it out."""
    when = _open(sheet, section.when)
    questions = (
        ()
        if when is None
        else tuple(shown_question for question in section.questions if (shown_question := _asked(sheet, question)))
    )
    return ShownSection(sheet.said(section.title), questions, when or "") if questions else None


def _open(sheet: Sheet, conditions: Sequence[When]) -> str | None:
    """The conditions on answers of this page, as JSON; None where those on earlier pages do not hold."""
    own = f"{sheet.questionnaire.name}."
    if not holds((condition for condition in conditions if not condition.question.startswith(own)), sheet.known):
        return None
    here = [[condition.question, condition.op, condition.value] for condition in conditions if condition.question.startswith(own)]
    return json.dumps(here) if here else ""


def _asked(sheet: Sheet, question: Question) -> ShownQuestion | None:
    when = _open(sheet, question.when)
    if when is None:
        return None
    control_id = f"q-{question.name}"
    if question.kind == "matrix":
        rows = tuple(_row(sheet, question, f"{control_id}-{row.value}", row) for row in question.rows)
    else:
        rows = (_row(sheet, question, control_id),)
    return ShownQuestion(
        question=question,
        path=f"{sheet.questionnaire.name}.{question.name}",
        id=control_id,
        look=_look(question),
        text=sheet.said(question.text),
        help=sheet.said(question.help, block=True),
        hint=hint(question),
        ends=tuple(sheet.said(end) for end in question.ends),
        rows=rows,
        when=when,
        hidden=question.name not in sheet.visible,
        fresh=question.name in sheet.fresh,
    )


def _look(question: Question) -> str:
    """How a question is drawn: its kind, but for long lists (`list`) and long texts (`lines`)."""
    if question.kind == "single" and len(question.options) > MOST_RADIOS:
        return "list"
    return "lines" if question.kind == "text" and question.longest > LONG_TEXT_CHARACTERS else question.kind


def _row(sheet: Sheet, question: Question, id_: str, row: Option | None = None) -> ShownField:
    name = field(question, row.value if row else "")
    texts = sheet.texts.get(name, ())
    return ShownField(
        name=name,
        id=id_,
        label=sheet.said(row.label if row else None),
        choices=_choices(sheet, question, id_, texts),
        text=texts[0] if texts else "",
        problem=sheet.problems.get(name, ""),
    )


def _choices(sheet: Sheet, question: Question, id_: str, texts: Sequence[str]) -> tuple[ShownOption, ...]:
    """What there is to choose; one more, for no answer, where radios need not be answered, since none can be unticked."""
    pairs = [(option.value, sheet.said(option.label)) for option in question.options]
    if question.kind == "likert":
        pairs = [(show(point), Markup(point)) for point in range(1, question.points + 1)]
    radios = question.kind in ("single", "likert") or (question.kind == "matrix" and not question.many)
    if radios and not question.required and _look(question) != "list":
        pairs.append(("", Markup("No answer")))
    return tuple(ShownOption(f"{id_}-{number}", value, label, value in texts) for number, (value, label) in enumerate(pairs))
