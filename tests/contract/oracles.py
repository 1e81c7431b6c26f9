"""The losses in plain NumPy and SciPy, from their definitions: values per sample in float64."""

import functools

import numpy as np
import scipy.integrate
import scipy.special
import scipy.stats


def per_sample(entries):
    """The mean over the last axis, for values per entry."""
    return np.mean(entries, axis=-1)


def squared(y, p):
    return per_sample((y - p) ** 2)


def absolute(y, p):
    return per_sample(np.abs(y - p))


def root_mean_squared(y, p, weights=None):
    if weights is not None and weights.sum() == 0:
        return 0.0
    return np.sqrt(np.average(np.mean((y - p) ** 2, axis=-1), weights=weights))


def huber(y, p, threshold=1.0):
    return per_sample(scipy.special.huber(threshold, y - p))


def pseudo_huber(y, p, threshold=1.0):
    return per_sample(scipy.special.pseudo_huber(threshold, y - p))


def log_cosh(y, p):
    return per_sample(np.log(np.cosh(y - p)))


def quantile(y, p, q=0.5):
    return per_sample(np.maximum(q * (y - p), (q - 1) * (y - p)))


def gaussian_likelihood(y, p, scale=1.0):
    return per_sample(-scipy.stats.norm.logpdf(y, p, scale))


def laplace_likelihood(y, p, scale=1.0):
    return per_sample(-scipy.stats.laplace.logpdf(y, p, scale))


def cauchy_likelihood(y, p, scale=1.0):
    return per_sample(-scipy.stats.cauchy.logpdf(y, p, scale))


def student_t_likelihood(y, p, df=4.0, scale=1.0):
    return per_sample(-scipy.stats.t.logpdf(y, df, p, scale))


def barron(x, alpha):
    """The general loss as Barron's paper prints it, with its two limits."""
    if alpha == 0:
        return np.log(x**2 / 2 + 1)
    if alpha == 2:
        return x**2 / 2
    beta = abs(alpha - 2)
    return beta / alpha * ((x**2 / beta + 1) ** (alpha / 2) - 1)


@functools.cache
def barron_partition(alpha):
    """The integral of `exp(-barron)` over the real line, by adaptive quadrature."""

    def integrand(t):
        """With x = sinh(t), so that heavy tails end where the quadrature can see them."""
        return np.exp(-barron(np.sinh(t), alpha)) * np.cosh(t)

    return 2 * sum(
        scipy.integrate.quad(integrand, *part, epsabs=0, epsrel=1e-11)[0]
        for part in ((0, 5), (5, 15), (15, 40))
    )


def general_adaptive(y, p, alpha=1.0, scale=1.0):
    alpha, scale = float(alpha), float(scale)
    constant = np.log(scale) + np.log(barron_partition(alpha))
    return per_sample(barron((y - p) / scale, alpha) + constant)


def modified_huber(y, p):
    margin = y * p
    return per_sample(np.where(margin >= -1, np.maximum(0, 1 - margin) ** 2, -4 * margin))


def contrastive(y, d, margin=1.0, same=1, factor=1.0):
    alike = y if same == 1 else 1 - y
    return factor * (alike * d**2 + (1 - alike) * np.maximum(margin - d, 0) ** 2)


CENTRES = np.array([[1.0, 0.5, -0.3, 0.2], [-0.4, 1.5, 0.6, 0.1], [0.3, -0.8, 0.9, -1.1]])


def unit(vectors):
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def with_margin(y, p, centres, move, scale):
    """Cross-entropy of scaled cosines, where the own one is moved."""
    scores = scale * (unit(p) @ unit(centres).T)
    for row, own in enumerate(y):
        scores[row, own] = scale * move(scores[row, own] / scale)
    return scipy.special.logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]


def arc_face(y, p, centres=CENTRES, margin=0.3, scale=4.0):
    def move(cosine):
        angle = np.arccos(cosine)
        if angle + margin > np.pi:
            return cosine - margin * np.sin(margin)
        return np.cos(angle + margin)

    return with_margin(y, p, centres, move, scale)


def cos_face(y, p, centres=CENTRES, margin=0.3, scale=4.0):
    return with_margin(y, p, centres, lambda cosine: cosine - margin, scale)


def proxy_nca(y, p, centres=CENTRES, temperature=0.5):
    distances = np.sum((unit(p)[:, None] - unit(centres)[None]) ** 2, axis=-1)
    return -scipy.special.log_softmax(-distances / temperature, axis=1)[np.arange(len(y)), y]


def proxy_anchor(y, p, weights=None, centres=CENTRES, margin=0.1, scale=4.0):
    """Loops over the proxies, as the docstring says it."""
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    pull, push = [], []
    for own, proxy in enumerate(unit(centres)):
        cosines = unit(p) @ proxy
        mine = weights * (y == own)
        others = weights * (y != own)
        if mine.any():
            pull.append(np.log1p(mine @ np.exp(-scale * (cosines - margin))))
        push.append(np.log1p(others @ np.exp(scale * (cosines + margin))))
    return (np.mean(pull) if pull else 0.0) + np.mean(push)


def asymmetric(y, p, late=3.0, power="square", doubled=False):
    cost = np.abs(y - p) ** {"square": 2, "fourth": 4}[power]
    return per_sample(np.where(y > p, late, 1) * cost * (2 if doubled else 1))


def scaled_outputs(y, p, scale=(1.0, 2.0, 4.0)):
    return per_sample(np.asarray(scale) * (y - p) ** 2)


def axis_norm(y, p, axis=-1, offset=1):
    return np.sqrt(offset + np.sum((y - p) ** 2, axis=axis))


def cross_entropy(y, p, temperature=1.0):
    scores = scipy.special.log_softmax(p / temperature, axis=-1)
    return -np.take_along_axis(scores, y[..., None], axis=-1)[..., 0]


def logistic_pairs(y, d, offset=1.0):
    return np.logaddexp(0, (2 * y - 1) * (d - offset))


def relative_error(y, p, weights=None, floor=1.0):
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    rows = weights[:, None]
    return np.sum(rows * (y - p) ** 2) / (floor + np.sum(rows * y**2))
