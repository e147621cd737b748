"""A run of many trials, made in seconds instead of days: what pages, readers and exports of large runs are tried on.

15 hyperparameters, of which six hang on the optimizer; 5 % of the trials end early (diverged, stopped, invalid), the
others report 20 epochs. The values have a shape: a broad valley over two rates, one optimizer that is better, and noise, so that
a reader has something to find.

    python -m benchmarks.made_runs --trials 50000 --out /tmp/many.sqlite
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert

from evenhand.lab.lab import Lab
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.store import events, sessions, tables
from evenhand.store.cache import changed

EPOCHS = 20
TRIAL_SECONDS = 30.0
EARLY_SHARE = 0.05  # of the trials, which end before their last epoch
CHUNK_TRIALS = 2000  # that one write stores
ENDS = (Outcome.DIVERGED, Outcome.STOPPED, Outcome.INVALID)
OPTIMIZERS = ("sgd", "adam", "rmsprop", "adagrad")


def space() -> Space:
    """15 hyperparameters, six of them conditional."""

    def only_for(*optimizers: str) -> Condition:
        return Condition("optimizer", optimizers)

    return Space(
        [
            Hyperparameter("optimizer", Choice(OPTIMIZERS), "sgd"),
            Hyperparameter("learning_rate", Float(1e-5, 1e-1, log=True), 1e-3),
            Hyperparameter("weight_decay", Float(1e-7, 1e-2, log=True), 1e-5),
            Hyperparameter("batch_size", Choice((16, 32, 64, 128, 256)), 64),
            Hyperparameter("layers", Integer(1, 8), 3),
            Hyperparameter("units", Integer(16, 1024, log=True), 128),
            Hyperparameter("dropout", Float(0, 0.7), 0.1),
            Hyperparameter("activation", Choice(("relu", "gelu", "tanh")), "relu"),
            Hyperparameter("augment", Choice((True, False)), False),
            Hyperparameter("momentum", Float(0, 0.99), 0.9, condition=only_for("sgd", "rmsprop")),
            Hyperparameter("nesterov", Choice((True, False)), False, condition=only_for("sgd")),
            Hyperparameter("beta1", Float(0.5, 0.999), 0.9, condition=only_for("adam")),
            Hyperparameter("beta2", Float(0.9, 0.9999), 0.999, condition=only_for("adam")),
            Hyperparameter("alpha", Float(0.8, 0.999), 0.99, condition=only_for("rmsprop")),
            Hyperparameter("lr_decay", Float(1e-6, 1e-1, log=True), 1e-4, condition=only_for("adagrad")),
        ]
    )


def value_of(configuration: dict[str, Any], rng: np.random.Generator) -> float:
    """An accuracy: highest near a learning rate of 3e-3 and a weight decay of 1e-4, for one optimizer above the others."""
    rate = np.log10(configuration["learning_rate"] / 3e-3)
    decay = np.log10(configuration["weight_decay"] / 1e-4)
    height = 0.93 - 0.12 * rate**2 - 0.01 * decay**2 - 0.15 * abs(configuration["dropout"] - 0.2)
    height += 0.02 * (configuration["optimizer"] == "adam") - 0.01 * abs(configuration["layers"] - 4)
    return float(np.clip(height + rng.normal(0, 0.01), 0.1, 0.999))


def make(lab: Lab, trials: int, *, seed: int = 0, name: str | None = None, tuner: str = "random") -> Session:
    """Store a run of so many ended trials in a laboratory, and leave it as a program that went away would."""
    record = lab.studies.add_task(
        TaskRecord(TaskSpec("examples/churn.py:train"), f"made {trials} {seed}", space(), "accuracy", "maximize", EPOCHS)
    )
    texts = Text("")
    study = lab.studies.add(
        Study(
            name=f"made {trials}, seed {seed}",
            title="churn.py:train",
            task_id=record.id,
            budget=Budget(trials=trials),
            seed=seed,
            consent=texts,
            details=texts,
            thanks=texts,
            machines="any",
        )
    )
    opened = lab.sessions.open(study.id, tuner=tuner, method={"name": tuner, "seed": seed}, driver="python", name=name)
    session = lab.start(opened.id)
    agent_id, _ = lab.agents.add(f"made {seed}", 1)
    rng = np.random.default_rng(seed)
    begun = lab.clock() - trials * TRIAL_SECONDS
    for first in range(0, trials, CHUNK_TRIALS):
        _store(lab, session, agent_id, range(first, min(first + CHUNK_TRIALS, trials)), rng, begun)
    with lab.core.change() as tx:
        sessions.update_facts(tx, session.id, opened_at=begun, started_at=begun)
        events.record(tx, lab.clock(), "taken up", session.id)
    lab.sessions.leave(session.id)
    return lab.sessions.get(session.id)


def _store(lab: Lab, session: Session, agent_id: int, places: range, rng: np.random.Generator, begun: float) -> None:
    configurations = [session.space.sample(rng) for _ in places]
    with lab.core.change() as tx:
        changed(tx, session.id)
        rows = [
            {
                "session_id": session.id, "number": place + 1, "configuration": dict(configuration), "reasons": {},
                "explanation": "", "proposer": session.tuner, "submitted_at": begun + place * TRIAL_SECONDS,
                "epochs_planned": EPOCHS,
            }
            for place, configuration in zip(places, configurations, strict=True)
        ]  # fmt: skip
        trial_ids = _inserted(tx, tables.trial, rows)
        ends = [ENDS[rng.integers(len(ENDS))] if rng.random() < EARLY_SHARE else Outcome.COMPLETED for _ in places]
        jobs = [
            {
                "session_id": session.id, "trial_id": trial_id, "seed": session.tuning_seed, "attempt": 1, "agent_id": agent_id,
                "queued_at": begun + place * TRIAL_SECONDS, "claimed_at": begun + place * TRIAL_SECONDS + 1,
                "finished_at": begun + place * TRIAL_SECONDS + TRIAL_SECONDS - 1, "outcome": end,
                "why": "" if end is Outcome.COMPLETED else "made so",
            }
            for place, trial_id, end in zip(places, trial_ids, ends, strict=True)
        ]  # fmt: skip
        job_ids = _inserted(tx, tables.job, jobs)
        measured = [
            row
            for job_id, configuration, end in zip(job_ids, configurations, ends, strict=True)
            for row in _curve(job_id, value_of(dict(configuration), rng), end, rng)
        ]
        tx.execute(insert(tables.measurement), measured)
        for trial_id in trial_ids:
            events.record(tx, lab.clock(), "finished", session.id, trial_id)


def _inserted(tx: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> Sequence[int]:
    """Store rows; their ids, in order."""
    return tx.execute(insert(table).returning(table.c.id, sort_by_parameter_order=True), rows).scalars().all()


def _curve(job_id: int, value: float, end: Outcome, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    epochs = EPOCHS if end is Outcome.COMPLETED else 0 if end is Outcome.INVALID else int(rng.integers(1, EPOCHS))
    for epoch in range(1, epochs + 1):
        share = 1 - np.exp(-4 * epoch / EPOCHS)
        yield {
            "job_id": job_id, "attempt": 1, "index": epoch - 1, "step": epoch * 100, "epoch": epoch,
            "loss": float(2.3 * (1 - share * value)), "value": float(0.1 + (value - 0.1) * share),
            "seconds": epoch * TRIAL_SECONDS / EPOCHS,
        }  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default=None)
    parser.add_argument("--out", type=Path, required=True, help="the SQLite file of the laboratory")
    wishes = parser.parse_args()
    lab = Lab.connect(f"sqlite:///{wishes.out}")
    session = make(lab, wishes.trials, seed=wishes.seed, name=wishes.name)
    print(f"session {session.id}: {wishes.trials} trials in {wishes.out}")
    lab.close()


if __name__ == "__main__":
    main()
