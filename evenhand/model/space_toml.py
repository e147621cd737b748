"""A space as a TOML file: one table a hyperparameter, read strictly, and written so that reading gives the same space again.

    constraints = ["warmup < epochs"]

    [lr]
    type = "float"
    low = 1e-5
    high = 0.1
    log = true

TOML has no null: `{ none = true }` stands for it wherever a value may be None.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from evenhand.errors import InvalidSpace
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Domain, Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.space import Space
from evenhand.model.toml_lines import BARE_KEY, Key, TomlSource, read, said, shown
from evenhand.model.toml_tables import TomlTable

CONSTRAINTS = "constraints"
NONE = {"none": True}  # what stands for None
CONFIDENCES = ("low", "medium", "high")
CUTS = (", expected ", ": expected ", " is not ", "; expected ")  # in a refusal: between what was given and what is expected


def load_space(path: str | PathLike[str]) -> Space:
    """The space that a TOML file describes; docs/programs.md lists what a table may hold.

    Args:
        path: the file.

    Returns:
        The space.

    Raises:
        InvalidSpace: the file cannot be read, or something in it is wrong; each mistake is named with its line and its table.
    """
    file = Path(path)
    try:
        source = read(file)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSpace(f"space {str(path)!r}: cannot be read ({why}); expected a TOML file of hyperparameters") from error
    space = _space(source)
    source.settle()
    if source.mistakes or space is None:
        mistakes = sorted(source.mistakes, key=lambda mistake: mistake.line or 0)
        raise InvalidSpace("\n".join(map(str, mistakes)))
    return space


def save_space(space: Space, path: str | PathLike[str]) -> None:
    """Write a space as a TOML file that `load_space` reads.

    Args:
        space: any space.
        path: the file; one that is there is replaced.

    Raises:
        InvalidSpace: it has constraints, and a hyperparameter of just this name.
    """
    Path(path).write_text(text_of(space), encoding="utf-8")


# Reading


def _space(source: TomlSource) -> Space | None:
    """The space, or None where a mistake was noted."""
    root = TomlTable(source, (), source.data)
    constraints = () if isinstance(root.raw(CONSTRAINTS), Mapping) else root.texts(CONSTRAINTS)
    names = [name for name in source.data if name != CONSTRAINTS or isinstance(source.data[name], Mapping)]
    listed: list[Hyperparameter] = []
    for name in names:
        table = root.table(name)
        if not isinstance(source.data[name], Mapping):
            continue
        table.name = "NAME"
        before = len(source.mistakes)
        made = _hyperparameter(table, name)
        table.done()
        if made is not None and len(source.mistakes) == before:
            key = (name, "condition") if made.condition else (name,)
            _try(source, key, lambda made=made: Space([*listed, made]))  # type: ignore[misc]
            listed.append(made)
    if not names and not source.mistakes:
        source.note((), said("no table"), "one for each hyperparameter", 'write [lr], and below it type = "float", low, high')
    if source.mistakes or not listed:
        return None
    for place, text in enumerate(constraints):
        _try(source, (CONSTRAINTS, place), lambda text=text: Space(listed, [text]))  # type: ignore[misc]
    return None if source.mistakes else Space(listed, constraints)


def _try(source: TomlSource, key: Key, make: Callable[[], Any]) -> Any:
    """What is made; None, and a mistake at the key, where it is refused."""
    try:
        return make()
    except InvalidSpace as error:
        words = str(error)
        cut = next((cut for cut in CUTS if cut in words), None)
        given, _, expected = words.partition(cut) if cut else (words, "", "what goes together with the rest of the file")
        source.note(key, said(given), expected, "correct it")
        return None


def _hyperparameter(table: TomlTable, name: str) -> Hyperparameter | None:
    domain = _domain(table)
    default = _default(table, domain)
    label, words, fidelity = table.text("label", ""), table.text("help", ""), table.flag("fidelity", False)
    condition, prior = _condition(table), _prior(table)
    if domain is None:
        return None
    made = _try(table.source, table.key, lambda: Hyperparameter(name, domain, default, label, words, condition, prior, fidelity))
    return made if isinstance(made, Hyperparameter) else None


def _domain(table: TomlTable) -> Domain | None:
    kind, before = table.choice("type", ("float", "integer", "choice")), len(table.source.mistakes)
    if "type" not in table:
        for name in ("low", "high", "log", "or_zero", "step", "options", "labels", "ordered"):
            table.raw(name)  # they are known, of one type or another
        return None
    make = _choice(table) if kind == "choice" else _numbers(table, kind == "integer")
    if make is None or len(table.source.mistakes) > before:
        return None
    made = _try(table.source, table.key, make)
    return made if isinstance(made, Domain) else None


def _choice(table: TomlTable) -> Callable[[], Domain] | None:
    options, labels, ordered = table.raw("options"), table.texts("labels"), table.flag("ordered", False)
    if options is None:
        table.missing("options", "a list of options", 'add options = ["adam", "sgd"]')
    elif not isinstance(options, list):
        table.note("options", options, "a list of options", 'write it as ["adam", "sgd"]')
    return partial(Choice, _value(options), labels, ordered) if isinstance(options, list) else None


def _numbers(table: TomlTable, whole: bool) -> Callable[[], Domain] | None:
    log, or_zero = table.flag("log", False), not whole and table.flag("or_zero", False)
    low, high, step = (_number(table, name, whole, name != "step") for name in ("low", "high", "step"))
    if low is None or high is None:
        return None
    return (
        partial(Integer, low, high, log, 1 if step is None else step) if whole else partial(Float, low, high, log, or_zero, step)
    )


def _number(table: TomlTable, name: str, whole: bool, required: bool) -> Any:
    """A number as it stands in the file: a whole one stays one."""
    if name not in table and required:
        table.raw(name)
        table.missing(name, f"a {'whole ' if whole else ''}number", f"add {name} = ...")
        return None
    number = table.number(name, whole=whole)
    return None if number is None else table.raw(name)


def _default(table: TomlTable, domain: Domain | None) -> Value:
    given = table.raw("default")
    if given is None or domain is None:
        return None
    default = _value(given)
    try:
        domain.accept(default)
    except (ValueError, TypeError, OverflowError):
        table.note("default", given, domain.expected, "change it, or leave the line out")
        return None
    return default


def _condition(table: TomlTable) -> Condition | None:
    """One, or several that must all hold, as a list."""
    given = table.raw("condition")
    if given is None:
        return None
    if isinstance(given, Mapping):
        parts = [table.table("condition")]
    elif isinstance(given, list) and given and all(isinstance(part, Mapping) for part in given):
        parts = table.tables("condition")
    else:
        expected = 'a table such as { on = "layers", above = 1 } or { on = "optimizer", values = ["adam"] }, or a list of these'
        table.note("condition", given, expected, "write it so")
        return None
    made = [_simple_condition(part) for part in parts]
    conditions = [condition for condition in made if condition is not None]
    if len(conditions) < len(parts):
        return None
    first, *others = conditions
    for other in others:
        first &= other
    return first


def _simple_condition(table: TomlTable) -> Condition | None:
    table.name = "condition"
    before = len(table.source.mistakes)
    on, values = table.filled("on"), table.raw("values")
    above, below = table.number("above"), table.number("below")
    above, below = (table.raw(name) if bound is not None else None for name, bound in (("above", above), ("below", below)))
    if values is not None and not isinstance(values, list):
        table.note("values", values, "a list of values", f"write it as [{shown(values)}]")
    if values is None and "above" not in table and "below" not in table:
        table.missing("values", "values, above or below", 'add values = ["adam"], or above = 1')
    table.done()
    if len(table.source.mistakes) > before:
        return None
    made = _try(table.source, table.key, lambda: Condition(on, tuple(map(_value, values or ())), above, below))
    return made if isinstance(made, Condition) else None


def _prior(table: TomlTable) -> Prior | None:
    if "prior" not in table:
        return None
    belief = table.table("prior")
    belief.name = "prior"
    value, important = belief.raw("value"), belief.raw("important")
    if important is not None and not isinstance(important, bool):
        belief.note("important", important, "true or false", "write it so")
    confidence = belief.choice("confidence", CONFIDENCES, "medium")
    better = belief.choice("better", ("larger", "smaller")) if "better" in belief else None
    belief.done()
    return Prior(_value(value), confidence, important, better)  # type: ignore[arg-type] # `choice` gives one of these


def _value(given: Any) -> Any:
    """A value of the file: lists as tuples, `{ none = true }` as None."""
    if isinstance(given, list):
        return tuple(map(_value, given))
    return None if given == NONE else given


# Writing


def text_of(space: Space) -> str:
    """A space as the text of a TOML file.

    Raises:
        InvalidSpace: it has constraints, and a hyperparameter of just this name.
    """
    blocks = []
    if space.constraints:
        if CONSTRAINTS in space:
            raise InvalidSpace(f"a space with constraints and a hyperparameter {CONSTRAINTS!r}: expected another name for it")
        blocks.append([f"{CONSTRAINTS} = {value_text([constraint.text for constraint in space.constraints])}"])
    blocks += [[f"[{key_text(hyperparameter.name)}]", *_lines(hyperparameter)] for hyperparameter in space]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _lines(hyperparameter: Hyperparameter) -> Iterator[str]:
    for name, value in _entries(hyperparameter):
        yield f"{name} = {value_text(value)}"


def _entries(hyperparameter: Hyperparameter) -> Iterator[tuple[str, Any]]:
    """The keys of its table; those that say what is the case anyway are left out."""
    data = hyperparameter.to_json()
    domain = data.pop("domain")
    yield "type", domain.pop("type")
    for name, value in domain.items():
        if value is not False and value is not None and not (name == "labels" and tuple(value) == _own_labels(hyperparameter)):
            yield name, value
    if not hyperparameter.mandatory and "default" in data:
        yield "default", data["default"]
    if hyperparameter.label != hyperparameter.name.replace("_", " "):
        yield "label", hyperparameter.label
    if hyperparameter.help:
        yield "help", hyperparameter.help
    if hyperparameter.fidelity:
        yield "fidelity", True
    if hyperparameter.prior:
        yield "prior", data["prior"]
    if hyperparameter.condition:
        parts = [part.to_json() for part in hyperparameter.condition.parts]
        yield "condition", parts[0] if len(parts) == 1 else parts


def _own_labels(hyperparameter: Hyperparameter) -> tuple[str, ...]:
    """The labels that its options have where none are given."""
    return Choice(hyperparameter.domain.options).labels if isinstance(hyperparameter.domain, Choice) else ()


def key_text(name: str) -> str:
    """A name as a key of TOML."""
    return name if BARE_KEY.fullmatch(name) else value_text(name)


def value_text(value: Any) -> str:
    """A value as TOML; None as `{ none = true }`."""
    if value is None:
        return value_text(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key_text(name)} = {value_text(part)}" for name, part in value.items()) + " }"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(value_text, value))}]"
    return repr(value)
