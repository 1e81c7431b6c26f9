"""What a fresh process does with saved losses: load them all and report values and gradients."""

import json
import pickle
import sys
from pathlib import Path

import keras
import numpy as np
from gradients import value_and_gradient

from contract.cases import CASES


def figures(case, loss):
    """The value and the gradient of a loss on its own batch, as JSON can hold them."""
    y_true, y_pred = case.batch()
    value, gradient = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    return [float(np.sum(value)), *map(float, np.ravel(gradient))]


def saved_with(case):
    """Everything but the name is other than the default."""
    return case.other()(reduction="mean_with_sample_weight", dtype="bfloat16", name="kept")


def model_with(loss):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss=loss)
    return model


def load(folder, form, name):
    """The loss that a file holds."""
    if form == "pickle":
        return pickle.loads((folder / f"{name}.pickle").read_bytes())
    if form == "pickled model":
        return pickle.loads((folder / f"{name}.model.pickle").read_bytes()).loss
    return keras.models.load_model(folder / f"{name}.{form}").loss


FORMS = ("keras", "h5", "pickle", "pickled model")


def main(folder):
    report = {}
    for case in CASES:
        for form in FORMS:
            loss = load(folder, form, case.id)
            report[f"{case.id} {form}"] = {"loss": repr(loss), "figures": figures(case, loss)}
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
