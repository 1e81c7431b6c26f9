"""Correct segmentation and box losses by hand."""

import numpy as np
from keras import ops

from checker.corpus.case import correct


def _flat(mask):
    return ops.reshape(mask, (ops.shape(mask)[0], -1))


def _masks(formula):
    """The oracle that applies a formula of two flat masks to each image."""

    def oracle(y, p):
        return np.array(
            [
                formula(np.float64(t).ravel(), np.float64(q).ravel())
                for t, q in zip(y, p, strict=True)
            ]
        )

    return oracle


@correct(
    "dice-smooth",
    "segmentation",
    oracle=_masks(lambda t, p: 1 - (2 * t @ p + 1) / (t.sum() + p.sum() + 1)),
)
def dice_smooth(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    both = ops.sum(t * p, axis=-1)
    return 1.0 - (2.0 * both + 1.0) / (ops.sum(t, axis=-1) + ops.sum(p, axis=-1) + 1.0)


@correct(
    "dice-squared",
    "segmentation",
    oracle=_masks(lambda t, p: 1 - (2 * t @ p + 1e-3) / (t @ t + p @ p + 1e-3)),
)
def dice_of_squares(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    total = ops.sum(ops.square(t), axis=-1) + ops.sum(ops.square(p), axis=-1)
    return 1.0 - (2.0 * ops.sum(t * p, axis=-1) + 1e-3) / (total + 1e-3)


@correct(
    "dice-negative",
    "segmentation",
    oracle=_masks(lambda t, p: -(2 * t @ p + 1) / (t.sum() + p.sum() + 1)),
)
def minus_dice(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    both = ops.sum(t * p, axis=-1)
    return -(2.0 * both + 1.0) / (ops.sum(t, axis=-1) + ops.sum(p, axis=-1) + 1.0)


@correct(
    "dice-batch",
    "segmentation",
    declared={"batchwise": True},
    oracle=lambda y, p: 1 - (2 * np.sum(y * p) + 1) / (np.sum(y) + np.sum(p) + 1),
)
def dice_of_the_batch(y_true, y_pred):
    both = ops.sum(y_true * y_pred)
    return 1.0 - (2.0 * both + 1.0) / (ops.sum(y_true) + ops.sum(y_pred) + 1.0)


@correct(
    "jaccard",
    "segmentation",
    oracle=_masks(lambda t, p: 1 - (t @ p + 1) / (t.sum() + p.sum() - t @ p + 1)),
)
def jaccard_smooth(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    both = ops.sum(t * p, axis=-1)
    union = ops.sum(t, axis=-1) + ops.sum(p, axis=-1) - both
    return 1.0 - (both + 1.0) / (union + 1.0)


def _tversky(t, p):
    missed, false = (t * (1 - p)).sum(), ((1 - t) * p).sum()
    return 1 - (t @ p + 1) / (t @ p + 0.3 * false + 0.7 * missed + 1)


@correct("tversky-by-hand", "segmentation", oracle=_masks(_tversky))
def tversky_by_hand(y_true, y_pred, alpha=0.3, beta=0.7):
    t, p = _flat(y_true), _flat(y_pred)
    both = ops.sum(t * p, axis=-1)
    missed, false = ops.sum(t * (1.0 - p), axis=-1), ops.sum((1.0 - t) * p, axis=-1)
    return 1.0 - (both + 1.0) / (both + alpha * false + beta * missed + 1.0)


@correct(
    "focal-tversky",
    "segmentation",
    oracle=_masks(lambda t, p: _tversky(t, p) ** (4 / 3)),
)
def focal_tversky(y_true, y_pred):
    return ops.relu(tversky_by_hand(y_true, y_pred)) ** (4.0 / 3.0)


def _bce(t, p):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()


@correct(
    "bce-dice",
    "segmentation",
    oracle=_masks(lambda t, p: _bce(t, p) + 1 - (2 * t @ p + 1) / (t.sum() + p.sum() + 1)),
)
def crossentropy_plus_dice(y_true, y_pred):
    t, p = _flat(y_true), ops.clip(_flat(y_pred), 1e-7, 1.0 - 1e-7)
    crossentropy = -ops.mean(t * ops.log(p) + (1.0 - t) * ops.log(1.0 - p), axis=-1)
    return crossentropy + dice_smooth(y_true, y_pred)


@correct(
    "log-cosh-dice",
    "segmentation",
    oracle=_masks(lambda t, p: np.log(np.cosh(1 - (2 * t @ p + 1) / (t.sum() + p.sum() + 1)))),
)
def log_cosh_dice(y_true, y_pred):
    return ops.log(ops.cosh(dice_smooth(y_true, y_pred)))


@correct("pixel-bce", "segmentation", oracle=_masks(_bce))
def crossentropy_of_pixels(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
    return -ops.mean(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p), axis=(1, 2, 3))


def _sides(boxes):
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def _overlap(t, p):
    width = ops.relu(ops.minimum(t[:, 2], p[:, 2]) - ops.maximum(t[:, 0], p[:, 0]))
    height = ops.relu(ops.minimum(t[:, 3], p[:, 3]) - ops.maximum(t[:, 1], p[:, 1]))
    return width * height


def _union(t, p):
    (wt, ht), (wp, hp) = _sides(t), _sides(p)
    return ops.relu(wt) * ops.relu(ht) + ops.relu(wp) * ops.relu(hp) - _overlap(t, p)


def _outer(t, p):
    width = ops.maximum(t[:, 2], p[:, 2]) - ops.minimum(t[:, 0], p[:, 0])
    height = ops.maximum(t[:, 3], p[:, 3]) - ops.minimum(t[:, 1], p[:, 1])
    return width, height


def _boxes(formula):
    """The oracle that loops over boxes with plain Python numbers."""
    return lambda y, p: np.array(
        [formula(*map(np.float64, pair)) for pair in zip(y, p, strict=True)]
    )


def _plain_iou(t, p):
    width = max(0.0, min(t[2], p[2]) - max(t[0], p[0]))
    height = max(0.0, min(t[3], p[3]) - max(t[1], p[1]))
    union = (t[2] - t[0]) * (t[3] - t[1]) + (p[2] - p[0]) * (p[3] - p[1]) - width * height
    return width * height / union, union


def _plain_outer(t, p):
    return max(t[2], p[2]) - min(t[0], p[0]), max(t[3], p[3]) - min(t[1], p[1])


@correct("iou", "boxes", tolerated=("LSM204",), oracle=_boxes(lambda t, p: 1 - _plain_iou(t, p)[0]))
def one_minus_iou(y_true, y_pred):
    return 1.0 - _overlap(y_true, y_pred) / (_union(y_true, y_pred) + 1e-7)


def _plain_giou(t, p):
    iou, union = _plain_iou(t, p)
    outer = np.prod(_plain_outer(t, p))
    return 1 - iou + (outer - union) / outer


@correct("giou", "boxes", oracle=_boxes(_plain_giou))
def generalised_iou(y_true, y_pred):
    width, height = _outer(y_true, y_pred)
    union = _union(y_true, y_pred)
    waste = (width * height - union) / (width * height + 1e-7)
    return one_minus_iou(y_true, y_pred) + waste


def _plain_diou(t, p):
    centre = ((t[0] + t[2] - p[0] - p[2]) ** 2 + (t[1] + t[3] - p[1] - p[3]) ** 2) / 4
    return 1 - _plain_iou(t, p)[0] + centre / sum(np.square(_plain_outer(t, p)))


@correct("diou", "boxes", oracle=_boxes(_plain_diou))
def distance_iou(y_true, y_pred):
    width, height = _outer(y_true, y_pred)
    shift = y_true[:, :2] + y_true[:, 2:] - y_pred[:, :2] - y_pred[:, 2:]
    far = 0.25 * ops.sum(ops.square(shift), axis=-1)
    diagonal = ops.square(width) + ops.square(height)
    return one_minus_iou(y_true, y_pred) + far / (diagonal + 1e-7)


def _plain_ciou(t, p):
    angle = np.arctan((t[2] - t[0]) / (t[3] - t[1])) - np.arctan((p[2] - p[0]) / (p[3] - p[1]))
    v = 4 / np.pi**2 * angle**2
    return _plain_diou(t, p) + v**2 / (1 - _plain_iou(t, p)[0] + v)


@correct("ciou", "boxes", oracle=_boxes(_plain_ciou))
def complete_iou(y_true, y_pred):
    (wt, ht), (wp, hp) = _sides(y_true), _sides(y_pred)
    angle = ops.arctan2(wt, ops.relu(ht) + 1e-7) - ops.arctan2(wp, ops.relu(hp) + 1e-7)
    v = 4.0 / np.pi**2 * ops.square(angle)
    weight = ops.stop_gradient(v / (one_minus_iou(y_true, y_pred) + v + 1e-7))
    return distance_iou(y_true, y_pred) + weight * v


@correct(
    "boxes-smooth-l1",
    "boxes",
    oracle=lambda y, p: np.where(np.abs(y - p) < 0.1, 5 * (y - p) ** 2, np.abs(y - p) - 0.05).mean(
        -1
    ),
)
def smooth_l1_of_corners(y_true, y_pred):
    error = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(error < 0.1, 5.0 * ops.square(error), error - 0.05), axis=-1)
