"""Process signals: counts and seconds of how a form is filled in, never what: off by default, kept, erased, used in one row."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenhand.analysis.process_signals import process_signals, rule_words
from evenhand.analysis.sensitivity import sensitivity
from evenhand.model.archive import Archive
from evenhand.model.signals import LONGEST_SECONDS, Signals, read
from evenhand.model.study import AnalysisPlan, Budget, FlagRule, Study
from evenhand.report import study as study_report
from evenhand.report import study_review
from evenhand.studies import file
from evenhand.web.access import Role
from tests.archives import STUDY, Person, archive
from tests.labs import toy_study
from tests.web import Caller, Site, toy_site

SENT = {"pastes": 2, "away": 1, "away_seconds": 61.26, "values": {"epochs": 1.5, "nonsense": 3}, "reasons": {"learning_rate": 4}}
NOTICED = Signals(2, 1, 61.3, {"epochs": 1.5}, {"learning_rate": 4.0})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("signals")) as made:
        yield made


def test_what_a_form_sends_is_counts_and_seconds_of_its_own_fields() -> None:
    assert read(json.dumps(SENT), ["epochs", "learning_rate"]) == NOTICED
    assert read(json.dumps(SENT | {"away_seconds": 1e300}), []) == Signals(2, 1, LONGEST_SECONDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        "[" * 5000,
        json.dumps(SENT | {"pastes": -1}),
        json.dumps(SENT | {"pastes": True}),
        json.dumps(SENT | {"pastes": "what was pasted"}),
        json.dumps(SENT | {"away_seconds": float("nan")}),
        json.dumps(SENT | {"values": {"epochs": "60"}}),
        json.dumps(SENT) + " " * 20_000,
    ],
)
def test_anything_else_is_no_signals(text: str) -> None:
    assert read(text, ["epochs"]) is None


def tuning(site: Site, signals: bool) -> tuple[Caller, Study, int]:
    base = toy_study(site.lab, Budget(seconds=100, parallel=2))
    study = site.lab.studies.add(replace(base, id=0, name=f"{base.name}-on", signals=signals, questionnaires=()))
    person, _ = site.lab.participants.join(study.id)
    caller = site.caller(Role.PARTICIPANT, person.id)
    caller.http.follow_redirects = True
    said = 'id="signals"' in caller.get(caller.home).text
    assert said is signals  # in the terms
    site.lab.participants.consent(person.id, study.consent.version)
    session = site.lab.participants.begin(person.id)
    return caller, study, session.id


def submit(caller: Caller, **form: Any) -> None:
    assert (
        caller.post(caller.get(caller.home).url.path.replace("/tune", "/tune/submit"), {"value.epochs": "1", **form}).status_code
        == 200
    )


@pytest.mark.slow
def test_signals_are_kept_with_the_trial_and_erased_with_the_person(site: Site) -> None:
    caller, study, session_id = tuning(site, signals=True)
    page = caller.get(caller.home).text
    assert 'name="signals" value=""' in page
    assert "signals.js" in page
    submit(caller, signals=json.dumps(SENT))
    submit(caller)  # a browser without scripts
    assert [trial.signals for trial in site.lab.sessions.get(session_id).trials] == [NOTICED, None]
    person = site.lab.participants.of_study(study.id)[0]
    site.lab.participants.withdraw(person.id)
    assert site.lab.sessions.get(session_id).trials == ()


@pytest.mark.slow
def test_a_study_that_does_not_say_so_records_none_even_where_they_are_sent(site: Site) -> None:
    caller, _, session_id = tuning(site, signals=False)
    assert "signals" not in caller.get(caller.home).text
    submit(caller, signals=json.dumps(SENT))
    assert [trial.signals for trial in site.lab.sessions.get(session_id).trials] == [None]


USUAL = FlagRule()


def noticed(rule: FlagRule = USUAL) -> Archive:
    """Four people of two trials: one pasted three times in all, one was away for ten minutes, one sent nothing, one little."""
    study = replace(STUDY, signals=True, plan=AnalysisPlan(flags=rule))
    made = archive([Person(months, [0.3, 0.4], (0.4 + months / 100,)) for months in (0, 4, 12, 24)], study)
    theirs = (
        (Signals(pastes=1), Signals(pastes=2)),
        (Signals(away=3, away_seconds=300.0), Signals(away=1, away_seconds=300.0)),
        (None, None),
        (Signals(pastes=1), None),
    )
    sessions = [
        replace(session, trials=tuple(replace(trial, signals=one) for trial, one in zip(session.trials, its, strict=True)))
        for session, its in zip(made.sessions, theirs, strict=True)
    ]
    return replace(made, sessions=tuple(sessions))


def test_people_are_flagged_by_the_studys_rule_and_nobody_without_signals() -> None:
    names = {person.pseudonym for person in noticed().participants}
    rows = process_signals(noticed(), names)
    assert [(row.recorded, row.pastes, row.away, row.away_minutes, row.flagged) for row in rows] == [
        (2, 3, 0, 0.0, True), (2, 0, 4, 10.0, True), (0, 0, 0, 0.0, False), (1, 1, 0, 0.0, False),
    ]  # fmt: skip
    strict = process_signals(noticed(FlagRule(pastes=1, away_minutes=60)), names)
    assert [row.flagged for row in strict] == [True, False, False, True]
    assert rule_words(FlagRule(1, 2.5)).startswith("pasted into the form once or more, or left the page for 2.5 minutes or more")


def test_the_sensitivity_table_has_a_row_without_flagged_people() -> None:
    rows = [row for row in sensitivity(noticed(), "live").rows if row.alternative == "without flagged people"]
    assert {row.n for row in rows if row.headline == "Spearman's rho of score and experience"} == {(4, 2)}
    assert "pasted into the form 3 times or more" in rows[0].choice
    plain = sensitivity(archive([Person(1, [0.3], (0.4,))]), "live")
    assert not [row for row in plain.rows if "flagged" in row.alternative]


def test_the_report_lists_the_signals_and_states_the_rule() -> None:
    made = study_review.signals.make(study_report.context(noticed(), "live"))
    assert isinstance(made, list)
    (item,) = made
    assert item.table is not None
    assert [row[1:] for row in item.table.rows][1] == ("2 of 2", "0", "4", "10", "yes")
    assert "2 of 4 are" in item.how


def test_a_study_file_declares_signals_and_the_rule(tmp_path: Path) -> None:
    file.new(tmp_path / "a", seed=1)
    path = tmp_path / "a" / "study.toml"
    assert file.read(path).study.signals is False
    path.write_text(path.read_text().replace("signals = false", "signals = true") + "\n[plan.flags]\npastes = 1\n")
    declared = file.read(path)
    assert declared.errors == ()
    assert (declared.study.signals, declared.study.plan.flags) == (True, FlagRule(1, 10.0))
