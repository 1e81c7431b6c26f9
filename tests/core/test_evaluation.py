"""A formula that fails says in which loss, for which shapes, and what formulas are made of."""

import contextlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls

EMBEDDINGS = np.ones((4, 2, 3), "float32")
LABELS = np.array([0, 1, 1, 0])


@ls.loss
def missing_key(y_true, y_pred):
    return {"error": y_true - y_pred}["eror"]


def test_the_error_of_a_formula_stays_and_is_explained():
    with pytest.raises(KeyError) as raised:
        missing_key(np.zeros((4, 1)), np.zeros(4))
    (note,) = raised.value.__notes__
    assert "the formula of `missing_key`" in note
    assert "y_true of shape (4, 1) and y_pred of shape (4, 1)" in note
    assert "ops.abs for np.abs, ops.where for `if`" in note


@ls.loss
def branching(y_true, y_pred):
    if ops.sum(y_pred) > 0:
        return y_true - y_pred
    return y_pred - y_true


def test_a_formula_that_branches_on_a_tensor(backend):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Activation("linear")])
    model.compile(loss=branching)
    eager = backend == "torch"  # where Keras compiles no step unless it is asked to
    refused = pytest.raises(TypeError, match=r"formula of `branching`.*ops.where for `if`")
    with contextlib.nullcontext() if eager else refused:
        assert model.evaluate(np.array([[3.0]]), np.array([1.0]), verbose=0) == -2


@pytest.mark.parametrize("loss", [ls.losses.huber, ls.losses.modified_huber], ids=str)
@pytest.mark.parametrize("kind", [list, lambda ones: {"a": ones[0], "b": ones[1]}])
def test_structures_for_a_formula_of_one_output(loss, kind):
    structure = kind([np.ones(4, "float32"), np.ones(4, "float32")])
    told = (
        rf"^{loss.name}: y_pred is a {type(structure).__name__} of 2\. .* this one takes a tensor "
        r".*keras.ops.stack.* Several outputs take a loss each"
    )
    with pytest.raises(TypeError, match=told):
        loss(structure, structure)


@ls.loss(targets="pair")
def of_distances(y_true, y_pred):
    return ops.square(y_pred)


@ls.loss(targets="pair")
def products(y_true, y_pred):
    return y_true * ops.square(y_pred)


@ls.loss(targets="pair")
def missing_key_of_pairs(y_true, y_pred):
    return {"distance": y_pred}["distanc"]


def test_embeddings_for_a_formula_of_distances():
    with pytest.raises(ValueError, match=r"per pair, \(4,\)\. y_pred holds the two embeddings"):
        of_distances(LABELS, EMBEDDINGS)
    message = (
        r"(?s)failed on y_true of shape \(4,\) and y_pred of shape \(4, 2, 3\) .*begin with their"
    )
    with pytest.raises(ValueError, match=message):
        products(LABELS, EMBEDDINGS)
    with pytest.raises(ValueError, match=r"\(KeyError: 'distanc'\)\. .*begin with their distance"):
        missing_key_of_pairs(LABELS, EMBEDDINGS)


@pytest.mark.backend_free
def test_torch_compile_does_not_look_into_a_loss_of_lossmith():
    code = """
import torch
import lossmith as ls

def keep(graph, inputs):
    print(sum(node.op == "call_function" for node in graph.graph.nodes), end=" ")
    return graph.forward

step = torch.compile(lambda y, p: ls.losses.huber(y, p), backend=keep, fullgraph=True)
print(float(step(torch.zeros(4, 1), torch.ones(4, 1))))
"""
    assert printed_on_torch(code) == "1 0.5"


@pytest.mark.backend_free
def test_a_step_that_torch_compiles_tells_losses_apart():
    code = """
import torch
import lossmith as ls

step = torch.compile(lambda loss, y, p: loss(y, p), backend="eager", fullgraph=True)
for threshold in (1.0, 2.0):
    loss = ls.losses.huber(threshold=threshold)
    print(float(step(loss, torch.zeros(4, 1), 4.0 * torch.ones(4, 1))), end=" ")
ids, embeddings = torch.arange(4) // 2, torch.eye(4)
for temperature in (0.5, 1.0):
    loss = ls.losses.supervised_contrastive(temperature=temperature)
    print(float(step(loss, ids, embeddings)) == float(loss(ids, embeddings)), end=" ")
for margin in (1.0, 2.0):
    loss = ls.losses.all_pairs_contrastive(margin=margin)
    print(float(step(loss, ids, embeddings)) == float(loss(ids, embeddings)), end=" ")
"""
    assert printed_on_torch(code) == "3.5 6.0 True True True True"


def printed_on_torch(code):
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()
