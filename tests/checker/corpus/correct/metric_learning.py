"""Correct losses of pairs and of batches of embeddings by hand."""

import numpy as np
from keras import ops

from checker.corpus.case import correct

BATCH = {"batchwise": True}
SAME_IS_ONE = {"same": 1}
NEVER = 1e9


def _root(square):
    """Square root whose slope at 0 is 0 on every backend."""
    positive = square > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, square, 1.0)), 0.0)


def _row(labels):
    return ops.reshape(labels, (-1,))


def _distance(y_pred):
    return _root(ops.sum(ops.square(y_pred[:, 0] - y_pred[:, 1]), axis=-1))


def _unit(embeddings):
    norm = ops.sqrt(ops.sum(ops.square(embeddings), axis=-1, keepdims=True) + 1e-8)
    return embeddings / norm


def _same(labels):
    column = ops.reshape(labels, (-1, 1))
    return ops.cast(ops.equal(column, ops.transpose(column)), "float32")


def _others(labels):
    same = _same(labels)
    return same - ops.eye(same.shape[0] or ops.shape(same)[0])


def _squares(embeddings):
    return ops.sum(ops.square(embeddings[:, None] - embeddings[None]), axis=-1)


def _contrastive(y, d, margin=1.0):
    return y * d**2 + (1 - y) * np.maximum(margin - d, 0) ** 2


@correct(
    "contrastive-of-distances",
    "distance",
    declared=SAME_IS_ONE,
    oracle=lambda y, p: _contrastive(y, p).mean(-1),
)
def contrastive_of_distances(y_true, y_pred):
    far = ops.square(ops.relu(1.0 - y_pred))
    return ops.mean(y_true * ops.square(y_pred) + (1.0 - y_true) * far, axis=-1)


@correct(
    "contrastive-of-the-paper",
    "distance",
    declared={"same": 0},
    oracle=lambda y, p: 0.5 * _contrastive(1 - y, p).mean(-1),
)
def contrastive_of_the_paper(y_true, y_pred):
    far = ops.square(ops.relu(1.0 - y_pred))
    return 0.5 * ops.mean((1.0 - y_true) * ops.square(y_pred) + y_true * far, axis=-1)


@correct(
    "contrastive-two-margins",
    "distance",
    declared=SAME_IS_ONE,
    tolerated=("LSM204",),
    oracle=lambda y, p: (
        y * np.maximum(p - 0.3, 0) ** 2 + (1 - y) * np.maximum(1 - p, 0) ** 2
    ).mean(-1),
)
def contrastive_with_two_margins(y_true, y_pred):
    near, far = ops.square(ops.relu(y_pred - 0.3)), ops.square(ops.relu(1.0 - y_pred))
    return ops.mean(y_true * near + (1.0 - y_true) * far, axis=-1)


@correct(
    "contrastive-of-pairs",
    "pair",
    declared=SAME_IS_ONE,
    oracle=lambda y, p: _contrastive(y[:, 0], np.linalg.norm(p[:, 0] - p[:, 1], axis=-1)),
)
def contrastive_of_pairs(y_true, y_pred):
    distance, same = _distance(y_pred), _row(y_true)
    return same * ops.square(distance) + (1.0 - same) * ops.square(ops.relu(1.0 - distance))


def _cosines(p):
    a, b = np.float64(p[:, 0]), np.float64(p[:, 1])
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@correct(
    "cosine-embedding",
    "pair",
    declared=SAME_IS_ONE,
    oracle=lambda y, p: np.where(y[:, 0] == 1, 1 - _cosines(p), np.maximum(_cosines(p) - 0.2, 0)),
)
def cosine_embedding(y_true, y_pred):
    cosine = ops.sum(_unit(y_pred[:, 0]) * _unit(y_pred[:, 1]), axis=-1)
    same = _row(y_true)
    return same * (1.0 - cosine) + (1.0 - same) * ops.relu(cosine - 0.2)


@correct(
    "pair-logistic",
    "pair",
    declared=SAME_IS_ONE,
    oracle=lambda y, p: np.logaddexp(
        0, (2 * y[:, 0] - 1) * (((p[:, 0] - p[:, 1]) ** 2).sum(-1) - 1)
    ),
)
def logistic_of_squared_distances(y_true, y_pred):
    square = ops.sum(ops.square(y_pred[:, 0] - y_pred[:, 1]), axis=-1)
    return ops.softplus((2.0 * _row(y_true) - 1.0) * (square - 1.0))


def _batch_hard(y, p, margin=0.5):
    d = np.linalg.norm(p[:, None] - p[None], axis=-1)
    y = y.ravel()
    rows = [
        max(d[i][y == y[i]]) - min(d[i][y != y[i]]) + margin if (y != y[i]).any() else 0
        for i in range(len(y))
    ]
    return np.maximum(rows, 0)


@correct("triplet-batch-hard", "embedding", declared=BATCH, oracle=_batch_hard)
def triplet_batch_hard(y_true, y_pred):
    distance, same = _root(_squares(y_pred)), _same(y_true)
    farthest = ops.max(distance * same, axis=1)
    nearest = ops.min(distance + NEVER * same, axis=1)
    return ops.relu(farthest - nearest + 0.5)


@correct("triplet-soft-margin", "embedding", declared=BATCH)
def triplet_soft_margin(y_true, y_pred):
    distance, same = _root(_squares(y_pred)), _same(y_true)
    farthest = ops.max(distance * same, axis=1)
    nearest = ops.min(distance + NEVER * same, axis=1)
    return ops.softplus(farthest - nearest)


@correct("triplet-semi-hard", "embedding", declared=BATCH)
def triplet_semi_hard(y_true, y_pred):
    square, same, positive = _squares(y_pred), _same(y_true), _others(y_true)
    anchor_positive, anchor_negative = square[:, :, None], square[:, None, :]
    usable = (1.0 - same)[:, None, :]
    beyond = usable * ops.cast(anchor_negative > anchor_positive, "float32")
    nearest_beyond = ops.min(anchor_negative + NEVER * (1.0 - beyond), axis=2)
    farthest = ops.max(anchor_negative * usable, axis=2)
    chosen = ops.where(ops.sum(beyond, axis=2) > 0, nearest_beyond, farthest)
    losses = ops.relu(square - chosen + 1.0) * positive
    return ops.sum(losses) / ops.maximum(ops.sum(positive), 1.0)


def _supervised(y, p, temperature=0.5):
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    y = y.ravel()
    rows = []
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        logits = np.array([unit[i] @ unit[j] / temperature for j in others])
        log_p = logits - np.log(np.exp(logits).sum())
        positive = [k for k, j in enumerate(others) if y[j] == y[i]]
        rows.append(-np.mean(log_p[positive]) if positive else 0.0)
    return np.array(rows)


@correct("supervised-contrastive", "embedding", declared=BATCH, oracle=_supervised)
def supervised_contrastive_guarded(y_true, y_pred):
    unit, positive = _unit(y_pred), _others(y_true)
    eye = _same(y_true) - positive
    log_p = ops.log_softmax(ops.matmul(unit, ops.transpose(unit)) / 0.5 - NEVER * eye, axis=-1)
    total = ops.sum(ops.where(positive > 0, log_p, 0.0), axis=-1)
    return -total / ops.maximum(ops.sum(positive, axis=-1), 1.0)


@correct("multi-similarity", "embedding", declared=BATCH)
def multi_similarity(y_true, y_pred):
    unit, same, positive = _unit(y_pred), _same(y_true), _others(y_true)
    similarity = ops.matmul(unit, ops.transpose(unit))
    pull = ops.sum(ops.exp(-2.0 * (similarity - 0.5)) * positive, axis=-1)
    push = ops.sum(ops.exp(20.0 * (similarity - 0.5)) * (1.0 - same), axis=-1)
    return ops.log1p(pull) / 2.0 + ops.log1p(push) / 20.0


def _pairwise_sigmoid(y, p):
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    sign = np.where(y.reshape(-1, 1) == y.reshape(1, -1), 1.0, -1.0)
    return np.logaddexp(0, -sign * (5 * unit @ unit.T - 2)).mean(-1)


@correct("pairwise-sigmoid", "embedding", declared=BATCH, oracle=_pairwise_sigmoid)
def pairwise_sigmoid(y_true, y_pred):
    unit = _unit(y_pred)
    logits = 5.0 * ops.matmul(unit, ops.transpose(unit)) - 2.0
    return ops.mean(ops.softplus(-(2.0 * _same(y_true) - 1.0) * logits), axis=-1)


@correct("all-pairs-contrastive", "embedding", declared=BATCH)
def contrastive_of_all_pairs(y_true, y_pred):
    square, same = _squares(y_pred), _same(y_true)
    far = ops.square(ops.relu(1.0 - _root(square)))
    return ops.mean(same * square + (1.0 - same) * far, axis=-1)
