"""Mutants of correct losses: one small change each, made over the syntax tree.

A mutant that gives the same values and gradients on random inputs is equivalent and does not
count; one that merely multiplies the loss by a constant, or adds one, is counted apart, because no
one can say which was meant.
"""

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from checker.corpus.witness import gradient
from lossmith.checker.targets import Problem, build

Kind = Literal["same", "scaled", "different", "raises"]
_OPPOSITE = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_SWITCHED = {"maximum": "minimum", "minimum": "maximum", "max": "min", "min": "max"}
_GUARDS = ("abs", "relu", "hinge", "clip")
_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Mutant:
    """A loss with one change, and what was changed."""

    loss: Any
    operator: str
    line: str


def mutants(loss: Any) -> Iterator[Mutant]:
    """Every mutant of a function, or of the `call` of a `Loss` or of a class of them."""
    loss = loss() if inspect.isclass(loss) else loss
    function = type(loss).call if isinstance(loss, keras.losses.Loss) else loss
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    tree.decorator_list = []
    for index, node in enumerate(ast.walk(tree)):
        for operator, change in _changes(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[index]
            change(target)
            line = ast.unparse(_statement(changed, target))
            yield Mutant(_rebuilt(loss, function, changed), operator, line)


def _statement(tree: ast.AST, node: ast.AST) -> ast.AST:
    """The statement that holds a node: what a reader wants to see of a mutant."""
    holders = [
        child
        for child in ast.walk(tree)
        if isinstance(child, ast.Return | ast.Assign | ast.arguments)
        and any(inner is node for inner in ast.walk(child))
    ]
    return holders[0] if holders else node


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield "sign", _flip_sign
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div):
        yield "swap operands", _swap_operands
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not _number(node):
        yield "drop minus", _drop_minus
    if isinstance(node, ast.Compare):
        yield "comparison", _turn_comparison
    if isinstance(node, ast.keyword) and node.arg == "axis":
        yield "axis", _other_axis
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield "constant", _other_constant
    if isinstance(node, ast.Call):
        yield from _changes_of_call(node)


def _changes_of_call(node: ast.Call) -> Iterator[tuple[str, Callable[[Any], None]]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    if name in _GUARDS:
        yield f"drop {name}", _drop_call
    if name in _SWITCHED and isinstance(node.func, ast.Attribute):
        yield "maximum and minimum", _switch
    if name == "where" and len(node.args) == 3:
        yield "swap arguments", _swap_last_arguments


def _number(node: ast.UnaryOp) -> bool:
    return isinstance(node.operand, ast.Constant)


def _flip_sign(node: ast.BinOp) -> None:
    node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()


def _swap_operands(node: ast.BinOp) -> None:
    node.left, node.right = node.right, node.left


def _drop_minus(node: ast.UnaryOp) -> None:
    node.op = ast.UAdd()


def _turn_comparison(node: ast.Compare) -> None:
    node.ops = [_OPPOSITE[type(op)]() if type(op) in _OPPOSITE else op for op in node.ops]


def _other_axis(node: ast.keyword) -> None:
    last = ast.unparse(node.value) == "-1"
    node.value = ast.Constant(0) if last else ast.UnaryOp(ast.USub(), ast.Constant(1))


def _other_constant(node: ast.Constant) -> None:
    node.value = 2.0 * node.value if node.value else 1.0


def _drop_call(node: ast.Call) -> None:
    node.func, node.args, node.keywords = ast.Name("_itself", ast.Load()), node.args[:1], []


def _switch(node: ast.Call) -> None:
    node.func.attr = _SWITCHED[node.func.attr]  # type: ignore[attr-defined]


def _swap_last_arguments(node: ast.Call) -> None:
    node.args[1], node.args[2] = node.args[2], node.args[1]


def _rebuilt(loss: Any, function: Any, tree: ast.AST) -> Any:
    """The loss with another body: a function, or an instance of a subclass with another `call`."""
    around = inspect.getclosurevars(function).nonlocals
    namespace = {**function.__globals__, **around, "_itself": lambda value: value}
    module = ast.Module([ast.fix_missing_locations(tree)], [])
    exec(compile(module, function.__code__.co_filename, "exec"), namespace)
    changed = namespace[function.__name__]
    if not isinstance(loss, keras.losses.Loss):
        return changed
    mutated = type(type(loss).__name__, (type(loss),), {"call": changed, "__module__": __name__})
    config = {key: value for key, value in loss.get_config().items() if key != "name"}
    return mutated.from_config(config)


def compare(first: Any, second: Any, kind: str, domain: Any = None) -> Kind:
    """How the values and gradients of two losses differ on random inputs of a kind of target."""
    seen = []
    for seed in _SEEDS:
        problem = build(kind, seed, domain=domain)  # type: ignore[arg-type]
        try:
            pairs = list(zip(_seen(first, problem), _seen(second, problem), strict=True))
        except Exception:
            return "raises"
        for mine, other in pairs:
            if mine.shape != other.shape:
                return "different"
            seen.append((mine.ravel(), other.ravel()))
    mine = np.concatenate([pair[0] for pair in seen])
    other = np.concatenate([pair[1] for pair in seen])
    if np.allclose(mine, other, rtol=1e-5, atol=1e-7, equal_nan=True):
        return "same"
    return "scaled" if _only_a_constant(seen) else "different"


def _only_a_constant(pairs: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether the gradients, every second pair, are the same but for one positive factor."""
    mine = np.concatenate([pair[0] for pair in pairs[1::2]])
    other = np.concatenate([pair[1] for pair in pairs[1::2]])
    used = np.isfinite(mine) & np.isfinite(other) & (np.abs(mine) > 1e-6)
    if not used.any() or not np.isfinite(other).all():
        return False
    factor = np.median(other[used] / mine[used])
    return bool(factor > 0 and np.allclose(other, factor * mine, rtol=1e-4, atol=1e-7))


def _seen(loss: Any, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The values per row and the gradient on an input that also holds large errors."""
    y, p = problem.y_true, problem.y_pred
    if problem.link == "identity" and problem.kind == "regression":
        p = p * np.linspace(0.3, 4.0, len(p), dtype="float32").reshape(-1, *[1] * (p.ndim - 1))
    call = loss.call if isinstance(loss, keras.losses.Loss) else loss
    values = call(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(p))
    return np.asarray(keras.ops.convert_to_numpy(values)), gradient(loss, y, p)
