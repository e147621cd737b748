"""Ours against a named peer: each a process of its own, in turn; writes a dated record.

    python -m benchmarks.paired                                   (lists the cases)
    python -m benchmarks.paired ten-seeds-16 [--rounds 5] [--scale 1] [--out benchmarks/records]

A round runs both sides once, the order changing from round to round, so that whatever else the machine does meets both. A side
is a script in `benchmarks/sides` that does the whole work, start-up included, and prints what came of it as one line of JSON, so
that the record shows that both did the same. Counted are its CPU seconds, those of its child processes included, and its wall
seconds. The ratio is the peer's by ours, a round at a time; its interval comes from the rounds' order.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.images_per_second import interval
from evenhand.worker import machine_kind

ROOT = Path(__file__).parent.parent
SIDES = ROOT / "benchmarks" / "sides"
PACKAGES = ("evenhand", "torch", "numpy")


@dataclass(frozen=True)
class Case:
    """What is compared. ours, theirs: a script of `benchmarks/sides` and its arguments. goal: of the ratio, CPU and wall."""

    what: str
    peer: str
    goal: float
    ours: tuple[str, ...]
    theirs: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run of a side: seconds, and what it printed."""

    cpu: float
    wall: float
    found: Mapping[str, Any]


def _seeds(batch: int, goal: float) -> Case:
    return Case(
        f"the ten-seed evaluation of MLP-M1's network (2-64-32-16-2, Adam) on #10, 110,000 points, batch {batch}, 10 epochs",
        "ten trainings in PyTorch, step by step on sliced tensors",
        goal,
        ("seeds_ours.py", "--batch", str(batch)),
        ("seeds_eager.py", "--batch", str(batch)),
    )


def _squeezenet(what: str, goal: float, *arguments: str) -> Case:
    return Case(
        f"SqueezeNet on the digits at 64 px, mirrored at random, Adam, batch 64: {what}",
        "PyTorch as its tutorials write it: DataLoader, N x C x H x W, float32, a thread a core",
        goal,
        ("squeezenet_ours.py", *arguments),
        ("squeezenet_eager.py", *arguments),
    )


CASES: Mapping[str, Case] = {
    "ten-seeds-16": _seeds(16, 20),
    "ten-seeds-512": _seeds(512, 5),
    "squeezenet-images": _squeezenet(
        "four trainings of 5 epochs, 23,980 images", 2.5, "--epochs", "5", "--rates", "1e-4,2e-4,3e-4,4e-4"
    ),
    "squeezenet-seeds": _squeezenet("the ten-seed evaluation, 2 epochs, 29,960 images", 2, "--epochs", "2", "--seeds", "10"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=CASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the data; records are of 1")
    parser.add_argument("--out", type=Path, help="a folder for the record")
    given = parser.parse_args()
    if given.case is None:
        for name, case in CASES.items():
            print(f"{name}: {case.what}, against {case.peer}; goal {case.goal:g}")
        return
    record = measured(given.case, given.rounds, given.scale)
    print(told(record))
    if given.out is not None:
        path = given.out / f"{record['date']}-{given.case}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")


def measured(name: str, rounds: int, scale: float) -> dict[str, Any]:
    """The record of a case."""
    case = CASES[name]
    ours: list[Run] = []
    theirs: list[Run] = []
    for number in range(rounds):
        turns = ((ours, case.ours), (theirs, case.theirs))
        for found, side in turns if number % 2 == 0 else reversed(turns):
            found.append(ran(side, scale))
            print(f"round {number + 1} of {rounds}: {side[0]}, {found[-1].wall:.1f} s", file=sys.stderr, flush=True)
    return {
        "case": name,
        **asdict(case),
        "command": f"python -m benchmarks.paired {name} --rounds {rounds} --scale {scale:g}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{machine_kind()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "versions": {"Python": platform.python_version(), **{each: metadata.version(each) for each in PACKAGES}},
        "runs": {"ours": [asdict(each) for each in ours], "theirs": [asdict(each) for each in theirs]},
        "ratio": {kind: _ratio(ours, theirs, kind) for kind in ("cpu", "wall")},
    }


def ran(side: Sequence[str], scale: float) -> Run:
    """Run a side as a process, to its end; raises CalledProcessError where it fails."""
    command = [sys.executable, str(SIDES / side[0]), *side[1:], "--scale", str(scale)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)  # its own, and its children's that it waited for
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(used.ru_utime + used.ru_stime, time.perf_counter() - begun, json.loads(printed.splitlines()[-1]))


def _ratio(ours: Sequence[Run], theirs: Sequence[Run], kind: str) -> dict[str, float]:
    values = [getattr(peer, kind) / getattr(mine, kind) for mine, peer in zip(ours, theirs, strict=True)]
    low, high, level = interval(values)
    return {"median": statistics.median(values), "low": low, "high": high, "level": level}


def told(record: Mapping[str, Any]) -> str:
    """The record in words, and a row of a table."""
    medians = {
        f"{side} {kind}": statistics.median(each[kind] for each in record["runs"][side])
        for side in ("ours", "theirs")
        for kind in ("cpu", "wall")
    }
    ratios = {kind: "{median:.1f} ({low:.1f} to {high:.1f})".format(**record["ratio"][kind]) for kind in ("cpu", "wall")}
    reached = min(each["median"] for each in record["ratio"].values()) >= record["goal"]
    cells = [record["case"]]
    for kind in ("cpu", "wall"):
        cells += [f"{medians[f'ours {kind}']:.2f}", f"{medians[f'theirs {kind}']:.2f}", ratios[kind]]
    cells.append(f"{record['goal']:g}: {'reached' if reached else 'missed'}")
    return "\n".join(
        [
            f"{record['what']}; against {record['peer']}",
            f"{record['machine']}; {', '.join(f'{name} {version}' for name, version in record['versions'].items())}",
            f"ours found {record['runs']['ours'][-1]['found']}, the peer {record['runs']['theirs'][-1]['found']}",
            f"intervals of {100 * record['ratio']['cpu']['level']:.0f} %",
            "| case | ours, CPU s | peer, CPU s | ratio | ours, wall s | peer, wall s | ratio | goal |",
            f"| {' | '.join(cells)} |",
        ]
    )


if __name__ == "__main__":
    main()
