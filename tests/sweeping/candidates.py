"""What tests of sweeps share: data, models, and the training by `fit` that each run stands for."""

from typing import Literal

import keras
import numpy as np

import lossmith as ls

rng = np.random.default_rng(0)
X = rng.normal(size=(32, 3)).astype("float32")
Y = (X @ [1.0, -2.0, 0.5] + 3.0 * (rng.random(32) < 0.2)).astype("float32")
VALIDATION = (X[:16], (X[:16] @ [1.0, -2.0, 0.5]).astype("float32"))
BATCH = 16
THRESHOLDS = [0.1, 1.0, 10.0]


@ls.loss
def raised(
    y_true,
    y_pred,
    *,
    base: ls.Loss = ls.losses.huber,
    power: int = 1,
    sign: Literal["kept", "turned"] = "kept",
):
    """A loss to a power."""
    raised_value = base.values(y_true, y_pred) ** power
    return raised_value if sign == "kept" else -raised_value


@ls.loss
def steep(y_true, y_pred, *, slope: ls.Positive = 1.0):
    """A squared error with a slope."""
    return slope * keras.ops.square(y_true - y_pred)


def linear():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    return model


def with_everything():
    """Batch normalisation, dropout, and an optimizer with a schedule that averages the weights."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(8, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(1),
        ]
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.02, 4, 0.9)
    model.compile(keras.optimizers.Adam(schedule, use_ema=True))
    return model


def sweep(make_model=linear, loss=ls.losses.huber, values=None, rows=32, **arguments):
    given = {"validation_data": VALIDATION, "metric": "mae", "epochs": 2, "batch_size": BATCH}
    values = {"threshold": THRESHOLDS} if values is None else values
    return ls.sweep(
        make_model, loss, values, X[:rows], Y[:rows], **{**given, "verbose": 0, **arguments}
    )


class Batches(keras.utils.PyDataset):
    """The batches that the documentation of a sweep names."""

    def __init__(self, seed, rows):
        super().__init__()
        self.seed, self.rows, self.epoch = seed, rows, 0

    def __len__(self):
        return -(-self.rows // BATCH)

    def __getitem__(self, index):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        batch = order[index * BATCH : (index + 1) * BATCH]
        return X[batch], Y[batch]


def fit(make_model, loss, run, epochs, callbacks=(), rows=32):
    """Train as the documentation says that a run of a sweep does."""
    keras.utils.set_random_seed(run.start_seed)
    model = make_model()
    model.compile(model.optimizer, loss, weighted_metrics=["mae"])
    batches = Batches(run.seed, rows)
    follow = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(batches, "epoch", epoch)
    )
    history = model.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        validation_data=VALIDATION,
        validation_batch_size=BATCH,
        callbacks=[follow, *callbacks],
        verbose=0,
    )
    return model, history.history
