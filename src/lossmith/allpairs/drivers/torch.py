"""Blocks on PyTorch: a plain loop; inside `torch.compile` one opaque operator that runs it."""

import contextlib
import functools
import itertools
import math
import os
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from lossmith.allpairs.drivers import NO_SECOND_DERIVATIVES
from lossmith.allpairs.drivers.eager import loop as loop
from lossmith.allpairs.drivers.eager import switch as switch
from lossmith.allpairs.drivers.eager import take_items as take_items
from lossmith.allpairs.pairs import Pairs
from lossmith.core import numerics
from lossmith.core.tracing import is_traced

_WORTH_COMPILING = 2**18
_FEW_ITEMS = 2048
_losses: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""The losses that compiled steps refer to by number."""
_numbers = itertools.count()
_state = threading.local()
EDGES_OF_POSITIVES = (512, 512)
"""Of tiles of which only those near the diagonal are looked into; they divide the others."""


def edge(count: int) -> int:
    """Of the square tiles of a batch; one that is compiled as a whole is a single tile.

    Below some size the time between the programs of several tiles is as long as that in them.
    """
    compiling = torch.compiler.is_compiling() or getattr(_state, "compiling", False)
    return count if compiling and count < _FEW_ITEMS else 512


def product(a: Any, b: Any) -> Any:
    """The matrix product in the full precision of its operands."""
    return a @ b


def directions(vectors: Any) -> tuple[Any, Any]:
    """As `numerics.directions`; compiled code derives what it keeps for backward by itself."""
    if torch.compiler.is_compiling() or not vectors.requires_grad or not len(vectors):
        return numerics.directions(vectors)
    return _Directions.apply(vectors)


class _Directions(torch.autograd.Function):
    """Unit vectors, with a derivative that keeps nothing but what is there anyway."""

    @staticmethod
    def forward(vectors: Tensor) -> tuple[Tensor, Tensor]:
        return numerics.directions(vectors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        unit, exists = output
        ctx.save_for_backward(*inputs, unit, exists)
        ctx.mark_non_differentiable(exists)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Any) -> Tensor:
        vectors, unit, exists = ctx.saved_tensors
        # The length itself may be out of range.
        exists = exists[..., None] > 0
        largest = torch.where(exists, vectors.abs().amax(dim=-1, keepdim=True), 1.0)
        length = torch.where(exists, (vectors / largest * unit).sum(dim=-1, keepdim=True), 1.0)
        along = (unit * upstream).sum(dim=-1, keepdim=True)
        return (upstream - unit * along) / length / largest


def add_rows(array: Any, start: Any, offsets: Any, rows: Any) -> Any:
    """Add to the rows from `start` on, in place."""
    array[start : start + len(offsets)] += rows
    return array


def take_strip(strips: Any, i: Any) -> Any:
    """One of some arrays of equal shape, `(strips, ...)`."""
    return strips[i]


def put_strip(strips: Any, i: Any, rows: Any) -> Any:
    """Replace one of some arrays of equal shape, in place."""
    strips[i] = rows
    return strips


def put_entries(array: Any, columns: Any, values: Any) -> Any:
    """Replace some entries in each row, `(rows, entries)`, in place."""
    return array.scatter_(1, columns.long(), values)


def add_entries(array: Any, columns: Any, values: Any) -> Any:
    """Add to some entries in each row, `(rows, entries)`, in place."""
    return array.scatter_add_(1, columns.long(), values)


def largest(array: Any, number: int) -> tuple[Any, Any]:
    """The largest entries of each row in falling order, and their columns."""
    return torch.topk(array, number)


def largest_along(array: Any, axis: int) -> tuple[Any, Any]:
    """The largest entries along an axis, and the first places where they are."""
    most, places = torch.max(array, dim=axis)
    return most, places.int()


def place(bounds: Any, block: Any) -> Any:
    """How many of the rising bounds of its row each entry of a block has reached."""
    return torch.searchsorted(bounds.contiguous(), block.contiguous(), right=True)


def bin_sums(block: Any, bins: Any, number: int) -> Any:
    """The sum of the entries of each bin of a row, `(rows, number)`; a bin beyond is left out."""
    return block.new_zeros((len(block), number + 1)).scatter_add_(1, bins.long(), block)[:, :number]


def scatter_rows(array: Any, indices: Any, rows: Any) -> Any:
    """Add each of the rows to the row of `array` that its index names, in place."""
    return array.index_add_(0, indices, rows)


def clear_diagonal(mask: Any, start: Any, offsets: Any) -> Any:
    """A mask `(rows, columns)` of rows from `start` on, false where row and column are one."""
    if torch.compiler.is_compiling():
        columns = torch.arange(mask.shape[1], dtype=torch.int32, device=mask.device)
        return mask & ((start + offsets)[:, None] != columns[None, :])
    mask.diagonal(start).fill_(False)
    return mask


def smallest(array: Any, start: Any, offsets: Any) -> Any:
    """The smallest entry of each row, those aside where row and column are one."""
    if start is None:
        return array.amin(dim=1)
    if torch.compiler.is_compiling():
        others = clear_diagonal(torch.ones_like(array, dtype=torch.bool), start, offsets)
        return torch.where(others, array, torch.inf).amin(dim=1)
    diagonal = array.diagonal(start)
    kept = diagonal.clone()
    diagonal.fill_(torch.inf)
    found = array.amin(dim=1)
    diagonal.copy_(kept)
    return found


def value_and_slope(formula: Callable[[Any], tuple[Any, Any]], block: Any) -> tuple[Any, Any, Any]:
    """The number that a formula of a block gives, what comes with it, and the derivative."""
    if torch.compiler.is_compiling():
        slope, (value, extra) = torch.func.grad_and_value(formula, has_aux=True)(block)
        return value, extra, slope
    if getattr(_state, "compiling", False):
        stream = torch.cuda.current_stream(block.device) if block.is_cuda else None
        return _runner(os.getpid()).submit(_differentiate_on, stream, formula, block).result()
    return _differentiate(formula, block)


def _differentiate(
    formula: Callable[[Any], tuple[Any, Any]], block: Tensor
) -> tuple[Any, Any, Any]:
    with torch.enable_grad():
        leaf = block.detach().requires_grad_()
        value, extra = formula(leaf)
        slope = (
            torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
        )
    return value.detach(), extra.detach(), torch.zeros_like(block) if slope is None else slope


@functools.cache
def _runner(process: int) -> ThreadPoolExecutor:
    """Runs autograd inside of the operator, where it records nothing in the operator's thread.

    Threads do not outlive a fork, so every process has its own.
    """
    return ThreadPoolExecutor(1, "lossmith")


def _differentiate_on(stream: Any, *args: Any) -> Any:
    """On the stream that the caller waits for; a thread has another one by default."""
    with torch.cuda.stream(stream) if stream else contextlib.nullcontext():
        return _differentiate(*args)


def compiled(function: Callable[..., Any], owner: Any, size: Any) -> Callable[..., Any]:
    """The function compiled, inside a compiled step and where blocks are worth it."""
    if (
        torch.compiler.is_compiling()
        or not getattr(_state, "compiling", False)
        or math.prod(size) < _WORTH_COMPILING
    ):
        return function
    return _compiled_for(owner, function)


@functools.lru_cache(maxsize=64)
def _compiled_for(owner: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled code is kept with a code object, for few losses each: every loss has its own."""
    code, defaults = function.__code__.replace(), function.__defaults__
    copy = types.FunctionType(code, function.__globals__, function.__name__, defaults)
    return torch.compile(copy)


def differentiable(loss: Any, pairs: Any) -> Any:
    """The value of the loss, with the gradient computed along with it if one is wanted."""
    if torch.compiler.is_compiling() and is_traced(loss):
        return _outside_of_the_graph(loss, pairs)
    vectors = pairs.vectors()
    gradient = torch.is_grad_enabled() and any(each.requires_grad for each in vectors)
    if torch.compiler.is_compiling():
        columns = vectors[1] if len(vectors) > 1 else None
        return _operator(vectors[0], columns, *pairs.data(), loss.number, gradient)[0]
    if not gradient:
        return _evaluated(loss, pairs, gradient=False)[0]
    # Saved for backward, an empty copy tells what a gradient depends on and keeps no memory.
    return _WithGradient.apply(loss, pairs, *vectors, *(each[:0].clone() for each in vectors))[0]


def _evaluated(loss: Any, pairs: Any, gradient: bool) -> Any:
    """In the dtype of the vectors, whatever a surrounding `torch.autocast` would take."""
    with torch.autocast(pairs.rows.vectors.device.type, enabled=False):
        return loss.evaluate_pairs(pairs, gradient)


@torch.compiler.disable
def _outside_of_the_graph(loss: Any, pairs: Any) -> Any:
    """A compiled step knows losses by their numbers; one with tensors in it has none of its own."""
    return differentiable(loss, pairs)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(loss: Any, pairs: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        vectors = tensors[: len(tensors) // 2]
        with torch.no_grad():
            value, gradients = _evaluated(loss, pairs.with_vectors(vectors), gradient=True)
        return value, *gradients

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        gradients = output[1:]
        ctx.save_for_backward(*gradients, *inputs[-len(gradients) :])
        ctx.mark_non_differentiable(*gradients)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, *_: Any) -> tuple[Any, ...]:
        number = len(ctx.saved_tensors) // 2
        gradients, sources = ctx.saved_tensors[:number], ctx.saved_tensors[number:]
        if torch.is_grad_enabled():
            gradients = _Once.apply(gradients, *sources)
        return None, None, *(upstream * each for each in gradients), *([None] * number)


class _Once(torch.autograd.Function):
    """Gradients that refuse to be differentiated in what they were computed from."""

    @staticmethod
    def forward(ctx: Any, gradients: tuple[Tensor, ...], *_: Tensor) -> tuple[Tensor, ...]:
        return tuple(each.view_as(each) for each in gradients)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise TypeError(NO_SECOND_DERIVATIVES)


def enlist(loss: Any) -> int:
    """Give a loss the number by which compiled steps refer to it."""
    number = next(_numbers)
    _losses[number] = loss
    return number


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """What is worth it is compiled: the caller is a compiled step."""
    _state.compiling = True
    try:
        yield
    finally:
        _state.compiling = False


@torch.library.custom_op("lossmith::all_pairs", mutates_args=())
def _operator(
    rows: Tensor,
    columns: Tensor | None,
    row_labels: Tensor,
    row_weights: Tensor | None,
    column_labels: Tensor | None,
    column_weights: Tensor | None,
    loss: int,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The value of a loss and its gradients; empty where none is wanted."""
    pairs = Pairs.of(rows, columns, row_labels, row_weights, column_labels, column_weights)
    pairs = pairs.with_vectors(tuple(each.detach() for each in pairs.vectors()))
    with _compiling():
        value, gradients = _evaluated(_losses[loss], pairs, gradient)
    empty = [rows.new_empty(0) for _ in range(2 - len(gradients))]
    return value.detach(), *(_as_promised(each) for each in gradients), *empty


def _as_promised(gradient: Tensor) -> Tensor:
    """Row by row in memory of its own, which compiled code counts on."""
    if gradient.is_contiguous() and not gradient.storage_offset():
        return gradient
    return gradient.clone(memory_format=torch.contiguous_format)


@_operator.register_fake
def _(
    rows: Tensor,
    columns: Tensor | None,
    row_labels: Tensor,
    row_weights: Tensor | None,
    column_labels: Tensor | None,
    column_weights: Tensor | None,
    loss: int,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    sides = [rows, columns] if gradient else [None, None]
    gradients = [rows.new_empty(0 if each is None else each.shape) for each in sides]
    return rows.new_empty(()), *gradients


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*output[1:])


def _scale(ctx: Any, upstream: Tensor, *_: Any) -> tuple[Any, ...]:
    rows, columns = ctx.saved_tensors
    return upstream * rows, upstream * columns if len(columns) else None, *[None] * 6


_operator.register_autograd(_scale, setup_context=_keep)
