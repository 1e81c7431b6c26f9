"""What the tests of changing hyperparameters share: a loss whose value shows its hyperparameter."""

import keras
import numpy as np

import lossmith as ls

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=8).astype("float32")
traces = []
"""One entry for each time that the formula of `level` is run by Python."""


@ls.loss
def level(y_true, y_pred, *, height: ls.Positive = 1.0):
    """The hyperparameter itself, whatever is predicted."""
    traces.append(height)
    return height + 0.0 * (y_true - y_pred)


@ls.schedule
def doubling(step):
    return 2.0**step


@ls.schedule(steps_per_epoch=4)
def halving(epoch):
    return 8.0 * 0.5**epoch


def sequential(loss, **compile_arguments):
    """A compiled model whose last layer is the state of the loss."""
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1), loss.state])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss, **compile_arguments)
    return model


class Recorder(keras.callbacks.Callback):
    """The loss of each step, from the running means that Keras shows."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_epoch_begin(self, epoch, logs=None):
        self.total = 0.0

    def on_train_batch_end(self, batch, logs=None):
        total = logs["loss"] * (batch + 1)
        self.values.append(total - self.total)
        self.total = total


class SetAt(keras.callbacks.Callback):
    """Sets hyperparameters by hand when given batches have begun or ended."""

    def __init__(self, hook, values, name="height"):
        super().__init__()
        self.hook, self.values, self.name = hook, values, name

    def on_train_batch_begin(self, batch, logs=None):
        self.set("begin", batch)

    def on_train_batch_end(self, batch, logs=None):
        self.set("end", batch)

    def set(self, hook, batch):
        if hook == self.hook and batch in self.values:
            ls.set_hyperparameters(self.model, {self.name: self.values[batch]})


def take_steps(model, inputs, targets, steps):
    """Train on all data at once for a number of steps, in one epoch."""
    data, labels = (
        keras.tree.map_structure(lambda each: np.concatenate([each] * steps), structure)
        for structure in (inputs, targets)
    )
    rows = len(keras.tree.flatten(inputs)[0])
    model.fit(data, labels, batch_size=rows, shuffle=False, verbose=0)


def losses_of_steps(model, epochs=1, callbacks=(), **arguments):
    """Train in batches of 2 (4 steps an epoch) and return the loss of each step."""
    recorder = Recorder()
    model.fit(
        X, Y, batch_size=2, epochs=epochs, verbose=0, callbacks=[*callbacks, recorder], **arguments
    )
    return recorder.values


def value_of(model):
    return float(model.evaluate(X, Y, verbose=0))
