"""One line for each loss: what the contract suite needs to know to test it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import lossmith as ls
from contract import allpairs_oracles as pairs
from contract import oracles, user_losses
from lossmith.core import hyperparameters as hp

Batch = tuple[np.ndarray, np.ndarray]


def real_numbers(rng: np.random.Generator, rows: int) -> Batch:
    y_true = rng.normal(size=(rows, 3))
    return y_true, y_true + rng.uniform(-3, 3, size=(rows, 3))


def signs_and_scores(rng: np.random.Generator, rows: int) -> Batch:
    return rng.choice([-1.0, 1.0], size=(rows, 3)), rng.uniform(-3, 3, size=(rows, 3))


def classes_and_vectors(rng: np.random.Generator, rows: int) -> Batch:
    return np.arange(rows) % 3, rng.normal(size=(rows, 4))


def classes_and_views(rng: np.random.Generator, rows: int) -> Batch:
    return np.arange(rows) % 3, rng.normal(size=(rows, 2, 4))


def labels_and_distances(rng: np.random.Generator, rows: int) -> Batch:
    return (np.arange(rows) % 2).astype(float), rng.uniform(0.05, 2.5, size=rows)


@dataclass(frozen=True)
class Case:
    """A loss, how to make inputs inside its domain, and its oracle in float64."""

    loss: ls.Loss
    oracle: Callable[..., Any]
    changed: Mapping[str, Any] = field(default_factory=dict)
    inputs: Callable[[np.random.Generator, int], Batch] = real_numbers
    weight_repeats: bool = True
    """Whether an integer weight is the same as repeating the row."""
    own_gradient: bool = False
    """Whether the gradient is by definition not the derivative of the value."""

    @property
    def id(self) -> str:
        return type(self.loss).__name__ + "-" + self.loss.name

    @property
    def is_default(self) -> bool:
        """Whether the loss is that of its class without any argument."""
        declared = self.loss.declared
        return declared.keys() == self.loss.hyperparameters.keys() and all(
            each.default is not hp.REQUIRED for each in declared.values()
        )

    def batch(self, rows: int = 6, seed: int = 7, dtype: str = "float32") -> Batch:
        """Rows inside the domain and away from every kink; class ids stay integers."""
        y_true, y_pred = self.inputs(np.random.default_rng(seed), rows)
        y_true = y_true.astype(dtype if y_true.dtype.kind == "f" else "int32")
        return y_true, y_pred.astype(dtype)

    def other(self) -> ls.Loss:
        """The loss with hyperparameters that are not the default."""
        return self.loss(**self.changed)

    def expected(
        self, y_true: np.ndarray, y_pred: np.ndarray, weights: Any = None, **changed: Any
    ) -> Any:
        """Unreduced: values per sample, or one number for a batchwise loss; both in float64."""
        exact = [each.astype("float64") if each.dtype.kind == "f" else each
                 for each in (y_true, y_pred)]  # fmt: skip
        if self.loss.batchwise:
            return self.oracle(*exact, weights=weights, **changed)
        values = self.oracle(*exact, **changed)
        return values if weights is None else values * weights


user, L = user_losses, ls.losses
CENTRES = oracles.CENTRES
OTHER_CENTRES = np.add(CENTRES[::-1], [0.5, -0.2, 0.1, 0.3])
CASES = [
    Case(ls.losses.mean_squared_error, oracles.squared),
    Case(ls.losses.mean_absolute_error, oracles.absolute),
    Case(ls.losses.root_mean_squared_error, oracles.root_mean_squared),
    Case(ls.losses.huber, oracles.huber, {"threshold": 0.4}),
    Case(ls.losses.pseudo_huber, oracles.pseudo_huber, {"threshold": 0.4}),
    Case(ls.losses.log_cosh, oracles.log_cosh),
    Case(ls.losses.quantile, oracles.quantile, {"q": 0.9}),
    Case(ls.losses.gaussian_likelihood, oracles.gaussian_likelihood, {"scale": 0.4}),
    Case(ls.losses.laplace_likelihood, oracles.laplace_likelihood, {"scale": 0.4}),
    Case(ls.losses.cauchy_likelihood, oracles.cauchy_likelihood, {"scale": 0.4}),
    Case(ls.losses.student_t_likelihood, oracles.student_t_likelihood, {"df": 2.5, "scale": 0.4}),
    Case(ls.losses.general_adaptive, oracles.general_adaptive, {"alpha": 1.6, "scale": 0.4}),
    Case(ls.losses.modified_huber, oracles.modified_huber, inputs=signs_and_scores),
    Case(
        ls.losses.contrastive,
        oracles.contrastive,
        {"margin": 2.0, "same": 0, "factor": 0.5},
        labels_and_distances,
    ),
    *[
        Case(loss, getattr(pairs, loss.default_name), changed, inputs, False, loss is L.circle)
        for loss, changed, inputs in (
            (L.supervised_contrastive, {"temperature": 0.5, "inside": True}, classes_and_vectors),
            (
                L.all_pairs_contrastive,
                {"margin": 3.0, "positive_margin": 0.5, "squared": False, "average": "active"},
                classes_and_vectors,
            ),
            (L.nt_xent, {"temperature": 0.2}, classes_and_vectors),
            (L.multi_similarity, {"alpha": 3.0, "beta": 5.0, "epsilon": None}, classes_and_vectors),
            (L.circle, {"margin": 0.25, "gamma": 4.0}, classes_and_vectors),
            (L.lifted_structure, {"margin": 2.0}, classes_and_vectors),
            (L.triplet, {"margin": 0.7, "mining": "semi_hard"}, classes_and_vectors),
            (L.clip, {"temperature": 0.5}, classes_and_views),
            (L.n_pair, {}, classes_and_views),
            (L.siglip, {"scale": 3.0, "bias": -1.0}, classes_and_views),
        )
    ],
    Case(
        ls.losses.ArcFace(centres=CENTRES, margin=0.3, scale=4.0),
        oracles.arc_face,
        {"centres": OTHER_CENTRES, "margin": 0.7, "scale": 2.0},
        classes_and_vectors,
    ),
    Case(
        ls.losses.CosFace(centres=CENTRES, margin=0.3, scale=4.0),
        oracles.cos_face,
        {"centres": OTHER_CENTRES, "margin": 0.7, "scale": 2.0},
        classes_and_vectors,
    ),
    Case(
        ls.losses.ProxyNCA(centres=CENTRES, temperature=0.5),
        oracles.proxy_nca,
        {"centres": OTHER_CENTRES, "temperature": 0.8},
        classes_and_vectors,
    ),
    Case(
        ls.losses.ProxyAnchor(centres=CENTRES, margin=0.1, scale=4.0),
        oracles.proxy_anchor,
        {"centres": OTHER_CENTRES, "margin": 0.3, "scale": 2.0},
        classes_and_vectors,
    ),
    Case(
        0.7 * ls.losses.huber + 0.3 * ls.losses.log_cosh,
        lambda y, p: 0.7 * oracles.huber(y, p) + 0.3 * oracles.log_cosh(y, p),
    ),
    Case(
        2.0 * ls.losses.contrastive,
        lambda y, p: 2.0 * oracles.contrastive(y, p),
        inputs=labels_and_distances,
    ),
    Case(
        ls.uncertainty_weighted(ls.losses.huber, scale=1.0),
        lambda y, p, scale=1.0: oracles.huber(y, p) / (2 * scale**2) + np.log(scale),
        {"scale": 0.4},
    ),
    Case(user.asymmetric, oracles.asymmetric, {"late": 1.5, "power": "fourth", "doubled": True}),
    Case(user.scaled_outputs, oracles.scaled_outputs, {"scale": [0.5, 3.0, 7.0]}),
    Case(user.ScaledOutputs(), oracles.scaled_outputs, {"scale": [0.5, 3.0, 7.0]}),
    Case(
        user.Combined(),
        lambda y, p, base=None, factor=2.0: (
            factor * (oracles.huber(y, p) if base is None else oracles.quantile(y, p, base.q))
        ),
        {"base": ls.losses.quantile(q=0.2), "factor": 3.0},
    ),
    Case(user.FieldHuber(), oracles.huber, {"threshold": 0.4}),
    Case(user.ClassicHuber(), oracles.huber, {"threshold": 0.4}),
    Case(user.KeywordHuber(), oracles.huber, {"threshold": 0.4}),
    Case(user.KerasHuber(), oracles.huber, {"threshold": 0.4}),
    Case(user.AxisNorm(), oracles.axis_norm, {"offset": 4}),
    Case(user.cross_entropy, oracles.cross_entropy, {"temperature": 0.5}, classes_and_vectors),
    Case(user.LogisticPairs(), oracles.logistic_pairs, {"offset": 0.5}, labels_and_distances),
    Case(user.relative_error, oracles.relative_error, {"floor": 0.5}),
]
PER_SAMPLE = [case for case in CASES if not case.loss.batchwise]


def each(cases: list[Case]) -> pytest.MarkDecorator:
    """Parametrise a test over losses."""
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])
