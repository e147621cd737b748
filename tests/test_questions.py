"""The pages of questionnaires over HTTP: every kind, follow-up questions without scripts, piping, languages, hostile forms."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from evenhand.model.participant import Participant
from evenhand.model.rules import ParticipantStep
from evenhand.model.study import BACKGROUND, Option, Question, Questionnaire, QuestionSection, Study, Text, When
from evenhand.rehearsal.html_forms import FormControl, form_for
from evenhand.settings import Rules
from evenhand.web.access import Role
from tests.labs import toy_study
from tests.web import Caller, Site, toy_site

Sent = Mapping[str, str | list[str]]


def two(english: str, german: str = "") -> Text:
    return Text(english, {"de": german or f"{english} (auf Deutsch)"})


def options(**labels: str) -> tuple[Option, ...]:
    return tuple(Option(value, two(label)) for value, label in labels.items())


KINDS = Questionnaire(
    "experience",
    two("Your experience", "Ihre Erfahrung"),
    (
        QuestionSection(
            (
                Question(
                    "tuned", "single", two("Have you tuned by hand?", "Von Hand getunt?"), options=options(yes="Yes", no="No")
                ),
                Question(
                    "tools",
                    "multiple",
                    two("With *which* tools?"),
                    help=two("Tick all that apply."),
                    options=(Option("torch", two("PyTorch")), Option("tf", two("Tensor<Flow>"))),
                ),
            ),
            title=two("Tools", "Werkzeuge"),
        ),
        QuestionSection(
            (
                Question(
                    "years", "number", two("Years with {experience.tools}?", "Jahre mit {experience.tools}?"), low=0, high=60
                ),
                Question("hours", "number", two("Hours a week"), whole=False, low=0.5, required=False),
                Question("often", "likert", two("How often?"), points=7, ends=(two("never", "nie"), two("always", "immer"))),
            ),
            when=(When("experience.tuned", "is", "yes"), When("background.months", "at least", 1)),
        ),
        QuestionSection(
            (
                Question("words", "text", two("In your own words"), required=False, longest=50),
                Question(
                    "areas",
                    "matrix",
                    two("How well do you know these?"),
                    rows=options(vision="Vision", speech="Speech"),
                    options=options(well="Well", little="A little"),
                ),
                Question(
                    "uses",
                    "matrix",
                    two("What for?"),
                    rows=options(work="At work", home="At home"),
                    options=options(torch="PyTorch", tf="TensorFlow"),
                    many=True,
                    required=False,
                ),
            )
        ),
    ),
    intro=two("After **{background.months}** months."),
)
KINDS_NEED_MONTHS = (When("background.months", "at least", 1),)
END = Questionnaire("end", two("At last"), (QuestionSection((Question("hard", "likert", two("How hard was it?")),)),), at="after")
ANSWERS: dict[str, str | list[str]] = {
    "q.tuned": "yes",
    "q.tools": ["torch", "tf"],
    "q.years": "3",
    "q.often": "6",
    "q.areas.vision": "well",
    "q.areas.speech": "little",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("questions"), Rules(lease=1e9, choosing=600)) as made:
        yield made


def asking(site: Site, *questionnaires: Questionnaire, languages: tuple[str, ...] = ("en",)) -> Study:
    """A study that asks these."""
    study = replace(toy_study(site.lab), questionnaires=questionnaires, languages=languages)
    return site.lab.studies.add(replace(study, name=f"asking-{study.id}", id=0))


class Person(Caller):
    """A participant who agreed to the terms."""

    def __init__(self, site: Site, study: Study) -> None:
        self.participant, _ = site.lab.participants.join(study.id)
        site.lab.participants.consent(self.participant.id, study.consent.version)
        super().__init__(site, site.caller(Role.PARTICIPANT, self.participant.id).identity)

    @property
    def record(self) -> Participant:
        return self.site.lab.participants.get(self.participant.id)

    def send(self, name: str, form: Sent) -> httpx.Response:
        return self.http.post(f"{self.home}/questions/{name}", data={"csrf_token": self.identity.csrf_token, **form})

    def fields(self, name: str = "experience") -> dict[str, FormControl]:
        form = form_for(self.get(f"{self.home}/questions/{name}").text, f"{self.home}/questions/{name}")
        assert form
        return form.fields


def experienced(site: Site, months: int = 12, languages: tuple[str, ...] = ("en", "de")) -> Person:
    """Somebody who answered the paper's form and now sees one question of each kind."""
    person = Person(site, asking(site, BACKGROUND, KINDS, languages=languages))
    assert person.send("background", {"q.months": str(months), "q.education": "master"}).headers["location"] == person.home
    return person


def words(page: httpx.Response) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def in_sight(page: httpx.Response) -> list[str]:
    """Names of the questions that the page shows."""
    shown = []
    for part in page.text.split("data-part")[1:]:
        if "hidden" not in part.partition(">")[0]:
            shown += [match[1] for match in re.finditer(r'data-question="\w+\.(\w+)"(?![^>]* hidden)', part)]
    return shown


@pytest.mark.slow
def test_every_kind_has_its_control_and_its_answer_is_kept(site: Site) -> None:
    person = experienced(site)
    fields = person.fields()
    kinds = {name: field.kind for name, field in fields.items() if name.startswith("q.")}
    assert kinds == {
        "q.tuned": "radio",
        "q.tools": "checkbox",
        "q.years": "text",
        "q.hours": "text",
        "q.often": "radio",
        "q.words": "text",
        "q.areas.vision": "radio",
        "q.areas.speech": "radio",
        "q.uses.work": "checkbox",
        "q.uses.home": "checkbox",
    }
    assert fields["q.often"].options == ("1", "2", "3", "4", "5", "6", "7")
    assert (fields["q.years"].attributes["data-low"], fields["q.years"].attributes["data-high"]) == ("0", "60")
    more: Sent = {"q.hours": "2,5", "q.words": "<i>none</i>", "q.uses.home": ["tf", "torch"]}
    assert person.send("experience", {**ANSWERS, **more}).headers["location"] == person.home
    assert {path: answer for path, answer in person.record.answers.items() if path.startswith("experience.")} == {
        "experience.tuned": "yes",
        "experience.tools": ["torch", "tf"],
        "experience.years": 3,
        "experience.hours": 2.5,
        "experience.often": 6,
        "experience.words": "<i>none</i>",
        "experience.areas": {"vision": "well", "speech": "little"},
        "experience.uses": {"home": ["torch", "tf"]},
    }
    assert site.lab.participants.step(person.participant.id) is ParticipantStep.DETAILS


def test_all_that_is_wrong_comes_back_beside_its_field_with_what_was_typed(site: Site) -> None:
    person = experienced(site)
    page = person.send("experience", {**ANSWERS, "q.years": "<three>", "q.areas.speech": "", "q.often": "9", "q.words": "x" * 51})
    assert page.status_code == 422
    text = words(page)
    assert "<three> is not possible here. Please enter a whole number from 0 to 60." in text
    assert "Please choose one in this row." in text
    assert "Please choose a point from 1 to 7." in text
    assert "Please shorten this to at most 50 characters; it has 51." in text
    assert "4 answers need another look" in text
    form = form_for(page.text, f"{person.home}/questions/experience")
    assert form
    assert form.fields["q.years"].value == "<three>"
    assert form.fields["q.words"].value == "x" * 51
    assert form.fields["q.tools"].values == ("torch", "tf")
    assert form.fields["q.areas.vision"].value == "well"
    for described in re.findall(r'aria-(?:describedby|labelledby)="([^"]+)"', page.text):
        assert all(page.text.count(f'id="{element}"') == 1 for element in described.split())
    assert page.text.count(" autofocus") == 1
    assert re.search(r"<input[^>]*name=\"q.years\"[^>]* autofocus", page.text)
    assert "experience" not in person.record.answered


def test_without_scripts_follow_up_questions_are_asked_before_going_on(site: Site) -> None:
    person = experienced(site)
    first = person.get(f"{person.home}/questions/experience")
    assert in_sight(first) == ["tuned", "tools", "words", "areas", "uses"]
    seen = person.fields()["seen"].value
    shorter = {name: answer for name, answer in ANSWERS.items() if name not in ("q.years", "q.often")}
    again = person.send("experience", {**shorter, "seen": seen})
    assert again.status_code == 200
    assert in_sight(again) == ["tuned", "tools", "years", "hours", "often", "words", "areas", "uses"]
    assert "3 more questions" in words(again)
    assert "field-problem" not in again.text
    assert "Years with PyTorch, Tensor<Flow>?" in words(again).replace(" ,", ",").replace(" ?", "?")
    form = form_for(again.text, f"{person.home}/questions/experience")
    assert form
    assert form.fields["seen"].value.split() == in_sight(again)
    refused = person.send("experience", {**shorter, "seen": form.fields["seen"].value})
    assert refused.status_code == 422
    assert person.send("experience", {**ANSWERS, "seen": form.fields["seen"].value}).status_code == 303


def test_an_answer_that_rules_questions_out_drops_what_was_typed_there(site: Site) -> None:
    person = experienced(site)
    assert person.send("experience", {**ANSWERS, "q.tuned": "no"}).status_code == 303
    assert set(person.record.answers) & {"experience.years", "experience.often"} == set()


def test_a_section_that_an_earlier_page_rules_out_is_not_in_the_page(site: Site) -> None:
    person = experienced(site, months=0)
    assert "q.years" not in person.fields()
    assert "data-when" not in person.get(f"{person.home}/questions/experience").text
    assert person.send("experience", ANSWERS).status_code == 303
    assert "experience.years" not in person.record.answers


def test_a_page_on_which_nothing_is_left_to_ask_says_so(site: Site) -> None:
    rest = replace(KINDS, sections=KINDS.sections[1:2], intro=None)
    person = Person(site, asking(site, BACKGROUND, replace(rest, sections=(replace(rest.sections[0], when=KINDS_NEED_MONTHS),))))
    person.send("background", {"q.months": "0", "q.education": "none"})
    assert "nothing to ask here" in words(person.get(f"{person.home}/questions/experience"))
    assert person.send("experience", {"seen": ""}).status_code == 303
    assert person.record.answered == ("background", "experience")


def test_earlier_answers_stand_in_later_texts_as_plain_text(site: Site) -> None:
    name = Question("name", "text", Text("Your tool's name"))
    use = Question("use", "text", Text("What do you use {form.name} for?"))
    study = asking(site, replace(KINDS, name="form", sections=(QuestionSection((name,)),), intro=None), one_page(use))
    person = Person(site, study)
    person.send("form", {"q.name": "<script>alert(1)</script> **[x](javascript:y)** {form.name}"})
    page = person.get(f"{person.home}/questions/last")
    assert "<script>alert" not in page.text
    assert "<strong>" not in page.text
    assert "What do you use <script>alert(1)</script> **[x](javascript:y)** {form.name} for?" in html.unescape(page.text)


def one_page(*questions: Question, name: str = "last") -> Questionnaire:
    return Questionnaire(name, two("Last"), (QuestionSection(questions),))


def test_another_language_is_chosen_without_losing_what_was_typed(site: Site) -> None:
    person = experienced(site)
    page = person.send("experience", {**ANSWERS, "q.years": "thr", "language": "de"})
    assert page.status_code == 200
    assert person.record.language == "de"
    assert "Ihre Erfahrung" in page.text
    assert re.search(r"Jahre mit <span data-piped=\"experience.tools\">PyTorch \(auf Deutsch\), ", page.text)
    assert "field-problem" not in page.text
    form = form_for(page.text, f"{person.home}/questions/experience")
    assert form
    assert form.fields["q.years"].value == "thr"
    assert "experience" not in person.record.answered
    assert "Von Hand getunt?" in person.get(f"{person.home}/questions/experience").text
    assert person.send("experience", {**ANSWERS, "language": "xx"}).status_code == 303  # no such language: the answers count


def test_a_study_of_one_language_offers_no_choice(site: Site) -> None:
    for languages, offered in ((("en", "de"), True), (("en",), False)):
        person = experienced(site, languages=languages)
        assert ('name="language"' in person.get(f"{person.home}/questions/experience").text) is offered


def test_optional_radios_can_be_left_without_an_answer_again(site: Site) -> None:
    pick = Question("pick", "single", two("Pick"), options=options(a="A", b="B"), required=False)
    person = Person(site, asking(site, one_page(pick)))
    assert person.fields("last")["q.pick"].options == ("a", "b", "")
    assert person.send("last", {"q.pick": ""}).status_code == 303
    assert person.record.answers == {}
    assert person.record.answered == ("last",)


def test_a_long_list_is_pulled_down_and_a_long_text_has_lines(site: Site) -> None:
    many = tuple(Option(f"n{number}", two(f"Number *{number}*")) for number in range(12))
    study = asking(site, one_page(Question("pick", "single", two("Pick"), options=many), Question("why", "text", two("Why"))))
    person = Person(site, study)
    fields = person.fields("last")
    assert (fields["q.pick"].kind, fields["q.why"].kind) == ("select", "textarea")
    assert fields["q.pick"].options == ("", *(f"n{number}" for number in range(12)))
    kept = form_for(person.send("last", {"q.pick": "n3", "q.why": ""}).text, f"{person.home}/questions/last")
    assert kept
    assert kept.fields["q.pick"].value == "n3"
    text = "\n</textarea><b>two\nlines"
    kept = form_for(person.send("last", {"q.pick": "", "q.why": text}).text, f"{person.home}/questions/last")
    assert kept
    assert kept.fields["q.why"].value.strip() == text.strip()


def test_questionnaires_come_one_after_the_other_and_those_after_tuning_at_its_end(site: Site) -> None:
    person = Person(site, asking(site, END, BACKGROUND, one_page(Question("why", "text", two("Why")))))
    assert person.get(person.home).headers["location"] == f"{person.home}/questions/background"
    for elsewhere in (
        f"{person.home}/questions/last",
        f"{person.home}/questions/end",
        f"{person.home}/questions/none",
        f"{person.home}/details",
    ):
        assert person.get(elsewhere).headers["location"] == f"{person.home}/questions/background"
    assert "Page 1 of 2" in person.get(f"{person.home}/questions/background").text
    assert person.send("last", {"q.why": "early"}).headers["location"] == f"{person.home}/questions/background"
    person.send("background", {"q.months": "1", "q.education": "none"})
    assert person.get(person.home).headers["location"] == f"{person.home}/questions/last"
    person.send("background", {"q.months": "2", "q.education": "none"})  # a second tab is too late
    person.send("last", {"q.why": "so"})
    assert person.record.answers == {"background.months": 1, "background.education": "none", "last.why": "so"}
    person.post(f"{person.home}/tune/start")
    person.post(f"{person.home}/final", {})
    assert person.get(person.home).headers["location"] == f"{person.home}/questions/end"
    assert person.get(f"{person.home}/thanks").headers["location"] == f"{person.home}/questions/end"
    assert "Page 1" not in person.get(f"{person.home}/questions/end").text
    person.send("end", {"q.hard": "5"})
    assert person.record.answers["end.hard"] == 5
    assert site.lab.participants.step(person.participant.id) is ParticipantStep.THANKS


HOSTILE: list[dict[str, Any]] = [
    {"q.months": ["1", "2"], "q.education": ["none", "master"]},
    {"q.months": "1e999", "q.education": "\0"},
    {"q.months": "9" * 5000, "q.education": "x" * 5000},
    {"q.months.": "1", "q.": "", "q.education.x": "y", "seen": ["", "\ud7ff", "months"]},
    {"language": ["", "en"], "seen": "\x00"},
    {},
]


@pytest.mark.parametrize("form", HOSTILE)
def test_nothing_that_is_posted_breaks_the_page(site: Site, form: dict[str, Any]) -> None:
    person = Person(site, asking(site, BACKGROUND))
    page = person.send("background", form)
    assert page.status_code in (200, 422)
    assert "q-months" in page.text
    assert site.lab.participants.step(person.participant.id) is ParticipantStep.BACKGROUND


def test_files_in_place_of_texts_are_no_answers(site: Site) -> None:
    person = Person(site, asking(site, BACKGROUND))
    files = dict.fromkeys(("q.months", "q.education", "seen", "language"), ("a.txt", b"12", "text/plain"))
    page = person.http.post(f"{person.home}/questions/background", data={"csrf_token": person.identity.csrf_token}, files=files)
    assert page.status_code in (200, 422)
    assert person.record.answered == ()
