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


ON_TWO_REPLICAS = """
    import contextlib, json
    import keras, numpy as np
    import lossmith as ls

    scope = contextlib.nullcontext()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        one = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [one, one])
        scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
    with scope:
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Activation("linear")])
        loss = ls.losses.mean_absolute_error
        model.compile(loss=loss, metrics=[loss(reduction="none")], jit_compile=False)
    y_true = np.array([0.0, 0.0, 4.0, 8.0], "float32")
    print(json.dumps(model.evaluate(np.zeros((4, 1)), y_true, batch_size=4, verbose=0)))
"""


def test_replicas_divide_neither_the_loss_that_is_shown_nor_the_metric(fresh_process):
    assert fresh_process(ON_TWO_REPLICAS) == pytest.approx([3, 3])
