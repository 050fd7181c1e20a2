"""Whether a step comes to a judgement whenever it comes to its end: read from its source, so that no run is needed.

A step judges by an `assert` that compares, by a branch that ends in a failure, or by a call of something that judges: a
name of `harness.expect`, a method of `JUDGES`, or a function that judges itself. What stands inside a loop or a branch
may not be reached, and does not count; `assert x is not None` and `assert isinstance(…)` are for the type checker.

Source: OC-TEST-7020, OC-TEST-7006.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from textwrap import dedent
from typing import Any

import harness.expect

JUDGES = frozenset({"wait_within", "judge"})
"""Methods of a scenario's world that hold a time to its limit."""

EXCUSES = frozenset({"LateError", "NotApplicableError", "NotTestableError", "UnknownError"})
"""What a step raises instead of a judgement."""

EXPECT = harness.expect.__name__


@cache
def judges(function: Callable[..., Any]) -> bool:
    """Every way to the end of this function leads through a judgement."""
    return _judges(inspect.unwrap(function), frozenset())


def _judges(function: Callable[..., Any], seen: frozenset[Callable[..., Any]]) -> bool:
    if not inspect.isfunction(function) or function in seen:
        return False
    try:
        (tree,) = ast.parse(dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError, ValueError):
        return False
    if not isinstance(tree, ast.FunctionDef):
        return False
    return _Reader(function.__globals__, seen | {function}).any_of(tree.body)


class _Reader:
    """Reads the statements of one function.

    Args:
        names: what the function sees by which name.
        seen: functions that are being read: one that calls itself shows nothing by that.
    """

    def __init__(self, names: Mapping[str, Any], seen: frozenset[Callable[..., Any]]) -> None:
        self._names, self._seen = names, seen

    def any_of(self, body: Iterable[ast.stmt]) -> bool:
        """One of these statements judges, and is always reached."""
        for statement in body:
            if self._judges(statement):
                return True
            if _may_leave(statement) and not self._leaves_judged(statement):
                return False
        return False

    def _leaves_judged(self, statement: ast.stmt) -> bool:
        """A branch that returns, after a judgement of its own."""
        return isinstance(statement, ast.If) and not statement.orelse and self.any_of(statement.body)

    def _judges(self, statement: ast.stmt) -> bool:
        found = False
        match statement:
            case ast.Assert(test=test):
                found = not _narrows(test)
            case ast.If(body=[*_, ast.Raise(exc=error)]):
                found = not _excuses(error)
            case ast.If(body=body, orelse=[_, *_] as orelse):
                found = self.any_of(body) and self.any_of(orelse)
            case ast.With(body=body) | ast.Try(body=body) | ast.For(iter=ast.Tuple() | ast.List(), body=body):
                found = self.any_of(body)
            case ast.Expr() | ast.Assign() | ast.AnnAssign() | ast.Return():
                found = any(self._is_judge(node) for node in _reached(statement))
        return found

    def _is_judge(self, node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Name(id=name)):
                called = self._names.get(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)):
                if name in JUDGES:
                    return True
                called = getattr(self._names.get(module), name, None)
            case _:
                return False
        if not inspect.isfunction(called):
            return False
        return called.__module__ == EXPECT or _judges(called, self._seen)


def _reached(statement: ast.stmt) -> Iterable[ast.AST]:
    """The expressions of a statement that are evaluated with it: not what a lambda or a comprehension may do."""
    open_nodes: list[ast.AST] = [statement]
    while open_nodes:
        node = open_nodes.pop()
        yield node
        lazy = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.BoolOp, ast.IfExp)
        if not isinstance(node, lazy):
            open_nodes += ast.iter_child_nodes(node)


def _excuses(error: ast.expr | None) -> bool:
    match error:
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
            return name in EXCUSES
        case _:
            return False


def _narrows(test: ast.expr) -> bool:
    match test:
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
        case ast.Call(func=ast.Name(id="isinstance")) | ast.Constant():
            return True
        case _:
            return False


def _may_leave(statement: ast.AST) -> bool:
    """It returns, somewhere inside: what comes after it may not be reached."""
    if isinstance(statement, ast.Return):
        return True
    inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt | ast.ExceptHandler)]
    return not isinstance(statement, ast.FunctionDef | ast.ClassDef) and any(map(_may_leave, inner))
