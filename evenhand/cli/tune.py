"""The commands `evenhand tune` and `replay`: a method tunes a task, and a stored trial is trained again."""

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand import settings
from evenhand.cli.accounts import print_account_of
from evenhand.cli.options import (
    Database,
    DataName,
    SessionName,
    Setting,
    Size,
    TaskNameOrNone,
    check_port,
    console,
    escape,
    laboratory,
    session_called,
    task_settings,
    task_spec,
)
from evenhand.errors import InvalidSettings, Refused

if TYPE_CHECKING:
    from evenhand.model.hyperparameter import Prior
    from evenhand.model.space import Space
    from evenhand.tasks import Task
    from evenhand.web.serving import SessionServer

app = typer.Typer()
TrialNumber = Annotated[int, typer.Argument(help="the trial's number within it", metavar="TRIAL")]
Who = Annotated[str | None, typer.Option(help="who says so [default: the user's name on this machine]")]


@app.command()
def replay(
    session: Annotated[int, typer.Argument(help="the session's number")],
    trial: Annotated[int, typer.Argument(help="the trial's number within it")],
    db: Database = None,
) -> None:
    """Retrain a stored trial and say whether every measurement matches."""
    from evenhand.experiments.replay import replay as run
    from evenhand.lab.lab import Lab

    with console.status(f"Training trial {trial} of session {session} again ..."):
        result = run(Lab.connect(db), session, trial)
    console.print(str(result))
    raise typer.Exit(0 if result.matches else 1)


@app.command()
def tune(
    name: TaskNameOrNone = None,
    method: Annotated[str, typer.Option(help="NAME, NAME:key=value,... or FILE.py:NAME; docs/methods.md lists them")] = "random",
    stopping: Annotated[
        str | None, typer.Option(help="NAME or NAME:key=value,... of a rule that ends trials early; docs/methods.md")
    ] = None,
    prior: Annotated[list[str] | None, typer.Option(help="a likely value, as NAME=VALUE or NAME=VALUE:high; repeatable")] = None,
    trials: Annotated[int | None, typer.Option(help="budget: number of trials")] = None,
    minutes: Annotated[float | None, typer.Option(help="budget: minutes")] = None,
    epochs: Annotated[int | None, typer.Option(help="budget: epochs in all")] = None,
    until: Annotated[
        str | None, typer.Option(help="budget: until no better by X in N trials, as '0.001 in 20', whichever cap comes first")
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="an aim, as accuracy:max; repeatable, the first is what is tuned")
    ] = None,
    require: Annotated[list[str] | None, typer.Option(help="what a choice has to keep, as 'latency_ms <= 5'; repeatable")] = None,
    choose: Annotated[
        str, typer.Option(help="the rule of the final choice: best, 'lower bound', gap or simplest:NAME (docs/aims.md)")
    ] = "best",
    epochs_per_trial: Annotated[int | None, typer.Option(help="train every trial for so many epochs")] = None,
    parallel: Annotated[int, typer.Option(help="how many trials train at once, each in a thread")] = 1,
    seed: Annotated[int, typer.Option(help="seed of the method")] = 0,
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
    evaluate: Annotated[bool, typer.Option(help="score the choice on test with ten seeds")] = True,
    evaluation: Annotated[
        str | None, typer.Option(help='how the choice is trained for that: "retrain" or "as tuned"; docs/tasks.md')
    ] = None,
    value: Annotated[
        str | None, typer.Option(help='which epoch a trial\'s value is of: "last" or "best" [default: the task\'s own]')
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="in place of TASK: a program's command, with {NAME} for each hyperparameter (docs/programs.md)"),
    ] = None,
    space: Annotated[str | None, typer.Option(help="of --command: a TOML file, one table a hyperparameter")] = None,
    metric: Annotated[str | None, typer.Option(help="of --command: what its results call the number that is tuned")] = None,
    maximize: Annotated[bool | None, typer.Option("--maximize/--minimize", help="of --command: which way it is better")] = None,
    result: Annotated[
        str | None, typer.Option(help="of --command: a regular expression with named groups, where it prints no JSON lines")
    ] = None,
    environment: Annotated[bool, typer.Option(help="of --command: it reads EVENHAND_NAME variables")] = False,
    in_place: Annotated[bool, typer.Option(help="of --command: start it in this folder, not in one of each trial's own")] = False,
    file: Annotated[list[str] | None, typer.Option(help="of --command: a further file that results hang on; repeatable")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="of --command: the most it reports, where no fidelity says")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="of --command: the limit of one training")] = None,
    threads: Annotated[int | None, typer.Option(help="of --command: threads of one training [default: 1]")] = None,
    grace: Annotated[
        float | None, typer.Option(help="of --command: seconds between SIGTERM and SIGKILL when it is to stop [default: 5]")
    ] = None,
    price: Annotated[str | None, typer.Option(help="of an hour of training, as '1.2 EUR/h'; trials say their cost")] = None,
    watts: Annotated[float | None, typer.Option(help="a training draws on the average: trials then say kWh")] = None,
    max_cost: Annotated[
        str | None, typer.Option(help="budget: what all training may cost, as '5 EUR', '0.3 kWh' or '2 h' of training")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="today's configuration as JSON, or a run's name or number: the gain over it is told, paired by seed"),
    ] = None,
    called: Annotated[
        str | None, typer.Option("--name", help="of the session: the same command goes on with it; #12 is session 12")
    ] = None,
    keep_folders: Annotated[str, typer.Option(help="whose folders stay: all, none, or the number of the best trials")] = "all",
    serve: Annotated[
        bool, typer.Option("--serve", help="have agents train it, of other machines too; prints the line that starts one there")
    ] = False,
    host: Annotated[
        str, typer.Option(help="of --serve: the address to listen on; the default: all of this machine's")
    ] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="of --serve: the port, 0 for any", min=0, max=65535)] = settings.SESSION_PORT,
    db: Database = None,
) -> None:
    """Let a method tune a task, or a program, under a budget, and score a task's choice on test; the pages show the session."""
    from evenhand import tasks
    from evenhand.experiments.compare import labelled
    from evenhand.experiments.tune import tune as run
    from evenhand.model.typed_numbers import whole_number

    if serve:
        check_port(host, port)
    _, described = labelled(method)
    which = described.pop("name")
    if taken := sorted(described.keys() & _arguments(run)):
        raise InvalidSettings(
            f"--method {method!r}: {', '.join(taken)} cannot be a setting of a method here: `evenhand tune` itself takes it; "
            "give it as an option (`evenhand tune --help` lists them), or leave it out"
        )
    if stopping is not None:
        described["stopping"] = stopping
    direction = None if maximize is None else "maximize" if maximize else "minimize"
    options = {  # of a program, by what `program` calls them
        "command": command, "space": space, "metric": metric, "direction": direction, "result": result,
        "environment": environment or None, "in_place": in_place or None, "files": file or None, "max_epochs": max_epochs,
        "max_seconds": max_seconds, "threads": threads, "grace": grace,
    }  # fmt: skip
    given = {option: value for option, value in options.items() if value is not None}
    if command is not None:
        task = _program(given, [*([name] if name else []), *task_settings(data, size, setting)])
    elif name is None or given:
        what = f"--{next(iter(given))} without --command" if given else "neither TASK nor --command"
        raise InvalidSettings(f"tune: got {what}, expected a task's name, or --command with --space and --metric")
    else:
        with console.status("Preparing the task's data ..."):
            task = tasks.load(task_spec(name, data, size, setting))
        if task.record.rows("validation") is None:  # else this process has no need of its data
            task = print_account_of(task, open_data=False)
    tuned = run(
        task,
        server=_server(task, host, port) if serve else None,
        method=which,
        trials=trials,
        minutes=minutes,
        epochs=epochs,
        until=until,
        epochs_per_trial=epochs_per_trial,
        parallel=parallel,
        priors=_priors(task.space, prior or []),
        seed=seed,
        evaluate=evaluation if evaluate and evaluation else evaluate,  # type: ignore[arg-type] # it is checked there
        value=value,  # type: ignore[arg-type] # it is checked there
        name=called,
        keep_folders=keep_folders if (folders := whole_number(keep_folders)) is None else folders,
        objectives=objective or None,
        require=_requirements(require or []),
        choose=choose,
        price=price,
        watts=watts,
        max_cost=max_cost,
        baseline=None if baseline is None else _baseline(baseline),
        db=db,
        **described,
    )
    console.print(escape(repr(tuned)))


def _requirements(texts: list[str]) -> dict[str, str] | None:
    """What `--require` says, by the metric's name."""
    required = {}
    for text in texts:
        name, sign, bound = next((text.partition(sign) for sign in ("<=", ">=") if sign in text), ("", "", ""))
        if not sign or name.strip() in required:
            raise InvalidSettings(
                f"--require {text!r}: expected a metric and a bound, each metric once, such as 'latency_ms <= 5'"
            )
        required[name.strip()] = f"{sign} {bound.strip()}"
    return required or None


def _baseline(text: str) -> dict[str, Any] | str:
    """A baseline as it was typed: a configuration where it is JSON's, else a run's name or number."""
    if not text.lstrip().startswith("{"):
        return text.strip()
    try:
        configuration: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise InvalidSettings(
            f"--baseline {text!r}: {error}; expected JSON, such as '{{\"lr\": 0.1}}', or a run's name"
        ) from None
    return configuration


def _server(task: "Task", host: str, port: int) -> "SessionServer":
    """What serves a session of this task to agents; what cannot be served is refused before there is one."""
    from evenhand.tasks.programs import NAME
    from evenhand.tasks.transport import packed
    from evenhand.web.serving import SessionServer

    if task.name == NAME:
        raise InvalidSettings(
            "tune: --serve with --command: a program does not travel; give agents of `evenhand serve` its folder"
        )
    packed(task)
    return SessionServer(host, port, lambda words: console.print(escape(words)))


def _program(given: dict[str, Any], others: list[str]) -> "Task":
    """The program that the options of `--command` say. others: what else was given, that is of a task only."""
    from evenhand.model.space_toml import load_space
    from evenhand.tasks.programs import program

    if others:
        raise InvalidSettings(f"tune: got --command and {', '.join(others)}, expected a program's command or a task")
    if missing := [f"--{option}" for option in ("space", "metric") if option not in given]:
        raise InvalidSettings(
            f"tune: got --command without {' and '.join(missing)}, expected --space space.toml --metric accuracy"
        )
    return program(**(given | {"space": load_space(given["space"])}))


@app.command()
def end(
    session: SessionName,
    trial: Annotated[
        int | None, typer.Option(help="the trial to choose, also where another one was chosen [default: the best]")
    ] = None,
    db: Database = None,
) -> None:
    """End a session of `evenhand tune` whose process is gone with its best trial, or the one that is picked."""
    from evenhand.model import choices, state_words

    lab = laboratory(db)
    ended = lab.sessions.end(session_called(lab, session).id, trial)
    chosen = ended.chosen_trial
    if chosen is None:
        words = f"{choices.no_choice_words(ended) or 'no trial has a value'}, so nothing was chosen"
    else:
        missed = "".join(f"; {missed}" for missed in choices.misses(ended, chosen))
        words = f"trial {chosen.number} was chosen, {choices.objectives_words(ended, chosen)} on validation{missed}"
    console.print(escape(f"Session {ended.id} has ended: {words}."))
    if ended.evaluated.planned > ended.evaluated.done:
        console.print(escape(f"It is not scored on test yet. {state_words.how_to_go_on(ended)}"))


@app.command()
def rate(
    session: SessionName,
    trial: TrialNumber,
    rating: Annotated[float, typer.Argument(help="a number, larger where the trial is better")],
    why: Annotated[str, typer.Option(help="the reason, kept with it")] = "",
    who: Who = None,
    db: Database = None,
) -> None:
    """Rate a trial of `evenhand tune`: methods learn from it where `rating` is an objective or is required."""
    from evenhand.experiments import judgements

    judgements.rate(_named(session), trial, rating, why=why, who=who, db=db)
    console.print(escape(f"Trial {trial} is rated {rating:g} by {who or judgements.user()}."))


@app.command()
def veto(
    session: SessionName,
    trial: TrialNumber,
    why: Annotated[str, typer.Option(help="the reason, kept and shown; needed")] = "",
    take_back: Annotated[bool, typer.Option("--take-back", help="take the veto back")] = False,
    who: Who = None,
    db: Database = None,
) -> None:
    """Say that a trial of `evenhand tune` must not be chosen: it is never the best, and methods keep away from its like."""
    from evenhand.experiments import judgements

    judgements.veto(_named(session), trial, why, take_back=take_back, who=who, db=db)
    console.print(escape(f"Trial {trial} is {'allowed again' if take_back else 'vetoed'} by {who or judgements.user()}."))


def _named(session: str) -> str:
    """A session as it is called: a number as #12."""
    return f"#{session}" if session.isdecimal() else session


@app.command()
def best(
    session: SessionName,
    format: Annotated[str, typer.Option(help="json, toml, yaml, args (of a command line) or python (a dictionary)")] = "json",
    trial: Annotated[int | None, typer.Option(help="another trial than the best one, by its number")] = None,
    db: Database = None,
) -> None:
    """Print the configuration of a session's best trial, for another program."""
    from evenhand.exchange.configuration_text import format_of
    from evenhand.lab.lab import Lab
    from evenhand.model.choices import taken_trial
    from evenhand.model.rules import best_trial

    written = format_of(format)
    known = session_called(Lab.connect(db), session)
    taken = best_trial(known) if trial is None else taken_trial(known, trial)
    if taken is None:
        raise Refused(f"session {known.id}: no trial has a value, so there is no best configuration")
    typer.echo(written(known.space, taken.configuration))


def _arguments(function: Callable[..., object]) -> set[str]:
    """The names that a function takes as its own, before any further ones."""
    takes = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in takes if parameter.kind is not inspect.Parameter.VAR_KEYWORD}


def _priors(space: "Space", texts: list[str]) -> "dict[str, Prior]":
    """What `--prior` says: NAME=VALUE, or NAME=VALUE:CONFIDENCE."""
    from evenhand.model.hyperparameter import Prior

    priors = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        value, colon, confidence = rest.rpartition(":")
        if not colon:
            value, confidence = rest, "medium"
        if not equals or name not in space or confidence not in ("low", "medium", "high"):
            expected = "NAME=VALUE or NAME=VALUE:CONFIDENCE with low, medium or high"
            raise InvalidSettings(f"--prior {text!r}: expected {expected}, and one of {', '.join(space.names)}")
        try:
            priors[name] = Prior(space[name].domain.accept(value), confidence)  # type: ignore[arg-type] # checked above
        except (ValueError, TypeError, OverflowError):
            raise InvalidSettings(f"--prior {text!r}: {value!r} is not {space[name].domain.expected}") from None
    return priors
