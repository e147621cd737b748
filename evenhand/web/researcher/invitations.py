"""Invitations: batches of links, shown once with their QR codes, and switched on and off."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

import segno
from fastapi import APIRouter, Form, Request, Response

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.model.rules import modes_to_invite
from evenhand.model.study import Mode, Study
from evenhand.model.typed_numbers import whole_number
from evenhand.web.access import lab_of
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.researcher.study import bar
from evenhand.web.state import base_address

router = APIRouter()

MOST_QR_CODES = 200  # links of a batch that get a QR code each: more make the page too heavy to open


@dataclass(frozen=True)
class InvitationLink:
    """One invitation's address. code: its QR code as an image's data address, None where there are too many."""

    number: int
    address: str
    code: str | None


@router.get("/studies/{study_id}/invitations")
def invitations_page(request: Request, study_id: int) -> Response:
    """The batches, how many joined by each, and the form for another one."""
    return _page(request, study_id, {}, "")


def _page(request: Request, study_id: int, typed: Mapping[str, Any], problem: str) -> Response:
    lab = lab_of(request)
    study, now = lab.studies.get(study_id), lab.clock()
    return render(
        request,
        "researcher/invitations.html",
        batches=[(batch, batch.why_closed(now)) for batch in lab.participants.batches(study_id)],
        modes=modes_to_invite(study),
        typed={"label": "", "mode": modes_to_invite(study)[0], "kind": "open", "cap": "", "until": "", **typed},
        today=datetime.fromtimestamp(now, UTC).date().isoformat(),
        occupancy=lab.participants.occupancy(study_id),
        problem=problem,
        said=said(request),
        status=409 if problem else 200,
        **bar(lab, study),
    )


@router.post("/studies/{study_id}/invitations")
def invite(
    request: Request,
    study_id: int,
    mode: Annotated[str, Form()] = "",
    kind: Annotated[Literal["single", "open"], Form()] = "open",
    label: Annotated[str, Form()] = "",
    cap: Annotated[str, Form()] = "",
    until: Annotated[str, Form()] = "",
) -> Response:
    """Make a batch; its links are shown by this answer only."""
    lab = lab_of(request)
    study = lab.studies.get(study_id)
    try:
        chosen = _mode(study, mode)
        name = (
            label.strip()
            or f"{'single-use links' if kind == 'single' else 'open link'} {len(lab.participants.batches(study_id)) + 1}"
        )
        batch, tokens = lab.participants.invite(
            study_id, name, kind=kind, cap=_cap(cap), mode=chosen, expires_at=_until(lab, until)
        )
    except (InvalidSettings, Refused) as error:
        return _page(request, study_id, {"label": label, "mode": mode, "kind": kind, "cap": cap, "until": until}, str(error))
    base = base_address(request)
    links = links_of([f"{base}/join/{token}" for token in tokens])
    return render(
        request,
        "researcher/invite.html",
        batch=batch,
        links=links,
        sheet=_sheet(links),
        codes=MOST_QR_CODES,
        said="",
        **bar(lab, study),
    )


def _mode(study: Study, name: str) -> Mode:
    if study.archived or study.closed_at is not None:
        raise Refused("collection has ended, so nobody can join any more; reopen it first")
    possible = modes_to_invite(study)
    chosen = next((mode for mode in possible if mode == (name or possible[0])), None)
    if chosen is None:
        raise Refused(f"nobody can be invited as {name!r} now; expected one of {', '.join(possible)}")
    return chosen


def _cap(cap: str) -> int | None:
    if not cap.strip():
        return None
    number = whole_number(cap)
    if number is None:
        raise InvalidSettings(f"the number of people is {cap[:20]!r}, expected a whole number, or nothing for any number")
    return number


def _until(lab: Lab, until: str) -> float | None:
    """The end of the named day, in seconds since the epoch."""
    if not until.strip():
        return None
    try:
        day = date.fromisoformat(until.strip())
    except ValueError:
        raise InvalidSettings(f"the last day is {until!r}, expected one such as 2027-03-31, or nothing") from None
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    if end.timestamp() <= lab.clock():
        raise InvalidSettings(f"the last day, {until}, is over; expected today or later")
    return end.timestamp()


def links_of(addresses: Sequence[str]) -> list[InvitationLink]:
    """The addresses with their QR codes: version and error correction M as segno finds them smallest, four modules of margin."""
    shown = len(addresses) <= MOST_QR_CODES
    return [
        InvitationLink(
            number, address, segno.make_qr(address, error="m").svg_data_uri(scale=4, border=4, light="#fff") if shown else None
        )
        for number, address in enumerate(addresses, 1)
    ]


def _sheet(links: Sequence[InvitationLink]) -> str:
    """The links as CSV, as an address that a browser downloads: they are stored hashed, so the server cannot give them again."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["number", "link"])
    table.writerows([link.number, link.address] for link in links)
    return f"data:text/csv;charset=utf-8,{quote(text.getvalue())}"


@router.post("/batches/{batch_id}/switch")
def switch(request: Request, batch_id: int, enabled: Annotated[Literal["yes", "no"], Form()]) -> Response:
    """Switch a batch on or off; who joined by it goes on."""
    batch = lab_of(request).participants.switch_batch(batch_id, enabled == "yes")
    words = "works again" if batch.enabled else "is switched off; who joined by it goes on"
    return say(request, f"/studies/{batch.study_id}/invitations", f"{batch.label} {words}.")
