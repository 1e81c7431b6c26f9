"""Losses over all pairs as the formula of the whole matrix, and the products they cannot avoid."""

from collections.abc import Callable
from typing import Any

import keras

import lossmith as ls

ops = keras.ops
Loss = Callable[[Any, Any], Any]

OURS: dict[str, Loss] = {
    "contrastive": ls.losses.all_pairs_contrastive,
    "supcon": ls.losses.supervised_contrastive,
    "nt-xent": ls.losses.nt_xent,
    "multi-similarity": ls.losses.multi_similarity(epsilon=None),
    "triplet, hardest": ls.losses.triplet(mining="hardest", distance="squared_euclidean"),
    "triplet, all": ls.losses.triplet(distance="squared_euclidean"),
}


def _masks(y: Any) -> tuple[Any, Any]:
    same = ops.equal(y[:, None], y[None, :])
    itself = ops.eye(y.shape[0], dtype="bool")
    return ops.logical_and(same, ops.logical_not(itself)), ops.logical_not(same)


def _squared_distances(p: Any) -> Any:
    norms = ops.sum(ops.square(p), axis=1)
    return ops.relu(norms[:, None] + norms[None, :] - 2.0 * ops.matmul(p, ops.transpose(p)))


def _mean(values: Any, mask: Any) -> Any:
    return ops.sum(ops.where(mask, values, 0.0)) / ops.sum(ops.cast(mask, values.dtype))


def _contrastive(y: Any, p: Any) -> Any:
    positive, negative = _masks(y)
    squared = _squared_distances(p)
    distance = ops.sqrt(ops.maximum(squared, 1e-12))
    push = ops.square(ops.relu(1.0 - distance))
    return _mean(squared, positive) + _mean(push, negative)


def _supcon(y: Any, p: Any) -> Any:
    positive, negative = _masks(y)
    unit = p / ops.norm(p, axis=1, keepdims=True)
    logits = ops.matmul(unit, ops.transpose(unit)) / 0.1
    partition = ops.logsumexp(
        ops.where(ops.logical_or(positive, negative), logits, -1e30), axis=1, keepdims=True
    )
    number = ops.sum(ops.cast(positive, logits.dtype), axis=1)
    per_anchor = ops.sum(ops.where(positive, partition - logits, 0.0), axis=1)
    return _mean(per_anchor / ops.maximum(number, 1.0), number > 0)


def _hardest(y: Any, p: Any) -> Any:
    positive, negative = _masks(y)
    distance = _squared_distances(p)
    furthest = ops.amax(ops.where(positive, distance, -1e30), axis=1)
    nearest = ops.amin(ops.where(negative, distance, 1e30), axis=1)
    return ops.mean(ops.relu(furthest - nearest + 0.2))


def _nt_xent(y: Any, p: Any) -> Any:
    positive, negative = _masks(y)
    unit = p / ops.norm(p, axis=1, keepdims=True)
    logits = ops.matmul(unit, ops.transpose(unit)) / 0.5
    against = ops.logsumexp(ops.where(negative, logits, -1e30), axis=1, keepdims=True)
    return _mean(ops.softplus(against - logits), positive)


def _multi_similarity(y: Any, p: Any) -> Any:
    positive, negative = _masks(y)
    unit = p / ops.norm(p, axis=1, keepdims=True)
    away = ops.matmul(unit, ops.transpose(unit)) - 0.5
    pull = ops.sum(ops.where(positive, ops.exp(-2.0 * away), 0.0), axis=1)
    push = ops.sum(ops.where(negative, ops.exp(50.0 * away), 0.0), axis=1)
    return ops.mean(ops.log(1.0 + pull) / 2.0 + ops.log(1.0 + push) / 50.0)


LARGEST = 8192
"""The batch up to which dense formulas are run: at 16384 a block of B x B takes 1 GiB, and they
keep several."""
DENSE: dict[str, Loss] = {
    "contrastive": _contrastive,
    "supcon": _supcon,
    "triplet, hardest": _hardest,
    "nt-xent": _nt_xent,
    "multi-similarity": _multi_similarity,
}
"""All triplets have none: their cube has B^3 entries."""


def two_products(embeddings: Any) -> dict[str, Callable[[], Any]]:
    """Steps of `S = E E^T` and `S E` in each mode: what value and gradient need at the least."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        vectors = jax.numpy.asarray(embeddings)
        compiled = jax.jit(lambda e: (e @ e.T) @ e)
        return {"jit": lambda: jax.block_until_ready(compiled(vectors))}
    if backend == "tensorflow":
        import tensorflow as tf

        tensor = tf.constant(embeddings)

        def products(e: Any) -> Any:
            return tf.matmul(tf.matmul(e, e, transpose_b=True), e)

        graph, xla = tf.function(products), tf.function(products, jit_compile=True)
        return {"function": lambda: graph(tensor), "function, XLA": lambda: xla(tensor)}
    import torch

    matrix = torch.tensor(embeddings)

    def step() -> Any:
        return (matrix @ matrix.T) @ matrix

    return {"eager": step, "compiled": step}
