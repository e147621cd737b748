"""The forms of the workbench: what a method may still try, and what is believed of it. What was typed, checked, in words.

Each form holds every hyperparameter; what differs from what holds now is the change that it asks for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from evenhand.analysis.belief_outcomes import now_believed
from evenhand.errors import InvalidSpace
from evenhand.methods.beliefs import words as prior_words
from evenhand.model.domain import Choice, Domain, Float, Integer, Value, range_words, show
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.session import Session
from evenhand.model.space import Space, reshaped
from evenhand.web.space_form import MOST_TYPED_CHARACTERS

Asked = Mapping[str, Sequence[str]]  # a posted form: every value that a field was sent with
Change = Mapping[str, Any] | None

LOW_FIELD, HIGH_FIELD, ONLY_FIELD, ZERO_FIELD, KEEP_FIELD, WHOLE_FIELD = "low.", "high.", "only.", "zero.", "keep.", "whole."
SCALE_FIELD, DEFAULT_FIELD = "scale.", "default."  # asked of those who start a run, before there is a trial
LIKELY_FIELD, CONFIDENCE_FIELD, MATTERS_FIELD, BETTER_FIELD = "likely.", "confidence.", "matters.", "better."
CONFIDENCE_LEVELS: Mapping[str, Literal["low", "medium", "high"]] = {"low": "low", "medium": "medium", "high": "high"}
BETTER_DIRECTIONS: Mapping[str, Literal["larger", "smaller"]] = {"larger": "larger", "smaller": "smaller"}


@dataclass(frozen=True)
class Limit:
    """What a hyperparameter may be from now on, as the form shows it.

    own: the task's own domain, in words; now: what is in force, in words, "" where that is the same. low, high, only: the fields'
    texts. zero: whether 0 stays possible, None where the task has none apart. options: value, label, whether it is kept.
    scale: "log" or "linear", "" of a choice. default: its text, None where it is mandatory. is_new: whether what was typed is
    other than the task's own.
    """

    id: str
    hyperparameter: Hyperparameter
    own: str
    now: str
    low: str
    high: str
    only: str
    zero: bool | None
    options: tuple[tuple[str, str, bool], ...]
    whole: bool
    scale: str
    default: str | None
    is_new: bool
    problem: str


@dataclass(frozen=True)
class StatedBelief:
    """What is believed of a hyperparameter, as the form shows it. words: what is believed now, "" for nothing.

    ordered: whether larger or smaller can be better.
    """

    id: str
    hyperparameter: Hyperparameter
    words: str
    likely: str
    confidence: str
    matters: str
    better: str
    options: tuple[tuple[str, str], ...]
    ordered: bool
    range: str
    problem: str

    @property
    def given(self) -> bool:
        """Whether anything is believed of it."""
        return bool(self.likely or self.matters or self.better)


def asked_of(form: Any) -> Asked:
    """A posted form's texts; files are passed over, as are overlong tails."""
    return {key: [text.strip()[:MOST_TYPED_CHARACTERS] for text in form.getlist(key) if isinstance(text, str)] for key in form}


def _text(asked: Asked, key: str) -> str:
    return next(iter(asked.get(key, ())), "")


# Limits


def limited(session: Session) -> tuple[Hyperparameter, ...]:
    """What can be limited: all but a fidelity that the method's settings fix."""
    fixed = session.method.get("epochs_per_trial") is not None
    return tuple(hyperparameter for hyperparameter in session.space if not (hyperparameter.fidelity and fixed))


def limits(session: Session, asked: Asked | None = None, problems: Mapping[str, str] | None = None) -> tuple[Limit, ...]:
    """Every hyperparameter's row. asked: what was typed; None for what is in force."""
    return limit_rows(limited(session), session.current_space, asked, problems or {})


def limit_rows(
    hyperparameters: Iterable[Hyperparameter], now: Space, asked: Asked | None, problems: Mapping[str, str]
) -> tuple[Limit, ...]:
    """The row of each of these, whose space is limited to what it is now. asked, problems: as in `limits`."""
    rows = enumerate(hyperparameters)
    return tuple(_limit(index, own, now[own.name], asked, problems) for index, own in rows)


def _limit(index: int, own: Hyperparameter, now: Hyperparameter, asked: Asked | None, problems: Mapping[str, str]) -> Limit:
    name, domain = own.name, own.domain
    texts = _in_force(name, now.domain) if asked is None else asked
    options: tuple[tuple[str, str, bool], ...] = ()
    zero: bool | None = None
    if isinstance(domain, Choice):
        kept = texts.get(f"{KEEP_FIELD}{name}", ())
        options = tuple((value, label, value in kept) for value, label in zip(domain.texts, domain.labels, strict=True))
    elif isinstance(domain, Float) and domain.or_zero:
        zero = bool(_text(texts, f"{ZERO_FIELD}{name}"))
    default = None if own.mandatory else now.default_text
    scale = "" if isinstance(domain, Choice) else "log" if getattr(now.domain, "log", False) else "linear"
    return Limit(
        id=f"limit-{index}",
        hyperparameter=own,
        own=range_words(domain),
        now="" if now.domain == domain else range_words(now.domain),
        low=_text(texts, f"{LOW_FIELD}{name}"),
        high=_text(texts, f"{HIGH_FIELD}{name}"),
        only=_text(texts, f"{ONLY_FIELD}{name}"),
        zero=zero,
        options=options,
        whole=bool(_text(texts, f"{WHOLE_FIELD}{name}")),
        scale=_text(texts, f"{SCALE_FIELD}{name}") or scale,
        default=default if default is None or asked is None else _text(texts, f"{DEFAULT_FIELD}{name}"),
        is_new=asked is not None and _is_new(own, asked),
        problem=problems.get(name, ""),
    )


def _is_new(own: Hyperparameter, asked: Asked) -> bool:
    """Whether what was typed is another thing than the task's own, or nothing that can be."""
    try:
        return changed_by(own, asked) is not None
    except (ValueError, InvalidSpace):
        return True


def _in_force(name: str, now: Domain) -> Asked:
    """The fields' texts for a domain."""
    if isinstance(now, Choice):
        return {f"{KEEP_FIELD}{name}": now.texts}
    zero = {f"{ZERO_FIELD}{name}": ["yes"]} if isinstance(now, Float) and now.or_zero else {}
    if now.low == now.high and not zero:
        return {f"{ONLY_FIELD}{name}": [show(now.low)]}
    return {f"{LOW_FIELD}{name}": [show(now.low)], f"{HIGH_FIELD}{name}": [show(now.high)], **zero}


def asked_for(session: Session, changes: Mapping[str, Mapping[str, Any]]) -> Asked:
    """The form of limits as it would be sent for some changes, such as {"rate": {"high": 0.1}}; all others stay in force."""
    now = session.current_space
    asked: dict[str, Sequence[str]] = {}
    for hyperparameter in limited(session):
        name, change = hyperparameter.name, changes.get(hyperparameter.name, {})
        asked |= _in_force(name, now[name].domain)
        for end, prefix in (("low", LOW_FIELD), ("high", HIGH_FIELD), ("value", ONLY_FIELD)):
            if end in change:
                asked[f"{prefix}{name}"] = [show(change[end])]
        if "options" in change:
            asked[f"{KEEP_FIELD}{name}"] = [hyperparameter.text(option) for option in change["options"]]
    return asked


def changes(session: Session, asked: Asked) -> tuple[dict[str, Change], dict[str, str]]:
    """The changes that a form of limits asks for, by hyperparameter; and what to say beside each field that is wrong."""
    wanted: dict[str, Change] = {}
    problems: dict[str, str] = {}
    for hyperparameter in limited(session):
        now = session.current_space[hyperparameter.name].domain
        try:
            change = None if _text(asked, f"{WHOLE_FIELD}{hyperparameter.name}") else _change(hyperparameter, now, asked)
            domain = reshaped(session.space, {hyperparameter.name: change})[hyperparameter.name].domain
        except (ValueError, InvalidSpace) as error:
            problems[hyperparameter.name] = str(error) if isinstance(error, Wrong) else _ask(hyperparameter.domain)
            continue
        if domain != now:
            wanted[hyperparameter.name] = None if domain == hyperparameter.domain else change
    return wanted, problems


def declared(hyperparameters: Iterable[Hyperparameter], asked: Asked) -> tuple[dict[str, Change], dict[str, str]]:
    """What a form declares of a task's space before there is a trial, by hyperparameter; and what to say beside what is wrong."""
    wanted: dict[str, Change] = {}
    problems: dict[str, str] = {}
    for hyperparameter in hyperparameters:
        try:
            change = changed_by(hyperparameter, asked)
        except (ValueError, InvalidSpace) as error:
            problems[hyperparameter.name] = str(error) if isinstance(error, Wrong) else _ask(hyperparameter.domain)
            continue
        if change is not None:
            wanted[hyperparameter.name] = change
    return wanted, problems


def changed_by(own: Hyperparameter, asked: Asked) -> Change:
    """The change that one row asks for of a task's own hyperparameter; None where it is as it was.

    ValueError or InvalidSpace where it is none.
    """
    alone = Space([replace(own, condition=None)])
    change = dict(_change(own, own.domain, asked) or {})
    scale, default = _text(asked, f"{SCALE_FIELD}{own.name}"), _text(asked, f"{DEFAULT_FIELD}{own.name}")
    is_frozen = "value" in change
    if scale and not is_frozen and not isinstance(own.domain, Choice):
        if scale == "log" and change["low"] <= 0:
            raise Wrong("A logarithmic scale begins above 0: raise the lower end, or take the linear one.")
        change["log"] = scale == "log"
    narrowed = reshaped(alone, {own.name: change})[own.name].domain
    if default and not is_frozen and not own.mandatory:
        try:
            change["default"] = narrowed.accept(own.of_text(default))
        except (ValueError, TypeError, OverflowError):
            raise Wrong(f"The default {default} is not possible here: it has to be {narrowed.expected}.") from None
    made = reshaped(alone, {own.name: change})[own.name]
    if (made.domain, made.default) == (own.domain, own.default):
        return None
    return {key: value for key, value in change.items() if key == "value" or value != _as_it_was(own, key)}


def _as_it_was(own: Hyperparameter, key: str) -> Any:
    """What a key of a change is where it changes nothing."""
    if key == "options":
        return list(own.domain.options) if isinstance(own.domain, Choice) else None
    return {"default": own.default, "zero": True}.get(key, getattr(own.domain, key, None))


class Wrong(ValueError):
    """What to say beside a field."""


def _change(hyperparameter: Hyperparameter, now: Domain, asked: Asked) -> Change:
    """The change that one row asks for; ValueError where it is none."""
    name, domain = hyperparameter.name, hyperparameter.domain
    if isinstance(domain, Choice):
        asked_texts = asked.get(f"{KEEP_FIELD}{name}", ())
        kept = [option for option, text in zip(domain.options, domain.texts, strict=True) if text in asked_texts]
        if not kept:
            raise Wrong("Keep at least one.")
        return {"options": kept}
    low, high, only = (_text(asked, f"{key}{name}") for key in (LOW_FIELD, HIGH_FIELD, ONLY_FIELD))
    if only:
        before = _in_force(name, now)
        if any(text and text != _text(before, f"{key}{name}") for key, text in ((LOW_FIELD, low), (HIGH_FIELD, high))):
            raise Wrong("Either a range or one value: leave one of them empty.")
        return {"value": _accepted(domain, only)}
    zero = isinstance(domain, Float) and domain.or_zero
    least, most = _accepted(domain, low or show(domain.low)), _accepted(domain, high or show(domain.high))
    if isinstance(least, str) or isinstance(most, str) or least > most:
        raise Wrong("The first number has to be the smaller one.")
    keeps_zero = zero and bool(_text(asked, f"{ZERO_FIELD}{name}"))
    if least == most and not keeps_zero:
        return {"value": least}
    return {"low": least, "high": most, **({"zero": keeps_zero} if zero else {})}


def _accepted(domain: Domain, text: str) -> Value:
    try:
        return domain.accept(text)
    except (TypeError, OverflowError) as error:
        raise ValueError from error


def _ask(domain: Domain) -> str:
    kind = "whole numbers" if isinstance(domain, Integer) else "numbers"
    return f"Enter {kind} within {range_words(domain)}, or leave them empty."


# Beliefs


def sayings(session: Session, asked: Asked | None = None, problems: Mapping[str, str] | None = None) -> tuple[StatedBelief, ...]:
    """Every hyperparameter's row. asked: what was typed; None for what is believed now."""
    known = now_believed(session)
    return tuple(
        _said(index, hyperparameter, known.get(hyperparameter.name), asked, problems or {})
        for index, hyperparameter in enumerate(session.space)
    )


def _said(
    index: int, hyperparameter: Hyperparameter, prior: Prior | None, asked: Asked | None, problems: Mapping[str, str]
) -> StatedBelief:
    name, domain = hyperparameter.name, hyperparameter.domain
    texts = _told(hyperparameter, prior) if asked is None else asked
    options = tuple(zip(domain.texts, domain.labels, strict=True)) if isinstance(domain, Choice) else ()
    return StatedBelief(
        id=f"belief-{index}",
        hyperparameter=hyperparameter,
        words="" if prior is None else prior_words(hyperparameter, prior),
        likely=_text(texts, f"{LIKELY_FIELD}{name}"),
        confidence=_text(texts, f"{CONFIDENCE_FIELD}{name}") or "medium",
        matters=_text(texts, f"{MATTERS_FIELD}{name}"),
        better=_text(texts, f"{BETTER_FIELD}{name}"),
        options=options,
        ordered=not isinstance(domain, Choice) or domain.ordered,
        range=range_words(domain),
        problem=problems.get(name, ""),
    )


def _told(hyperparameter: Hyperparameter, prior: Prior | None) -> Asked:
    if prior is None:
        return {}
    name = hyperparameter.name
    matters = {True: "yes", False: "no", None: ""}[prior.important]
    return {
        f"{LIKELY_FIELD}{name}": ["" if prior.value is None else hyperparameter.text(prior.value)],
        f"{CONFIDENCE_FIELD}{name}": [prior.confidence],
        f"{MATTERS_FIELD}{name}": [matters],
        f"{BETTER_FIELD}{name}": [prior.better or ""],
    }


def priors(session: Session, asked: Asked) -> tuple[dict[str, Prior | None], dict[str, str]]:
    """The beliefs that a form changes, by hyperparameter, None where one is taken back; and what to say beside each wrong one."""
    known = now_believed(session)
    wanted: dict[str, Prior | None] = {}
    problems: dict[str, str] = {}
    for hyperparameter in session.space:
        try:
            prior = _prior(hyperparameter, asked)
        except (ValueError, TypeError, OverflowError):
            given = _text(asked, f"{LIKELY_FIELD}{hyperparameter.name}")
            problems[hyperparameter.name] = f"{given} is not possible here: enter {hyperparameter.domain.expected}."
            continue
        if prior != known.get(hyperparameter.name):
            wanted[hyperparameter.name] = prior
    return wanted, problems


def _prior(hyperparameter: Hyperparameter, asked: Asked) -> Prior | None:
    name = hyperparameter.name
    likely = _text(asked, f"{LIKELY_FIELD}{name}")
    value = hyperparameter.domain.accept(hyperparameter.of_text(likely)) if likely else None
    important = {"yes": True, "no": False}.get(_text(asked, f"{MATTERS_FIELD}{name}"))
    ordered = not isinstance(hyperparameter.domain, Choice) or hyperparameter.domain.ordered
    better = BETTER_DIRECTIONS.get(_text(asked, f"{BETTER_FIELD}{name}")) if ordered else None
    if value is None and important is None and better is None:
        return None
    return Prior(value, CONFIDENCE_LEVELS.get(_text(asked, f"{CONFIDENCE_FIELD}{name}"), "medium"), important, better)


def prior_of(kept: Mapping[str, Any]) -> Prior:
    """A belief as an intervention keeps it."""
    return Prior(**kept)


def change_words(space: Space, detail: Mapping[str, Any]) -> list[str]:
    """What an intervention changed of the space, in words: learning rate 0.001 to 0.1; batch size its whole range."""
    words = []
    for name, change in detail.items():
        label = space[name].label
        if change is None:
            words.append(f"{label}: its whole range")
            continue
        try:
            words.append(f"{label}: {range_words(reshaped(space, {name: change})[name].domain)}")
        except InvalidSpace:  # recorded by a version that knew more
            words.append(f"{label}: {change}")
    return words
