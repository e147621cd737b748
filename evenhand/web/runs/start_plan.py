"""What a form says that starts a run: budget, seed, value, test score, name, tags, space and method; read, with what is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from evenhand.errors import InvalidSettings, InvalidSpace
from evenhand.methods import METHODS
from evenhand.model import rules
from evenhand.model.run_notes import read_name, read_tags
from evenhand.model.space import reshaped
from evenhand.model.study import VALUE_RULES, Budget, EvaluationMode, ValueRule
from evenhand.model.task import TaskRecord
from evenhand.model.typed_numbers import plainly, why_ambiguous
from evenhand.runners.aside import TaskFacts
from evenhand.web import method_offers
from evenhand.web.came_back import CameBack
from evenhand.web.workbench import forms as workbench_forms
from evenhand.web.workbench.forms import Asked

T = TypeVar("T")
BY_HAND = "by hand"
NOTHING_TYPED = method_offers.Typed()
USUAL_TRIALS = 20
MOST_PARALLEL = 64
# What a fresh form holds.
USUAL_TEXTS: Mapping[str, str] = {
    "trials": str(USUAL_TRIALS),
    "epochs": "",
    "minutes": "",
    "until": "",
    "parallel": "1",
    "seed": "0",
    "name": "",
    "tags": "",
}


@dataclass(frozen=True)
class Entered(CameBack):
    """The form as it came back. texts: what its plain fields hold; asked: of the space, None where it is fresh."""

    texts: Mapping[str, str] = field(default_factory=lambda: USUAL_TEXTS)
    asked: Asked | None = None
    method: method_offers.Typed = NOTHING_TYPED


@dataclass(frozen=True)
class Plan:
    """A run that can be started. changes: of the task's space. method: None where somebody tunes it by hand."""

    budget: Budget
    seed: int
    value_rule: ValueRule
    mode: EvaluationMode | None
    name: str | None
    tags: tuple[str, ...]
    changes: Mapping[str, Mapping[str, Any] | None]
    method: Mapping[str, Any] | None


def read(facts: TaskFacts, form: Mapping[str, str], asked: Asked) -> tuple[Plan | None, Entered]:
    """The run that a form asks for, None where something is wrong; and the form, with what that is."""
    problems: dict[str, str] = {}
    by_hand = form.get("how") == BY_HAND
    budget = _budget(form, by_hand, problems)
    seed = _kept("seed", problems, lambda: method_offers.read_seed(form.get("seed", "0"))) or 0
    name = _kept("name", problems, lambda: read_name(form.get("name", "")))
    tags = _kept("tags", problems, lambda: read_tags(form.get("tags", "").split(","))) or ()
    changes, of_space = workbench_forms.declared(facts.record.space, asked)
    task = facts.record
    if not of_space:
        try:
            task = replace(task, space=reshaped(task.space, changes))
        except InvalidSpace as error:
            problems["space"] = str(error)
    problems |= {f"space.{hyperparameter}": words for hyperparameter, words in of_space.items()}
    described, typed = (None, method_offers.Typed()) if by_hand else _method(task, form, seed, problems)
    texts = {key: form.get(key, "") for key in (*USUAL_TEXTS, "value", "evaluate")}
    entered = Entered("form", problems, texts=texts, asked=asked, method=typed)
    if problems or typed.problems or budget is None:
        return None, entered
    value_rule = next((rule for rule in VALUE_RULES if rule == form.get("value")), facts.value_rule)
    mode = facts.evaluation_mode if task.has_test and form.get("evaluate") == "yes" else None
    return Plan(budget, seed, value_rule, mode, name, tags, changes, described), entered


def _method(
    task: TaskRecord, form: Mapping[str, str], seed: int, problems: dict[str, str]
) -> tuple[dict[str, Any] | None, method_offers.Typed]:
    """What a session records of the method that was picked, and what was typed of it."""
    name = form.get("method", "")
    if name not in METHODS:
        problems["method"] = f"there is no method {name!r}; pick one"
        return None, method_offers.Typed()
    texts = method_offers.settings_typed(name, form)
    settings, wrong = method_offers.read_settings(name, texts)
    typed = method_offers.Typed(name, texts, wrong)
    if not wrong and (why := method_offers.why_not(task, name, settings, resumes=True)):
        problems["method"] = why
    return {"name": name, "seed": rules.derive_seed(seed, "method"), **settings}, typed


def _budget(form: Mapping[str, str], by_hand: bool, problems: dict[str, str]) -> Budget | None:
    trials, epochs = (_kept(key, problems, lambda key=key: _whole(form.get(key, ""))) for key in ("trials", "epochs"))  # type: ignore[misc]
    minutes = _kept("minutes", problems, lambda: _number(form.get("minutes", "")))
    parallel = _kept("parallel", problems, lambda: _whole(form.get("parallel", "") or "1")) or 1
    if parallel > MOST_PARALLEL:
        problems["parallel"] = f"got {parallel}, expected at most {MOST_PARALLEL}"
    until = plainly(form.get("until", "")) or None
    if until is not None:
        _kept("until", problems, lambda: rules.parse_until(until))
    if problems.keys() & {"trials", "epochs", "minutes", "parallel", "until"}:
        return None
    if trials is None and epochs is None and minutes is None and until is None:
        problems["trials"] = "give at least one of trials, epochs, minutes and until"
        return None
    seconds = None if minutes is None else 60 * minutes
    return _kept("trials", problems, lambda: rules.parse_budget(seconds, trials, epochs, 1 if by_hand else parallel, until))


def _kept(key: str, problems: dict[str, str], work: Callable[[], T]) -> T | None:
    """What `work` gives; where it cannot, None, and why beside the field."""
    try:
        return work()
    except InvalidSettings as error:
        problems[key] = str(error)
        return None


def _whole(text: str) -> int | None:
    plain = plainly(text)
    if not plain:
        return None
    if why := why_ambiguous(plain, whole=True):
        raise InvalidSettings(why)
    if not (plain.isascii() and plain.isdecimal()) or len(plain) > 9 or int(plain) < 1:
        raise InvalidSettings(f"got {plain!r}, expected a whole number from 1")
    return int(plain)


def _number(text: str) -> float | None:
    plain = plainly(text)
    if not plain:
        return None
    if why := why_ambiguous(plain):
        raise InvalidSettings(why)
    try:
        value = float(plain.replace(",", "."))
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e7:
        raise InvalidSettings(f"got {plain!r}, expected a number above 0, such as 30")
    return value
