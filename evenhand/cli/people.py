"""The commands `evenhand people`: who runs the laboratory, and how they get in. They ask nobody: whoever has the database may."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from evenhand import settings
from evenhand.cli.options import Database, Host, LinkHours, Port, PublicUrl, address_of, console, escape, laboratory

if TYPE_CHECKING:
    from evenhand.lab.lab import Lab
    from evenhand.model.person import Person

app = typer.Typer()
people = typer.Typer(help="Who runs the laboratory: their names, roles, sign-in links and browsers.", no_args_is_help=True)
app.add_typer(people, name="people")

Name = Annotated[str, typer.Argument(help="the person's name, as in `evenhand people list`", metavar="NAME")]


@people.command(name="list")
def listed(db: Database = None) -> None:
    """List everybody, the links that wait, the browsers that are signed in, and the agents that may get in."""
    from evenhand.model.words import ago, moment

    lab = laboratory(db)
    table, now = Table("name", "role", "since", box=None), lab.clock()
    for person in lab.people.everybody():
        role = person.role if person.removed_at is None else f"removed {moment(person.removed_at)}"
        table.add_row(escape(person.name), role, moment(person.created_at))
    console.print(table if table.row_count else "Nobody yet: `evenhand serve` or `evenhand signin` makes the owner.")
    ways = Table(Column("id", min_width=12), "whose", "what", "since", "last seen", "until", "made by", box=None)
    for way in lab.people.ways_in():
        what = "unused link" if way.is_link else way.browser or "a browser"
        seen = "-" if way.last_seen is None else ago(way.last_seen, now)
        whose, made_by = lab.people.get(way.person_id).name, lab.people.shown(way.made_by)
        cells = (whose, what, moment(way.created_at), seen, moment(way.expires_at), made_by or "-")
        ways.add_row(way.handle, *map(escape, cells))
    if ways.row_count:
        console.print("\nLinks and browsers (evenhand people revoke ID):")
        console.print(ways)
    agents = Table("id", "agent", "since", "last seen", "made by", box=None)
    for agent in lab.people.agents():
        seen = "-" if agent.last_seen is None else ago(agent.last_seen, now)
        made_by = lab.people.shown(agent.made_by) or "-"
        agents.add_row(str(agent.agent_id), escape(agent.name), moment(agent.created_at), seen, escape(made_by))
    if agents.row_count:
        console.print("\nAgents (evenhand people revoke-agent ID):")
        console.print(agents)


@people.command(name="add")
def add(
    name: Annotated[str, typer.Argument(help="what they are called; what they do is recorded under it", metavar="NAME")],
    role: Annotated[str, typer.Option(help="owner, or researcher")] = "researcher",
    hours: LinkHours = None,
    host: Host = "127.0.0.1",
    port: Port = settings.DEFAULT_PORT,
    public_url: PublicUrl = None,
    db: Database = None,
) -> None:
    """Add somebody, and print the link by which they sign in, once."""
    from evenhand.lab.served import user

    wanted: Any = role  # any other role is refused there
    lab = laboratory(db)
    lab.people.first_owner(user())
    person = lab.people.add(name, wanted)
    console.print(f"{escape(person.name)} is {'an owner' if person.is_owner else 'a researcher'} now; the link is for them:")
    _print_link(lab, person, hours, host, port, public_url)


@people.command(name="link")
def link(
    name: Name,
    hours: LinkHours = None,
    host: Host = "127.0.0.1",
    port: Port = settings.DEFAULT_PORT,
    public_url: PublicUrl = None,
    db: Database = None,
) -> None:
    """Print another sign-in link for somebody, once."""
    lab = laboratory(db)
    _print_link(lab, lab.people.named(name), hours, host, port, public_url)


def _print_link(lab: "Lab", person: "Person", hours: float | None, host: str, port: int, public_url: str | None) -> None:
    from evenhand.lab.served import signin_link

    console.print(signin_link(lab, address_of(host, port, public_url), person.name, None if hours is None else 3600 * hours))


@people.command(name="rename")
def rename(name: Name, new: Annotated[str, typer.Argument(metavar="NEW")], db: Database = None) -> None:
    """Give somebody another name, in the record, too."""
    lab = laboratory(db)
    person = lab.people.rename(lab.people.named(name).id, new)
    console.print(f"{escape(name)} is called {escape(person.name)} now, in the record, too.")


@people.command(name="role")
def role(
    name: Name, role: Annotated[str, typer.Argument(help="owner, or researcher", metavar="ROLE")], db: Database = None
) -> None:
    """Make somebody an owner, or a researcher again; there is always at least one owner."""
    wanted: Any = role  # as above
    lab = laboratory(db)
    person = lab.people.set_role(lab.people.named(name).id, wanted)
    console.print(f"{escape(person.name)} is {'an owner' if person.is_owner else 'a researcher'} now.")


@people.command(name="remove")
def remove(name: Name, db: Database = None) -> None:
    """Let somebody in no more: they are signed out everywhere at once, and their name stays in the record."""
    lab = laboratory(db)
    person = lab.people.remove(lab.people.named(name).id)
    console.print(f"{escape(person.name)} is removed, and signed out everywhere.")


@people.command(name="revoke")
def revoke(
    handle: Annotated[str, typer.Argument(help="as in `evenhand people list`", metavar="ID")], db: Database = None
) -> None:
    """Make a link invalid, or sign a browser out."""
    lab = laboratory(db)
    way = lab.people.revoke(handle)
    name = escape(lab.people.get(way.person_id).name)
    console.print(f"The link for {name} is invalid now." if way.is_link else f"{name} is signed out of {escape(way.browser)}.")


@people.command(name="sign-out")
def sign_out(name: Name, db: Database = None) -> None:
    """Sign somebody out everywhere, and make their links invalid."""
    lab = laboratory(db)
    person = lab.people.named(name)
    lab.people.sign_out_everywhere(person.id)
    console.print(f"{escape(person.name)} is signed out everywhere.")


@people.command(name="revoke-agent")
def revoke_agent(
    agent: Annotated[int, typer.Argument(help="its id, as in `evenhand people list`", metavar="ID")], db: Database = None
) -> None:
    """Let an agent of another machine in no more."""
    revoked = laboratory(db).people.revoke_agent(agent)
    console.print(f"Agent {escape(revoked.name)} is let in no more.")
