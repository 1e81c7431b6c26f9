"""Changing hyperparameters saved, loaded, copied and exported: the value goes along, once."""

import copy
import json
import pickle
import warnings

import keras
import numpy as np
import pytest
from core.training import SetAt, X, Y, doubling, level, losses_of_steps, sequential, value_of
from keras import ops

import lossmith as ls


@pytest.fixture(scope="module")
def trained():
    """Two schedules' worth of steps: the next one sees 2^4."""
    model = sequential(level(height=doubling))
    losses_of_steps(model)
    return model


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_resumed_training_goes_on_from_the_right_value(trained, fresh_process, tmp_path, form):
    path = tmp_path / f"model.{form}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained.save(path)
    resumed = fresh_process(
        """
        import json, sys
        import lossmith as ls
        from core.training import keras, losses_of_steps, value_of
        model = keras.models.load_model(sys.argv[1])
        before = value_of(model)
        if sys.argv[1].endswith("h5"):  # Keras builds the optimizer of an .h5 file for no variables
            model.compile(optimizer="sgd", loss=model.loss)
        print(json.dumps([before, *losses_of_steps(model), ls.get_hyperparameters(model)]))
        """,
        path,
    )
    assert resumed[:-1] == pytest.approx([16, 16, 32, 64, 128])
    assert resumed[-1] == {"height": 256}


def test_copies_have_a_state_of_their_own(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    clone = keras.models.clone_model(trained)
    clone.compile(loss=trained.loss)
    assert value_of(clone) == 1, "a clone is a new model, at its first step"
    clone.set_weights(trained.get_weights())
    copies = [
        clone,
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.load_model(tmp_path / "model.keras"),
        copy.deepcopy(trained),
        pickle.loads(pickle.dumps(trained)),
    ]
    for index, model in enumerate(copies):
        model.compile(optimizer="sgd", loss=trained.loss)
        assert value_of(model) == 16
        losses_of_steps(model, epochs=1 + index % 2)
    assert value_of(trained) == 16
    assert [value_of(each) for each in copies] == [16 * 16 ** (1 + i % 2) for i in range(5)]


def test_weights_alone_bring_the_value(trained, tmp_path):
    trained.save_weights(tmp_path / "only.weights.h5")
    other = sequential(trained.loss)
    other.load_weights(tmp_path / "only.weights.h5")
    assert value_of(other) == 16


def test_checkpoints_bring_the_value(tmp_path):
    loss = level(height=ls.adjustable(3.0))
    model = sequential(loss)
    ls.set_hyperparameters(model, height=7.0)
    model.fit(X, Y, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "c.keras")])
    ls.set_hyperparameters(model, height=8.0)
    assert ls.get_hyperparameters(keras.models.load_model(tmp_path / "c.keras")) == {"height": 7}


def test_export(trained, backend, tmp_path):
    if backend == "torch":
        import torch

        program = torch.export.export(trained, (ops.convert_to_tensor(X),))
        result = program.module()(ops.convert_to_tensor(X)).detach().numpy()
    else:
        import tensorflow as tf

        trained.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(tmp_path / "exported")
        result = exported.serve(X).numpy()
    np.testing.assert_allclose(result, trained.predict(X, verbose=0), rtol=1e-5)


def figures_of_training():
    """A schedule, a value set by hand and learned ones after the same few steps."""
    scheduled = sequential(level(height=doubling))
    scheduled.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    adjusted = sequential(level(height=ls.adjustable(3.0)))
    setter = SetAt("end", {0: 5.0})
    adjusted.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[setter])
    keras.utils.set_random_seed(0)
    learned = sequential(ls.losses.general_adaptive(alpha=ls.learned(1.0), scale=ls.learned(2.0)))
    learned.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    return [
        value
        for model in (scheduled, adjusted, learned)
        for value in ls.get_hyperparameters(model).values()
    ]


def test_many_devices(fresh_process):
    """JAX's DataParallel over 8 devices, TensorFlow's mirrored strategy over 2."""
    distributed = fresh_process(
        """
        import contextlib, json, os
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
        import keras
        from core.test_state_saving import figures_of_training
        scope = contextlib.nullcontext()
        if keras.backend.backend() == "jax":
            keras.distribution.set_distribution(keras.distribution.DataParallel())
            assert keras.distribution.distribution().device_mesh.shape == (8,)
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf
            cpu = tf.config.list_physical_devices("CPU")[0]
            two = [tf.config.LogicalDeviceConfiguration()] * 2
            tf.config.set_logical_device_configuration(cpu, two)
            scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
        with scope:
            print(json.dumps(figures_of_training()))
        """
    )
    assert distributed[:2] == [8, 5]
    assert distributed == pytest.approx(figures_of_training(), rel=1e-5)


def test_loops_of_ones_own(backend):
    """The values travel with the predictions, so a loop needs nothing but model and loss."""
    loss = ls.losses.huber(threshold=doubling)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1), loss.state])
    seen = []
    for _ in range(3):
        fixed = loss(threshold=ls.get_hyperparameters(model)["threshold"])
        expected = float(fixed(Y, model(X)))
        seen.append((one_step(backend, model, loss), expected))
    np.testing.assert_allclose(*zip(*seen, strict=True), rtol=1e-6)
    assert ls.get_hyperparameters(model) == {"threshold": 8}


def one_step(backend, model, loss):
    if backend == "jax":
        import jax

        def value(trainable, rest):
            predictions, rest = model.stateless_call(trainable, rest, X, training=True)
            return loss(Y, predictions), rest

        trainable = [each.value for each in model.trainable_variables]
        rest = [each.value for each in model.non_trainable_variables]
        (result, rest), _ = jax.jit(jax.value_and_grad(value, has_aux=True))(trainable, rest)
        for variable, now in zip(model.non_trainable_variables, rest, strict=True):
            variable.assign(now)
        return float(result)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            result = loss(Y, model(X, training=True))
        assert tape.gradient(result, model.trainable_variables[0]) is not None
        return float(result)
    result = loss(Y, model(X, training=True))
    result.backward()
    return float(result)


def test_the_file_tells_the_schedule(trained, tmp_path):
    config = json.loads(trained.to_json())
    assert "core.training>doubling" in json.dumps(config)
