"""A memory of past batches in `fit`, where each backend compiles the whole step."""

from functools import partial

import keras
import numpy as np
import pytest

import lossmith as ls

RNG = np.random.default_rng(8)
X = RNG.normal(size=(48, 3)).astype("float32")
IDS = RNG.integers(0, 3, size=48)
KERNEL = RNG.normal(size=(3, 4)).astype("float32")
LOSS = ls.losses.CrossBatchMemory(
    loss=ls.losses.supervised_contrastive(temperature=0.5), size=32, warm_up=1
)


@pytest.fixture
def compiled_fast(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch traces the step as ever; translating it into C++ would take longer."""
    if backend == "torch":
        import torch

        torch._dynamo.reset()
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


def fitted(**compile_arguments: bool) -> tuple[np.ndarray, list[float], list[np.ndarray]]:
    """The kernel, the loss and what is remembered, after an eager step and three others."""
    layer, state = keras.layers.Dense(4, use_bias=False), LOSS.state
    model = keras.Sequential([keras.Input((3,)), layer, state])
    layer.set_weights([KERNEL])
    model.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    model.train_on_batch(X[:16], IDS[:16])
    model.compile(keras.optimizers.SGD(0.1), LOSS, **compile_arguments)
    history = model.fit(X, IDS, batch_size=16, shuffle=False, verbose=0)
    contents = [keras.ops.convert_to_numpy(each) for each in state.contents()]
    return layer.get_weights()[0], history.history["loss"], contents


@pytest.mark.usefixtures("compiled_fast")
def test_a_compiled_step_reads_and_remembers_as_one_that_is_not() -> None:
    kernel, losses, contents = fitted(run_eagerly=True)
    compiled_kernel, compiled_losses, compiled_contents = fitted(jit_compile=True)
    assert compiled_losses == pytest.approx(losses, rel=1e-4)
    np.testing.assert_allclose(compiled_kernel, kernel, rtol=1e-4, atol=1e-5)
    for found, expected in zip(compiled_contents, contents, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(kernel - KERNEL).max() > 0.01
