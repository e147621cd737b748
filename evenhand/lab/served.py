"""Where a server serves a laboratory: files in the data directory, by which other programs of this machine find its pages."""

import getpass
from pathlib import Path

from evenhand import settings
from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.model.person import Person, plain_name, same_name

HEARTBEAT_FILE = "heartbeat-{}"  # file in the data directory: when a server on this database was last alive
ADDRESS_FILE = "address-{}"  # file in the data directory: where it answers


def beat(path: Path, now: float) -> None:
    """Note in the heartbeat file that the server is alive."""
    fresh = path.with_suffix(".new")
    _write_private(fresh, f"{now:.3f}")
    fresh.replace(path)


def _write_private(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=settings.private_opener) as file:
        file.write(text)


def last_alive(path: Path) -> float | None:
    """When the server before this one was last alive; None where none was, or the file is damaged."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def note_address(lab: Lab, address: str | None) -> None:
    """Note where the server that starts will answer; None where it ends."""
    path = settings.data_dir() / ADDRESS_FILE.format(lab.key)
    if address is None:
        path.unlink(missing_ok=True)
    else:
        _write_private(path, address)


def address(lab: Lab) -> str | None:
    """Where a server of this machine answers for the laboratory now; None where none is known to."""
    folder = settings.data_dir()
    alive = last_alive(folder / HEARTBEAT_FILE.format(lab.key))
    if alive is None or lab.clock() - alive > settings.AGENT_SILENCE_SECONDS:
        return None
    try:
        return (folder / ADDRESS_FILE.format(lab.key)).read_text()
    except OSError:
        return None


def signin_link(lab: Lab, address: str, name: str = "", seconds: float | None = None) -> str:
    """A new link by which somebody signs in to the server at this address, once, within a time (default: see `People.link`).

    name: of whom it is for; "": the owner who came first. Where nobody is there yet they are made, called as this machine's user.
    """
    person = lab.people.named(name) if name else lab.people.first_owner(user())
    return f"{address}/signin/{lab.people.link(person.id, seconds)}"


def user() -> str:
    """The user's name on this machine; "" where it is not known, or nobody's name can be so."""
    try:
        return plain_name(getpass.getuser())
    except (OSError, KeyError, ImportError, InvalidSettings):
        return ""


def user_here(lab: Lab) -> Person | None:
    """Who of the laboratory's people has the name of this machine's user."""
    name = user()
    return next((person for person in lab.people.present() if name and same_name(person.name) == same_name(name)), None)


def page_words(lab: Lab, session_id: int) -> str:
    """Where a session's page is: its address where a server is known to run, else what starts one, and the page's path then."""
    path, served = f"/sessions/{session_id}", address(lab)
    if served is not None:
        return f"{served}{path}"
    url = lab.core.store.url
    own = "" if url == settings.default_database() else f" --db {url}" if url.startswith("sqlite") else " with the same --db"
    return f"evenhand serve{own}, then {path}"
