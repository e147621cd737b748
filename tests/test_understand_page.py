"""What trials say, on the page of a run and of a closed study: it comes in the background, and shows nothing that is hidden."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.made_runs import make
from evenhand.explain import EXPLANATIONS, Card, History, NextStep
from evenhand.explain.explained import explained
from evenhand.explain.noise import spread
from evenhand.model.session import PERSON_DRIVER
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from evenhand.runners.explaining import CardProcess
from evenhand.studies.own_runs import study_of_runs
from evenhand.web.access import Role
from evenhand.web.runs.understand import action, reader
from evenhand.web.understanding import Understandings
from tests.histories import drawn
from tests.labs import claim, epoch
from tests.waiting import wait_for
from tests.web import Caller, Site, evaluated, toy_site, train, tuned_study, tuning_participant

pytestmark = pytest.mark.slow
PAGE, PART = "/sessions/1/understand", "/sessions/1/understand/cards"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("understand")) as served:
        make(served.lab, 120, seed=4, name="wide search")
        yield served


def whole(caller: Caller, address: str) -> str:
    """The cards of a page once all are there."""
    return wait_for(lambda: caller.get(address).text, "the cards are worked out", lambda text: 'data-working=""' in text)


# In the background


def test_cards_come_from_a_process_of_their_own_as_they_are_here() -> None:
    history = drawn(60, 0.02)
    assert list(CardProcess(history).cards()) == list(explained(history))


def test_an_explanation_that_fails_says_so_and_the_others_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "ours-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[evenhand.explanations]\nours = ours:fails\n")
    (tmp_path / "ours.py").write_text(
        "def fails(history):\n    print('noise on standard output')\n    raise ValueError('no such luck')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    monkeypatch.syspath_prepend(str(tmp_path))
    cards = {card.key: card for card in CardProcess(drawn(20, 0.02)).cards()}
    assert list(cards) == list(EXPLANATIONS)
    assert not cards["ours"].says
    assert "ValueError: no such luck" in cards["ours"].finding


def test_what_is_being_worked_out_can_be_ended_and_says_so() -> None:
    understandings = Understandings()
    begun, ended = threading.Event(), threading.Event()

    def read() -> History:
        begun.set()
        ended.wait(20)
        return drawn(60, 0.02)

    assert understandings.of("key", "1", read).works
    assert begun.wait(20)
    assert understandings.of("key", "1", read).cards == ()
    understandings.stop()
    ended.set()
    known = wait_for(lambda: understandings.of("key", "1", read), "it has ended", lambda worked: not worked.works)
    assert not known.is_complete


def test_it_is_kept_until_something_happens_and_then_the_old_cards_stay_until_the_new_are_there() -> None:
    understandings, reads = Understandings(), []

    def read() -> History:
        reads.append(1)
        return drawn(30 + len(reads), 0.02)

    def complete(stamp: str) -> tuple[Card, ...]:
        return wait_for(lambda: understandings.of("key", stamp, read), "it is there", lambda worked: not worked.works).cards

    first = complete("1")
    assert len(first) == len(EXPLANATIONS)
    assert complete("1") is first
    assert len(reads) == 1
    understandings._kept["key"] = understandings._kept["key"].__class__("1", first, len(first), 31)  # it has rested
    assert understandings.of("key", "2", read).cards == first
    assert complete("2") != first
    assert len(reads) == 2


def test_a_history_that_cannot_be_read_is_a_problem_in_words() -> None:
    understandings = Understandings()

    def read() -> History:
        raise ValueError("the disk is gone")

    known = wait_for(lambda: understandings.of("key", "1", read), "it has ended", lambda worked: not worked.works)
    assert known.problem == "ValueError: the disk is gone"


# The page of a run


def test_the_page_says_at_once_that_it_works_and_then_shows_every_card(site: Site) -> None:
    researcher = site.caller(Role.RESEARCHER)
    page = researcher.get(PAGE)
    assert page.status_code == 200
    assert "style=" not in page.text
    cards = whole(researcher, PART)
    assert "Is it noise?" in cards
    assert "Of 120 ended trials." in cards
    assert "What cannot be said yet" in cards
    assert re.search(r'<a href="/sessions/1/trials/\d+">\d+</a>', cards)
    assert "style=" not in cards
    assert "Run the top 5 with 3 more seeds" in cards
    assert 'href="/sessions/1/understand"' in researcher.get("/sessions/1").text


def test_one_click_trains_the_best_with_other_seeds_and_the_spread_is_measured(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        _, session, agent = tuned_study(site)
        runs = study_of_runs(site.lab, session.task, Budget(trials=10), seed=0, mode=None, value_rule="last")
        rosa, researcher = site.person(Role.RESEARCHER).who, site.caller(Role.RESEARCHER)
        run = site.lab.sessions.open(runs.id, tuner=rosa, person=rosa, driver=PERSON_DRIVER, purpose="exploratory")
        site.lab.start(run.id)
        for rate, value in ((0.1, 0.5), (0.01, 0.6)):
            train(site, run.id, agent, value, learning_rate=rate)
        address = f"/sessions/{run.id}/understand"
        assert f'action="{address}/rerun"' in whole(researcher, f"{address}/cards")
        for _ in range(2):
            assert researcher.post(f"{address}/rerun", {"trial": ["2", "1"]}).headers["location"] == address
        again = [row for row in site.lab.runs.all() if f"seeds of {run.id}" in row.notes.tags]
        seeds = {site.lab.studies.get(row.study_id).seed for row in again}
        assert seeds == {1, 2, 3, 4, 5, 6}
        for at in range(12):
            job = claim(site.lab, agent)
            site.lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.4), epoch(1, 2, 0.5 + 0.01 * at)])
            site.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
        history = reader(site.lab, run.id, None, [row.session_id for row in again])()
        assert len(history.trials) == 2
        assert len(history.repeats) == 12
        known = spread(history)
        assert known is not None
        assert (known.source, known.trainings) == ("measured", 14)
        assert researcher.post("/sessions/1/understand/rerun", {"trial": "1"}).status_code == 404


def test_a_run_of_a_program_of_its_own_says_how_it_is_done_there(site: Site) -> None:
    answer = site.caller(Role.RESEARCHER).post("/sessions/1/understand/rerun", {"trial": "1"})
    assert answer.status_code == 409
    assert "with another seed" in answer.text, answer.text[-700:]


def test_one_click_limits_a_range_or_adds_a_trial_while_a_method_tunes(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        made = make(site.lab, 30, seed=4)
        session = site.lab.sessions.open(made.study_id, tuner="random", method={"name": "random"}, driver="python")
        session, researcher = site.lab.start(session.id), site.caller(Role.RESEARCHER)
        best = site.lab.sessions.get(made.id).trials[0]
        steps = (
            NextStep(
                "Leave it out", "narrow", changes={"learning_rate": {"high": 0.01}, "optimizer": {"options": ["adam", "sgd"]}}
            ),
            NextStep("Freeze it", "freeze", changes={"layers": {"value": 3}}),
            NextStep("Try it", "try", values={**best.configuration, "optimizer": best.configuration["optimizer"]}),
        )
        for step in steps[:2]:
            offered = action(site.lab, site.lab.sessions.get(session.id), step)
            form: dict[str, list[str]] = {}
            for name, text in offered.fields:
                form.setdefault(name, []).append(text)
            assert researcher.post(offered.address, form).status_code == 303
        space = site.lab.sessions.get(session.id).current_space
        rate, layers, optimizer = (space[name].domain for name in ("learning_rate", "layers", "optimizer"))
        assert (getattr(rate, "low", None), getattr(rate, "high", None)) == (1e-5, 0.01)
        assert (getattr(layers, "low", None), getattr(layers, "high", None)) == (3, 3)
        assert getattr(optimizer, "options", None) == ("sgd", "adam")
        offered = action(site.lab, site.lab.sessions.get(session.id), steps[2])
        assert offered.address == f"/sessions/{session.id}/workbench/trial"
        assert dict(offered.fields)["value.optimizer"] == best.configuration["optimizer"]
        over = site.lab.sessions.get(made.id)
        assert action(site.lab, over, steps[0]).address == ""
        assert "while a method tunes" in action(site.lab, over, steps[0]).how


def test_of_no_trial_it_says_so(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        session = site.lab.sessions.get(make(site.lab, 1).id)
        empty = site.lab.sessions.open(session.study_id, tuner="random", method={"name": "random"}, driver="python")
        assert "Nothing to understand yet" in site.caller(Role.RESEARCHER).get(f"/sessions/{empty.id}/understand").text


def test_nobody_else_gets_there(site: Site) -> None:
    for address in (PAGE, PART):
        assert site.caller().get(address).status_code == 403
    assert site.caller(Role.METHOD, 1).get(PAGE).status_code == 403


def test_a_test_score_is_shown_to_whoever_looked_and_to_nobody_else(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        site.lab.studies.close(study.id)
        runs = study_of_runs(site.lab, session.task, Budget(trials=10), seed=0, mode="retrain", value_rule="last")
        rosa = site.person(Role.RESEARCHER).who
        run = site.lab.sessions.open(runs.id, tuner=rosa, person=rosa, driver=PERSON_DRIVER, purpose="exploratory")
        site.lab.start(run.id)
        for value in (0.6, 0.7):
            train(site, run.id, agent, value)
        evaluated(site, run.id, agent, 0.515625, 0.640625)
        address = f"/sessions/{run.id}/understand/cards"
        looker, other = site.caller(Role.RESEARCHER), site.caller(Role.OWNER)
        site.lab.evaluations.reveal(run.id, looker.identity.who)
        seen = whole(looker, address)
        assert "on test it reached 57.8" in seen
        assert "on test it reached" not in whole(other, address)
        assert "51.6" not in whole(other, address)


# A study's session and a study


def test_a_studys_session_has_no_such_page_for_anybody(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, _ = tuned_study(site)
        person = tuning_participant(site, study)
        participant = site.caller(Role.PARTICIPANT, person.id)
        for session_id in (session.id, person.session_id):
            assert site.caller(Role.RESEARCHER).get(f"/sessions/{session_id}/understand").status_code == 404
            assert site.caller(Role.RESEARCHER).get(f"/sessions/{session_id}/understand/cards").status_code == 404
            assert participant.get(f"/sessions/{session_id}/understand").status_code == 403
        assert "nderstand" not in participant.get(f"{participant.home}/tune").text


def test_nothing_of_a_study_is_said_until_it_has_closed(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        study, session, agent = tuned_study(site)
        person = tuning_participant(site, study)
        assert person.session_id
        train(site, person.session_id, agent, 0.4)
        researcher, address = site.caller(Role.RESEARCHER), f"/studies/{study.id}/understand"
        for part in (address, f"{address}/cards", f"{address}?mode=pilot"):
            refused = researcher.get(part)
            assert refused.status_code == 409
            assert "has not closed" in refused.text
            assert "0.4" not in refused.text
        assert "/understand" not in researcher.get(f"/studies/{study.id}").text
        evaluated(site, session.id, agent, 0.515625, 0.640625)
        site.lab.studies.close(study.id)
        assert f'href="{address}"' in researcher.get(f"/studies/{study.id}").text
        assert researcher.get(address).status_code == 200
        cards = whole(researcher, f"{address}/cards")
        assert "Of 3 ended trials." in cards
        assert "on test it reached" not in cards, "nobody has looked"
        site.lab.evaluations.reveal_all(study.id, "live", researcher.identity.who)
        assert "on test it reached 57.8" in whole(researcher, f"{address}/cards")
        assert site.caller().get(address).status_code == 403
        assert site.caller(Role.PARTICIPANT, person.id).get(address).status_code == 403
        assert researcher.get(f"{address}?task=99").status_code == 404
