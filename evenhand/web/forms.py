"""The forms that participants fill in: the space as fields, what was typed as raw values, problems in words beside a field.

Validity itself is decided in one place, `Space.configuration`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenhand.declaration import Option
from evenhand.errors import InvalidConfiguration, Problem
from evenhand.space import Choice, Configuration, Hyperparameter, Integer, Space, Value, show

VALUE, REASON, OTHER = "value.", "reason.", "other."  # what the names of a form's fields begin with
LONGEST = 400  # characters of a value or a reason; what is longer was not typed by a person
OWN_WORDS = "other"
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


@dataclass(frozen=True)
class Typed:
    """What a form held, as text: values and reasons by hyperparameter, own words where the reason is `other`."""

    values: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """One hyperparameter as the form shows it. text: what is typed in it.

    hint: the range, or the default. on, when: what it depends on and the values there. belongs: the same in words.
    """

    id: str
    hyperparameter: Hyperparameter
    text: str
    active: bool
    hint: str
    reason: str
    other: str
    problem: str
    on: str
    when: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    default: str
    belongs: str
    range: str
    whole: bool

    @property
    def changed(self) -> bool:
        """Whether it holds something else than its default."""
        return not self.hyperparameter.mandatory and self.text not in ("", self.default)


def fields(
    space: Space, typed: Typed | None = None, problems: Mapping[str, str] | None = None, presets: bool = True
) -> tuple[Field, ...]:
    """The space's fields, in its order. typed: what is in them; None for a fresh form, whose optional fields hold their
    defaults where `presets` says so."""
    held = typed or Typed({each.name: "" if each.default is None or not presets else show(each.default) for each in space})
    active = space_active(space, held.values)
    return tuple(_field(space, each, index, held, active, problems or {}) for index, each in enumerate(space))


def _field(
    space: Space, each: Hyperparameter, index: int, held: Typed, active: frozenset[str], problems: Mapping[str, str]
) -> Field:
    condition, domain = each.condition, each.domain
    options = tuple(zip(domain.options, domain.labels, strict=True)) if isinstance(domain, Choice) else ()
    return Field(
        id=f"field-{index}",
        hyperparameter=each,
        text=held.values.get(each.name, ""),
        active=each.name in active,
        hint=range_of(each) if each.default is None else f"default {each.show(each.default)}",
        reason=held.reasons.get(each.name, ""),
        other=held.others.get(each.name, ""),
        problem=problems.get(each.name, ""),
        on=condition.on if condition else "",
        when=tuple(show(value) for value in condition.values) if condition else (),
        options=options,
        default="" if each.default is None else show(each.default),
        belongs=belongs_to(space, each),
        range=range_of(each),
        whole=isinstance(domain, Integer),
    )


def space_active(space: Space, texts: Mapping[str, str]) -> frozenset[str]:
    """The names that are active beside what was typed, which may be wrong or unfinished."""
    values: dict[str, Value] = {}
    names = set()
    for each in space:
        if not space.is_active(each, values):
            continue
        names.add(each.name)
        text = texts.get(each.name, "")
        try:
            values[each.name] = each.domain.accept(text if text or each.default is None else each.default)
        except (ValueError, TypeError, OverflowError):
            continue
    return frozenset(names)


def range_of(each: Hyperparameter) -> str:
    """The values that a hyperparameter takes, in few words; nothing for a choice, whose options are in sight."""
    if isinstance(each.domain, Choice):
        return ""
    zero = not isinstance(each.domain, Integer) and each.domain.or_zero
    if each.domain.low == each.domain.high and not zero:
        return f"only {show(each.domain.low)}"
    return f"{show(each.domain.low)} to {show(each.domain.high)}{', or 0' if zero else ''}"


def belongs_to(space: Space, each: Hyperparameter) -> str:
    """Under which choice a hyperparameter is active, as people read it: SGD, RMSprop. Nothing where it always is."""
    if each.condition is None:
        return ""
    on = space[each.condition.on]
    return ", ".join(on.show(value) for value in each.condition.values)


def title_of_optional(space: Space, shown: tuple[Field, ...]) -> str:
    """The heading of the optional fields: `For SGD · optional` where the one choice that governs them is made."""
    on = _governing(space)
    chosen = next((each for each in shown if on and each.hyperparameter.name == on.name), None)
    made = chosen and next((label for value, label in chosen.options if value == chosen.text), "")
    return f"For {made} · optional" if made else "Optional"


def hidden_line(space: Space, shown: tuple[Field, ...]) -> str:
    """How many fields are not in sight, and what makes them appear; nothing where all are."""
    count = sum(not each.active for each in shown)
    if not count:
        return ""
    many = NUMBERS[count] if count < len(NUMBERS) else str(count)
    on = _governing(space)
    verb = "s" if count == 1 else ""
    if on is None:
        return f"{many} more appear{verb} with other choices."
    chosen = next(each.text for each in shown if each.hyperparameter.name == on.name)
    name = on.label.lower()
    if not chosen:
        return f"{many} more appear{verb} with the {name} that you choose."
    return f"{many} more belong{verb} to other {name}s and appear{verb} with them."


def _governing(space: Space) -> Hyperparameter | None:
    """The one hyperparameter on which all conditions are; None where there are several, or none."""
    names = {each.condition.on for each in space if each.condition}
    return space[names.pop()] if len(names) == 1 else None


def read(space: Space, form: Mapping[str, object]) -> Typed:
    """The texts of a posted form, by hyperparameter; fields that are no text are passed over, as are overlong tails."""
    found: dict[str, dict[str, str]] = {VALUE: {}, REASON: {}, OTHER: {}}
    for key, text in form.items():
        for prefix, kept in found.items():
            if key.startswith(prefix) and isinstance(text, str):
                kept[key.removeprefix(prefix)] = text.strip()[:LONGEST]
    return Typed(found[VALUE], found[REASON], found[OTHER])


def configuration(space: Space, typed: Typed) -> Configuration:
    """What was typed as a configuration; InvalidConfiguration lists every wrong field.

    Inactive fields that hold nothing, or their untouched default, are passed over: without scripts a browser sends them too.
    """
    active = space_active(space, typed.values)
    raw = {
        name: text
        for name, text in typed.values.items()
        if name in active or name not in space or text not in ("", _default(space[name]))
    }
    return space.configuration(raw)


def _default(each: Hyperparameter) -> str:
    return "" if each.default is None else show(each.default)


def reasons(typed: Typed, offered: Sequence[Option]) -> dict[str, str]:
    """The reasons that were given, in the words that are kept: those of the study's first language, `other` with own words."""
    known = {option.value: option.label.markdown for option in offered}
    found = {}
    for name, key in typed.reasons.items():
        if key == OWN_WORDS and key in known:
            own = typed.others.get(name, "")
            found[name] = f"other: {own}" if own else "other"
        elif key in known:
            found[name] = known[key]
    return found


def missing_reasons(
    space: Space, chosen: Configuration, given: Mapping[str, str], before: Mapping[str, Value] | None
) -> dict[str, str]:
    """What to say beside each value that needs a reason and has none: those that differ from the trial before, or from the
    defaults where there is none."""
    held = before if before is not None else {each.name: each.default for each in space}
    changed = [name for name, value in chosen.items() if held.get(name) != value]
    return {name: "Please choose why you set this." for name in changed if name not in given}


def problems(space: Space, error: InvalidConfiguration) -> dict[str, str]:
    """What to type instead, by hyperparameter."""
    return {each.name: words(space, each) for each in error.problems}


def words(space: Space, problem: Problem) -> str:
    """A problem as the form says it beside its field."""
    if problem.name not in space:
        return f"This study has no such value; there is {problem.expected.removeprefix('one of ')}."
    each = space[problem.name]
    ask = "choose one of the list" if isinstance(each.domain, Choice) else f"enter {problem.expected}"
    if problem.given == "nothing":
        return f"Please {ask}."
    if problem.expected.startswith("nothing"):
        return f"Leave this empty{problem.expected.removeprefix('nothing')}."
    given = problem.given.strip("'\"")
    return f"{given} is not possible here: {ask}."


def typed_from(values: Configuration) -> Typed:
    """A configuration as the texts of a form: values only, never the reasons."""
    return Typed({name: show(value) for name, value in values.items()})
