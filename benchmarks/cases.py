"""What `benchmarks.paired` compares: for each case the sides, the goal, and what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Side:
    """A script of `benchmarks/sides` and its options. environment: of a peer, by its name in `benchmarks.peers`; None: ours.

    packages: the peer's, whose versions the record gives where it has no environment of its own.
    """

    script: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None
    packages: tuple[str, ...] = ("torch", "numpy")

    def with_options(self, options: Mapping[str, Any]) -> "Side":
        """The side with further options, or other values for those that it has."""
        return replace(self, options={**self.options, **options})


@dataclass(frozen=True)
class Case:
    """What is compared, in which unit. goal: of the ratio of what is counted, at least, or `at_most`; None: there is none.

    theirs: None where ours is held against something that it prints itself. given: whether both sides are given the same data and
    configurations in a folder.
    """

    what: str
    peer: str
    goal: float | None
    ours: Side
    theirs: Side | None
    unit: str = "seconds"
    at_most: bool = False
    given: bool = False

    def with_side(self, old: Side, new: Side) -> "Case":
        """The case with another side in the place of one of its sides."""
        return replace(self, ours=new) if old is self.ours else replace(self, theirs=new)


def _seeds(batch: int, goal: float) -> Case:
    return Case(
        f"the ten-seed evaluation of MLP-M1's network (2-64-32-16-2, Adam) on #10, 110,000 points, batch {batch}, 10 epochs",
        "ten trainings in PyTorch, step by step on sliced tensors",
        goal,
        Side("seeds_ours.py", {"batch": batch, "epochs": 10}),
        Side("seeds_eager.py", {"batch": batch, "epochs": 10}),
    )


def _squeezenet(what: str, goal: float, **options: Any) -> Case:
    return Case(
        f"SqueezeNet on the digits at 64 px, mirrored at random, Adam, batch 64: {what}",
        "PyTorch as its tutorials write it: DataLoader, N x C x H x W, float32, a thread a core",
        goal,
        Side("squeezenet_ours.py", options),
        Side("squeezenet_eager.py", options),
    )


def _search(what: str, goal: float, configurations: int, **ours: Any) -> Case:
    return Case(
        f"the paper's search on #10, {what}",
        KERAS,
        goal,
        Side("search_ours.py", {"configurations": configurations, "way": "tune", **ours}),
        Side("search_keras.py", {"configurations": configurations, "sampled": 2}, environment="keras"),
        given=True,
    )


def _trials(batch: int, epochs: int, goal: float, peer: str, theirs: Side) -> Case:
    options = {"batch": batch, "epochs": epochs}
    return Case(
        f"16 trials of MLP-M1's network on #10, 100,000 points, batch {batch}, {epochs} epochs, start-up included",
        peer,
        goal,
        Side("trials_ours.py", options),
        theirs.with_options(options),
        given=True,
    )


RAY = Side("trials_ray.py", environment="ray")
OPTUNA = Side("trials_optuna.py", packages=("optuna", "torch"))
ON_RAY = "Ray Tune with reuse_actors, one CPU a trial, eager PyTorch"
ON_OPTUNA = "Optuna, two processes on one study in SQLite, eager PyTorch"
KERAS = "Keras Tuner, the same configurations and epochs one after the other, timed on a sample and extrapolated"
KEPT = "a durable trial with 15 hyperparameters and 20 measurements"
BY_TPE = "Optuna, SQLite, TPE, 20 reports"
BOOKS = Side("bookkeeping_optuna.py", {"trials": 300}, packages=("optuna",))
THOUSAND = {"trials": 1000, "numbers": 2, "measurements": 0}

CASES: Mapping[str, Case] = {
    "ten-seeds-16": _seeds(16, 20),
    "ten-seeds-512": _seeds(512, 5),
    "squeezenet-images": _squeezenet("four trainings of 5 epochs, 23,980 images", 2.5, epochs=5, rates="1e-4,2e-4,3e-4,4e-4"),
    "squeezenet-seeds": _squeezenet("the ten-seed evaluation, 2 epochs, 29,960 images", 2, epochs=2, seeds=10),
    "search-500": _search("500 configurations of the MLP space (fewer of them: at equal distances by batch size)", 30, 500),
    "search-halving": _search("500 configurations of the MLP space, ours by successive halving", 150, 500, halving="yes", eta=5),
    "trials-16": _trials(16, 2, 10, ON_RAY, RAY),
    "trials-512": _trials(512, 10, 3, ON_RAY, RAY),
    "trials-16-optuna": _trials(16, 2, 5, ON_OPTUNA, OPTUNA),
    "trials-512-optuna": _trials(512, 10, 2, ON_OPTUNA, OPTUNA),
    "trivial": Case(
        "an objective that takes no time, one number to choose, every trial on disk before the next",
        "Ray Tune's defaults",
        200,
        Side("trivial_ours.py", {"ours": 200}),
        Side("trivial_ray.py", {"theirs": 20}, environment="ray"),
        "seconds a trial",
    ),
    "bookkeeping": Case(KEPT, BY_TPE, 20, Side("bookkeeping_ours.py", {"trials": 300}), BOOKS, "seconds a trial"),
    "bookkeeping-random": Case(
        KEPT,
        "Optuna, SQLite, random draws, 20 reports",
        None,
        Side("bookkeeping_ours.py", {"trials": 300}),
        BOOKS.with_options({"sampler": "random"}),
        "seconds a trial",
    ),
    "bookkeeping-tpe": Case(
        "1,000 durable trials of two numbers by TPE that train nothing",
        "Optuna, SQLite, TPE",
        5,
        Side("bookkeeping_ours.py", {**THOUSAND, "method": "tpe"}),
        BOOKS.with_options(THOUSAND),
        "seconds a trial",
    ),
    "bookkeeping-http": Case(
        f"{KEPT}, by a server, a method and an agent over HTTP",
        BY_TPE,
        10,
        Side("bookkeeping_http.py", {"trials": 100}),
        BOOKS,
        "seconds a trial",
    ),
    "bookkeeping-flat": Case(
        f"{KEPT}: the last tenth of the trials against the first",
        "ours itself",
        1.2,
        Side("bookkeeping_ours.py", {"trials": 10_000, "deciles": "yes"}),
        None,
        "seconds a trial, of the first tenth and of the last",
        at_most=True,
    ),
}
