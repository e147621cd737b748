"""The commands `evenhand agent` and `add-agent`: who trains for a laboratory."""

import socket
from typing import Annotated

import typer

from evenhand.cli.options import Database, console, laboratory, slots_of
from evenhand.errors import InvalidSettings

app = typer.Typer()


@app.command()
def agent(
    url: Annotated[str, typer.Argument(help="address of the laboratory, such as http://lab.example:8765")],
    token: Annotated[str | None, typer.Option(envvar="EVENHAND_AGENT_TOKEN", help="the agent's token")] = None,
    join: Annotated[
        str | None, typer.Option(envvar="EVENHAND_JOIN", help="in place of --token: what `evenhand tune --serve` prints")
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="trainings at once [default: one per core]")] = None,
    name: Annotated[str, typer.Option(help="what the researcher's page calls this agent")] = "",
    nice: Annotated[int, typer.Option(help="how far trainings give way to other programs, 0 to 19")] = 0,
    programs: Annotated[bool, typer.Option(help="start programs, too, whose commands the laboratory names")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="run the code that the laboratory sends without asking")] = False,
) -> None:
    """Train for a laboratory: claim its trainings, run them here, send what they measure."""
    from evenhand.lab.client import Client, host_of
    from evenhand.runners.agent import main_agent

    host_of(url)
    session_id = None
    if join is not None:
        with Client(url, join) as client:
            token, session_id = client.join()
    if token is None:
        raise InvalidSettings(
            "agent: got no token, expected EVENHAND_AGENT_TOKEN=... of `evenhand add-agent`, or EVENHAND_JOIN=... as "
            "`evenhand tune --serve` prints it"
        )
    here = name or socket.gethostname()
    main_agent(url, token, slots=slots_of(slots), name=here, nice=nice, programs=programs, session_id=session_id, yes=yes)


@app.command(name="add-agent")
def add_agent(
    name: Annotated[str, typer.Argument(help="what the researcher's page calls the agent")],
    slots: Annotated[int, typer.Option(min=1, help="trainings at once")] = 1,
    db: Database = None,
) -> None:
    """Make an agent known and print its token, once."""
    _, token = laboratory(db).agents.add(name, slots)
    console.print(token)
