"""What a reading of the source shows, to explain what the probes found.

A reading warns on its own only where no probe can decide; everything else waits for a finding that
it explains.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.checker import rules
from lossmith.checker.hyperparameters import closure
from lossmith.checker.report import Evidence, Finding, Rule
from lossmith.checker.source import Source
from lossmith.core.backend import keras

TARGET_NAMES = frozenset(
    {"y_true", "ytrue", "true", "y", "target", "targets", "label", "labels", "gt", "ground_truth"}
)
PREDICTION_NAMES = frozenset(
    {"y_pred", "ypred", "y_hat", "yhat", "pred", "preds", "predicted", "prediction", "predictions",
     "output", "outputs", "logits", "p", "probs", "probabilities", "score", "scores",
     "d", "dist", "distance", "distances", "embedding", "embeddings"}
)  # fmt: skip
_MODULES = frozenset({"ops", "K", "keras", "tf", "torch", "jnp", "np", "numpy", "F"})
_PURE_OPERATIONS = frozenset(
    {"abs", "absolute", "add", "cast", "clamp", "clip", "clip_by_value", "divide", "exp",
     "expand_dims", "flatten", "log", "maximum", "mean", "minimum", "multiply", "nan_to_num",
     "negative", "normalize", "l2_normalize", "relu", "reshape", "round", "sigmoid",
     "softmax", "sqrt", "square", "squeeze", "stack", "stop_gradient", "subtract", "sum",
     "transpose", "where"}
)  # fmt: skip
_NAMESPACES = frozenset({"locals", "vars"})
_HARMLESS_IN_NUMPY = frozenset({"shape", "ndim", "size", "prod", "float32", "float64", "dtype"})

_CALLED = ("call", "forward", "__call__")
"""Methods that hold the formula of a class, of Keras and of PyTorch."""

Nodes = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def takes_tensors(names: Sequence[str]) -> bool:
    """Whether the first two arguments are called like a target and a prediction, in any order."""
    if len(names) < 2:
        return False
    first, second = (name.lower().strip("_") for name in names[:2])
    return (first in TARGET_NAMES and second in PREDICTION_NAMES) or (
        first in PREDICTION_NAMES and second in TARGET_NAMES
    )


def read(source: Source, loss: Any, found: Iterable[Finding]) -> list[Finding]:
    """The findings of a reading of `source`, given what the probes `found`."""
    tree = _parsed(source.text)
    if tree is None:
        return []
    codes = {finding.rule.code for finding in found}
    formula = _formula(tree)
    findings = [*_discarded(tree, source), *_without_effect(tree, source)]
    if formula is not None:
        findings += _swapped(formula, source, found)
        if not codes & {"LSM401", "LSM408"}:
            findings += _state(formula, source)
        if any(code.startswith("LSM3") for code in codes) or codes & _RUNS_BADLY:
            findings += _reduction_for_maximum(formula, source)
        if codes & _RUNS_BADLY:
            findings += _numpy_inside(formula, source)
    if codes & _DEPENDS_ON_BATCH:
        findings += _closed_over_data(loss, source)
    return findings


_RUNS_BADLY = {"LSM201", "LSM402", "LSM403", "LSM405", "LSM901", "LSM902"}
_DEPENDS_ON_BATCH = {"LSM306", "LSM307", "LSM308", "LSM401", "LSM404", "LSM901", "LSM902"}


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _formula(tree: ast.Module) -> Nodes | None:
    """The function of two tensors: a module's only function, a class' `call`, or a lambda."""
    functions = [node for node in ast.walk(tree) if isinstance(node, Nodes)]
    named = {getattr(function, "name", ""): function for function in reversed(functions)}
    methods = [named[name] for name in _CALLED if name in named]
    others = [function for function in functions if function is not named.get("__init__")]
    return next(iter([*methods, *others]), None)


def _tensor_arguments(formula: Nodes) -> list[str]:
    names = [a.arg for a in (*formula.args.posonlyargs, *formula.args.args)]
    return names[1:] if names[:1] == ["self"] else names


def _discarded(tree: ast.Module, source: Source) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            continue
        module, name = _called(node.value)
        if module in _MODULES and name in _PURE_OPERATIONS:
            yield _finding(
                rules.RESULT_DISCARDED,
                source,
                node,
                f"`{ast.unparse(node)}` returns a new tensor, which is thrown away.",
                "The line has no effect: what it was to guard against still happens.",
                f"Assign the result: x = {ast.unparse(node)}.",
            )


def _without_effect(tree: ast.Module, source: Source) -> Iterator[Finding]:
    """Arguments of a factory or of `__init__` that nothing reads."""
    factory = _parsed(source.factory) if source.factory else None
    makers = [f for f in ast.walk(factory or tree) if isinstance(f, ast.FunctionDef)]
    for maker in makers:
        if maker.name != "__init__" and not (factory and maker is makers[0]):
            continue
        for argument in (*maker.args.posonlyargs, *maker.args.args, *maker.args.kwonlyargs):
            if argument.arg in ("self", "name", "reduction", "dtype"):
                continue
            if not _is_read(argument.arg, maker):
                found = _finding(
                    rules.NO_EFFECT,
                    source,
                    maker,
                    f"`{argument.arg}` of {maker.name} is never read"
                    f"{_reassigned(argument.arg, maker)}.",
                    "Every value trains the same loss: a search over it compares noise.",
                    f"Use {argument.arg} in the formula, and do not assign to it there.",
                )
                yield replace(found, about=argument.arg)


def _is_read(name: str, maker: ast.FunctionDef) -> bool:
    """Whether `name` may be loaded in `maker`, inner functions that assign to it apart."""

    def loads(node: ast.AST) -> Iterator[ast.Name]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Nodes) and name in _bound_by(child):
                continue
            if isinstance(child, ast.Name) and child.id == name:
                if isinstance(child.ctx, ast.Load):
                    yield child
            else:
                yield from loads(child)

    names = (node.id for node in ast.walk(maker) if isinstance(node, ast.Name))
    return any(True for _ in loads(maker)) or not _NAMESPACES.isdisjoint(names)


def _bound_by(function: Nodes) -> set[str]:
    names = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    shared = {
        name
        for node in ast.walk(function)
        if isinstance(node, ast.Nonlocal | ast.Global)
        for name in node.names
    }
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return (names | stored) - shared


def _reassigned(name: str, maker: ast.FunctionDef) -> str:
    for node in ast.walk(maker):
        if isinstance(node, Nodes) and node is not maker and name in _bound_by(node):
            return f": {getattr(node, 'name', 'the formula')} assigns its own `{name}`"
    return ""


def _swapped(formula: Nodes, source: Source, found: Iterable[Finding]) -> Iterator[Finding]:
    names = _tensor_arguments(formula)
    if not takes_tensors(names) or names[0].lower().strip("_") in TARGET_NAMES:
        return
    finding = _finding(
        rules.ARGUMENTS_SWAPPED,
        source,
        formula,
        f"The arguments are called ({names[0]}, {names[1]}), but Keras passes the target first.",
        "The formula takes the labels for predictions: the gradient is that of another loss.",
        f"Write ({names[1]}, {names[0]}).",
    )
    serious = any(each.severity == "error" for each in found)
    yield finding if serious else replace(finding, severity="warning")


def _state(formula: Nodes, source: Source) -> Iterator[Finding]:
    for node in ast.walk(formula):
        kept: list[str] = []
        if isinstance(node, ast.Nonlocal | ast.Global):
            kept = list(node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            kept = [ast.unparse(node)] if ast.unparse(node).startswith("self.") else []
        if kept:
            yield _finding(
                rules.KEEPS_STATE,
                source,
                node,
                f"The formula assigns to `{kept[0]}`, which outlives the call.",
                "A compiled step assigns while it is traced and never again; on JAX a traced "
                "value escapes.",
                "Keep state in a keras.Variable that the model owns, or compute it in the call.",
            )
            return


def _reduction_for_maximum(formula: Nodes, source: Source) -> Iterator[Finding]:
    for node in ast.walk(formula):
        if not (isinstance(node, ast.Call) and len(node.args) == 2):
            continue
        module, name = _called(node)
        if name in ("max", "min") and (module in _MODULES or module == ""):
            numbers = [_is_zero(argument) for argument in node.args]
            sums = [isinstance(argument, ast.BinOp) for argument in node.args]
            if any(numbers) and any(sums):
                yield _finding(
                    rules.MAX_FOR_MAXIMUM,
                    source,
                    node,
                    f"`{ast.unparse(node)}` takes the {name}imum along an axis (or of two "
                    f"truth values), not the larger of each entry and 0."
                    if name == "max"
                    else f"`{ast.unparse(node)}` reduces along an axis.",
                    "One entry of the batch decides for all rows.",
                    f"Write ops.{name}imum(...).",
                )


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (0, 0.0)


def _numpy_inside(formula: Nodes, source: Source) -> Iterator[Finding]:
    tainted = set(_tensor_arguments(formula)[:2])
    for node in ast.walk(formula):
        if isinstance(node, ast.Assign) and _names_in(node.value) & tainted:
            tainted |= {
                each.id
                for target in node.targets
                for each in ast.walk(target)
                if isinstance(each, ast.Name)
            }
    for node in ast.walk(formula):
        if not isinstance(node, ast.Call):
            continue
        module, name = _called(node)
        arguments = set().union(*(_names_in(argument) for argument in node.args))
        if module in ("np", "numpy") and name not in _HARMLESS_IN_NUMPY and arguments & tainted:
            yield _finding(
                rules.NUMPY_INSIDE,
                source,
                node,
                f"`{ast.unparse(node)}` hands a tensor to NumPy.",
                "NumPy knows no gradient and no traced tensor: the step fails or stops learning.",
                f"Use keras.ops.{name}." if hasattr(keras.ops, name) else _WITHOUT_NUMPY,
            )


_WITHOUT_NUMPY = "Compute with the tensors themselves, by keras.ops."


def _names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _closed_over_data(loss: Any, source: Source) -> Iterator[Finding]:
    if not hasattr(loss, "__code__"):
        return
    for name, value in closure(loss).items():
        shape = np.shape(value) if hasattr(value, "shape") else ()
        if shape and shape[0] > 1:
            yield _finding(
                rules.CLOSES_OVER_DATA,
                source,
                None,
                f"It reads `{name}` of shape {tuple(shape)} from the function around it.",
                "If its rows belong to samples, every batch is compared with the same ones.",
                "Pass what belongs to a sample with y_true, stacked along the last axis.",
            )


def _called(node: ast.Call) -> tuple[str, str]:
    """The first and the last part of the dotted name that is called; no first part if plain."""
    parts = ast.unparse(node.func).split(".")
    return (parts[0] if len(parts) > 1 else "", parts[-1])


def _finding(
    rule: Rule, source: Source, node: ast.AST | None, message: str, consequence: str, remedy: str
) -> Finding:
    within = source.line + getattr(node, "lineno", 1) - 1
    evidence = Evidence(keras.backend.backend(), "eager", note=f"{source.file}:{within}")
    return rules.finding(rule, message, evidence, consequence=consequence, remedy=remedy)
