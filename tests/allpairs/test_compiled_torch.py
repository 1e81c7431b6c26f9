"""PyTorch's compiled steps: hyperparameters that are tensors, streams of a device and forks.

On the other backends the same steps are compiled as theirs are.
"""

import keras
import numpy as np
import pytest
from gradients import value_and_gradient
from keras import ops

import lossmith as ls
from lossmith.core import traced

RNG = np.random.default_rng(31)
EMBEDDINGS = RNG.normal(size=(7, 4)).astype("float32")
IDS = np.arange(7) % 3
TORCH = keras.backend.backend() == "torch"
SIZES = (1030, 1210, 2100) if TORCH else (2100,)
"""Of large batches: of the first two PyTorch makes one tile; of the last the others make so many
that they go through them in a loop."""
LOSSES = [
    ls.losses.nt_xent,
    ls.losses.triplet(mining="hardest", margin=1.0),
    ls.losses.all_pairs_contrastive,
    ls.losses.lifted_structure,
]
"""By sums, by extremes, by distances, and without a slope of its own."""
MORE = [
    ls.losses.all_pairs_contrastive(average="active"),
    ls.losses.supervised_contrastive,
    ls.losses.circle,
]
"""Which the others compile as those, and in the contract."""


def compiled_with_breaks(function, backend):
    """A step that may fall back to Python, as one with a traced loss does on PyTorch."""
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    import torch

    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager")


def test_a_margin_that_is_a_tensor_in_a_compiled_step(backend):
    ids = ops.convert_to_tensor(IDS)
    step = compiled_with_breaks(
        lambda p, margin: traced(ls.losses.triplet, {"margin": margin})(ids, p), backend
    )
    values = []
    for margin in (0.3, 1.5):
        tensor = ops.convert_to_tensor(margin, "float32")
        eager = value_and_gradient(lambda p, m=margin: ls.losses.triplet(margin=m)(ids, p),
                                   EMBEDDINGS)  # fmt: skip
        found = value_and_gradient(lambda p, t=tensor: step(p, t), EMBEDDINGS)
        np.testing.assert_allclose(found[0], eager[0], rtol=1e-5)
        np.testing.assert_allclose(found[1], eager[1], rtol=1e-4, atol=1e-6)
        values.append(float(found[0]))
    assert values[0] != pytest.approx(values[1], rel=1e-2)


def test_a_step_compiled_before_a_fork_runs_after_it(backend, fresh_process):
    """As servers fork; a thread does not outlive it."""
    if backend != "torch":  # JAX and TensorFlow have threads of their own, and cannot be forked
        return
    source = """
        import json, os, signal
        import numpy as np
        import lossmith as ls
        from gradients import compiled
        from keras import ops
        ids = ops.convert_to_tensor(np.arange(6) % 2)
        embeddings = ops.convert_to_tensor(np.eye(6, dtype="float32"))
        step = compiled(ls.losses.triplet)
        before = float(step(ids, embeddings))
        process = os.fork()
        if process == 0:
            signal.alarm(60)
            os._exit(0 if float(step(ids, embeddings)) == before else 1)
        print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0))
    """
    assert fresh_process(source) is True


@pytest.mark.parametrize("loss", [*LOSSES, *(MORE if TORCH else [])], ids=repr)
def test_a_compiled_step_of_large_batches(loss, backend):
    """What is computed of a tile, or of a batch that is one, is compiled by itself on PyTorch."""
    step = compiled_with_breaks(lambda y, p: loss(y, p), backend)
    for items in SIZES:
        embeddings = RNG.normal(size=(items, 4)).astype("float32")
        embeddings[:2] = 1e-4 * embeddings[:2] + 1.0
        ids = ops.convert_to_tensor(np.arange(items) % 300)
        eager = value_and_gradient(lambda p, ids=ids: loss(ids, p), embeddings)
        found = value_and_gradient(lambda p, ids=ids: step(ids, p), embeddings)
        np.testing.assert_allclose(found[0], eager[0], rtol=1e-5)
        np.testing.assert_allclose(found[1], eager[1], rtol=1e-4, atol=1e-6)


def test_gradients_lie_in_memory_as_compiled_code_counts_on(backend):
    """Row by row on PyTorch, also where the last strip of items is not full."""
    layouts = []

    def watched(embeddings):
        if backend == "torch":
            embeddings.register_hook(lambda gradient: layouts.append(gradient.is_contiguous()))
        return ls.losses.all_pairs_contrastive(ids, embeddings * 1.0)

    ids = ops.convert_to_tensor(np.arange(2100) % 300)
    step = compiled_with_breaks(watched, backend)
    _, gradient = value_and_gradient(step, RNG.normal(size=(2100, 4)).astype("float32"))
    assert gradient.shape == (2100, 4)
    assert layouts == ([True] if backend == "torch" else [])
