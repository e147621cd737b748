"""The command `evenhand open`: trials of other tools, read where they lie or brought in."""

import os
import socket
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.options import Database, check_port, console, escape, laboratory

if TYPE_CHECKING:
    from evenhand.exchange.formats.base import Wanted
    from evenhand.lab.lab import Lab

app = typer.Typer()
HERE = "127.0.0.1"
SCRATCH = "opened.sqlite"  # the file of a laboratory that is thrown away


@app.command(name="open")
def open_(
    source: Annotated[str, typer.Argument(help="a file, a folder, or a database's URL (docs/opening.md)", metavar="FILE_OR_URL")],
    study: Annotated[str | None, typer.Option(help="one of several studies or experiments [default: all]")] = None,
    metric: Annotated[str | None, typer.Option(help="which number was tuned, where the source does not say it")] = None,
    direction: Annotated[str | None, typer.Option(help="maximize or minimize, where the source does not say it")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="of a table: a column that is a hyperparameter, where its name does not say it; repeatable"),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="of the source, where it is not told right (docs/opening.md)")
    ] = None,
    brings_in: Annotated[bool, typer.Option("--import", help="store it in the laboratory of --db")] = False,
    name: Annotated[str | None, typer.Option(help="of --import: another name there than 'TOOL STUDY'")] = None,
    serve: Annotated[bool, typer.Option(help="open its page in a browser")] = True,
    port: Annotated[int, typer.Option(help="of its page, 0 for any that is free", min=0, max=65535)] = 0,
    db: Database = None,
) -> None:
    """Open trials of Optuna, MLflow, W&B, Ray Tune, Keras Tuner, or a table; the source is never written to."""
    from evenhand.exchange.formats.base import Wanted

    wanted = Wanted(form, study, metric, direction, tuple(parameter or ()))
    if brings_in:
        bring_in(source, wanted, name, db, opens=serve)
    elif not serve:
        _show(source, wanted, None)
    else:
        _serve(source, wanted, port)


def bring_in(source: str, wanted: "Wanted", name: str | None, db: str | None, opens: bool = False) -> None:
    """Bring the runs of a source into a laboratory; say what was found. opens: whether a page is opened where a server runs."""
    from evenhand.lab import served

    lab = laboratory(db)
    try:
        session_ids = _show(source, wanted, lab, name)
        for session_id in session_ids:
            console.print(f"Session {session_id}: {escape(served.page_words(lab, session_id))}")
        if opens and (address := served.address(lab)) is not None:
            webbrowser.open(f"{address}{_path(lab, session_ids)}")
    finally:
        lab.close()


def _show(source: str, wanted: "Wanted", lab: "Lab | None", name: str | None = None) -> list[int]:
    """Say what was found in each run, and store it where there is a laboratory; the sessions' numbers."""
    from evenhand.errors import InvalidSettings
    from evenhand.exchange.foreign_runs import NotOpened, description, opened_runs
    from evenhand.exchange.formats import names
    from evenhand.exchange.formats.base import Source

    session_ids, refusals = [], []
    with console.status("Reading ...") as status, Source(source) as opened_source:
        form, there = names(opened_source, wanted)
        console.print(f"{escape(opened_source.shown)}: {escape(form.WORDS)}")
        if name is not None and len(there) > 1:
            raise InvalidSettings(
                f"--name {name!r}: {len(there)} studies are brought in; say which one with --study, or leave it out"
            )
        for run in opened_runs(opened_source, wanted):
            if isinstance(run, NotOpened):
                refusals.append(run.why)
                console.print(f"{escape(run.name)}: [red]not opened[/]: {escape(run.why)}")
                continue
            for line in description(run):
                console.print(escape(line))
            if lab is not None:
                status.update("Storing ...")
                session_ids.append(run.store(lab, name))
    if len(refusals) == len(there):
        raise InvalidSettings(f"{source}: none of its {len(there)} studies could be opened")
    return session_ids


def _path(lab: "Lab", session_ids: Sequence[int]) -> str:
    """The page of the one session, else of the study of the last one."""
    if len(session_ids) == 1:
        return f"/sessions/{session_ids[0]}"
    return f"/studies/{lab.sessions.get(session_ids[-1]).study_id}"


def _serve(source: str, wanted: "Wanted", port: int) -> None:
    """Read a source into a laboratory that is thrown away, and serve that until Ctrl-C, with its page in a browser."""
    from evenhand.lab.lab import Lab
    from evenhand.lab.served import signin_link
    from evenhand.web.serving import Server

    chosen = port or _free_port()
    check_port(HERE, chosen)
    with tempfile.TemporaryDirectory(prefix="evenhand-opened-") as folder:
        lab = Lab.connect(f"sqlite:///{Path(folder) / SCRATCH}")
        try:
            session_ids = _show(source, wanted, lab)
            address = f"http://{HERE}:{chosen}"
            link = f"{signin_link(lab, address)}?to={_path(lab, session_ids)}"
            server = Server(lab, HERE, chosen, 0, data_dir=Path(folder))
            console.print(f"Its page, once: [bold]{link}[/]")
            console.print("Nothing of it is kept, and the source stays as it is; --import keeps it. Stop with Ctrl-C.")
            server.run(lambda: _browse(link))
        finally:
            lab.close()


def _browse(link: str) -> None:
    """Open a page in the user's browser, where there is a screen for one."""
    if os.name != "posix" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER"):
        webbrowser.open(link)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
