"""The commands `evenhand serve` and `signin`: the laboratory, and the researcher's way into it."""

from typing import Annotated, Any

import typer

from evenhand import __version__, settings
from evenhand.cli.options import (
    Database,
    DataName,
    Port,
    ServerSlots,
    Setting,
    Size,
    check_port,
    console,
    escape,
    slots_of,
    task_settings,
)

app = typer.Typer()
PublicUrl = Annotated[
    str | None,
    typer.Option(help="where browsers find it behind a proxy, as https://lab.example.org/evenhand [default: settings.toml's]"),
]


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
    console.print(f"Sign in as the researcher, once, within a day: [bold]{signin_link(lab, address)}[/]")
    console.print(f"Data: {settings.data_dir()}   Stop with Ctrl-C; running trainings go back to the queue.")
    server.run()


def _statistics(statistics: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in statistics.items())


@app.command()
def signin(
    host: Annotated[str, typer.Option(help="address of the running laboratory")] = "127.0.0.1",
    port: Port = settings.DEFAULT_PORT,
    db: Database = None,
    public_url: PublicUrl = None,
) -> None:
    """Print a new one-time sign-in link for the researcher."""
    from evenhand.lab.lab import Lab
    from evenhand.lab.served import signin_link

    console.print(signin_link(Lab.connect(db), settings.public_address(public_url).url or f"http://{host}:{port}"))
