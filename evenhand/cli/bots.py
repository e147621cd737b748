"""The command `evenhand bots`: a study's rehearsal by simulated participants."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from evenhand.cli.options import Database, StudyName, bars, console
from evenhand.errors import Refused

if TYPE_CHECKING:
    from evenhand.rehearsal.bots import Diary

app = typer.Typer()


@app.command()
def bots(
    study: StudyName,
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
    db: Database = None,
) -> None:
    """Let simulated participants walk a study through its real pages; their records are marked simulated."""
    from evenhand.lab.lab import Lab
    from evenhand.rehearsal import run

    lab = Lab.connect(db)
    record = lab.studies.named(study)
    wishes = run.Wishes(
        participants=participants,
        trials=trials,
        seed=seed,
        limits=run.parse_limits(limit or []),
        steady=steady,
        mishaps=mishaps,
        random=random,
        at_once=at_once,
        address=url,
        slots=slots,
    )
    with bars() as progress:
        shown = {
            "bots": progress.add_task("simulated participants", total=participants),
            "trials": progress.add_task("trials", total=None),
            "random": progress.add_task("random configurations", total=random, visible=random > 0),
            "seeds": progress.add_task("evaluation seeds", total=None),
        }

        def tell(now: run.RehearsalProgress) -> None:
            for name, bar in shown.items():
                progress.update(bar, completed=getattr(now, name))
            progress.update(shown["seeds"], total=now.planned or None)

        diary = run.run(lab, db, record, wishes, tell)
    _print(diary)
    if diary.troubles:
        raise Refused(f"{len(diary.troubles)} of the bots' steps went wrong; the first: {diary.troubles[0]}")


def _print(diary: "Diary") -> None:
    table = Table("page", "answers", "median", "p95", "slowest", box=None)
    for kind, times in sorted(diary.pages.items()):
        ordered = sorted(times)
        at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 1)]
        table.add_row(kind, str(len(times)), *(f"{1000 * seconds:.0f} ms" for seconds in at))
    console.print(table)
    happened = ", ".join(f"{name} {count}" for name, count in sorted(diary.happened.items())) or "none"
    console.print(f"{diary.trials} trials submitted; mishaps played: {happened}; unanswered requests repeated: {diary.outages}")
    for words in diary.troubles:
        console.print(f"[red]trouble[/] {words}", markup=True)
