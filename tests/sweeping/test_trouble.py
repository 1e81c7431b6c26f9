"""Sweeps that cannot be made, that diverge, and that are interrupted."""

import itertools

import keras
import numpy as np
import pytest
from sweeping.candidates import VALIDATION, X, linear, steep, sweep

import lossmith as ls

huber = ls.losses.huber


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({}, ValueError, "nothing to sweep"),
        ({"threshold": []}, ValueError, "`threshold` has no values"),
        ({"threshold": 1.0}, TypeError, "list of values"),
        ({"treshold": [1.0]}, TypeError, "no hyperparameter `treshold`"),
        ({"threshold": [1.0, -1.0]}, ValueError, "greater than 0|> 0"),
        ({"threshold": [1.0, 1.0]}, ValueError, "twice"),
        ({"threshold": [ls.adjustable(1.0)]}, TypeError, "fixed for each candidate"),
    ],
)
def test_bad_grids(values, error, words):
    with pytest.raises(error, match=words):
        sweep(values=values)


@ls.loss
def quantile(y_true, y_pred, *, share: ls.Fraction = 0.5):
    """A quantile's loss, for a range whose ends are no values of it."""
    return keras.ops.maximum(share * (y_true - y_pred), (share - 1) * (y_true - y_pred))


def test_a_value_that_float32_takes_out_of_its_range():
    with pytest.raises(ValueError, match=r"`share`.*is 1\.0 in float32"):
        sweep(loss=quantile, values={"share": [0.5, 1 - 1e-9]})


@pytest.mark.parametrize("metric", ["loss", "val_loss", "huber", huber, None])
def test_ranking_by_the_swept_loss_is_refused(metric):
    with pytest.raises(ValueError, match=r"(?s)cannot be ranked by huber itself.*likelihood"):
        sweep(metric=metric)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"seeds": 3}, TypeError, "seeds"),
        ({"seeds": ()}, ValueError, "seeds"),
        ({"epochs": 0}, ValueError, "epochs must be 1"),
        ({"validation_data": X}, TypeError, "validation_data must be"),
        ({"validation_data": (X[:3], X[:2, 0])}, ValueError, r"lengths are \[3, 2\]"),
        ({"metric": lambda y_true, y_pred: y_pred}, ValueError, "mode='max'"),
        ({"metric": "val_mae"}, ValueError, "no metric is called 'val_mae'. Did you mean 'mae'"),
        ({"metric": "cosine_simlarity"}, ValueError, "Did you mean 'CosineSimilarity'"),
        ({"loss": keras.losses.Huber()}, TypeError, "one of lossmith"),
        ({"loss": ls.losses.student_t_likelihood(df=ls.learned(1.0)), "values": {"scale": [1.0]}},
         TypeError, r"`df` of .* changes.*def make_model\(loss\)"),
        ({"make_model": lambda: None}, TypeError, "must return a Keras model"),
        ({"make_model": lambda: keras.Sequential([keras.layers.Dense(1)])}, ValueError,
         "no optimizer"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        sweep(**arguments)


class Generated(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, X[:, 0]


@pytest.mark.parametrize("y", [None, X[:, 0]])
def test_batches_of_a_generator_are_refused(y):
    with pytest.raises(TypeError, match=r"must be arrays of numbers.*got Generated"):
        ls.sweep(
            linear, huber, {"threshold": [1.0]}, Generated(), y,
            validation_data=VALIDATION, metric="mae",
        )  # fmt: skip


def test_models_that_differ_in_shape():
    widths = itertools.count(2)

    def growing():
        layers = [keras.layers.Dense(next(widths)), keras.layers.Dense(1)]
        return keras.Sequential([keras.Input((3,)), *layers])

    with pytest.raises(ValueError, match=r"models of one shape.*\(3, 2\).*\(3, 3\)"):
        sweep(growing, optimizer="sgd", seeds=(0, 1))


@pytest.mark.parametrize("name", ["threshold", "huber.threshold"])
def test_a_name_that_misses_steps_of_its_path(name):
    total = 0.7 * huber + 0.3 * ls.losses.log_cosh
    with pytest.raises(TypeError, match=r"Did you mean `huber.loss.threshold`\?"):
        sweep(loss=total, values={name: [1.0, 2.0]})


def test_a_model_in_the_place_of_a_function_that_makes_one():
    with pytest.raises(TypeError, match="a function that returns a new model"):
        sweep(linear())


def test_models_that_differ_in_their_layers():
    activations = iter(["relu", "tanh"])

    def changing():
        hidden = keras.layers.Dense(2, activation=next(activations))
        return keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])

    with pytest.raises(ValueError, match=r"seed 1.*activation is 'tanh' and was 'relu'"):
        sweep(changing, optimizer="sgd", seeds=(0, 1))


def test_models_that_differ_in_seeds_and_names_are_alike():
    numbers = itertools.count()

    def seeded():
        number = next(numbers)
        start = keras.initializers.GlorotUniform(seed=number)
        hidden = keras.layers.Dense(2, kernel_initializer=start, name=f"hidden_{number}")
        return keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])

    result = sweep(seeded, optimizer="sgd", seeds=(0, 1))
    assert {row.status for row in result.rows} == {"finished"}


def test_one_that_diverges_does_not_touch_the_others():
    result = sweep(loss=steep, values={"slope": [1.0, 1e30, 0.5]}, epochs=3)
    assert [row.status for row in result.rows] == ["finished", "diverged", "finished"]
    assert np.isnan(result.rows[1].metric)
    alone = sweep(loss=steep, values={"slope": [1.0, 0.5]}, epochs=3)
    for row, other in zip(result.rows[::2], alone.rows, strict=True):
        assert row.metric == pytest.approx(other.metric, rel=1e-5)
    assert result.best.hyperparameters["slope"] != 1e30
    assert result.table[-1]["status"] == "diverged"
    with pytest.raises(ValueError, match="no model"):
        result.model(result.rows[1])
    assert repr(result.rows[1]) == "Row(slope=1e+30, metric=nan, 1 run, diverged)"
    with pytest.raises(TypeError, match=r"one of result.rows; got \{'slope': 0.5"):
        result.model(result.table[0] | {"slope": 0.5})


def test_all_diverge():
    result = sweep(loss=steep, values={"slope": [1e29, 1e30]}, epochs=3)
    with pytest.raises(ValueError, match="no candidate"):
        _ = result.best


class CtrlC:
    """Makes models, and is interrupted at one of them."""

    def __init__(self, at):
        self.at, self.made = at, 0

    def __call__(self):
        self.made += 1
        if self.made == self.at:
            raise KeyboardInterrupt
        return linear()


@pytest.mark.parametrize("in_folder", [True, False])
def test_interrupted_and_resumed(tmp_path, in_folder):
    """Each `power` has a program, and a model, of its own."""
    values = {"power": [1, 2]}
    folder = tmp_path / "sweep" if in_folder else None
    at = 3 if in_folder else 2  # one model is made to be compared with that of the folder
    with pytest.warns(RuntimeWarning, match="1 of 2 trainings"):
        result = sweep(CtrlC(at), power_of_error, values, folder=folder)
    assert result.interrupted
    assert [row.status for row in result.rows] == ["finished", "not run"]
    assert result.best is result.rows[0]
    if in_folder:
        make_model = CtrlC(at=None)
        resumed = sweep(make_model, power_of_error, {"power": [1, 2, 3]}, folder=folder)
        assert make_model.made == 3
        assert [row.status for row in resumed.rows] == ["finished"] * 3
        whole = sweep(loss=power_of_error, values={"power": [1, 2, 3]})
        for row, expected in zip(resumed.rows, whole.rows, strict=True):
            assert row.metric == pytest.approx(expected.metric, rel=1e-6)
        evaluated = resumed.model(resumed.rows[0]).evaluate(*VALIDATION, verbose=0)
        assert evaluated[1] == pytest.approx(resumed.rows[0].metric, rel=1e-5)


@ls.loss
def power_of_error(y_true, y_pred, *, power: int = 1):
    """The error to a power."""
    return keras.ops.abs(y_true - y_pred) ** power


def test_what_has_come_to_an_end_of_its_own_is_kept(monkeypatch):
    """Where trainings run side by side too."""

    def watch(display, run, progress):
        if progress.epochs == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("lossmith.sweeping.progress.Display.watch", watch)
    with pytest.warns(RuntimeWarning, match="1 of 2 trainings"):
        result = sweep(loss=steep, values={"slope": [1e30, 0.5]}, epochs=5, patience=5)
    assert [row.status for row in result.rows] == ["diverged", "not run"]


def test_interrupted_before_anything_has_ended():
    with pytest.raises(KeyboardInterrupt):
        sweep(CtrlC(at=1))


def test_folder_of_another_sweep(tmp_path):
    sweep(folder=tmp_path / "sweep")
    with pytest.raises(ValueError, match="differs in epochs"):
        sweep(folder=tmp_path / "sweep", epochs=3)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds no sweep"):
        sweep(folder=tmp_path)


def functional(units=1, momentum=0.0):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.ops.tanh(keras.layers.Dense(units)(inputs)) * 2)
    model.compile(keras.optimizers.SGD(0.1, momentum=momentum))
    return model


class Subclassed(keras.Model):
    def __init__(self, first):
        super().__init__()
        self.first = first
        self.last = keras.layers.Dense(1)

    def call(self, inputs):
        return self.last(self.first(inputs))


@pytest.mark.parametrize(
    ("make_model", "another", "words"),
    [
        (functional, lambda: functional(momentum=0.5), "differs in optimizer;"),
        (functional, linear, "differs in the model;"),
        (
            lambda: Subclassed(keras.layers.Dense(2)),
            lambda: Subclassed(keras.layers.Dense(3)),
            "differs in the model;",
        ),
    ],
)
def test_folder_of_another_model(tmp_path, make_model, another, words):
    optimizer = {} if make_model is functional else {"optimizer": "sgd"}
    given = {"values": {"threshold": [0.5]}, "epochs": 1, "folder": tmp_path, **optimizer}
    sweep(make_model, **given)
    sweep(make_model, **given)
    with pytest.raises(ValueError, match=words):
        sweep(another, **given)


def test_folder_of_another_backend(tmp_path, backend):
    sweep(folder=tmp_path)
    settings = tmp_path / "sweep.json"
    settings.write_text(settings.read_text().replace(f'"{backend}"', '"another"'))
    with pytest.raises(ValueError, match="differs in backend;"):
        sweep(folder=tmp_path)


def test_damaged_file(tmp_path):
    sweep(folder=tmp_path)
    next(tmp_path.glob("run-*.npz")).write_bytes(b"no archive")
    with pytest.raises(ValueError, match="damaged"):
        sweep(folder=tmp_path)
