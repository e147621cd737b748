"""The command `evenhand bots`: a study's rehearsal by simulated participants."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from evenhand.errors import Refused

if TYPE_CHECKING:
    from evenhand.bots import Diary

console = Console(highlight=False, soft_wrap=True)


def bots(
    study: Annotated[str, typer.Argument(help="the study's name or number")],
    participants: Annotated[int, typer.Option(help="how many simulated participants")] = 31,
    trials: Annotated[int, typer.Option(help="about how many trials each")] = 8,
    seed: Annotated[int, typer.Option(help="seed of all that they do")] = 0,
    limit: Annotated[list[str] | None, typer.Option(help="values within which they stay, as NAME=LOW:HIGH; repeatable")] = None,
    steady: Annotated[bool, typer.Option("--steady", help="nothing that depends on how quick the machine is")] = False,
    mishaps: Annotated[bool, typer.Option(help="refreshes, two tabs, invalid input, abandonment, withdrawal")] = True,
    random: Annotated[int, typer.Option(help="random configurations trained beside them (the paper's Fig. 1)")] = 0,
    at_once: Annotated[int | None, typer.Option(help="how many take part at the same time [default: all]")] = None,
    url: Annotated[str | None, typer.Option(help="a running server on the same database [default: one of its own]")] = None,
    slots: Annotated[int, typer.Option(help="trainings at once of its own server")] = 2,
    db: Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")] = None,
) -> None:
    """Let simulated participants walk a study through its real pages; their records are marked simulated."""
    from evenhand import rehearsal
    from evenhand.lab import Lab

    lab = Lab.connect(db)
    found = lab.study_named(study)
    wishes = rehearsal.Wishes(
        participants=participants,
        trials=trials,
        seed=seed,
        limits=rehearsal.parse_limits(limit or []),
        steady=steady,
        mishaps=mishaps,
        random=random,
        at_once=at_once,
        address=url,
        slots=slots,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console) as bars:
        shown = {
            "bots": bars.add_task("simulated participants", total=participants),
            "trials": bars.add_task("trials", total=None),
            "random": bars.add_task("random configurations", total=random, visible=random > 0),
            "seeds": bars.add_task("evaluation seeds", total=None),
        }

        def tell(now: rehearsal.Progress) -> None:
            for name, bar in shown.items():
                bars.update(bar, completed=getattr(now, name))
            bars.update(shown["seeds"], total=now.planned or None)

        diary = rehearsal.run(lab, db, found, wishes, tell)
    _print(diary)
    if diary.troubles:
        raise Refused(f"{len(diary.troubles)} of the bots' steps went wrong; the first: {diary.troubles[0]}")


def _print(diary: "Diary") -> None:
    table = Table("page", "answers", "median", "p95", "slowest", box=None)
    for kind, found in sorted(diary.pages.items()):
        ordered = sorted(found)
        at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 1)]
        table.add_row(kind, str(len(found)), *(f"{1000 * seconds:.0f} ms" for seconds in at))
    console.print(table)
    happened = ", ".join(f"{name} {count}" for name, count in sorted(diary.happened.items())) or "none"
    console.print(f"{diary.trials} trials submitted; mishaps played: {happened}; unanswered requests repeated: {diary.outages}")
    for words in diary.troubles:
        console.print(f"[red]trouble[/] {words}", markup=True)
