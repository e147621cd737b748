"""Every method on twelve tables of real trainings, with SMAC and Optuna's own samplers beside, on equal budgets and paired seeds.

    python -m benchmarks.methods run --db sqlite:///methods.sqlite
    python -m benchmarks.methods peers --out peers.jsonl            (SMAC needs pip install 'evenhand[smac]')
    python -m benchmarks.methods priors --out priors.jsonl
    python -m benchmarks.methods report --db sqlite:///methods.sqlite --peers peers.jsonl --priors priors.jsonl --record .

Run it in the repository. Each of the first three may be interrupted and goes on where it stood. Ours are sessions, played
through the lab's verbs, each trial on disk before the next. Peers run in their own loops, as their users write them, on the same
rows of the same tables; only what they suggest is theirs. Tables hold no epochs, so `hyperband`, `asha` and `priorband` do not
enter.

priors: `pibo` with a good belief (for each hyperparameter the median, or the commonest option, of the best 1 % of the table), a
misleading one (a configuration drawn from the worst 1 %), and none; how many trials the good one needs to reach the plain
method's best of 60, and what the misleading one costs in normalised regret at the last trial. Both are counted twice: by the
values that the method saw, each of one training and so with its luck, and by the mean over a table's trainings of the best
configuration so far, which is what it is worth.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from evenhand import methods
from evenhand.analysis import anytime
from evenhand.analysis.anytime import Comparison, SessionEntry, Setup
from evenhand.experiments import compare
from evenhand.model.domain import Choice
from evenhand.model.hyperparameter import Prior
from evenhand.model.rules import derive_seed
from evenhand.model.session import Session
from evenhand.model.space import Space, with_priors
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome, Trial
from evenhand.tasks import load, machine
from evenhand.tasks.builtin import tables

TABLES = [name for name in tables.TABLES if not name.startswith("nasbench201")]
METHODS = ("random", "sobol", "grid", "tpe", "gp", "cmaes", "evolution", "nsga2", "pibo")
PEERS = ("optuna-tpe", "optuna-gp", "optuna-cmaes", "smac")
PACKAGES = ("evenhand", "optuna", "scikit-learn", "numpy", "scipy", "torch")
CONFIDENCES = ("low", "medium", "high")
Ask = Callable[[], tuple[dict[str, str], Any]]  # options by name, and the peer's own handle
Tell = Callable[[Any, float], None]  # the handle, and what is to be minimized


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "peers", "priors", "report"))
    parser.add_argument("--db", default="sqlite:///methods.sqlite")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--only", nargs="*", help="methods, or peers")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--priors", type=Path)
    parser.add_argument("--out", type=Path, default=Path("methods.html"))
    parser.add_argument("--record", type=Path, help="a folder for the report's record")
    options = parser.parse_args()
    begun = time.time()
    {"run": run, "peers": peers, "priors": priors, "report": report}[options.what](options)
    where = f"{machine.model()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{options.what}: {time.time() - begun:.0f} s; {where}")


def plan_of(options: argparse.Namespace) -> compare.ComparisonPlan:
    contestants = tuple(compare.contestant(name) for name in options.only or METHODS)
    specs = tuple(TaskSpec("table", {"table": name}) for name in TABLES)
    return compare.ComparisonPlan(specs, contestants, tuple(range(options.seeds)), Budget(trials=options.trials))


def run(options: argparse.Namespace) -> None:
    """Ours, as `evenhand compare` runs them."""

    def tell(now: compare.ComparisonProgress) -> None:
        print(f"\r{now.runs} of {now.planned} runs", end="", flush=True)

    compare.run(options.db, plan_of(options), processes=options.processes, tell=tell)
    print()


# Peers


def peers(options: argparse.Namespace) -> None:
    """Each peer on each table and seed: a line of JSON a run."""
    done = {(row["peer"], row["table"], row["seed"]) for row in lines(options.out)}
    wanted = [job for job in product(options.only or PEERS, TABLES, range(options.seeds)) if job not in done]
    collect(options, partial(peer_run, options.trials), wanted)


def collect(options: argparse.Namespace, work: Callable[[Any], Mapping[str, Any]], wanted: Sequence[Any]) -> None:
    with ProcessPoolExecutor(options.processes) as pool, options.out.open("a") as out:
        for at, row in enumerate(pool.map(work, wanted), start=1):
            out.write(json.dumps(row) + "\n")
            out.flush()
            print(f"\r{at} of {len(wanted)} runs", end="", flush=True)
    print()


def lines(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def peer_run(trials: int, which: tuple[str, str, int]) -> dict[str, Any]:
    """One peer's run. The values are the ones that a session of the same seed sees."""
    peer, name, seed = which
    table, tuning = tables.table_of(name), derive_seed(seed, "tuning")
    maximize = table.family.direction == "maximize"
    own = derive_seed(seed, "method")
    ask, tell = smac(table.space, own, trials) if peer == "smac" else optuna_of(peer, table.space, own)
    rows = []
    for _ in range(trials):
        begun = time.perf_counter()
        options, handle = ask()
        row = table.row_of(options)
        value = float(table.runs[row, table.column_of(row, tuning)])
        tell(handle, -value if maximize else value)
        rows.append([options, value, time.perf_counter() - begun])
    return {"peer": peer, "table": name, "seed": seed, "version": metadata.version(peer.partition("-")[0]), "trials": rows}


def optuna_of(peer: str, space: Space, seed: int) -> tuple[Ask, Tell]:
    """Optuna as its documentation writes it: whole numbers for what has an order, categories for the rest; its defaults."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler, "cmaes": optuna.samplers.CmaEsSampler}
    study = optuna.create_study(sampler=kinds[peer.partition("-")[2]](seed=seed))

    def ask() -> tuple[dict[str, str], Any]:
        trial, values = study.ask(), {}
        for hyperparameter in space:
            assert isinstance(hyperparameter.domain, Choice)
            options = hyperparameter.domain.options
            ordered = hyperparameter.domain.ordered
            values[hyperparameter.name] = (
                options[trial.suggest_int(hyperparameter.name, 0, len(options) - 1)]
                if ordered
                else str(trial.suggest_categorical(hyperparameter.name, options))
            )
        return values, trial

    def tell(trial: Any, cost: float) -> None:
        study.tell(trial, cost)

    return ask, tell


def smac(space: Space, seed: int, trials: int) -> tuple[Ask, Tell]:
    """SMAC's facade for hyperparameter optimization, with its defaults."""
    import tempfile

    from ConfigSpace import Categorical, ConfigurationSpace, OrdinalHyperparameter
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory import TrialValue

    config_space = ConfigurationSpace(seed=seed)
    for hyperparameter in space:
        assert isinstance(hyperparameter.domain, Choice)
        make = OrdinalHyperparameter if hyperparameter.domain.ordered else Categorical
        config_space.add(make(hyperparameter.name, list(hyperparameter.domain.options)))
    scenario = Scenario(
        config_space, deterministic=True, n_trials=trials, seed=seed, output_directory=Path(tempfile.mkdtemp(prefix="smac-"))
    )
    facade = HyperparameterOptimizationFacade(scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=False)

    def ask() -> tuple[dict[str, str], Any]:
        info = facade.ask()
        return {name: str(value) for name, value in dict(info.config).items()}, info

    def tell(info: Any, cost: float) -> None:
        facade.tell(info, TrialValue(cost=cost))

    return ask, tell


# Priors


def priors(options: argparse.Namespace) -> None:
    """`pibo` with a good, a misleading and no belief on each table and seed: a line of JSON a pair."""
    done = {(row["table"], row["seed"]) for row in lines(options.out)}
    wanted = [job for job in product(TABLES, range(options.seeds)) if job not in done]
    collect(options, partial(priors_run, options.trials), wanted)


def priors_run(trials: int, which: tuple[str, int]) -> dict[str, Any]:
    """Best regret after each trial, seen and worth: plain, and for each confidence with the good and the misleading belief."""
    name, seed = which
    table = tables.table_of(name)
    record = {"plain": bests(table, table.space, seed, trials)}
    for confidence in CONFIDENCES:
        for kind in ("good", "bad"):
            space = believed(table, kind, confidence, seed)
            record[f"{kind} {confidence}"] = bests(table, space, seed, trials)
    return {"table": name, "seed": seed, "regret": record}


def believed(table: tables.BenchmarkTable, kind: str, confidence: Any, seed: int) -> Space:
    configurations, means = rows_of(table)
    maximize = table.family.direction == "maximize"
    order = np.argsort(-means if maximize else means, kind="stable")
    count = max(1, len(order) // 100)
    if kind == "bad":
        drawn = configurations[int(np.random.default_rng(seed).choice(order[-count:]))]
        return with_priors(table.space, {name: Prior(value, confidence) for name, value in drawn.items()})
    best = [configurations[int(at)] for at in order[:count]]
    return with_priors(
        table.space, {hyperparameter.name: Prior(_centre(hyperparameter, best), confidence) for hyperparameter in table.space}
    )


def _centre(hyperparameter: Any, best: Sequence[Mapping[str, str]]) -> str:
    options = hyperparameter.domain.options
    places = sorted(options.index(row[hyperparameter.name]) for row in best)
    if hyperparameter.domain.ordered:
        return str(options[int(np.median(places))])
    return str(options[int(np.bincount(places).argmax())])


def bests(
    table: tables.BenchmarkTable, space: Space, seed: int, count: int, name: str = "pibo", **settings: Any
) -> dict[str, list[float]]:
    """After each trial the regret of the best so far. seen: of its value; worth: of its mean over the table's trainings."""
    maximize = table.family.direction == "maximize"
    method, trials = methods.method(name, maximize=maximize, **settings), list[Trial]()
    own, sign = derive_seed(seed, "method"), -1.0 if maximize else 1.0
    top, middle = float((np.nanmax if maximize else np.nanmin)(table.means)), float(np.nanmedian(table.means))
    regrets: dict[str, list[float]] = {"seen": [], "worth": []}
    for number in range(1, count + 1):
        rng = np.random.default_rng(derive_seed(own, len(trials)))
        (suggestion,) = method.suggest(space, trials, 1, rng)
        row = table.row_of(suggestion.configuration)
        value = float(table.runs[row, table.column_of(row, derive_seed(seed, "tuning"))])
        trials.append(_trial(number, suggestion.configuration, value, float(number), 0.0))
        best = min(trials, key=lambda trial: sign * (trial.value or 0.0))
        values = best.value or 0.0, float(table.means[table.row_of(best.configuration)])
        for kind, cost in zip(regrets, values, strict=True):
            regrets[kind].append(round(tables.normalised_regret(cost, best=top, median=middle), 6))
    return regrets


def rows_of(table: tables.BenchmarkTable) -> tuple[list[dict[str, str]], tables.Numbers]:
    """Every configuration that a table holds, and the mean of each over its trainings."""
    kept = table.trainings > 0
    drawn = (dict(zip(table.axes, options, strict=True)) for options in product(*table.axes.values()))
    return [configuration for configuration, there in zip(drawn, kept, strict=True) if there], table.means[kept]


def _trial(number: int, configuration: Any, value: float, at: float, seconds: float) -> Trial:
    return Trial(
        number, 0, number, configuration, "peer", at, 1, claimed_at=at, attempt=1, finished_at=at + seconds,
        outcome=Outcome.COMPLETED, value=value, epochs_done=1, epochs_begun=1,
    )  # fmt: skip


# Report


def report(options: argparse.Namespace) -> None:
    """The page, the tables of benchmarks/README.md, and with `--record` what is kept of it: its numbers and the first drawing."""
    from evenhand.cli.compare import write

    runs = compare.run(options.db, plan_of(options), processes=1)
    ours = compare.comparison(options.db, runs)
    theirs = list(_peer_entries(lines(options.peers), options))
    whole = Comparison((*ours.entries, *theirs), ours.scales)
    setup = compare.setup("Methods on twelve tables", "python -m benchmarks.methods")
    write(whole, setup, options.out)
    race = anytime.race(whole)
    tables = {"methods": _table(race)}
    if rows := lines(options.priors):
        tables["priors"] = _priors_table(rows)
    for table in tables.values():
        print(table)
    if options.record is not None:
        peers = {row["peer"]: row["version"] for row in lines(options.peers)}
        _record(options.record, race, setup, tables, peers)


def _record(folder: Path, race: anytime.Race, setup: Setup, texts: Mapping[str, str], peers: Mapping[str, str]) -> None:
    """A dated record. curves: of each contestant [mean regret, and its 95 % interval] after each trial; see `anytime.overall`."""
    from evenhand.report import figures
    from evenhand.report.comparison import contestants

    curves = anytime.overall(race, setup.seed)
    date = time.strftime("%Y-%m-%d")
    record = {
        "commands": [line.strip() for line in (__doc__ or "").splitlines() if line.startswith("    python")],
        "date": date,
        "machine": f"{machine.model()}, {os.cpu_count()} cores",
        "versions": {"Python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}, **peers},
        "tables": list(race.tasks),
        "sessions": len(race.courses),
        "curves": {
            curve.contestant: [[round(value, 5) for value in (at.regret, at.low, at.high)] for at in curve.points]
            for curve in curves
        },
        "told": {name: table.splitlines() for name, table in texts.items()},
    }
    (folder / f"{date}-methods.json").write_text(json.dumps(record, indent=1) + "\n")
    drawn = contestants.lines(curves, race.contestants, "trials", 60.0, contestants.logarithmic(curves))
    (folder / f"{date}-methods.svg").write_text(figures.svg(drawn))


def _peer_entries(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> Iterator[SessionEntry]:
    for row in rows:
        spec = TaskSpec("table", {"table": row["table"]})
        record = load(spec).record
        at, trials = 0.0, []
        for number, (settings, value, seconds) in enumerate(row["trials"][: options.trials], start=1):
            trials.append(_trial(number, record.space.configuration(settings), value, at, seconds))
            at += seconds
        method = {"name": row["peer"], "version": row["version"]}
        budget = Budget(trials=options.trials)
        session = Session(0, 0, record, "method", row["peer"], budget, 0, 0.0, 0.0, method=method, trials=tuple(trials))
        yield SessionEntry(row["table"], row["peer"], "method", row["seed"], session, None, method)


def _table(race: anytime.Race) -> str:
    """Regret at a quarter, a half and all of the budget: medians over seeds, then the mean over tables; what a trial took, as
    the median over runs, since one that was interrupted took hours."""
    out = ["| contestant | regret at 15 | 30 | 60 | ms a trial |", "| --- | --- | --- | --- | --- |"]
    rows = []
    for name in race.contestants:
        mine = [course for course in race.courses if course.entry.contestant == name]
        values = []
        for share in (0.25, 0.5, 1.0):
            by_task: dict[str, list[float]] = {}
            for course in mine:
                cap = share * (course.entry.session.budget.trials or 0)
                best = [point.best for point in course.points if point.trials <= cap and point.best is not None]
                scale = race.scales[course.entry.task]
                assert scale.best is not None
                assert scale.reference is not None
                regret = (best[-1] - scale.best) / (scale.reference - scale.best) if best else 1.0
                by_task.setdefault(course.entry.task, []).append(max(0.0, regret))
            values.append(float(np.mean([np.median(regrets) for regrets in by_task.values()])))
        spent = [course.points[-1].seconds / course.points[-1].trials for course in mine]
        rows.append((values, f"{1000 * float(np.median(spent)):.0f}", name))
    for values, ms, name in sorted(rows, key=lambda row: row[0][2]):
        out.append(f"| {name} | {' | '.join(f'{value:.4f}' for value in values)} | {ms} |")
    return "\n".join(out)


def _priors_table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "confidence | counted by | trials to the plain best of 60, good belief (median) | within 15"
    out = [f"| {head} | cost of the misleading belief at 60 (median; mean; largest) |", "| --- | --- | --- | --- | --- |"]
    for confidence, kind in product(CONFIDENCES, ("seen", "worth")):
        needs, costs = [], []
        for row in rows:
            plain, good, bad = (row["regret"][name][kind] for name in ("plain", f"good {confidence}", f"bad {confidence}"))
            reached = [at for at, value in enumerate(good, start=1) if value <= plain[-1] + 1e-12]
            needs.append(reached[0] if reached else len(good) + 1)
            costs.append(bad[-1] - plain[-1])
        within = np.mean([need <= 15 for need in needs])
        costs_text = f"{np.median(costs):.4f}; {np.mean(costs):.4f}; {max(costs):.3f}"
        out.append(f"| {confidence} | {kind} | {np.median(needs):.1f} | {100 * within:.0f} % | {costs_text} |")
    return "\n".join(out)


if __name__ == "__main__":
    main()
