"""A public archive: k people share each combination of answers, nobody's words unless reviewed, and the report comes from it."""

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from evenhand.analysis.cohort import cohort
from evenhand.cli.main import app
from evenhand.errors import InvalidSettings
from evenhand.exchange import anonymity, deposit, export
from evenhand.exchange.archive import Package
from evenhand.exchange.public import PublicArchive, Wishes
from evenhand.lab.lab import Lab
from evenhand.model.archive import Archive
from evenhand.model.study import MONTHS, Option, Question, QuestionSection, Text
from evenhand.report import study as study_report
from tests.components import need
from tests.exported import tune
from tests.labs import HERE, make_lab, toy_study
from tests.test_experience import BACKGROUND

need("report")

GUESS = 'I "guess",\nso'  # the own words that `tune` gives as a reason
LETTER = "My name is Zoe and I work at the bakery."
AUTHOR = deposit.Author("Curie", "Marie", "Sorbonne", "0000-0002-1825-0097")
MONTHS_OF = (0, 0, 0, 0, 3, 5, 6, 8, 12, 20, 36, 60)
FORM = replace(
    BACKGROUND,
    sections=(
        QuestionSection((*BACKGROUND.sections[0].questions, Question("words", "text", Text("Anything?"), required=False))),
    ),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, str, Path]]:
    """Twelve people with different answers, one of whom wrote a letter and one own words; as an archive of the study's own."""
    folder = tmp_path_factory.mktemp("public")
    lab, clock = make_lab(f"sqlite:///{folder / 'lab.sqlite'}")
    clock.now = 1.7e9
    study = lab.studies.add(replace(toy_study(lab), name="open", questionnaires=(FORM,), evaluation_seeds=2))
    agent, _ = lab.agents.add("a", 4, environment=HERE)
    for number, months in enumerate(MONTHS_OF):
        person, _ = lab.participants.join(study.id)
        lab.participants.consent(person.id, study.consent.version)
        answers = {
            "months": months,
            "programming": number,
            "level": ("novice", "medium", "expert")[number // 4],
            "education": ("bachelor", "master")[number % 2],
            **({"words": LETTER} if number == 3 else {}),
        }
        lab.participants.answer(person.id, "background", answers)
        clock.now += 17.25
        session = lab.participants.begin(person.id)
        tune(lab, clock, session.id, agent, 0.1 + number / 20)
    lab.studies.close(study.id)
    export.to_folder(export.Export(lab, study.id, "live", who="test"), folder / "whole")
    yield lab, "open", folder / "whole"
    lab.close()


def written(path: Path, to: Path, **wishes: object) -> tuple[PublicArchive, Path]:
    asked = Wishes(deposit.Deposit((AUTHOR,)), **wishes)  # type: ignore[arg-type]
    archive = PublicArchive(Package(path), asked)
    export.to_zip(archive, to)
    return archive, to


def everything(path: Path) -> str:
    with zipfile.ZipFile(path) as folder:
        return "\n".join(folder.read(name).decode() for name in folder.namelist())


def combinations(archive: Archive, questions: tuple[str, ...]) -> Counter[str]:
    rows = [[person.answers.get(path) for path in questions] for person in archive.participants]
    return Counter(json.dumps(row) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 3, 5])
def test_k_people_share_each_combination_of_answers(made: tuple[Lab, str, Path], tmp_path: Path, k: int) -> None:
    archive, path = written(made[2], tmp_path / "p.zip", k=k)
    back = Package(path).archive
    counts = combinations(back, archive.identifying)
    assert min(counts.values()) == archive.release.smallest >= k
    assert back.public == archive.release
    assert archive.release.k == k
    assert 12 - sum(any(path in person.answers for path in archive.identifying) for person in back.participants) == (
        archive.release.suppressed
    )


@pytest.mark.slow
def test_nothing_tells_who_somebody_was(made: tuple[Lab, str, Path], tmp_path: Path) -> None:
    archive, path = written(made[2], tmp_path / "p.zip", k=3)
    text = everything(path)
    assert "Zoe" not in text
    assert "fire, alarm" not in text
    back, before = Package(path).archive, Package(made[2]).archive
    moments = [int(person.created_at) for person in before.participants]
    assert all(str(moment) not in text for moment in moments), "no moment of the calendar"
    assert {person.created_at for person in back.participants} == {0.0}
    assert not [*Package(path).events()]
    scores = {person.session_id: person.pseudonym for person in back.participants}
    assert len(scores) == 12
    assert sorted(person.pseudonym for person in back.participants) == sorted(person.pseudonym for person in before.participants)
    with pytest.raises(InvalidSettings, match="is a public one already"):
        PublicArchive(Package(path), Wishes(deposit.Deposit((AUTHOR,))))
    assert archive.release.texts == 2 + 4 * 12, (
        "a note, a letter, and of each: own words, a pause, more time, and why a trial diverged"
    )


@pytest.mark.slow
def test_the_report_is_computed_from_it_and_says_which_numbers_are_coarse(made: tuple[Lab, str, Path], tmp_path: Path) -> None:
    archive, path = written(made[2], tmp_path / "p.zip", k=3)
    back, before = Package(path).archive, Package(made[2]).archive
    assert set(archive.release.coarsened) >= {"background.months", "background.programming"}
    assert archive.release.suppressed == 0
    finals = [{name: sorted(values) for name, values in cohort(one, "live").finals().items()} for one in (before, back)]
    assert finals[0] == finals[1], "groups are exact: months stay within the study's"
    report = study_report.build(back, "live")
    assert any("Computed from a public archive" in line for line in report.lead)
    assert "Coarse are background.months (one number for each" in report.lead[-1]
    assert "Groups are exact" in report.lead[-1]
    said = {item.key for item in report.items if "Of coarse answers" in item.how}
    assert {"fig3-experience", "fig4-experience", "fig9-reasons", "measures", "measures-figures", "sensitivity"} <= said
    assert not {"fig5-groups", "table2-levene", "fig7-by-try"} & said
    whole = study_report.build(before, "live")
    assert not any("public" in line or "Coarse" in line for line in whole.lead)
    tables = [{item.key: item.table for item in one.items} for one in (whole, report)]
    assert tables[0]["fig5-groups"] == tables[1]["fig5-groups"]


@pytest.mark.slow
def test_free_text_is_published_once_somebody_reviewed_it(made: tuple[Lab, str, Path], tmp_path: Path) -> None:
    archive, _ = written(made[2], tmp_path / "p.zip", k=3)
    rows = [*csv.DictReader(io.StringIO(archive.review().decode()))]
    assert {(row["where"], row["text"]) for row in rows} == {
        ("answers.background.words", LETTER), ("sessions.extensions", "for it"), ("sessions.pauses", "fire, alarm"),
        ("study.note", "declared in code"),
        ("trials.why", "the loss is not finite"), ("values.reason_label", GUESS),
    }  # fmt: skip
    assert {row["publish"] for row in rows} == {""}
    listed = tmp_path / "list.csv"
    listed.write_bytes(archive.review().replace(b'so",', b'so",yes'))
    approved = archive.reviewed(listed)
    assert approved == {GUESS}
    again, path = written(made[2], tmp_path / "q.zip", k=3, approved=approved)
    sessions = Package(path).archive.sessions
    assert {words for session in sessions for trial in session.trials for words in trial.reasons.values()} == {GUESS}
    assert "Zoe" not in everything(path)
    assert again.release.texts == 2 + 3 * 12
    listed.write_bytes(archive.review().replace(b'alarm",', b'alarm",perhaps'))
    with pytest.raises(InvalidSettings, match="line 4: publish is 'perhaps', expected yes or no"):
        archive.reviewed(listed)


@pytest.mark.slow
def test_licence_citation_and_metadata_are_what_repositories_read(made: tuple[Lab, str, Path], tmp_path: Path) -> None:
    archive, path = written(made[2], tmp_path / "p.zip", k=3)
    with zipfile.ZipFile(path) as folder:
        files = {name: folder.read(name).decode() for name in folder.namelist()}
    assert {"LICENSE", "CITATION.cff", ".zenodo.json", "datacite.json", "README.md"} <= files.keys()
    manifest = json.loads(files["manifest.json"])
    assert manifest["sha256"].keys() == files.keys() - {"manifest.json"}
    assert manifest["public"]["k"] == 3
    citation = yaml.safe_load(files["CITATION.cff"])
    assert (citation["cff-version"], citation["type"], citation["license"]) == ("1.2.0", "dataset", "CC-BY-4.0")
    assert citation["authors"] == [
        {
            "family-names": "Curie",
            "given-names": "Marie",
            "affiliation": "Sorbonne",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
        }
    ]
    zenodo = json.loads(files[".zenodo.json"])
    assert zenodo["creators"] == [{"name": "Curie, Marie", "affiliation": "Sorbonne", "orcid": "0000-0002-1825-0097"}]
    assert (zenodo["upload_type"], zenodo["license"]) == ("dataset", "cc-by-4.0")
    datacite = json.loads(files["datacite.json"])
    assert {"types", "titles", "creators", "publisher", "publicationYear"} <= datacite.keys(), (
        "what DataCite 4 demands, but the DOI"
    )
    assert datacite["rightsList"][0]["rightsUri"].startswith("https://creativecommons.org/")
    assert f"at least {archive.release.smallest} people share each of" in files["README.md"]
    assert "A spreadsheet program may take one for a formula: import tables as text." in files["README.md"]


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("Curie, Marie; Sorbonne; 0000-0002-1825-0097", AUTHOR),
        ("Curie, Marie; Sorbonne; https://orcid.org/0000-0002-1825-0097", AUTHOR),
        ("TU Delft", deposit.Author("TU Delft")),
    ],
)
def test_an_author_is_a_name_with_affiliation_and_orcid(text: str, author: deposit.Author) -> None:
    assert deposit.author(text) == author


@pytest.mark.parametrize("text", ["", ";Delft", "Curie; ; 0000-0002-1825-0098", "a;b;c;d"])
def test_an_author_who_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="--author"):
        deposit.author(text)


def test_answers_are_no_coarser_than_k_needs() -> None:
    number = Question("age", "number", Text("Age?"))
    ages = {person: 20 + person // 3 for person in range(12)}
    exact = anonymity.attribute("q.age", number, ages, MONTHS)
    three = anonymity.anonymous([exact], range(12), 3)
    assert (three.values["q.age"], three.coarsened, three.smallest, three.cells) == (ages, {}, 3, 4)
    coarse = anonymity.anonymous([anonymity.attribute("q.age", number, ages, MONTHS)], range(12), 5)
    assert [*coarse.values["q.age"].values()] == [20] * 6 + [22] * 6
    assert coarse.coarsened["q.age"].startswith("one number for each of 2 classes")
    everyone = anonymity.anonymous([anonymity.attribute("q.age", number, ages, MONTHS)], range(12), 12)
    assert everyone.values["q.age"] == {}
    assert everyone.coarsened == {"q.age": "left out"}


def test_who_is_alone_loses_their_answers_and_is_not_alone_in_that_either() -> None:
    job = Question("job", "single", Text("Job?"), options=tuple(Option(name, Text(name)) for name in ("baker", "pilot")))
    jobs = dict.fromkeys(range(30), "baker") | dict.fromkeys(range(30, 59), "pilot") | {59: "queen"}
    made = anonymity.anonymous([anonymity.attribute("q.job", job, jobs, MONTHS)], range(60), 3)
    assert 59 in made.suppressed
    assert len(made.suppressed) >= 3
    assert set(made.values["q.job"]) == set(range(60)) - made.suppressed
    with pytest.raises(InvalidSettings, match="only 2 people gave answers"):
        anonymity.anonymous([], range(2), 3)
    with pytest.raises(InvalidSettings, match="expected 2 or more"):
        anonymity.anonymous([], range(9), 1)


@pytest.mark.slow
def test_by_command_it_says_k_the_smallest_cell_and_what_was_left_out(made: tuple[Lab, str, Path], tmp_path: Path) -> None:
    out, url = tmp_path / "open.zip", f"sqlite:///{made[2].parent / 'lab.sqlite'}"
    run = ["study", "export", "open", "--db", url, "--out", str(out), "--public", "--k", "3"]
    refused = CliRunner().invoke(app, run)
    assert "no author" in str(refused.exception)
    done = CliRunner().invoke(app, [*run, "--author", "Curie, Marie"], catch_exceptions=False)
    said = " ".join(done.output.split())
    assert "k = 3; the smallest of" in said
    assert "Answers left out: of 0 people" in said
    assert "Free texts left out: 50" in said
    listed = tmp_path / "open-free-texts.csv"
    assert LETTER in listed.read_text()
    report = CliRunner().invoke(app, ["study", "report", str(out), "--out", str(tmp_path / "r.html")], catch_exceptions=False)
    assert report.exit_code == 0
    assert "Computed from a public archive" in (tmp_path / "r.html").read_text(encoding="utf-8")
    brought = CliRunner().invoke(app, ["study", "import", str(out), "--db", url])
    assert "is a public archive; read it where it lies" in str(brought.exception)
