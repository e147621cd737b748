"""The command of a program: split once, as a shell would, and filled for each trial without a shell."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Value, show
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space

FACTS = ("number", "seed", "folder", "configuration")  # placeholders beside the hyperparameters
EPOCHS = "epochs"  # and the value of the space's fidelity, whatever that is called
VARIABLE_PREFIX = "EVENHAND_"
ANY_NAME = r"[^\W\d]\w*(?:[.-]\w+)*"


@dataclass(frozen=True)
class Command:
    """A command with placeholders.

    parts: what it was split into. space: whose hyperparameters fill it. environment: whether the program reads them from
    variables, too.
    """

    parts: tuple[str, ...]
    space: Space
    environment: bool = False

    @classmethod
    def of(cls, command: str | Sequence[str], space: Space, environment: bool) -> "Command":
        """A command as a shell line, or already in parts.

        Raises:
            InvalidSettings: it cannot be split, a placeholder is unknown, or a hyperparameter is not used; all are named.
        """
        try:
            parts = tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
        except ValueError as error:
            raise InvalidSettings(f"command {command!r}: {error}; close the quotation mark") from None
        if not parts or not parts[0] or not all(isinstance(part, str) and "\0" not in part for part in parts):
            raise InvalidSettings(
                f"command {command!r}: expected a program and its arguments, such as 'python train.py --lr {{lr}}'"
            )
        made = cls(parts, space, environment)
        if problems := [*made._unknown(), *made._taken(), *made._unused()]:
            raise InvalidSettings(f"command {shlex.join(parts)!r}: {'; '.join(problems)}")
        return made

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """`{{name}}`, which stands for `{name}` itself, or `{name}`; other braces are text."""
        names = sorted({*self.space.names, *FACTS, EPOCHS}, key=len, reverse=True)
        name = "|".join([*map(re.escape, names), ANY_NAME])
        return re.compile(rf"\{{\{{(?P<text>{name})\}}\}}|\{{(?P<name>{name})\}}")

    def placeholders(self, part: str) -> list[str]:
        """The names that a part has placeholders of, in order."""
        return [match["name"] for match in self._pattern.finditer(part) if match["name"] is not None]

    @property
    def _used(self) -> list[str]:
        return [name for part in self.parts for name in self.placeholders(part)]

    @property
    def _fidelity(self) -> str | None:
        """The hyperparameter that `{epochs}` stands for, where none is called so."""
        return self.space.fidelity.name if self.space.fidelity and EPOCHS not in self.space else None

    def _unknown(self) -> list[str]:
        known = {*self.space.names, *FACTS, *((EPOCHS,) if self._fidelity else ())}
        unknown = [name for name in dict.fromkeys(self._used) if name not in known]
        listed = ", ".join(f"{{{name}}}" for name in (*self.space.names, *FACTS))
        problems = []
        for name in unknown:
            why = f"expected some of {listed}; {{{{{name}}}}} stands for the text {{{name}}}"
            if name == EPOCHS:
                why = "the space marks no hyperparameter as its fidelity, which this would stand for"
            problems.append(f"{{{name}}} is no hyperparameter: {why}")
        return problems

    def _taken(self) -> list[str]:
        """Names that would stand for two things."""
        taken = [*FACTS, *((EPOCHS,) if EPOCHS in self.space and self.space.fidelity else ())]
        problems = [
            f"the hyperparameter {name!r} is called as {{{name}}}, which stands for something else; give it another name"
            for name in taken
            if name in self.space and not self.space[name].fidelity
        ]
        if self.environment:
            names: dict[str, str] = {variable_of(name): f"{{{name}}}" for name in FACTS}
            for name in self.space.names:
                other = names.setdefault(variable_of(name), name)
                if other != name and name not in FACTS:
                    problems.append(f"{name} and {other} would both be the variable {variable_of(name)}; rename one of them")
        return problems

    def _unused(self) -> list[str]:
        used = set(self._used)
        if self.environment or "configuration" in used:
            return []
        if EPOCHS in used and self._fidelity:
            used.add(self._fidelity)
        unused = [name for name in self.space.names if name not in used]
        if not unused:
            return []
        places = ", ".join(f"{{{name}}}" for name in unused)
        them = "it" if len(unused) == 1 else "them"
        how = (
            "add the placeholder, pass the whole configuration as a JSON file by {configuration}, or say that the program reads "
            "EVENHAND_... variables (--environment, in Python environment=True)"
        )
        return [f"it uses no {places}, so that tuning {them} would change nothing; {how}"]

    def arguments(self, configuration: Configuration, facts: Mapping[str, str]) -> list[str]:
        """What is started: each part stays one, with its values in it.

        A part whose hyperparameter is not active is left out, and with it the option word before it, if that begins with a dash.
        """
        texts = self._texts(configuration, facts)

        def text(match: re.Match[str]) -> str:
            return texts[match["name"]] if match["name"] else f"{{{match['text']}}}"

        filled: list[str] = []
        is_option = False  # whether the last one of `filled` is an option word of its own
        for part in self.parts:
            names = self.placeholders(part)
            if any(name not in texts for name in names):
                if is_option and not part.startswith("-"):  # --lr={lr} is an option by itself
                    filled.pop()
                is_option = False
                continue
            filled.append(self._pattern.sub(text, part))
            is_option = part.startswith("-") and not names and "=" not in part and len(filled) > 1
        return filled

    def variables(self, configuration: Configuration, facts: Mapping[str, str]) -> dict[str, str]:
        """The variables of the program's environment that say what to train."""
        names = {*FACTS, *((EPOCHS, *self.space.names) if self.environment else ())}
        return {variable_of(name): text for name, text in self._texts(configuration, facts).items() if name in names}

    def _texts(self, configuration: Configuration, facts: Mapping[str, str]) -> dict[str, str]:
        texts = {name: text_of(self.space[name], value) for name, value in configuration.items()}
        if self._fidelity in texts:
            texts[EPOCHS] = texts[self._fidelity]
        return {**texts, **facts}


def variable_of(name: str) -> str:
    """The variable of the environment that a hyperparameter's value is in."""
    return VARIABLE_PREFIX + re.sub(r"\W", "_", name).upper()


def text_of(hyperparameter: Hyperparameter, value: Value) -> str:
    """A value as a program gets it, without loss: text as it is, numbers in decimals, all else as JSON."""
    domain = hyperparameter.domain
    if not isinstance(domain, Choice):
        return show(value)
    texts = [option if isinstance(option, str) else json.dumps(option, ensure_ascii=False) for option in domain.options]
    if len(set(texts)) < len(texts):  # 1 and "1": only JSON tells them apart
        return domain.texts[domain.index(value)]
    return texts[domain.index(value)]
