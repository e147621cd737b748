"""The forms of the workbench: what a method may still try, and what is believed of it. What was typed, checked, in words.

Each form holds every hyperparameter; what differs from what holds now is the change that it asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenhand.errors import InvalidSpace
from evenhand.records import Session
from evenhand.space import Choice, Domain, Float, Hyperparameter, Integer, Prior, Space, Value, reshaped, show
from evenhand.tuners.beliefs import words as prior_words
from evenhand.web.forms import LONGEST

Asked = Mapping[str, Sequence[str]]  # a posted form: every value that a field was sent with
Change = Mapping[str, Any] | None

LOW, HIGH, ONLY, ZERO, KEEP, WHOLE = "low.", "high.", "only.", "zero.", "keep.", "whole."
LIKELY, CONFIDENCE, MATTERS, BETTER = "likely.", "confidence.", "matters.", "better."
SURE: Mapping[str, Literal["low", "medium", "high"]] = {"low": "low", "medium": "medium", "high": "high"}
BETTERS: Mapping[str, Literal["larger", "smaller"]] = {"larger": "larger", "smaller": "smaller"}


@dataclass(frozen=True)
class Limit:
    """What a hyperparameter may be from now on, as the form shows it.

    own: the task's own domain, in words; now: what is in force, in words, "" where that is the same. low, high, only: the fields'
    texts. zero: whether 0 stays possible, None where the task has none apart. options: value, label, whether it is kept.
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
    problem: str


@dataclass(frozen=True)
class Said:
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
    return {key: [text.strip()[:LONGEST] for text in form.getlist(key) if isinstance(text, str)] for key in form}


def _text(asked: Asked, key: str) -> str:
    return next(iter(asked.get(key, ())), "")


def range_words(domain: Domain) -> str:
    """A domain in few words: 0.001 to 0.1, or 0; only 0.01; SGD, Adam."""
    if isinstance(domain, Choice):
        return f"only {domain.labels[0]}" if len(domain.labels) == 1 else ", ".join(domain.labels)
    if domain.low == domain.high:
        return f"only {show(domain.low)}"
    zero = isinstance(domain, Float) and domain.or_zero
    return f"{show(domain.low)} to {show(domain.high)}{', or 0' if zero else ''}"


# Limits


def limited(session: Session) -> tuple[Hyperparameter, ...]:
    """What can be limited: all but a fidelity that the method's settings fix."""
    fixed = session.method.get("epochs_per_trial") is not None
    return tuple(each for each in session.space if not (each.fidelity and fixed))


def limits(session: Session, asked: Asked | None = None, problems: Mapping[str, str] | None = None) -> tuple[Limit, ...]:
    """Every hyperparameter's row. asked: what was typed; None for what is in force."""
    rows = enumerate(limited(session))
    return tuple(_limit(index, each, session.current_space[each.name], asked, problems or {}) for index, each in rows)


def _limit(index: int, own: Hyperparameter, now: Hyperparameter, asked: Asked | None, problems: Mapping[str, str]) -> Limit:
    name, domain = own.name, own.domain
    held_texts = _in_force(name, now.domain) if asked is None else asked
    options: tuple[tuple[str, str, bool], ...] = ()
    zero: bool | None = None
    if isinstance(domain, Choice):
        kept = held_texts.get(f"{KEEP}{name}", ())
        options = tuple((value, label, value in kept) for value, label in zip(domain.options, domain.labels, strict=True))
    elif isinstance(domain, Float) and domain.or_zero:
        zero = bool(_text(held_texts, f"{ZERO}{name}"))
    return Limit(
        id=f"limit-{index}",
        hyperparameter=own,
        own=range_words(domain),
        now="" if now.domain == domain else range_words(now.domain),
        low=_text(held_texts, f"{LOW}{name}"),
        high=_text(held_texts, f"{HIGH}{name}"),
        only=_text(held_texts, f"{ONLY}{name}"),
        zero=zero,
        options=options,
        whole=bool(_text(held_texts, f"{WHOLE}{name}")),
        problem=problems.get(name, ""),
    )


def _in_force(name: str, now: Domain) -> Asked:
    """The fields' texts for a domain."""
    if isinstance(now, Choice):
        return {f"{KEEP}{name}": now.options}
    zero = {f"{ZERO}{name}": ["yes"]} if isinstance(now, Float) and now.or_zero else {}
    if now.low == now.high and not zero:
        return {f"{ONLY}{name}": [show(now.low)]}
    return {f"{LOW}{name}": [show(now.low)], f"{HIGH}{name}": [show(now.high)], **zero}


def changes(session: Session, asked: Asked) -> tuple[dict[str, Change], dict[str, str]]:
    """The changes that a form of limits asks for, by hyperparameter; and what to say beside each field that is wrong."""
    found: dict[str, Change] = {}
    problems: dict[str, str] = {}
    for each in limited(session):
        now = session.current_space[each.name].domain
        try:
            change = None if _text(asked, f"{WHOLE}{each.name}") else _change(each, now, asked)
            domain = reshaped(session.space, {each.name: change})[each.name].domain
        except (ValueError, InvalidSpace) as error:
            problems[each.name] = str(error) if isinstance(error, Wrong) else _ask(each.domain)
            continue
        if domain != now:
            found[each.name] = None if domain == each.domain else change
    return found, problems


class Wrong(ValueError):
    """What to say beside a field."""


def _change(each: Hyperparameter, now: Domain, asked: Asked) -> Change:
    """The change that one row asks for; ValueError where it is none."""
    name, domain = each.name, each.domain
    if isinstance(domain, Choice):
        kept = [option for option in domain.options if option in asked.get(f"{KEEP}{name}", ())]
        if not kept:
            raise Wrong("Keep at least one.")
        return {"options": kept}
    low, high, only = (_text(asked, f"{key}{name}") for key in (LOW, HIGH, ONLY))
    if only:
        before = _in_force(name, now)
        if any(text and text != _text(before, f"{key}{name}") for key, text in ((LOW, low), (HIGH, high))):
            raise Wrong("Either a range or one value: leave one of them empty.")
        return {"value": _accepted(domain, only)}
    zero = isinstance(domain, Float) and domain.or_zero
    least, most = _accepted(domain, low or show(domain.low)), _accepted(domain, high or show(domain.high))
    if isinstance(least, str) or isinstance(most, str) or least > most:
        raise Wrong("The first number has to be the smaller one.")
    keeps_zero = zero and bool(_text(asked, f"{ZERO}{name}"))
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


def now_believed(session: Session) -> dict[str, Prior]:
    """What is believed now, as it was said; the task's own beliefs where nothing was said since."""
    found = {own.name: own.prior for own in session.space if own.prior is not None}
    for each in session.interventions:
        for name, said in each.detail.items() if each.kind == "believes" else ():
            found.pop(name, None)
            if said is not None:
                found[name] = Prior(**said)
    return found


def sayings(session: Session, asked: Asked | None = None, problems: Mapping[str, str] | None = None) -> tuple[Said, ...]:
    """Every hyperparameter's row. asked: what was typed; None for what is believed now."""
    known = now_believed(session)
    return tuple(_said(index, each, known.get(each.name), asked, problems or {}) for index, each in enumerate(session.space))


def _said(index: int, each: Hyperparameter, prior: Prior | None, asked: Asked | None, problems: Mapping[str, str]) -> Said:
    name, domain = each.name, each.domain
    texts = _told(name, prior) if asked is None else asked
    options = tuple(zip(domain.options, domain.labels, strict=True)) if isinstance(domain, Choice) else ()
    return Said(
        id=f"belief-{index}",
        hyperparameter=each,
        words="" if prior is None else prior_words(each, prior),
        likely=_text(texts, f"{LIKELY}{name}"),
        confidence=_text(texts, f"{CONFIDENCE}{name}") or "medium",
        matters=_text(texts, f"{MATTERS}{name}"),
        better=_text(texts, f"{BETTER}{name}"),
        options=options,
        ordered=not isinstance(domain, Choice) or domain.ordered,
        range=range_words(domain),
        problem=problems.get(name, ""),
    )


def _told(name: str, prior: Prior | None) -> Asked:
    if prior is None:
        return {}
    matters = {True: "yes", False: "no", None: ""}[prior.important]
    return {
        f"{LIKELY}{name}": ["" if prior.value is None else show(prior.value)],
        f"{CONFIDENCE}{name}": [prior.confidence],
        f"{MATTERS}{name}": [matters],
        f"{BETTER}{name}": [prior.better or ""],
    }


def priors(session: Session, asked: Asked) -> tuple[dict[str, Prior | None], dict[str, str]]:
    """The beliefs that a form changes, by hyperparameter, None where one is taken back; and what to say beside each wrong one."""
    known = now_believed(session)
    found: dict[str, Prior | None] = {}
    problems: dict[str, str] = {}
    for each in session.space:
        try:
            prior = _prior(each, asked)
        except (ValueError, TypeError, OverflowError):
            given = _text(asked, f"{LIKELY}{each.name}")
            problems[each.name] = f"{given} is not possible here: enter {each.domain.expected}."
            continue
        if prior != known.get(each.name):
            found[each.name] = prior
    return found, problems


def _prior(each: Hyperparameter, asked: Asked) -> Prior | None:
    name = each.name
    likely = _text(asked, f"{LIKELY}{name}")
    value = each.domain.accept(likely) if likely else None
    important = {"yes": True, "no": False}.get(_text(asked, f"{MATTERS}{name}"))
    ordered = not isinstance(each.domain, Choice) or each.domain.ordered
    better = BETTERS.get(_text(asked, f"{BETTER}{name}")) if ordered else None
    if value is None and important is None and better is None:
        return None
    return Prior(value, SURE.get(_text(asked, f"{CONFIDENCE}{name}"), "medium"), important, better)


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
