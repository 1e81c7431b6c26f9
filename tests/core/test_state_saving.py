"""Changing hyperparameters saved, loaded, copied and exported: the value goes along, once."""

import json
import pickle
import warnings

import keras
import numpy as np
import pytest
from core.training import SetAt, X, Y, doubling, level, losses_of_steps, sequential, value_of
from keras import ops

import lossmith as ls

SHAPE = ls.losses.general_adaptive(alpha=ls.learned(1.0), scale=ls.learned(2.0))


@pytest.fixture(scope="module")
def trained():
    """A schedule after four steps: the next one sees 2^4."""
    model = sequential(level(height=doubling))
    losses_of_steps(model)
    return model


@pytest.fixture(scope="module")
def shaped():
    """A model that has learned the shape of its loss a little."""
    model = sequential(SHAPE)
    model.fit(X, Y, epochs=20, batch_size=8, verbose=0)
    return model


def go_on(path):
    """The values in a saved model; before, while and after it is trained on for an epoch."""
    model = keras.models.load_model(path)
    before = ls.get_hyperparameters(model)
    value = value_of(model)
    if path.endswith("h5"):  # Keras builds the optimizer of an .h5 file for no variables
        model.compile(optimizer="sgd", loss=model.loss)
    return [before, value, losses_of_steps(model), ls.get_hyperparameters(model)]


def test_a_fresh_process_goes_on_from_the_saved_values(trained, shaped, fresh_process, tmp_path):
    names = [f"{name}.{form}" for form in ("keras", "h5") for name in ("trained", "shaped")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, name in zip([trained, shaped] * 2, names, strict=True):
            model.save(tmp_path / name)
    found = fresh_process(
        """
        import json, sys
        import lossmith
        from core.test_state_saving import go_on
        print(json.dumps([go_on(name) for name in sys.argv[1:]]))
        """,
        *names,
    )
    learned = ls.get_hyperparameters(shaped)
    assert learned["alpha"] != pytest.approx(1, abs=1e-3)
    for scheduled, shape in (found[:2], found[2:]):
        assert [scheduled[0], scheduled[3]] == [{"height": 16}, {"height": 256}]
        assert [scheduled[1], *scheduled[2]] == pytest.approx([16, 16, 32, 64, 128])
        assert shape[0] == pytest.approx(learned, rel=1e-6)
        assert shape[1] == pytest.approx(value_of(shaped), rel=1e-6)
        assert shape[3] != pytest.approx(learned, rel=1e-6)


def test_copies_have_a_state_of_their_own(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    clone = keras.models.clone_model(trained)
    assert ls.get_hyperparameters(clone) == {"height": 1}, "a clone is at its first step"
    clone.set_weights(trained.get_weights())
    copies = [
        clone,
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.load_model(tmp_path / "model.keras"),
        pickle.loads(pickle.dumps(trained)),
    ]
    assert losses_of_steps(copies[1]) == pytest.approx([16, 32, 64, 128])
    values = [ls.get_hyperparameters(each)["height"] for each in (trained, *copies)]
    assert values == [16, 16, 256, 16, 16]


def test_weights_alone_bring_the_value(trained, tmp_path):
    trained.save_weights(tmp_path / "only.weights.h5")
    other = sequential(trained.loss)
    other.load_weights(tmp_path / "only.weights.h5")
    assert value_of(other) == 16


@pytest.mark.parametrize("loss", [2 * SHAPE + ls.losses.huber, ls.losses.huber])
def test_saving_makes_no_state_but_that_of_the_model(loss, tmp_path, monkeypatch):
    model = sequential(loss)
    made = []
    build = type(loss.state).__init__

    def counted(state, *args, **kwargs):
        made.append(state)
        build(state, *args, **kwargs)

    monkeypatch.setattr(type(loss.state), "__init__", counted)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").loss == loss
    assert len(made) == 1
    assert {"state", "values", "hyperparameters"} <= set(dir(loss))


def test_checkpoints_bring_the_value(tmp_path):
    loss = level(height=ls.adjustable(3.0))
    model = sequential(loss)
    ls.set_hyperparameters(model, height=7.0)
    model.fit(X, Y, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "c.keras")])
    ls.set_hyperparameters(model, height=8.0)
    assert ls.get_hyperparameters(keras.models.load_model(tmp_path / "c.keras")) == {"height": 7}


@pytest.mark.parametrize("kind", ["trained", "shaped"])
def test_export(kind, request, backend, tmp_path):
    trained = request.getfixturevalue(kind)
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
    likelihood = ls.losses.general_adaptive(alpha=ls.learned(1.0), scale=ls.learned(2.0))
    learned = sequential(likelihood, metrics=[likelihood(reduction="none", name="own")])
    history = learned.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    values = [
        value
        for model in (scheduled, adjusted, learned)
        for value in ls.get_hyperparameters(model).values()
    ]
    return values + history["own"]


def test_many_devices(backend, fresh_process):
    """JAX's DataParallel over 8 devices, TensorFlow's mirrored strategy over 2."""
    alone = figures_of_training()
    assert alone[:2] == [8, 5]
    if backend == "torch":  # Keras has no distribution there
        return
    distributed = fresh_process(
        """
        import contextlib, json, os
        os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=8"
        import keras
        from core.test_state_saving import figures_of_training
        scope = contextlib.nullcontext()
        if keras.backend.backend() == "jax":
            keras.distribution.set_distribution(keras.distribution.DataParallel())
            assert keras.distribution.distribution().device_mesh.shape == (8,)
        else:
            import tensorflow as tf
            cpu = tf.config.list_physical_devices("CPU")[0]
            two = [tf.config.LogicalDeviceConfiguration()] * 2
            tf.config.set_logical_device_configuration(cpu, two)
            scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
        with scope:
            print(json.dumps(figures_of_training()))
        """
    )
    assert distributed == pytest.approx(alone, rel=1e-5)


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
