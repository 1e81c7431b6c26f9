"""A loss among the metrics: the mean over all samples, on any number of replicas."""

import keras
import numpy as np
import pytest

import lossmith as ls

Y_TRUE = np.array([0.0, 0.0, 0.0, 3.0, 8.0], "float32")
Y_PRED = np.zeros((5, 1), "float32")
WEIGHTS = np.array([1.0, 0.0, 1.0, 2.0, 1.0], "float32")
ABSOLUTE = ls.losses.mean_absolute_error(reduction="none")


def identity():
    return keras.Sequential([keras.layers.Input((1,)), keras.layers.Activation("linear")])


def test_the_mean_over_all_samples_whatever_the_batches():
    model = identity()
    model.compile(loss="mse", metrics=[ABSOLUTE], weighted_metrics=[ABSOLUTE(name="weighted")])
    report = model.evaluate(Y_PRED, Y_TRUE, sample_weight=WEIGHTS, batch_size=2, verbose=0)
    assert report[1:] == pytest.approx([11 / 5, 14 / 5])


def test_the_metric_survives_save_and_load(tmp_path):
    model = identity()
    model.compile(loss="mse", metrics=[ABSOLUTE])
    before = model.evaluate(Y_PRED, Y_TRUE, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(Y_PRED, Y_TRUE, verbose=0) == pytest.approx(before)


def loss_and_metric():
    model = identity()
    model.compile(loss=ABSOLUTE(reduction="sum_over_batch_size"), metrics=[ABSOLUTE],
                  jit_compile=False)  # fmt: skip
    y_true = np.array([0.0, 0.0, 4.0, 8.0], "float32")
    return model.evaluate(np.zeros((4, 1)), y_true, batch_size=4, verbose=0)


ON_TWO_REPLICAS = """
    import json
    import tensorflow as tf
    from contract.test_metrics import loss_and_metric

    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one, one])
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        print(json.dumps(loss_and_metric()))
"""


def test_replicas_divide_neither_the_loss_that_is_shown_nor_the_metric(backend, fresh_process):
    """Only TensorFlow has replicas, and only before its devices are first used."""
    assert loss_and_metric() == pytest.approx([3, 3])
    if backend == "tensorflow":
        assert fresh_process(ON_TWO_REPLICAS) == pytest.approx([3, 3])
