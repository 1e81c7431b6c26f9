"""There are none, and whoever asks for them is told so instead of getting a part of them."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradient
from keras import ops

import lossmith as ls

IDS = np.array([0, 0, 1, 1, 2, 2])
EMBEDDINGS = np.random.default_rng(29).normal(size=(6, 3)).astype("float32")
LOSSES = [ls.losses.all_pairs_contrastive, ls.losses.supervised_contrastive]


def gradient_penalty(loss):
    """The squared length of the gradient, a function of the embeddings on each backend."""

    def with_jax(embeddings):
        import jax

        return ops.sum(ops.square(jax.grad(lambda x: loss(IDS, x))(embeddings)))

    def with_tensorflow(embeddings):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(IDS, embeddings)
        return ops.sum(ops.square(tape.gradient(value, embeddings)))

    def with_torch(embeddings):
        import torch

        value = loss(IDS, embeddings)
        return torch.autograd.grad(value, embeddings, create_graph=True)[0].square().sum()

    return locals()[f"with_{keras.backend.backend()}"]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_asking_for_second_derivatives_is_refused(loss):
    with pytest.raises(TypeError, match="has no second derivatives"):
        value_and_gradient(gradient_penalty(loss), EMBEDDINGS)


def test_a_memory_refuses_them_too():
    loss = ls.losses.supervised_contrastive

    def against(labels, embeddings):
        return loss.against(labels, embeddings, EMBEDDINGS[::-1].copy(), IDS)

    with pytest.raises(TypeError, match="has no second derivatives"):
        value_and_gradient(gradient_penalty(against), EMBEDDINGS)
