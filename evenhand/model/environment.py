"""What a training's numbers hang on beside its task's version: what is installed, compiled and built in where it is trained.

A published study is pinned to one such environment, and only agents of its kind train for it. The rules are here: what makes two
environments of one kind (`Environment.kind`), what a study is pinned to (`pin`), and the words for what differs. `machine` looks
what this machine's is.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

from evenhand.errors import Refused
from evenhand.model.digest import digest

KEY_DIGITS = 16  # hexadecimal digits of a key: enough to tell all environments of a laboratory apart
SERIES_PATTERN = re.compile(r"\d+\.\d+")
# What each fact is called in words. Of versions a kind holds major and minor number only: these are fixed for Python, too, since
# 3.12 sums floats in another way than 3.11.
VERSIONS = {"python": "Python", "torch": "PyTorch", "numpy": "NumPy", "scipy": "SciPy", "scikit_learn": "scikit-learn"}
OTHERS = {
    "engine": "compiled engine",
    "machine": "processor",
    "system": "operating system",
    "accelerator": "accelerator",
    "driver": "driver",
}
FACTS = {**VERSIONS, **OTHERS}
SILENT_REASON = "says nothing of its versions and its machine; it is of an older Evenhand, so update it"


@dataclass(frozen=True)
class Environment:
    """Where a training is done. None: that is not there.

    python, torch, numpy, scipy, scikit_learn: versions. engine: digest of the compiled engine's build. machine: the processor's
    architecture, with the vector instructions and the maker by which libraries choose their code. system: the operating system.
    accelerator, driver: the GPU's name, and its driver's version.
    """

    python: str
    torch: str | None
    numpy: str | None
    scipy: str | None
    scikit_learn: str | None
    engine: str | None
    machine: str
    system: str
    accelerator: str | None = None
    driver: str | None = None

    @cached_property
    def key(self) -> str:
        """What names it, the same for equal ones anywhere. What is not there is left out: so a new fact changes no old key."""
        return digest({name: value for name, value in asdict(self).items() if value is not None})[:KEY_DIGITS]

    @cached_property
    def kind(self) -> str:
        """What names all that a study pinned to this one lets train: the same for those between which nothing it pins differs."""
        return digest({name: value for name in FACTS if (value := self._pinned(name)) is not None})[:KEY_DIGITS]

    def _pinned(self, name: str) -> str | None:
        value: str | None = getattr(self, name)
        series = SERIES_PATTERN.match(value) if value is not None and name in VERSIONS else None
        return series[0] if series else value

    def differing(self, other: "Environment", exactly: bool = False) -> tuple[str, ...]:
        """The names of the facts in which the other one is of another kind; exactly: in which it differs at all."""
        if exactly:
            return tuple(name for name in FACTS if getattr(self, name) != getattr(other, name))
        return tuple(name for name in FACTS if self._pinned(name) != other._pinned(name))

    def words(self, names: Iterable[str] = tuple(FACTS)) -> str:
        """These facts in words, as "PyTorch 2.13.0, no accelerator"."""
        return ", ".join(_words(name, getattr(self, name)) for name in names)


def _words(name: str, value: str | None) -> str:
    if value is None:
        return f"no {FACTS[name]}"
    return value if name in ("machine", "system", "accelerator") else f"{FACTS[name]} {value}"


class StatedEnvironment(NamedTuple):
    """What an agent says of itself: its name, and its environment, None where it says nothing of it."""

    name: str
    environment: Environment | None


def why_refused(pinned: Environment, agent: StatedEnvironment) -> str:
    """Why an agent may not train for a study that is pinned to `pinned`, in words that name both; "" where it may."""
    if agent.environment is None:
        return f"the study is pinned to {pinned.words()}; agent {agent.name} {SILENT_REASON}"
    names = pinned.differing(agent.environment)
    if not names:
        return ""
    return f"the study is pinned to {pinned.words(names)}; agent {agent.name} has {agent.environment.words(names)}"


def why_no_kind(agents: Sequence[StatedEnvironment]) -> str:
    """How agents differ, so that a study cannot be pinned to what all of them have; "" where they are alike, or there is none."""
    silent = [agent.name for agent in agents if agent.environment is None]
    parts = [f"agent {name} {SILENT_REASON}" for name in dict.fromkeys(silent)]
    spoken = [(agent.name, agent.environment) for agent in agents if agent.environment is not None]
    if spoken:
        first, environment = spoken[0]
        for name, other in spoken[1:]:
            names = environment.differing(other)
            if names:
                parts.append(f"agent {first} has {environment.words(names)}, agent {name} has {other.words(names)}")
    return "; ".join(dict.fromkeys(parts))


def pin(agents: Sequence[StatedEnvironment], here: Environment, like: str = "") -> Environment:
    """What a study is pinned to that is published now: the one place of this rule.

    Agents train, so it is what the connected ones say, where all are of one kind; where none is connected, it is this machine,
    `here`. Where they are of several kinds, or one says nothing, whoever publishes has to choose: `like` is the agent they chose.

    Raises:
        Refused: agents differ and none was chosen, or the chosen one is not connected, or says nothing.
    """
    if like:
        chosen = next((agent for agent in agents if agent.name == like), None)
        if chosen is None:
            names = ", ".join(agent.name for agent in agents) or "none"
            raise Refused(f"no agent {like!r} is connected, so the study cannot be pinned to what it has; connected: {names}")
        if chosen.environment is None:
            raise Refused(f"the study cannot be pinned to agent {like}: it {SILENT_REASON}")
        return chosen.environment
    why = why_no_kind(agents)
    if why:
        raise Refused(f'{why}; end those that do not fit, choose the agent to pin the study to, or declare machines = "any"')
    return next((agent.environment for agent in agents if agent.environment is not None), here)
