"""Wrong segmentation, image and box losses beyond the sample, from public reports (W50 to W66)."""

import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, couples_rows, not_finite, value

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")
HALF = np.zeros((1, 4, 4, 1))
HALF[:, :2] = 1.0
NEAR_ONE = np.array([[0.0, 0.0, 1.0, 1.0]])


def _flat(mask):
    return ops.reshape(mask, (ops.shape(mask)[0], -1))


@wrong(
    "W50",
    "segmentation",
    bug="sign",
    expected=FLOOR,
    source="IAmSuyogJadhav/3d-mri-brain-tumor-segmentation-using-autoencoder-regularization#7",
    witness=cheaper(HALF, 1 - HALF, HALF),
)
def dice_coefficient_as_loss(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    both = ops.sum(ops.abs(t * p), axis=-1)
    return 2 * both / (ops.sum(ops.square(t), axis=-1) + ops.sum(ops.square(p), axis=-1) + 1e-8)


@wrong(
    "W51",
    "segmentation",
    bug="sign",
    expected=FLOOR,
    source="photosynthesis-team/piq#37, VainF/pytorch-msssim#8",
    witness=cheaper(HALF, 1 - HALF, HALF),
)
def similarity_of_structure_as_loss(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    mean_t, mean_p = ops.mean(t, -1), ops.mean(p, -1)
    covariance = ops.mean(t * p, -1) - mean_t * mean_p
    light = (2 * mean_t * mean_p + 1e-4) / (mean_t**2 + mean_p**2 + 1e-4)
    return light * (2 * covariance + 9e-4) / (ops.var(t, -1) + ops.var(p, -1) + 9e-4)


@wrong(
    "W52",
    "segmentation",
    bug="not finite",
    expected=("LSM1",),
    source="keras-team/keras#9371",
    witness=not_finite(HALF, np.full_like(HALF, 0.5)),
)
def structure_through_standard_deviations(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    mean_t, mean_p, var_t, var_p = ops.mean(t, -1), ops.mean(p, -1), ops.var(t, -1), ops.var(p, -1)
    covariance = ops.sqrt(var_t) * ops.sqrt(var_p)
    light = (2 * mean_t * mean_p + 1e-4) / (mean_t**2 + mean_p**2 + 1e-4)
    return (1 - light * (2 * covariance + 9e-4) / (var_t + var_p + 9e-4)) / 2


@wrong(
    "W53",
    "segmentation",
    bug="batch coupled",
    expected=("LSM307", "LSM302", "LSM309"),
    source="fastai/fastai#3439, keras-team/keras#19637, nabsabraham/focal-tversky-unet#30",
    confidence="low",
    witness=couples_rows(np.concatenate([HALF, np.zeros_like(HALF)]), np.full((2, 4, 4, 1), 0.25)),
)
def dice_over_everything(y_true, y_pred):
    both = ops.sum(y_true * y_pred)
    return 1 - (2 * both + 1e-6) / (ops.sum(y_true) + ops.sum(y_pred) + 1e-6)


@wrong(
    "W54",
    "segmentation",
    bug="not finite",
    expected=("LSM1",),
    source="shruti-jadon/Semantic-Segmentation-Loss-Functions#2, nabsabraham/focal-tversky-unet#3",
    witness=not_finite(HALF, HALF),
)
def focal_tversky_with_a_bare_power(y_true, y_pred, alpha=0.7, gamma=0.75):
    t, p = _flat(y_true), _flat(y_pred)
    both = ops.sum(t * p, -1)
    missed, false = ops.sum(t * (1 - p), -1), ops.sum((1 - t) * p, -1)
    index = (both + 1) / (both + alpha * missed + (1 - alpha) * false + 1)
    return (1 - index) ** gamma


@wrong(
    "W55",
    "segmentation",
    bug="not finite",
    expected=("LSM1",),
    source="jorge-pessoa/pytorch-msssim#2, aiff22/PyNET-PyTorch#7",
    witness=not_finite(HALF, 1 - HALF),
)
def contrast_to_a_broken_power(y_true, y_pred):
    t, p = _flat(y_true), _flat(y_pred)
    covariance = ops.mean(t * p, -1) - ops.mean(t, -1) * ops.mean(p, -1)
    contrast = (2 * covariance + 9e-4) / (ops.var(t, -1) + ops.var(p, -1) + 9e-4)
    return 1 - contrast**0.3


@wrong(
    "W56",
    "segmentation",
    made_with={"alpha": 0.7},
    bug="intent",
    expected=("LSM503",),
    source="FluxML/Flux.jl#1993, keras-team/keras#23333",
    confidence="low",
    witness=lambda loss: value(loss, HALF, np.ones_like(HALF)) > 0,
    declared={"family": "tversky"},
)
def make_tversky_with_alpha_on_the_missed(alpha):
    def tversky_with_alpha_on_the_missed(y_true, y_pred):
        t, p = _flat(y_true), _flat(y_pred)
        both = ops.sum(t * p, -1)
        missed, false = ops.sum(t * (1 - p), -1), ops.sum((1 - t) * p, -1)
        return 1 - (both + 1e-6) / (both + alpha * missed + (1 - alpha) * false + 1e-6)

    return tversky_with_alpha_on_the_missed


def _area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _overlap(a, b):
    width = ops.minimum(a[:, 2], b[:, 2]) - ops.maximum(a[:, 0], b[:, 0])
    height = ops.minimum(a[:, 3], b[:, 3]) - ops.maximum(a[:, 1], b[:, 1])
    return width, height


@wrong(
    "W60",
    "boxes",
    bug="wrong minimum",
    expected=(*FLOOR, "LSM1", "LSM204", "LSM205"),
    source="LongxingTan/tfyolo#4, mystic123/tensorflow-yolo-v3#84",
    witness=cheaper(NEAR_ONE, NEAR_ONE + 2.0, NEAR_ONE + 0.5),
)
def overlap_of_boxes_that_do_not_meet(y_true, y_pred):
    width, height = _overlap(y_true, y_pred)
    both = width * height
    return 1 - both / (_area(y_true) + _area(y_pred) - both + 1e-7)


@wrong(
    "W61",
    "boxes",
    bug="wrong minimum",
    expected=FLOOR,
    source="xg-chu/CrowdDet#47",
    witness=lambda loss: value(loss, NEAR_ONE, NEAR_ONE) > 0.5,
    confidence="medium",
)
def overlap_with_one_pixel_in_the_areas_only(y_true, y_pred):
    width, height = _overlap(y_true, y_pred)
    both = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    area_t = (y_true[:, 2] - y_true[:, 0] + 1) * (y_true[:, 3] - y_true[:, 1] + 1)
    area_p = (y_pred[:, 2] - y_pred[:, 0] + 1) * (y_pred[:, 3] - y_pred[:, 1] + 1)
    return 1 - both / (area_t + area_p - both)


@wrong(
    "W62",
    "boxes",
    bug="not finite",
    expected=("LSM1",),
    source="ultralytics/yolov5#8539, pythonlessons/TensorFlow-2.x-YOLOv3#144",
    witness=not_finite(NEAR_ONE, [[0.2, 0.3, 0.2, 0.3]]),
)
def complete_overlap_with_a_bare_ratio(y_true, y_pred):
    width, height = _overlap(y_true, y_pred)
    both = ops.relu(width) * ops.relu(height)
    iou = both / (_area(y_true) + _area(y_pred) - both + 1e-7)
    ratio_t = (y_true[:, 2] - y_true[:, 0]) / (y_true[:, 3] - y_true[:, 1])
    ratio_p = (y_pred[:, 2] - y_pred[:, 0]) / (y_pred[:, 3] - y_pred[:, 1])
    shape = 4 / np.pi**2 * ops.square(ops.arctan(ratio_t) - ops.arctan(ratio_p))
    return 1 - iou + shape


@wrong(
    "W63",
    "boxes",
    bug="wrong minimum",
    expected=(*FLOOR, "LSM1"),
    source="roboflow/trackers#589, ooples/AiDotNet.Tensors#709",
    confidence="medium",
    witness=cheaper(NEAR_ONE, [[0.9, 0.9, 0.1, 0.1]], [[0.9, 0.9, 2.0, 2.0]]),
)
def generalised_overlap_that_rewards_turned_boxes(y_true, y_pred):
    width, height = _overlap(y_true, y_pred)
    both = ops.relu(width) * ops.relu(height)
    union = _area(y_true) + _area(y_pred) - both
    outer_width = ops.maximum(y_true[:, 2], y_pred[:, 2]) - ops.minimum(y_true[:, 0], y_pred[:, 0])
    outer_height = ops.maximum(y_true[:, 3], y_pred[:, 3]) - ops.minimum(y_true[:, 1], y_pred[:, 1])
    outer = outer_width * outer_height
    return 1 - both / (union + 1e-7) + (outer - union) / (outer + 1e-7)
