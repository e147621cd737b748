"""Ours against a named peer: each a process of its own, in turn; writes a dated record.

    python -m benchmarks.paired                                   (lists the cases)
    python -m benchmarks.paired ten-seeds-16 [--rounds 5] [--scale 1] [--set NAME=VALUE] [--out benchmarks/records]

A round runs both sides once, the order changing from round to round, so that whatever else the machine does meets both. A side
is a script in `benchmarks/sides` that does the whole work, start-up included, and prints what came of it as one line of JSON, so
that the record shows that both did the same. Counted are its CPU seconds, those of all processes that it starts included
(`benchmarks.counting` says how), and its wall seconds. Where a case compares something else, such as one trial, or what a
peer would take that is timed on a sample, the side prints that as `counted`, and its `rule` says what it is. The ratio is the
peer's by ours, a round at a time; its interval comes from the rounds' order.

Peers that are none of our dependencies run in environments that `python -m benchmarks.peers` makes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import counting, given, peers
from benchmarks.cases import CASES, Case, Side
from benchmarks.images_per_second import interval
from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.tasks import machine

ROOT = Path(__file__).parent.parent
SIDES = ROOT / "benchmarks" / "sides"
PACKAGES = ("evenhand", "torch", "numpy")
KINDS = ("cpu", "wall")


@dataclass(frozen=True)
class Run:
    """One run of a side: seconds, and what it printed. how: the seconds of CPU were counted."""

    cpu: float | None
    wall: float | None
    found: Mapping[str, Any]
    how: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=CASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the data; records are of 1")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value of a side's option")
    parser.add_argument("--out", type=Path, help="a folder for the record")
    asked = parser.parse_args()
    if asked.case is None:
        for name, case in CASES.items():
            print(f"{name}: {case.what}, against {case.peer}; goal {told_goal(case)}")
        return
    try:
        record = measured(asked.case, asked.rounds, asked.scale, asked.set)
    except EvenhandError as error:
        raise SystemExit(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error}\n{error.stderr}") from None
    print(told(record))
    if asked.out is not None:
        path = asked.out / f"{record['date']}-{asked.case}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")


def measured(name: str, rounds: int, scale: float, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The record of a case. changes: NAME=VALUE, other values for options that its sides have."""
    case = changed(CASES[name], changes)
    found_versions = versions(case)  # and whether the peer's environment is there
    ours: list[Run] = []
    theirs: list[Run] = []
    with ExitStack() as stack:
        folder = given.made(Path(stack.enter_context(tempfile.TemporaryDirectory())), scale) if case.given else None
        for number in range(rounds):
            for side in (case.ours, case.theirs) if number % 2 == 0 else (case.theirs, case.ours):
                if side is None:
                    continue
                run = ran(side, scale, folder)
                (ours if side is case.ours else theirs).append(run)
                print(f"round {number + 1} of {rounds}: {side.script}, {_shown(run)}", file=sys.stderr, flush=True)
    if case.theirs is None:
        theirs = [_beside(run) for run in ours]
    return {
        "case": name,
        **asdict(case),
        "command": " ".join(
            [
                f"python -m benchmarks.paired {name} --rounds {rounds} --scale {scale:g}",
                *(f"--set {change}" for change in changes),
            ]
        ),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "versions": found_versions,
        "runs": {"ours": [asdict(run) for run in ours], "theirs": [asdict(run) for run in theirs]},
        "ratio": {kind: _ratio(ours, theirs, kind) for kind in KINDS if getattr(ours[0], kind) and getattr(theirs[0], kind)},
    }


def changed(case: Case, changes: Sequence[str]) -> Case:
    """The case with other values for options of its sides; InvalidSettings where neither side has the option."""
    for change in changes:
        name, equals, value = change.partition("=")
        sides = [side for side in (case.ours, case.theirs) if side is not None and name in side.options]
        if not equals or not sides:
            known = {option for side in (case.ours, case.theirs) if side is not None for option in side.options}
            raise InvalidSettings(f"--set {change!r}: expected NAME=VALUE with a name of {', '.join(sorted(known)) or 'none'}")
        for side in sides:
            case = case.with_side(side, side.with_options({name: value}))
    return case


def ran(side: Side, scale: float, folder: Path | None = None) -> Run:
    """Run a side as a process, to its end; CalledProcessError where it fails, NotFound where its environment is missing.

    folder: with what both sides are given, where they are given anything (see `benchmarks.given`).
    """
    python = sys.executable if side.environment is None else peers.python_of(side.environment)
    command = [python, str(SIDES / side.script), "--scale", str(scale)]
    command += [word for name, value in side.options.items() for word in (f"--{name}", str(value))]
    if folder is not None:
        command += ["--given", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    counted = counting.run(command, environment)
    printed = json.loads(counted.printed.splitlines()[-1])
    instead = printed.get("counted")
    if instead is None:
        return Run(counted.cpu, counted.wall, printed, counted.how)
    printed["whole run"] = {"cpu": counted.cpu, "wall": counted.wall}
    return Run(instead.get("cpu"), instead.get("wall"), printed, counted.how)


def versions(case: Case) -> dict[str, dict[str, str]]:
    """The versions of what each side's environment has."""
    versions = {"ours": dict(peers.versions_of(sys.executable, PACKAGES))}
    if case.theirs is not None and case.theirs.environment is not None:
        environment = peers.ENVIRONMENTS[case.theirs.environment]
        versions["theirs"] = dict(peers.versions_of(peers.python_of(case.theirs.environment), environment.named))
    elif case.theirs is not None:
        versions["theirs"] = dict(peers.versions_of(sys.executable, case.theirs.packages))
    return versions


def _beside(run: Run) -> Run:
    """What a side that has no peer is held against: what it printed as `beside`."""
    return Run(run.found["beside"].get("cpu"), run.found["beside"].get("wall"), {})


def _ratio(ours: Sequence[Run], theirs: Sequence[Run], kind: str) -> dict[str, float]:
    values = [getattr(peer, kind) / getattr(mine, kind) for mine, peer in zip(ours, theirs, strict=True)]
    low, high, level = interval(values)
    return {"median": statistics.median(values), "low": low, "high": high, "level": level}


def told_goal(case: Case) -> str:
    """The goal in words."""
    return "none" if case.goal is None else f"{'at most ' if case.at_most else ''}{case.goal:g}"


def told(record: Mapping[str, Any]) -> str:
    """The record in words, and a row of a table."""
    cells = [record["case"]]
    for kind in KINDS:
        if kind in record["ratio"]:
            medians = [statistics.median(run[kind] for run in record["runs"][side]) for side in ("ours", "theirs")]
            cells += [
                *(f"{value:.3g}" for value in medians),
                "{median:.3g} ({low:.3g} to {high:.3g})".format(**record["ratio"][kind]),
            ]
        else:
            cells += ["", "", ""]
    cells.append(_verdict(record))
    said = [
        f"{side}: {', '.join(f'{name} {version}' for name, version in versions.items())}"
        for side, versions in record["versions"].items()
    ]
    level = 100 * next(iter(record["ratio"].values()))["level"]
    return "\n".join(
        [
            f"{record['what']}; against {record['peer']}",
            f"{record['machine']}; {'; '.join(said)}",
            f"ours found {record['runs']['ours'][-1]['found']}, the peer {record['runs']['theirs'][-1]['found']}",
            f"numbers are {record['unit']}; intervals of {level:.0f} %",
            "| case | ours, CPU | peer, CPU | ratio | ours, wall | peer, wall | ratio | goal |",
            f"| {' | '.join(cells)} |",
        ]
    )


def _verdict(record: Mapping[str, Any]) -> str:
    if record["goal"] is None:
        return "none"
    medians = [ratio["median"] for ratio in record["ratio"].values()]
    if record["at_most"]:
        return f"at most {record['goal']:g}: {'reached' if max(medians) <= record['goal'] else 'missed'}"
    return f"{record['goal']:g}: {'reached' if min(medians) >= record['goal'] else 'missed'}"


def _shown(run: Run) -> str:
    return ", ".join(f"{kind} {getattr(run, kind):.3g} s" for kind in KINDS if getattr(run, kind) is not None)


if __name__ == "__main__":
    main()
