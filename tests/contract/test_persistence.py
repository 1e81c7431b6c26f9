"""Saved in one process, loaded in another: the same values and gradients, not only configs."""

import copy
import json
import pickle
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls
from contract import reload, user_losses
from contract.cases import CASES, each

X = np.linspace(-2, 2, 12).reshape(4, 3).astype("float32")
Y = np.array([1.0, -1.0, 4.0, 0.0], "float32")


def test_every_loss_survives_a_fresh_process(fresh_process, tmp_path):
    expected = {}
    for case in CASES:
        loss = reload.saved_with(case)
        model = reload.model_with(loss)
        model.save(tmp_path / f"{case.id}.keras")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(tmp_path / f"{case.id}.h5")
        (tmp_path / f"{case.id}.pickle").write_bytes(pickle.dumps(loss))
        (tmp_path / f"{case.id}.model.pickle").write_bytes(pickle.dumps(model))
        for form in reload.FORMS:
            expected[f"{case.id} {form}"] = {
                "loss": repr(loss),
                "figures": reload.figures(case, loss),
            }
    loaded = fresh_process(
        """
        import sys
        from pathlib import Path
        from contract import reload
        reload.main(Path(sys.argv[1]))
        """,
        tmp_path,
    )
    assert loaded.keys() == expected.keys()
    for key, result in loaded.items():
        assert result["loss"] == expected[key]["loss"], key
        np.testing.assert_allclose(
            result["figures"], expected[key]["figures"], rtol=1e-6, atol=1e-9, err_msg=key
        )


@each(CASES)
def test_copies_are_the_same_loss(case):
    loss = reload.saved_with(case)
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    for other in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)),
                  keras.losses.deserialize(config), type(loss).from_config(loss.get_config()),
                  type(loss).from_config(config["config"])):  # fmt: skip
        assert type(other) is type(loss)
        assert other == loss
        assert other.name == "kept"
        assert reload.figures(case, other) == reload.figures(case, loss)


@pytest.fixture(scope="module")
def trained():
    """A model trained a little, with a loss whose every setting is other than the default."""
    loss = user_losses.ClassicHuber(0.3)(reduction="sum", dtype="float16")
    model = reload.model_with(loss)
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def test_models_made_from_the_model_keep_the_loss(trained, tmp_path):
    cloned = keras.models.clone_model(trained)
    cloned.compile_from_config(trained.get_compile_config())
    cloned.set_weights(trained.get_weights())
    value = trained.evaluate(X, Y, verbose=0)
    for other in (cloned, copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))):
        assert other.loss == trained.loss
        assert other.evaluate(X, Y, verbose=0) == pytest.approx(value)


def test_weights_alone(trained, tmp_path):
    trained.save_weights(tmp_path / "only.weights.h5")
    other = reload.model_with(trained.loss)
    other.load_weights(tmp_path / "only.weights.h5")
    assert other.evaluate(X, Y, verbose=0) == pytest.approx(trained.evaluate(X, Y, verbose=0))


def test_training_goes_on_where_it_was(tmp_path):
    model = reload.model_with(user_losses.ClassicHuber(0.3)(reduction="sum"))
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss=model.loss)
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for trained_on in (model, loaded):
        trained_on.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(loaded.get_weights()[0], model.get_weights()[0], rtol=1e-6)


def test_a_mixed_policy_is_kept(tmp_path):
    model = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(1, dtype="mixed_bfloat16")]
    )
    model.compile(optimizer="sgd", loss=ls.losses.huber(threshold=0.25))
    model.save(tmp_path / "mixed.keras")
    model.save(tmp_path / "mixed.h5")
    cloned = keras.models.clone_model(model)
    cloned.compile_from_config(model.get_compile_config())
    cloned.set_weights(model.get_weights())
    copies = {
        "keras": keras.models.load_model(tmp_path / "mixed.keras"),
        "h5": keras.models.load_model(tmp_path / "mixed.h5"),
        "pickle": pickle.loads(pickle.dumps(model)),
        "deepcopy": copy.deepcopy(model),
        "clone": cloned,
    }
    value = model.evaluate(X, Y, verbose=0)
    for form, other in copies.items():
        assert other.loss == model.loss, form
        assert other.layers[-1].dtype_policy.name == "mixed_bfloat16", form
        assert other.evaluate(X, Y, verbose=0) == value, form


def test_several_losses_are_saved_by_output(tmp_path):
    inputs = keras.layers.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    losses = {"a": ls.losses.quantile(q=0.9), "b": user_losses.FieldHuber(threshold=3.0)}
    model = keras.Model(inputs, outputs)
    model.compile(loss=losses, metrics={"a": [ls.losses.huber(threshold=0.5)]})
    model.save(tmp_path / "two.keras")
    loaded = keras.models.load_model(tmp_path / "two.keras")
    targets = {"a": Y, "b": Y}
    assert loaded.loss == losses
    assert loaded.evaluate(X, targets, verbose=0) == pytest.approx(
        model.evaluate(X, targets, verbose=0)
    )


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


MODULE = """
import lossmith as ls

@ls.loss
def huber(y_true, y_pred, *, threshold: ls.Positive = {threshold}):
    return threshold * (y_true - y_pred) ** 2

class Other(ls.Loss):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def call(self, y_true, y_pred):
        return self.scale * (y_true - y_pred) ** 2
"""


SCRIPT = """
if __name__ == "__main__":
    import keras, pickle
    import first, second
    own = ls.losses.huber
    saved = {"script": huber(threshold=7.0), "own": own, "other": first.Other(4.0),
             "first": first.huber, "second": second.huber}
    for name, loss in saved.items():
        model = keras.Sequential([keras.layers.Input((1,))])
        model.compile(loss=loss)
        model.save(f"{name}.keras")
        model.save(f"{name}.h5")
        with open(f"{name}.pickle", "wb") as file:
            pickle.dump(loss, file)
"""


def test_names_in_two_modules_and_a_script(fresh_process, tmp_path):
    """Two modules and a script each have a loss `huber`; none is imported before it is needed."""
    for module, threshold in (("first", 10.0), ("second", 20.0)):
        (tmp_path / f"{module}.py").write_text(MODULE.format(threshold=threshold))
    (tmp_path / "train.py").write_text(MODULE.format(threshold=30.0) + SCRIPT)
    fresh_process(
        """
        import runpy, sys
        sys.path.insert(0, ".")
        runpy.run_path("train.py", run_name="__main__")
        print("[]")
        """
    )
    errors, loaded = fresh_process(
        """
        import json, pickle, sys
        import lossmith, keras
        import numpy as np
        errors = {}
        try:
            pickle.load(open("script.pickle", "rb"))
        except Exception as error:
            errors["script.pickle"] = f"{type(error).__name__}: {error}"
        for name in ("first.keras", "first.h5", "other.keras", "other.h5"):
            try:
                model = keras.models.load_model(name)
                errors[name] = str(model.evaluate(np.zeros((1, 1)), np.ones(1), verbose=0))
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}"
        sys.path.insert(0, ".")
        import second, first, train
        values = {}
        for name in ("script", "own", "other", "first", "second"):
            losses = [keras.models.load_model(f"{name}.{form}").loss for form in ("keras", "h5")]
            losses.append(pickle.load(open(f"{name}.pickle", "rb")))
            values[name] = [float(loss([0.0], [3.0])) for loss in losses]
        print(json.dumps([errors, values]))
        """
    )
    for name in ("script.pickle", "first.keras", "first.h5", "other.keras", "other.h5"):
        assert "Error: " in errors[name], name
    assert "import `train`" in errors["script.pickle"]
    assert "first" in errors["first.keras"]
    assert "first" in errors["other.keras"]
    assert loaded == {"script": [63] * 3, "own": [2.5] * 3, "other": [36] * 3,
                      "first": [90] * 3, "second": [180] * 3}  # fmt: skip
