"""Hyperparameter: one dimension of a space, with what is believed of it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from evenhand.errors import InvalidSpace
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Domain, Float, Integer, JsonValue, Value, apart, is_text, plain, show
from evenhand.model.short_domain import domain_of

PRIOR_WIDTH = {"low": 0.25, "medium": 0.12, "high": 0.06}  # standard deviation, of a scale of length 1


@dataclass(frozen=True)
class Prior:
    """What somebody believes about a hyperparameter: any of a likely value, whether it matters, and which direction is better.

    Attributes:
        value: a likely value, in the hyperparameter's own unit; None where nothing is said of it.
        confidence: how sure one is of all of it.
        important: whether it matters much; None where nothing is said of it.
        better: whether "larger" or "smaller" values are better; None where nothing is said of it.
    """

    value: JsonValue = None
    confidence: Literal["low", "medium", "high"] = "medium"
    important: bool | None = None
    better: Literal["larger", "smaller"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain(self.value))


@dataclass(frozen=True)
class Hyperparameter:
    """One dimension of a space.

    Attributes:
        name: of its value in a configuration; a task takes a text in one line.
        domain: which values it can have; a list of options, a range and the other forms of `short_domain` are taken, too.
        default: without one it is mandatory. Of a choice that has the option None, that is the default where no other is named.
        label: what people read for its name.
        help: a sentence for people.
        condition: when it is active.
        prior: what is believed of it.
        fidelity: whether it says for how many epochs a trial trains; at most one of a space does. A task takes an Integer from 1.

    Raises:
        InvalidSpace: a value is not in the domain, or a part is not of its kind.
    """

    name: str
    domain: Domain
    default: Value = None
    label: str = ""
    help: str = ""
    condition: Condition | None = None
    prior: Prior | None = None
    fidelity: bool = False

    def __post_init__(self) -> None:
        if not is_text(self.name) or not self.name:
            raise InvalidSpace(f"hyperparameter {self.name!r}: expected a name, which is a text that is not empty")
        object.__setattr__(self, "domain", domain_of(self.name, self.domain))
        for field in ("label", "help"):
            if not is_text(getattr(self, field)):
                raise InvalidSpace(f"hyperparameter {self.name!r}: its {field} is {getattr(self, field)!r}, expected a text")
        for field, kind in (("condition", Condition), ("prior", Prior)):
            if getattr(self, field) is not None and not isinstance(getattr(self, field), kind):
                raise InvalidSpace(f"hyperparameter {self.name!r}: got {getattr(self, field)!r}, expected a {kind.__name__}")
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))
        if self.default is not None:
            object.__setattr__(self, "default", self._held("default", self.default))
        if self.prior is not None and self.prior.value is not None:
            object.__setattr__(self, "prior", replace(self.prior, value=self._held("prior value", self.prior.value)))
        if self.prior and self.prior.better and isinstance(self.domain, Choice) and not self.domain.ordered:
            raise InvalidSpace(
                f"hyperparameter {self.name!r}: {self.prior.better!r} values cannot be better, since its options have no order"
            )

    def _held(self, what: str, value: Value) -> Value:
        """A value as the domain holds it, a whole number as it was given; InvalidSpace where the domain does not hold it."""
        try:
            accepted = self.domain.accept(value)
        except (ValueError, TypeError, OverflowError):
            raise InvalidSpace(f"hyperparameter {self.name!r}: {what} {value!r} is not {self.domain.expected}") from None
        given = plain(value)
        return given if not isinstance(self.domain, Choice) and given == accepted else accepted

    @property
    def mandatory(self) -> bool:
        """Whether a tuner has to give a value."""
        return self.default is None and not (isinstance(self.domain, Choice) and self.domain.holds(None))

    def text(self, value: Value) -> str:
        """A value as forms hold it; `of_text` takes it back."""
        return self.domain.texts[self.domain.index(value)] if isinstance(self.domain, Choice) else show(value)

    def of_text(self, text: str) -> Value:
        """What a form's text says, not yet checked but for options: the option that is written so, or else the text itself."""
        if isinstance(self.domain, Choice):
            with suppress(ValueError):
                return self.domain.of_text(text)
        return text

    @property
    def default_text(self) -> str:
        """Its default as forms hold it; nothing where it is mandatory."""
        return "" if self.mandatory else self.text(self.default)

    def show(self, value: Value) -> str:
        """A value as people read it: an option's label, 0.001, 1e-5."""
        if isinstance(self.domain, Choice) and self.domain.holds(value):
            return self.domain.labels[self.domain.index(value)]
        return show(value)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; what was added to domains later is left out where it is not used, so that digests stay."""
        unused = {"ordered": False, "step": 1 if isinstance(self.domain, Integer) else None}
        domain = {name: value for name, value in asdict(self.domain).items() if name not in unused or value != unused[name]}
        data: dict[str, Any] = {
            "name": self.name,
            "domain": {"type": type(self.domain).__name__.lower(), **domain},
            "label": self.label,
            "help": self.help,
        }
        if self.default is not None:
            data["default"] = self.default
        if self.condition:
            data["condition"] = self.condition.to_json()
        if self.prior:
            data["prior"] = {key: value for key, value in asdict(self.prior).items() if value is not None}
        if self.fidelity:
            data["fidelity"] = True
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Hyperparameter":
        """The hyperparameter that `to_json` wrote; KeyError, TypeError or InvalidSpace where it is none."""
        kinds: dict[str, type[Float | Integer | Choice]] = {"float": Float, "integer": Integer, "choice": Choice}
        domain = dict(data["domain"])
        kind = kinds[domain.pop("type")]
        rest = {key: value for key, value in data.items() if key not in ("domain", "condition", "prior")}
        condition, prior = data.get("condition"), data.get("prior")
        return cls(
            domain=kind(**domain),
            condition=Condition.from_json(condition) if condition else None,
            prior=Prior(**prior) if prior else None,
            **rest,
        )


def keeps_to(domain: Domain, value: Value, prior: Prior) -> bool | None:
    """Whether a value keeps to what is believed likely: within two widths of it, or the option itself; None where no value is."""
    return None if prior.value is None else apart(domain, value, prior.value) <= 2 * PRIOR_WIDTH[prior.confidence]
