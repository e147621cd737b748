"""Source text in a canonical form: its syntax tree without docstrings, comments and layout, the same on every Python.

Python's own `ast.dump` differs between versions of Python: newer ones add fields, and take f-strings apart otherwise. This form
names nodes and fields itself. It imports nothing but the standard library, so that a test can run it with any Python.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

EMPTY_VALUES: tuple[Any, ...] = (None, [], 0)  # what an empty field holds; it is left out, so that a new one changes nothing
BODY_FIELDS = ("body", "orelse", "finalbody")
IGNORED_FIELDS = ("ctx", "kind", "type_comment", "type_ignores")  # they follow from the place, from u"" or from comments
VALUE_FIELDS = ("value", "conversion")  # of constants, and of f-strings: 0 and None mean something there


PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)  # what `parsed` raises of text that it cannot take


def parsed(source: bytes | str) -> ast.Module:
    """The syntax tree of a module's source, without the warnings that importing the module gives as well.

    Raises:
        SyntaxError, ValueError: it is no Python. RecursionError, MemoryError: it is nested too deeply.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def canonical(source: bytes | str) -> str:
    """The canonical form of a module's source; raises what `parsed` raises.

    Source that is indented, as a function within another is, counts as if it was not.
    """
    if source[:1].isspace() and source.strip():
        try:
            return form_of(parsed(source))
        except IndentationError:
            inner = parsed(("if 1:\n" if isinstance(source, str) else b"if 1:\n") + source)  # type: ignore[operator]
            return form_of(ast.Module(inner.body[0].body, []))  # type: ignore[attr-defined]
    return form_of(parsed(source))


def form_of(tree: ast.AST) -> str:
    """The canonical form of a syntax tree. It is written without recursion, since sums of many terms are deep trees."""
    texts: list[str] = []
    waiting: list[Any] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Text):
            texts.append(item)
        else:
            waiting.extend(reversed(list(_pieces(item))))
    return "".join(texts)


class _Text(str):
    """Text of the form that is ready; other strings are names, and are still to be quoted."""


def _pieces(item: Any) -> Iterator[Any]:
    """One step of writing: texts, and items that are still to be written."""
    if isinstance(item, ast.AST):
        yield from _node(item)
    elif isinstance(item, list):
        yield _Text("[")
        for member in item:
            yield member
            yield _Text(",")
        yield _Text("]")
    else:
        yield _Text(_constant(item))


def _node(node: ast.AST) -> Iterator[Any]:
    yield _Text(f"{type(node).__name__}(")
    has_values = isinstance(node, ast.Constant | ast.MatchSingleton | ast.FormattedValue)
    for name, raw in sorted(ast.iter_fields(node)):
        value = _effective(node, name, raw)
        if name not in IGNORED_FIELDS and ((has_values and name in VALUE_FIELDS) or not _is_nothing(value)):
            yield _Text(f"{name}=")
            yield value
            yield _Text(";")
    yield _Text(")")


def _is_nothing(value: Any) -> bool:
    return any(type(value) is type(nothing) and value == nothing for nothing in EMPTY_VALUES)


def _effective(node: ast.AST, name: str, value: Any) -> Any:
    """A field without what changes nothing."""
    if isinstance(node, ast.JoinedStr):
        return _joined(value)
    if name in BODY_FIELDS and isinstance(value, list):
        return [statement for statement in value if not _does_nothing(statement)]
    if name == "format_spec" and isinstance(value, ast.JoinedStr) and not _joined(value.values):
        return None  # f"{x:}" is f"{x}"
    return value


def _does_nothing(statement: ast.stmt) -> bool:
    """Whether it is `pass`, or a constant that stands alone, as docstrings do."""
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def _joined(values: Sequence[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string: texts beside one another as one, empty ones left out, f-strings within it spread out."""
    parts: list[ast.expr] = []
    for value in values:
        for part in _joined(value.values) if isinstance(value, ast.JoinedStr) else [value]:
            before = parts[-1] if parts else None
            if isinstance(part, ast.Constant) and isinstance(before, ast.Constant):
                parts[-1] = ast.Constant(str(before.value) + str(part.value))
            elif not (isinstance(part, ast.Constant) and part.value == ""):
                parts.append(part)
    return parts


def _constant(value: Any) -> str:
    """A constant, its type included; `ascii` since what `repr` shows of a text depends on Python's table of characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)  # `repr` refuses numbers of more than 4,300 digits
    return ascii(value)
