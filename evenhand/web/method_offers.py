"""The methods that a form offers: which can run on a task here, what each does, its settings as fields, and what was typed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.methods import METHODS
from evenhand.methods.words import Setting, form_settings, words_of
from evenhand.model.task import TaskRecord
from evenhand.model.typed_numbers import plainly, why_ambiguous
from evenhand.runners.method_player import read_method
from evenhand.studies.method_sessions import LARGEST_SEED

FEW_TRIALS = 10  # up to which tpe would only draw by chance
RECOMMENDED, RECOMMENDED_FOR_FEW = "tpe", "sobol"


@dataclass(frozen=True)
class SettingField:
    """A setting, with what stands in its field and what is wrong with that."""

    setting: Setting
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Offer:
    """A method that can run here. why_first: why it is recommended; empty for the others.

    seed: what stands in its own field for the seed; None where the form has one for all methods.
    """

    name: str
    words: str
    fields: tuple[SettingField, ...]
    why_first: str = ""
    seed: str | None = None
    seed_problem: str = ""


@dataclass(frozen=True)
class Typed:
    """What a form that came back held of the method that was picked: its settings by name, and what is wrong with them."""

    method: str = ""
    texts: Mapping[str, str] | None = None
    problems: Mapping[str, str] | None = None


def offered(
    task: TaskRecord, trials: int | None, typed: Typed, *, resumes: bool, seeds: Mapping[str, int] | None = None
) -> tuple[list[Offer], dict[str, str]]:
    """The methods that can run on a task here, the recommended one first; and by their names why the others cannot.

    trials: of the budget, None where it does not count them. resumes: whether trainings may go on from another's epochs.
    seeds: by the method's name the seed that stands in its field, where each has one of its own.
    """
    offers, others = [], {}
    first, why_first = recommended(trials)
    for name in METHODS:
        if why := why_not(task, name, {}, resumes=resumes):
            others[name] = why
            continue
        texts, problems = (typed.texts or {}, typed.problems or {}) if typed.method == name else ({}, {})
        fields = tuple(
            SettingField(setting, texts.get(setting.name, str(setting.default)), problems.get(setting.name, ""))
            for setting in form_settings(name)
        )
        seed = None if seeds is None else texts.get("seed", str(seeds[name]))
        offers.append(Offer(name, words_of(name), fields, why_first if name == first else "", seed, problems.get("seed", "")))
    return sorted(offers, key=lambda offer: not offer.why_first), others


def recommended(trials: int | None) -> tuple[str, str]:
    """Which method is recommended for a budget of so many trials, and why."""
    if trials is not None and trials <= FEW_TRIALS:
        return RECOMMENDED_FOR_FEW, f"with {trials} trials a model would hardly come beyond its random start-up"
    return RECOMMENDED, "it suits every kind of space and most budgets"


def why_not(task: TaskRecord, name: str, settings: Mapping[str, object], *, resumes: bool) -> str:
    """Why a method cannot run with these settings on a task on this machine, in words; nothing where it can."""
    try:
        described = read_method(task, {"name": name, **settings})
    except EvenhandError as error:
        return str(error)
    if getattr(described.method, "resumes", False) and not resumes:
        return f"method {name!r} lets trainings go on, and in this study they always begin anew"
    return ""


def settings_typed(name: str, form: Mapping[str, str]) -> dict[str, str]:
    """Of a posted form what was typed into a method's fields, by the setting's name."""
    return {key.partition(".")[2]: text for key, text in form.items() if key.startswith(f"{name}.")}


def read_settings(name: str, typed: Mapping[str, str]) -> tuple[dict[str, int | float | str], dict[str, str]]:
    """What was typed, as a method's settings that are not their defaults; and by setting what is wrong."""
    values: dict[str, int | float | str] = {}
    problems: dict[str, str] = {}
    for setting in form_settings(name):
        try:
            value = setting_value(setting, typed.get(setting.name, str(setting.default)))
        except InvalidSettings as error:
            problems[setting.name] = str(error)
            continue
        if value != setting.default:
            values[setting.name] = value
    return values, problems


def read_seed(text: str) -> int:
    """The seed that a field's text says; InvalidSettings where it is none."""
    value = setting_value(Setting("seed", 0, ""), text)
    if not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
        raise InvalidSettings(f"got {value}, expected a whole number from 0 to {LARGEST_SEED}")
    return value


def setting_value(setting: Setting, text: str) -> int | float | str:
    """What a field's text says; InvalidSettings where it is none such."""
    plain = plainly(text)
    if isinstance(setting.default, str):
        return plain
    is_whole = isinstance(setting.default, int)
    if why := why_ambiguous(plain, whole=is_whole):
        raise InvalidSettings(why)
    value = _whole(plain) if is_whole else _number(plain)
    if value is None:
        kind = "a whole number" if is_whole else "a number"
        raise InvalidSettings(f"got {plain!r}, expected {kind}, such as {setting.default}")
    return value


def _whole(plain: str) -> int | None:
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) <= len(str(LARGEST_SEED)) else None


def _number(plain: str) -> float | None:
    try:
        value = float(plain.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
