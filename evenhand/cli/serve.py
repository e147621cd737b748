"""The commands `evenhand serve` and `signin`: the laboratory, and the researcher's way into it."""

from typing import Annotated, Any

import typer

from evenhand import __version__, settings
from evenhand.cli.options import (
    Database,
    DataName,
    Host,
    LinkHours,
    Port,
    PublicUrl,
    ServerSlots,
    Setting,
    Size,
    address_of,
    check_port,
    console,
    escape,
    laboratory,
    slots_of,
    task_settings,
)

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on; the default: this machine only")] = "127.0.0.1",
    port: Port = settings.DEFAULT_PORT,
    slots: ServerSlots = None,
    db: Database = None,
    public_url: PublicUrl = None,
    proxy: Annotated[
        list[str] | None, typer.Option(help="address or network of a proxy to believe; repeatable [default: this machine]")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="open the sample study, on the best data at hand")] = False,
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
) -> None:
    """Start the laboratory: pages, agents on this machine, and a sign-in link for the researcher."""
    public = settings.public_address(public_url, proxy)
    check_port(host, port)
    with console.status("Opening the laboratory ..."):
        from evenhand.exchange.backup import check_start
        from evenhand.lab.lab import Lab
        from evenhand.lab.served import signin_link
        from evenhand.model.extras import install
        from evenhand.model.words import lasting
        from evenhand.studies.sample import TASK_WITHOUT_TORCH, sample_study
        from evenhand.web.serving import Server

        check_start(db or settings.default_database(), settings.data_dir())
        lab = Lab.connect(db)
    wanted = task_settings(data, size, setting)
    if wanted or sample:
        with console.status("Preparing the data of the sample study ..."):
            study = sample_study(lab, wanted)
        task = lab.studies.task(study.task_id)
        console.print(f"Sample study: {study.title}, on {_statistics(task.statistics)}")
        if task.spec.name == TASK_WITHOUT_TORCH.name:
            console.print(f"PyTorch is not installed, so it tunes a small network. For the paper's: {escape(install('torch'))}")
    server = Server(lab, host, port, slots_of(slots), public)
    address = public.url or f"http://{host}:{port}"
    console.print(f"Evenhand {__version__} is running at [bold]{address}[/]")
    lasts = lasting(settings.sign_in_times().link)
    console.print(f"Sign in as the researcher, once, within {lasts}: [bold]{signin_link(lab, address)}[/]")
    console.print(f"Data: {settings.data_dir()}   Stop with Ctrl-C; running trainings go back to the queue.")
    server.run()


def _statistics(statistics: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in statistics.items())


@app.command()
def signin(
    name: Annotated[str, typer.Argument(help="for whom [default: the owner who came first]", metavar="[NAME]")] = "",
    hours: LinkHours = None,
    host: Host = "127.0.0.1",
    port: Port = settings.DEFAULT_PORT,
    db: Database = None,
    public_url: PublicUrl = None,
) -> None:
    """Print a new one-time sign-in link: for the owner, or for one of the other people."""
    from evenhand.lab.served import signin_link

    seconds = None if hours is None else 3600 * hours
    console.print(signin_link(laboratory(db), address_of(host, port, public_url), name, seconds))
