"""How honest `evenhand.explain` is about what mattered: false findings, coverage of its intervals, and its time.

    python -m benchmarks.honesty run --out honesty.jsonl [--studies 200] [--replications 200] [--only found|covered|timed]
    python -m benchmarks.honesty report --out honesty.jsonl [--json] [--record benchmarks/records]

*found*: simulated studies of seven hyperparameters of which one has an effect (or none), two with a condition; the first 20, 50
and 200 trials of random draws and of Optuna's TPE, both of its forms. The noise has half of the effect's standard deviation; in
every third block of six studies it has the heavy tails of Student's t with 2 degrees of freedom. Any name of a hyperparameter
without effect counts as false. Of Optuna's evaluators each value above 0.1 counts as a name, beside. *covered*: whether the
intervals hold the share of the noiseless function, at 100 and 300 random trials, noise at 0.4 of the effect's standard deviation.
*timed*: seconds of a processor.

Seeds are not those that were used in building. `run` writes a line a study, may be interrupted and goes on where it stood;
`report` is of the lines that are there. What is asked is the very code that makes pages' cards.
"""

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from evenhand.explain import History, importance, shares
from evenhand.explain.encoding import drawn
from evenhand.explain.history import Codes
from evenhand.explain.importance import importances
from evenhand.explain.surrogate import surrogate_of
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial
from evenhand.tasks import machine

SEED = 20_261_201  # of the record; building used others, 20_261_130 among them
SIZES, COVERED_SIZES = (20, 50, 200), (100, 300)
NOISE, COVERED_NOISE = 0.5, 0.4  # standard deviation, as a share of the effect's
ABOVE = 0.1  # an evaluator's importance that people read as a finding
TRUTH_DRAWS = 2**17
NEGLIGIBLE = 1e-3  # a share below which a truth from draws is 0
EFFECTS = 6

Function = Callable[[Configuration], float]


def unit(name: str, condition: Condition | None = None) -> Hyperparameter:
    return Hyperparameter(name, Float(0, 1), condition=condition)


FOUND_SPACE = Space(
    [
        *(unit(f"x{at}") for at in range(4)),
        Hyperparameter("kind", Choice(("a", "b", "c"))),
        unit("of_a", Condition("kind", ("a",))),
        unit("of_others", Condition("kind", ("b", "c"))),
    ]
)
FLAT_SPACE = Space([unit(f"x{at}") for at in range(4)])
CONDITIONAL_SPACE = Space(
    [unit("x0"), unit("x1"), Hyperparameter("kind", Choice(("a", "b"))), unit("of_a", Condition("kind", ("a",)))]
)
COVERED: Mapping[str, tuple[Space, Function]] = {
    "additive": (FLAT_SPACE, lambda c: np.sin(2 * np.pi * c["x0"]) + 2 * (c["x1"] - 0.4) ** 2 + 0.5 * c["x2"]),
    "interaction": (FLAT_SPACE, lambda c: (c["x0"] - 0.5) * (c["x1"] - 0.5)),
    "conditional": (CONDITIONAL_SPACE, lambda c: c["x0"] + (3 * (c["of_a"] - 0.6) ** 2 if c["kind"] == "a" else 0.3)),
    "noise only": (FLAT_SPACE, lambda c: 0.0),
}


def effect_of(number: int, rng: np.random.Generator) -> tuple[tuple[str, ...], Function]:
    """A study's function, and the hyperparameters that may be named; the first has the effect."""
    best, first = rng.uniform(0.2, 0.8), int(rng.integers(3))
    effects: list[tuple[tuple[str, ...], Function]] = [
        (("x0",), lambda c: -((c["x0"] - best) ** 2)),
        (("x0",), lambda c: float(np.tanh(6 * (c["x0"] - best)))),
        (("kind",), lambda c: (0.0, 1.0, 0.5)[("abc".index(c["kind"]) + first) % 3]),
        (("of_others", "kind"), lambda c: -((c["of_others"] - best) ** 2) if c["kind"] != "a" else -0.12),
        (("x0",), lambda c: -(abs(c["x0"] - best) ** 0.5)),
        ((), lambda c: 0.0),
    ]
    return effects[number % EFFECTS]


def simulated(number: int, how: str, count: int) -> tuple["optuna.Study", History, tuple[str, ...]]:
    """A study of Optuna, the same as a history, and what may be named in it."""
    rng = np.random.default_rng([SEED, number])
    allowed, function = effect_of(number, rng)
    spread = float(np.std([function(FOUND_SPACE.sample(rng)) for _ in range(2000)])) if allowed else 1.0
    heavy = number // EFFECTS % 3 == 2
    seed = int(rng.integers(2**31))
    samplers: dict[str, optuna.samplers.BaseSampler] = {
        "random": optuna.samplers.RandomSampler(seed=seed),
        "tpe": optuna.samplers.TPESampler(seed=seed),
        "multivariate tpe": optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True),
    }
    study = optuna.create_study(direction="maximize", sampler=samplers[how])
    trials = []
    for at in range(count):
        asked = study.ask()
        values: dict[str, Any] = {}
        for one in FOUND_SPACE:
            if FOUND_SPACE.is_active(one, values):
                options = one.domain.options if isinstance(one.domain, Choice) else None
                values[one.name] = (
                    asked.suggest_float(one.name, 0, 1) if options is None else asked.suggest_categorical(one.name, options)
                )
        configuration = FOUND_SPACE.configuration(values)
        noise = rng.standard_t(2) if heavy else rng.normal()
        value = function(configuration) + NOISE * spread * float(noise)
        study.tell(asked, value)
        trials.append(trial(at, configuration, value))
    return study, History.of(FOUND_SPACE, "value", True, trials), allowed


def trial(at: int, configuration: Configuration, value: float) -> Trial:
    return Trial(at + 1, 1, at + 1, configuration, "simulated", float(at), 1, outcome=Outcome.COMPLETED, value=value)


def found(number: int, how: str, evaluators: bool) -> Iterator[dict[str, Any]]:
    """What was named in a study's first trials."""
    study, whole, allowed = simulated(number, how, max(SIZES))
    for size in SIZES:
        history = whole.only([at < size for at in range(len(whole.trials))])
        start = time.process_time()
        card = importance.importance(history)
        seconds = time.process_time() - start
        named = [row["hyperparameter"] for row in card.data.get("hyperparameters", []) if row["matters"]]
        row: dict[str, Any] = {"what": "found", "number": number, "how": how, "n": size, "seconds": round(seconds, 3)}
        row |= {"allowed": allowed, "named": named}
        if evaluators:
            row["optuna"] = evaluated(study.trials[:size])
        yield row


def evaluated(trials: Sequence["optuna.trial.FrozenTrial"]) -> dict[str, list[str]]:
    """What each of Optuna's evaluators gives more than ABOVE."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(list(trials))
    made = {
        "fANOVA": optuna.importance.FanovaImportanceEvaluator(seed=0),
        "MDI": optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=0),
        "PED-ANOVA": optuna.importance.PedAnovaImportanceEvaluator(),
    }
    return {
        name: [one for one, value in optuna.importance.get_param_importances(study, evaluator=evaluator).items() if value > ABOVE]
        for name, evaluator in made.items()
    }


def truth_of(case: str) -> Codes:
    """The share of each hyperparameter in the noiseless function; 0 of a constant one."""
    space, function = COVERED[case]
    configurations, codes = drawn(space, TRUTH_DRAWS, 1)
    values = np.array([[function(one)] for one in configurations])
    if not np.ptp(values):
        return np.zeros(len(space.names))
    shares_of = shares.bases_of(space, codes).shares(values)[:, 0]
    return np.where(shares_of < NEGLIGIBLE, 0.0, shares_of)


def covered(case: str, number: int, size: int) -> dict[str, Any]:
    """The intervals of one replication."""
    space, function = COVERED[case]
    rng = np.random.default_rng([SEED, 1, list(COVERED).index(case), size, number])
    configurations = [space.sample(rng) for _ in range(size)]
    values = np.array([function(one) for one in configurations])
    values = values + COVERED_NOISE * (float(values.std()) or 1.0) * rng.normal(size=size)
    history = History.of(
        space, "value", True, [trial(at, *pair) for at, pair in enumerate(zip(configurations, map(float, values), strict=True))]
    )
    known = importances(space, surrogate_of(history).table)
    ends = [[one.low, one.high] for one in known.rows]
    named = [one.name for one in known.rows if one.matters]
    return {"what": "covered", "case": case, "number": number, "n": size, "even": known.even, "ends": ends, "named": named}


def run(out: Path, studies: int, replications: int, only: str | None, evaluators: int) -> None:
    """A line of JSON a study; what is there is not done again."""
    rows = lines(out)
    done = {(row["how"], row["number"]) for row in rows if row["what"] == "found" and row["n"] == max(SIZES)}
    held = {(row["case"], row["n"], row["number"]) for row in rows if row["what"] == "covered"}
    with out.open("a", encoding="utf-8") as file:
        for number in range(max(studies, replications)):
            for how in ("random", "tpe", "multivariate tpe") if only in (None, "found") and number < studies else ():
                if (how, number) not in done:
                    write(file, list(found(number, how, number < evaluators)))
            for size in COVERED_SIZES if only in (None, "covered") and number < replications else ():
                for case in COVERED:
                    if (case, size, number) not in held:
                        write(file, [covered(case, number, size)])


def write(file: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    file.writelines(json.dumps(row) + "\n" for row in rows)
    file.flush()


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is none, and none of a line that was cut off."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Shares by history and size, and coverage by case, size and hyperparameter."""
    studies: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["what"] == "found":
            studies[f"{row['how']}, n = {row['n']}"].append(row)
    held: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["what"] == "covered":
            held[f"{row['case']}, n = {row['n']}"].append(row)
    return {
        "found": {key: _findings(group) for key, group in studies.items()},
        "covered": {key: _coverage(group) for key, group in held.items()},
    }


def _findings(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    findings = {"studies": len(rows), "ours": _shares([(row["named"], row["allowed"]) for row in rows])}
    for name in rows[0].get("optuna", {}):
        findings[name] = _shares([(row["optuna"][name], row["allowed"]) for row in rows if "optuna" in row])
    findings["most seconds"] = max(row["seconds"] for row in rows)
    return findings


def _shares(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
    wrong = [bool(set(named) - set(allowed)) for named, allowed in pairs]
    right = [allowed[0] in named for named, allowed in pairs if allowed]
    return {"false": round(float(np.mean(wrong)), 4), "found": round(float(np.mean(right)), 4) if right else 0.0}


def _coverage(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = [row for row in rows if row["even"]]
    case = rows[0]["case"]
    truth, ends = truth_of(case), np.array([row["ends"] for row in shown], dtype=float)
    inside = (ends[:, :, 0] <= truth + 1e-9) & (truth <= ends[:, :, 1] + 1e-9)
    of = dict(zip(COVERED[case][0].names, inside.mean(0).round(3).tolist(), strict=True))
    return {
        "replications": len(rows),
        "without interval": len(rows) - len(shown),
        "truth": truth.round(4).tolist(),
        "coverage": of,
    }


def timed() -> dict[str, float]:
    """Seconds of a processor by number of trials, of the surrogate and the importance of a space of fifteen."""
    space = Space([unit(f"x{at}") for at in range(15)])
    seconds = {}
    for size in (300, 5000):
        rng = np.random.default_rng([SEED, 2, size])
        made = [space.sample(rng) for _ in range(size)]
        history = History.of(
            space, "value", True, [trial(at, one, one["x0"] + float(rng.normal())) for at, one in enumerate(made)]
        )
        start = time.process_time()
        grown = surrogate_of(history)
        seconds[f"surrogate, {size} trials"] = round(time.process_time() - start, 2)
        start = time.process_time()
        importance.importance(history, grown)
        seconds[f"importance, {size} trials"] = round(time.process_time() - start, 2)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report", "timed"))
    parser.add_argument("--out", type=Path, default=Path("honesty.jsonl"))
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--only", choices=("found", "covered"))
    parser.add_argument("--evaluators", type=int, default=200, help="the studies in which Optuna's are asked, too")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--record", type=Path, help="the folder that the record is written to")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    if asked.what == "timed":
        print(json.dumps(timed(), indent=1))
        return
    if asked.what == "run":
        run(asked.out, asked.studies, asked.replications, asked.only, asked.evaluators)
        return
    measured = summary(lines(asked.out))
    if asked.json:
        print(json.dumps(measured, indent=1))
    else:
        for kind, groups in measured.items():
            for key, numbers in groups.items():
                print(f"{kind} {key}: {numbers}")
    if asked.record is not None:
        record = {
            "what": "honesty of what mattered",
            "seed": SEED,
            **measured,
            "machine": f"{machine.model()}, {os.cpu_count()} cores",
        }
        path = asked.record / f"{time.strftime('%Y-%m-%d', time.gmtime())}-honesty.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
