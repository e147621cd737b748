"""Where a server serves a laboratory: files in the data directory, by which other programs of this machine find its pages."""

from pathlib import Path

from evenhand import settings
from evenhand.lab.lab import Lab

HEARTBEAT_FILE = "heartbeat-{}"  # file in the data directory: when a server on this database was last alive
SIGNIN_SECONDS = 24 * 3600.0  # for which a link is valid
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


def signin_link(lab: Lab, address: str) -> str:
    """A new link by which the researcher signs in to the server at this address, once, within a day."""
    return f"{address}/signin/{lab.tokens.issue('signin', seconds=SIGNIN_SECONDS)}"


def page_words(lab: Lab, session_id: int) -> str:
    """Where a session's page is: its address where a server is known to run, else what starts one, and the page's path then."""
    path, served = f"/sessions/{session_id}", address(lab)
    if served is not None:
        return f"{served}{path}"
    url = lab.core.store.url
    own = "" if url == settings.default_database() else f" --db {url}" if url.startswith("sqlite") else " with the same --db"
    return f"evenhand serve{own}, then {path}"
