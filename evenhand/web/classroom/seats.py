"""The teacher's page of a class: who sits where, new codes for closed phones, browsers that are released."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from evenhand.errors import NotFound, Refused
from evenhand.lab.seats import spaced_code
from evenhand.studies import classroom
from evenhand.web.access import lab_of
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.researcher.study import bar

router = APIRouter()


@router.get("/studies/{class_id}/seats")
def seats_page(request: Request, class_id: int) -> Response:
    """Everyone in the class, in order of joining."""
    lab = lab_of(request)
    study = lab.studies.get(class_id)
    if not study.classroom:
        raise NotFound(f"study {class_id} is no class, so it has no seats")
    people = [person for person in lab.participants.of_study(class_id) if person.withdrawn_at is None]
    places = {place.name: place for place in classroom.board(people, lab.sessions.of_study(class_id))}
    seats = [(person, places[person.nickname or person.pseudonym]) for person in people]
    return render(
        request,
        "classroom/seats.html",
        seats=seats,
        metric=lab.studies.task(study.task_id).metric,
        said=said(request),
        **bar(lab, study),
    )


@router.post("/studies/{class_id}/seats")
def act(
    request: Request,
    class_id: int,
    participant: Annotated[int, Form()],
    do: Annotated[Literal["renew", "release", "remove"], Form()],
) -> Response:
    """Give a seat a new code, release its browser, or remove it from the class."""
    lab = lab_of(request)
    person = lab.participants.get(participant)
    if person.study_id != class_id:
        raise NotFound(f"participant {participant} is not of study {class_id}")
    name, back = person.nickname or person.pseudonym, f"/studies/{class_id}/seats"
    try:
        code = spaced_code(lab.seats.new_code(participant) if do == "renew" else lab.seats.release(participant))
    except Refused as error:
        return say(request, back, f"{error}.")
    if do == "renew":
        return say(request, back, f"The new code of {name}'s seat is {code}. It is not shown again.")
    if do == "release":
        return say(
            request,
            back,
            f"{name}'s browser is free for another seat. The code {code} leads back to {name}'s; it is not shown again.",
        )
    lab.participants.withdraw(participant)
    return say(
        request, back, f"{name} is off the board, and all that was done there is erased. The browser is free for another seat."
    )
