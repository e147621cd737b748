"""The forms that participants fill in: the space as fields, what was typed as raw values, problems in words beside a field.

Validity itself is decided in one place, `Space.configuration`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenhand.errors import InvalidConfiguration, Problem
from evenhand.model import rules
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Integer, Value, range_words
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.study import OWN_WORDS_REASON, Option
from evenhand.model.typed_numbers import why_ambiguous

VALUE_FIELD, REASON_FIELD, OTHER_FIELD = "value.", "reason.", "other."  # what the names of a form's fields begin with
MOST_TYPED_CHARACTERS = 400  # characters of a value or a reason; what is longer was not typed by a person
NUMBER_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


@dataclass(frozen=True)
class Typed:
    """What a form held, as text: values and reasons by hyperparameter, own words where the reason is `other`."""

    values: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HyperparameterField:
    """One hyperparameter as the form shows it. text: what is typed in it.

    hint: the range, or the default. when: on what it depends, as JSON for the page's script. belongs: the same in words.
    """

    id: str
    hyperparameter: Hyperparameter
    text: str
    active: bool
    hint: str
    reason: str
    other: str
    problem: str
    when: str
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
) -> tuple[HyperparameterField, ...]:
    """The space's fields, in its order. typed: what is in them; None for a fresh form, whose optional fields hold their
    defaults where `presets` says so."""
    held = typed or Typed({hyperparameter.name: hyperparameter.default_text if presets else "" for hyperparameter in space})
    active = space_active(space, held.values)
    return tuple(_field(space, hyperparameter, index, held, active, problems or {}) for index, hyperparameter in enumerate(space))


def _field(
    space: Space, hyperparameter: Hyperparameter, index: int, held: Typed, active: frozenset[str], problems: Mapping[str, str]
) -> HyperparameterField:
    domain = hyperparameter.domain
    options = tuple(zip(domain.texts, domain.labels, strict=True)) if isinstance(domain, Choice) else ()
    return HyperparameterField(
        id=f"field-{index}",
        hyperparameter=hyperparameter,
        text=held.values.get(hyperparameter.name, ""),
        active=hyperparameter.name in active,
        hint=range_of(hyperparameter) if hyperparameter.mandatory else f"default {hyperparameter.show(hyperparameter.default)}",
        reason=held.reasons.get(hyperparameter.name, ""),
        other=held.others.get(hyperparameter.name, ""),
        problem=problems.get(hyperparameter.name, ""),
        when=_when(space, hyperparameter),
        options=options,
        default=hyperparameter.default_text,
        belongs=space.belongs_to(hyperparameter),
        range=range_of(hyperparameter),
        whole=isinstance(domain, Integer),
    )


def space_active(space: Space, texts: Mapping[str, str]) -> frozenset[str]:
    """The names that are active beside what was typed, which may be wrong or unfinished."""
    values: dict[str, Value] = {}
    names = set()
    for hyperparameter in space:
        if not space.is_active(hyperparameter, values):
            continue
        names.add(hyperparameter.name)
        text = texts.get(hyperparameter.name, "")
        try:
            values[hyperparameter.name] = hyperparameter.domain.accept(
                hyperparameter.of_text(text) if text or hyperparameter.mandatory else hyperparameter.default
            )
        except (ValueError, TypeError, OverflowError):
            continue
    return frozenset(names)


def range_of(hyperparameter: Hyperparameter) -> str:
    """The values that a hyperparameter takes, in few words; nothing for a choice, whose options are in sight."""
    return "" if isinstance(hyperparameter.domain, Choice) else range_words(hyperparameter.domain)


def _when(space: Space, hyperparameter: Hyperparameter) -> str:
    """The parts of a condition as JSON, values as the texts of a form; nothing where there is none."""
    if hyperparameter.condition is None:
        return ""
    parts = []
    for part in hyperparameter.condition.parts:
        parent = space[part.on]
        bounds = {"above": part.above, "below": part.below} if part.has_bounds else {}
        parts.append({"on": part.on, "values": [parent.text(parent.domain.accept(value)) for value in part.values], **bounds})
    return json.dumps(parts)


def title_of_optional(space: Space, shown: tuple[HyperparameterField, ...]) -> str:
    """The heading of the optional fields: `For SGD · optional` where the one choice that governs them is made."""
    on = _governing(space)
    chosen = next((field for field in shown if on and field.hyperparameter.name == on.name), None)
    made = chosen and next((label for value, label in chosen.options if value == chosen.text), "")
    return f"For {made} · optional" if made else "Optional"


def hidden_line(space: Space, shown: tuple[HyperparameterField, ...]) -> str:
    """How many fields are not in sight, and what makes them appear; nothing where all are."""
    count = sum(not field.active for field in shown)
    if not count:
        return ""
    many = NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count)
    on = _governing(space)
    verb = "s" if count == 1 else ""
    if on is None:
        return f"{many} more appear{verb} with other choices."
    chosen = next(field.text for field in shown if field.hyperparameter.name == on.name)
    name = on.label.lower()
    if not chosen:
        return f"{many} more appear{verb} with the {name} that you choose."
    return f"{many} more belong{verb} to other {name}s and appear{verb} with them."


def _governing(space: Space) -> Hyperparameter | None:
    """The one hyperparameter on which all conditions are; None where there are several, or none."""
    names = {name for hyperparameter in space if hyperparameter.condition for name in hyperparameter.condition.asked}
    return space[names.pop()] if len(names) == 1 else None


def read(space: Space, form: Mapping[str, object]) -> Typed:
    """The texts of a posted form, by hyperparameter; fields that are no text are passed over, as are overlong tails."""
    texts: dict[str, dict[str, str]] = {VALUE_FIELD: {}, REASON_FIELD: {}, OTHER_FIELD: {}}
    for key, text in form.items():
        for prefix, kept in texts.items():
            if key.startswith(prefix) and isinstance(text, str):
                kept[key.removeprefix(prefix)] = text.strip()[:MOST_TYPED_CHARACTERS]
    return Typed(texts[VALUE_FIELD], texts[REASON_FIELD], texts[OTHER_FIELD])


def configuration(space: Space, typed: Typed) -> Configuration:
    """What was typed as a configuration; InvalidConfiguration lists every wrong field.

    Inactive fields that hold nothing, or their untouched default, are passed over: without scripts a browser sends them too.
    """
    active = space_active(space, typed.values)
    raw = {
        name: text if not text or name not in space else space[name].of_text(text)
        for name, text in typed.values.items()
        if name in active or name not in space or text not in ("", space[name].default_text)
    }
    return space.configuration(raw)


def reasons(typed: Typed, offered: Sequence[Option]) -> dict[str, str]:
    """The reasons that were given, in the words that are kept: those of the study's first language, `other` with own words."""
    known = {option.value: option.label.markdown for option in offered}
    given_reasons = {}
    for name, key in typed.reasons.items():
        if key == OWN_WORDS_REASON and key in known:
            own = typed.others.get(name, "")
            given_reasons[name] = f"other: {own}" if own else "other"
        elif key in known:
            given_reasons[name] = known[key]
    return given_reasons


def missing_reasons(
    space: Space, chosen: Configuration, given: Mapping[str, str], before: Mapping[str, Value] | None
) -> dict[str, str]:
    """What to say beside each value that needs a reason and has none."""
    return dict.fromkeys(rules.without_reason(space, chosen, given, before), "Please choose why you set this.")


def problems(space: Space, error: InvalidConfiguration) -> dict[str, str]:
    """What to type instead, by hyperparameter."""
    return {problem.name: words(space, problem) for problem in error.problems}


def words(space: Space, problem: Problem) -> str:
    """A problem as the form says it beside its field."""
    if problem.name not in space:
        return f"This study has no such value; there is {problem.expected.removeprefix('one of ')}."
    hyperparameter = space[problem.name]
    ask = "choose one of the list" if isinstance(hyperparameter.domain, Choice) else f"enter {problem.expected}"
    if problem.given == "nothing":
        return f"Please {ask}."
    if problem.expected.startswith("nothing"):
        return f"Leave this empty{problem.expected.removeprefix('nothing')}."
    given = problem.given.strip("'\"")
    whole = isinstance(hyperparameter.domain, Integer)
    if not isinstance(hyperparameter.domain, Choice) and (why := why_ambiguous(given, whole)):
        return why
    if any(problem.expected.startswith(constraint.text) for constraint in space.constraints):
        return f"{given} is not possible here, since it has to hold that {problem.expected}."
    return f"{given} is not possible here: {ask}."


def typed_from(space: Space, values: Mapping[str, Value]) -> Typed:
    """A configuration as the texts of a form: values only, never the reasons."""
    return Typed(texts_of(space, values))


def texts_of(space: Space, values: Mapping[str, Value]) -> dict[str, str]:
    """Values as the texts of a form, by hyperparameter."""
    return {name: space[name].text(value) for name, value in values.items() if name in space}
