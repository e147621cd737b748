"""Who takes up a place in a study: conditions balanced by them, a number of people after which nobody else can join."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from evenhand.errors import NotAllowed
from evenhand.lab.lab import Lab
from evenhand.model import places, rules
from evenhand.model.participant import Participant
from evenhand.model.places import LATELY_SECONDS, Place
from evenhand.model.study import AnalysisPlan, Arm, Study
from evenhand.web.access import Role
from tests.components import DATABASES
from tests.labs import SPACE, Clock, database, make_lab, toy_study
from tests.web import serve

ARMS = (Arm("plain"), Arm("hints"))
CHOICE = SPACE.configuration({"epochs": 1})


@pytest.fixture(params=DATABASES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    with database(request.param, tmp_path) as url:
        lab, clock = make_lab(url)
        yield lab, clock
        lab.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab, clock
    lab.close()


def declared(lab: Lab, target: int | None = None, arms: tuple[Arm, ...] = ()) -> Study:
    """A study without questions, with these conditions, for so many people."""
    changes: dict[str, Any] = {"arms": arms, "plan": AnalysisPlan(target=target), "questionnaires": ()}
    study = toy_study(lab)
    return lab.studies.add(replace(study, name=f"{study.name} too", id=0, **changes))


def joined(lab: Lab, study: Study, mode: Any = "live") -> Participant:
    """Somebody who joined and agreed to the terms."""
    person, _ = lab.participants.join(study.id, mode)
    return lab.participants.consent(person.id, study.consent.version)


def finish(lab: Lab, person: Participant) -> None:
    """Go on to the final choice."""
    session = lab.participants.begin(person.id)
    lab.choose(session.id, configuration=CHOICE)


def counts(lab: Lab, study: Study) -> tuple[int, int]:
    occupancy = lab.participants.occupancy(study.id)
    return occupancy.finished, occupancy.under_way


def test_whoever_vanished_takes_up_no_place_and_whoever_finished_always_does() -> None:
    there = [Place("plain", 0.0, False), Place("plain", 0.0, True), Place("hints", 500.0, False), Place(None, 900.0, False)]
    assert places.in_conditions(there, 1000.0) == {"plain": 2, "hints": 1}
    assert places.in_conditions(there, LATELY_SECONDS) == {"plain": 1, "hints": 1}
    assert places.in_conditions(there, LATELY_SECONDS + 500.0) == {"plain": 1}
    for now, finished, under_way, is_full in ((1000.0, 1, 3, True), (LATELY_SECONDS, 1, 2, False), (1e9, 1, 0, False)):
        occupancy = places.occupancy(there, 4, now)
        assert (occupancy.finished, occupancy.under_way, occupancy.is_full) == (finished, under_way, is_full)
    assert places.occupancy(there, None, 0.0).why_full is None


def test_the_words_at_a_full_door_say_whether_it_may_open_again() -> None:
    assert places.occupancy([Place(None, 0.0, True)], 1, 0.0).why_full == (
        "this study has found the 1 participant that it looked for; thank you for your interest"
    )
    assert places.occupancy([Place(None, 0.0, False)] * 2, 2, 0.0).why_full == (
        "all 2 places of this study are taken at present. If somebody gives up, their place is free within 30 minutes, "
        "and this invitation works again"
    )


@pytest.mark.parametrize("seed", range(5))
def test_conditions_that_lose_people_unequally_have_as_many_who_finished(seed: int) -> None:
    """People arrive every quarter of an hour; one condition loses 60 % of them, the other 10 %."""
    chance, losses, sessions = random.Random(seed), {"plain": 0.1, "hints": 0.6}, 3600.0
    people: list[tuple[float, str, bool]] = []  # when they came, into what, whether they stay to the end
    for number in range(300):
        now = number * 900.0
        there = [
            Place(arm, min(now, begun + sessions) if stays else begun, stays and now - begun >= sessions)
            for begun, arm, stays in people
        ]
        arm = rules.assign(ARMS, places.in_conditions(there, now), 7, number)
        assert arm
        people.append((now, arm, chance.random() >= losses[arm]))
    finished = {name: sum(arm == name and stays for _, arm, stays in people) for name in losses}
    came = {name: sum(arm == name for _, arm, _ in people) for name in losses}
    assert abs(finished["plain"] - finished["hints"]) <= 3
    assert came["hints"] > 1.7 * came["plain"]  # counted by who merely joined, there would be as many of both


def test_the_next_person_gets_the_condition_that_fewer_completed_or_are_doing(own: tuple[Lab, Clock]) -> None:
    lab, clock = own
    study = declared(lab, arms=ARMS)
    first, second = joined(lab, study), joined(lab, study)
    assert {first.condition, second.condition} == {"plain", "hints"}
    finish(lab, first)
    clock.now += LATELY_SECONDS - 1
    lab.participants.read_details(second.id)  # a sign of life
    clock.now += LATELY_SECONDS - 1
    third = joined(lab, study)
    clock.now += 1
    fourth = joined(lab, study)  # by now the second one has vanished
    assert fourth.condition == second.condition
    if third.condition == second.condition:
        assert joined(lab, study).condition == first.condition
    simulated = joined(lab, study, "simulated")
    assert lab.participants.of_study(study.id)[-1] == simulated  # of another mode: counted in no balance of these


def test_with_the_target_reached_nobody_new_joins_and_who_joined_goes_on(own: tuple[Lab, Clock]) -> None:
    lab, clock = own
    study = declared(lab, target=2)
    _, (link,) = lab.participants.invite(study.id, "open")
    _, (letter, other) = lab.participants.invite(study.id, "letters", kind="single", cap=2)
    first, _ = lab.participants.accept(link)
    second, _ = lab.participants.accept(letter)
    for token in (link, other):
        with pytest.raises(NotAllowed, match="all 2 places of this study are taken at present"):
            lab.participants.accept(token)
    assert lab.participants.accept(letter)[0] == second  # the answer was lost: no new person
    assert lab.participants.accept(lab.participants.invite(study.id, "try-out", mode="pilot")[1][0])[0].mode == "pilot"
    lab.participants.consent(first.id, study.consent.version)
    finish(lab, first)
    assert counts(lab, study) == (1, 1)
    clock.now += LATELY_SECONDS
    assert counts(lab, study) == (1, 0)
    third, _ = lab.participants.accept(other)
    for person in (second, third):  # the one who was away comes back, and is not sent away
        lab.participants.consent(person.id, study.consent.version)
        finish(lab, person)
    assert counts(lab, study) == (3, 0)
    with pytest.raises(NotAllowed, match="has found the 2 participants that it looked for"):
        lab.participants.invited(link)
    lab.participants.withdraw(first.id)
    lab.participants.exclude(second.id, "helped by a friend")
    assert counts(lab, study) == (1, 0)
    assert lab.participants.accept(link)[0].mode == "live"


@pytest.mark.slow
def test_people_who_join_at_once_are_no_more_than_the_target(made: tuple[Lab, Clock]) -> None:
    lab, _ = made
    study = declared(lab, target=3)
    _, (link,) = lab.participants.invite(study.id, "open")

    def join(_: int) -> bool:
        try:
            lab.participants.accept(link)
        except NotAllowed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(join, range(8)))
    assert sum(came) == 3
    assert len(lab.participants.of_study(study.id)) == 3


@pytest.mark.slow
def test_the_pages_say_how_many_of_the_target_there_are(own: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = own
    study = declared(lab, target=2)
    finish(lab, joined(lab, study))
    _, (link,) = lab.participants.invite(study.id, "open")
    with serve(lab, clock, tmp_path) as site:
        researcher = site.caller(Role.RESEARCHER)
        for path, words in (
            (f"/studies/{study.id}?mode=live", "<b>1 of 2</b> finished"),
            (f"/studies/{study.id}/invitations", "1 of 2 participants"),
        ):
            assert words in researcher.get(path).text
        joined(lab, study)
        door = httpx.get(f"{site.address}/join/{link}")
        assert door.status_code == 403
        assert "All 2 places of this study are taken at present" in door.text
        assert "nobody else can join" in researcher.get(f"/studies/{study.id}?mode=live").text
        assert ">full</span>" in researcher.get(f"/studies/{study.id}/invitations").text
        assert "target" not in researcher.get(f"/studies/{study.id}?mode=pilot").text.split('id="flow"')[1][:2000]
