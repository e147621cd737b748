"""Constraints between hyperparameters, as text: `warmup < epochs`, `units_1 >= units_2 or layers == 1`.

The text is read by Python's parser and evaluated by hand, node by node, from the short list below; nothing is ever run. So it can
lie in a file, travel to agents, and be shown in a form.
"""

import ast
import copy
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

from evenhand.errors import InvalidSpace
from evenhand.model.domain import Choice, Domain, identity

Kind = Literal["number", "text", "truth", "any"]  # of a part of a constraint
LONGEST_TEXT = 500  # letters
GRAMMAR = "names of hyperparameters, numbers, texts, True, False, None, < <= > >= == != in, + - * /, and, or, not, and brackets"
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Constraint:
    """What must hold of a configuration.

    Attributes:
        text: a comparison of hyperparameters, or several with and, or, not; see the module for what it may have.

    Raises:
        InvalidSpace: the text has something that is not in the grammar.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            how = "write it as text, such as 'warmup < epochs', so that it can be stored, sent and shown"
            raise InvalidSpace(f"constraint {self.text!r}: got a {type(self.text).__name__}; {how}")
        _parsed(self.text)

    @cached_property
    def names(self) -> frozenset[str]:
        """The hyperparameters that it speaks of."""
        return frozenset(node.id for node in ast.walk(_parsed(self.text)) if isinstance(node, ast.Name))

    def check(self, domains: Mapping[str, Domain]) -> None:
        """InvalidSpace where it names something else than these hyperparameters, or compares what cannot be compared."""
        if unknown := sorted(self.names - domains.keys()):
            raise _wrong(self.text, f"{unknown[0]!r} is no hyperparameter; expected one of {', '.join(domains)}")
        if _kind(_parsed(self.text), domains, self.text) not in ("truth", "any"):
            raise _wrong(self.text, "it is no comparison, expected one, such as 'warmup < epochs'")

    def where(self, name: str, value: Any) -> "Constraint":
        """What is left of it where a hyperparameter has this value."""
        return Constraint(ast.unparse(_Where(name, value).visit(copy.deepcopy(_parsed(self.text)))))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds of these values. It says nothing, and so holds, where one of its hyperparameters is not active."""
        if not self.names <= values.keys():
            return True
        try:
            return bool(_value(_parsed(self.text), values))
        except ArithmeticError:  # a division by zero: what it asks for is not so
            return False


class _Where(ast.NodeTransformer):
    """Puts a value where a tree has a name."""

    def __init__(self, name: str, value: Any) -> None:
        self._name, self._value = name, value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self._value) if node.id == self._name else node


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.expr:
    """The text as a tree of what the grammar has; InvalidSpace where it has something else."""
    if len(text) > LONGEST_TEXT:
        raise _wrong(text[:40] + "...", f"it has {len(text)} letters, expected at most {LONGEST_TEXT}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(text, f"it cannot be read; expected {GRAMMAR}") from None
    _check_grammar(tree, text)
    return tree


def _check_grammar(node: ast.expr, text: str) -> None:
    parts: list[ast.expr]
    match node:
        case ast.Name():
            parts = []
        case ast.Constant(value=value) if value is None or type(value) in (bool, int, float, str):
            parts = []
        case ast.BoolOp(values=values):
            parts = values
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            parts = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others):
            parts = [left]
            for comparison, other in zip(ops, others, strict=True):
                if isinstance(comparison, ast.In | ast.NotIn):
                    if not isinstance(other, ast.Tuple | ast.List) or not all(map(_is_constant, other.elts)):
                        raise _wrong(text, f"{ast.unparse(other)} is no list of values; expected one, such as ('adam', 'sgd')")
                elif isinstance(comparison, ast.Eq | ast.NotEq) or type(comparison) in ORDER:
                    parts.append(other)
                else:
                    raise _wrong(text, f"{ast.unparse(node)!r} is not in the grammar; expected {GRAMMAR}")
        case _:
            raise _wrong(text, f"{ast.unparse(node)!r} is not in the grammar; expected {GRAMMAR}")
    for part in parts:
        _check_grammar(part, text)


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant)


def _kind(node: ast.expr, domains: Mapping[str, Domain], text: str) -> Kind:
    """What a part gives; InvalidSpace where its own parts do not fit."""

    def expect(part: ast.expr, kind: Kind) -> None:
        if (given := _kind(part, domains, text)) not in (kind, "any"):
            raise _wrong(text, f"{ast.unparse(part)} is a {given}, expected a {kind} in {ast.unparse(node)}")

    match node:
        case ast.Name(id=name):
            return _kind_of_domain(domains[name])
        case ast.Constant(value=value):
            return _kind_of_value(value)
        case ast.BoolOp(values=values):
            for part in values:
                expect(part, "truth")
            return "truth"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            expect(operand, "truth")
            return "truth"
        case ast.UnaryOp(operand=operand):
            expect(operand, "number")
            return "number"
        case ast.BinOp(left=left, right=right):
            expect(left, "number")
            expect(right, "number")
            return "number"
        case ast.Compare(left=left, ops=ops, comparators=others):
            for op, before, after in zip(ops, [left, *others], others, strict=False):
                if type(op) in ORDER:
                    expect(before, "number")
                    expect(after, "number")
                elif isinstance(op, ast.Eq | ast.NotEq):
                    kinds = {_kind(before, domains, text), _kind(after, domains, text)}
                    if len(kinds - {"any"}) > 1:
                        raise _wrong(text, f"{ast.unparse(before)} and {ast.unparse(after)} are never equal")
            return "truth"
    raise AssertionError(node)


def _kind_of_domain(domain: Domain) -> Kind:
    if not isinstance(domain, Choice):
        return "number"
    kinds = {_kind_of_value(option) for option in domain.options}
    return kinds.pop() if len(kinds) == 1 else "any"


def _kind_of_value(value: object) -> Kind:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "any"


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=op, operand=operand):
            given = _value(operand, values)
            return not given if isinstance(op, ast.Not) else -given if isinstance(op, ast.USub) else given
        case ast.BinOp(left=left, op=operation, right=right):
            return ARITHMETIC[type(operation)](_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=ops, comparators=others):
            before = _value(left, values)
            for comparison, other in zip(ops, others, strict=True):
                if isinstance(comparison, ast.In | ast.NotIn):
                    assert isinstance(other, ast.Tuple | ast.List)
                    is_in = any(_are_equal(before, _value(part, values)) for part in other.elts)
                    if is_in != isinstance(comparison, ast.In):
                        return False
                    continue
                after = _value(other, values)
                if not _compared(comparison, before, after):
                    return False
                before = after
            return True
    raise AssertionError(node)


def _compared(comparison: ast.cmpop, before: Any, after: Any) -> bool:
    if isinstance(comparison, ast.Eq | ast.NotEq):
        return _are_equal(before, after) == isinstance(comparison, ast.Eq)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (before, after)):
        return False  # an option of a mixed choice that has no order
    return ORDER[type(comparison)](before, after)


def _are_equal(one: Any, other: Any) -> bool:
    """Numbers by what they are worth, all else by type, too: True is not 1."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return bool(one == other) if numbers else identity(one) == identity(other)


def _wrong(text: str, why: str) -> InvalidSpace:
    return InvalidSpace(f"constraint {text!r}: {why}")
