"""The learned shape is that of a grid search, and that of SciPy's maximum likelihood."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from contract import oracles

SCRIPT = Path(__file__).parents[2] / "examples" / "learned_shape.py"


def load_example():
    spec = importlib.util.spec_from_file_location("learned_shape", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


example = load_example()


def maximum_likelihood(points):
    """Shape, scale and slope by SciPy, from the formula and the quadrature of the oracle."""

    def value(parameters):
        alpha, log_scale, slope, intercept = parameters
        residuals = points.y - slope * points.x[:, 0] - intercept
        return oracles.general_adaptive(
            residuals, np.zeros_like(residuals), round(alpha, 3), np.exp(log_scale)
        )

    bounds = [(0.001, 1.999), (-3, 2), (-5, 5), (-5, 5)]
    found = scipy.optimize.minimize(value, [1.0, 0.0, 1.0, 0.0], method="Nelder-Mead",
                                    bounds=bounds, options={"maxiter": 1500}).x  # fmt: skip
    return found[0], np.exp(found[1]), found[2]


def test_one_training_finds_what_the_grid_search_finds(monkeypatch):
    monkeypatch.setattr(example, "GRID", np.linspace(0, 2, 5))
    share = 0.2
    points = example.draw(share, seed=1)
    learned = example.learn(points)
    searched = example.search(points, example.draw(share, seed=2))
    step = example.GRID[1] - example.GRID[0]
    assert abs(learned.alpha - searched.alpha) <= step
    assert learned.slope == pytest.approx(searched.slope, abs=0.05)
    alpha, scale, slope = maximum_likelihood(points)
    assert learned.alpha == pytest.approx(alpha, abs=0.1)
    assert learned.scale == pytest.approx(scale, rel=0.05)
    assert learned.slope == pytest.approx(slope, abs=0.01)


def test_the_table(capsys, monkeypatch):
    monkeypatch.setattr(example, "STEPS", 5)
    monkeypatch.setattr(example, "GRID", [0.5, 1.5])
    example.main(["--shares", "0.4"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("wrong   learned     grid")
    share, learned, *_ = printed[2].split()
    assert share == "40%"
    assert 0 < float(learned) < 2
