"""By what candidates are ranked: a metric that is the same for all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lossmith.core import Loss, registry
from lossmith.core.backend import keras
from lossmith.sweeping import grid

_OWN_LOSS = ("loss", "val_loss")
_DIRECTIONS = {"up": "max", "down": "min"}


@dataclass(frozen=True)
class Ranking:
    """A metric as Keras compiles it (`None` for a comparable loss itself), and what is better."""

    metric: Any
    mode: str

    def metrics(self) -> list[Any]:
        """The metric anew, for one more model."""
        if self.metric is None:
            return []
        if isinstance(self.metric, keras.metrics.Metric):
            return [type(self.metric).from_config(self.metric.get_config())]
        return [self.metric]

    def key(self, logs: Iterable[str]) -> str:
        """The name of the metric in the logs of a step.

        Raises:
            ValueError: if the model logs others besides, and none of them is called so.
        """
        others = [name for name in logs if name != "loss"]
        if self.metric is None or not others:
            return "loss"
        name = self.metric if isinstance(self.metric, str) else getattr(self.metric, "name", None)
        if len(others) > 1 and name not in others:
            raise ValueError(f"sweep: which of the logged {others} is the metric {self.metric!r}?")
        return others[0] if len(others) == 1 else str(name)

    def key_of_history(self, names: Iterable[str]) -> str:
        """The name of the metric among those of `fit`, without its `val_`."""
        return self.key([name.removeprefix("val_") for name in names if name.startswith("val_")])

    def better(self, value: float, than: float | None) -> bool:
        """Whether one value is better than another."""
        return than is None or (value < than if self.mode == "min" else value > than)

    def describe(self) -> str:
        """The metric in words that are the same for equal metrics."""
        if isinstance(self.metric, keras.metrics.Metric):
            return f"{type(self.metric).__name__}({self.metric.get_config()})"
        name = getattr(self.metric, "__name__", None)
        return str(name) if name else repr(self.metric)


def ranking(loss: Loss, swept: Iterable[str], metric: Any, mode: str | None) -> Ranking:
    """How candidates that differ in the `swept` hyperparameters of a loss are compared.

    Raises:
        ValueError: if the metric is unknown, its values are not comparable, or it is not known
            whether more of it is better.
    """
    if mode not in (None, "min", "max"):
        raise ValueError(f"sweep: mode must be 'min' or 'max'; got {mode!r}.")
    is_named = isinstance(metric, str) and metric in (*_OWN_LOSS, loss.name)
    if metric is None or metric is loss or is_named:
        if is_named and metric != loss.name and _is_likelihood(loss, swept):
            return Ranking(None, "min")
        raise ValueError(_refusal(loss, list(swept)))
    if isinstance(metric, Loss):
        return Ranking(metric if metric.batchwise else metric(reduction="none"), mode or "min")
    _check_known(metric)
    known = mode or _direction(metric)
    if known is None:
        raise ValueError(
            f"sweep: is more or less of {metric!r} better? Give mode='max' or mode='min'."
        )
    return Ranking(metric, known)


def _is_likelihood(loss: Loss, swept: Iterable[str]) -> bool:
    return all("." not in name and name in type(loss).learnable for name in swept)


def _check_known(metric: Any) -> None:
    """Refuse a name that is none of a metric."""
    if _is_known(metric):
        return
    name = str(metric).removeprefix("val_")
    known = [each for each in dir(keras.metrics) if not each.startswith("_")]
    close = [name] if _is_known(name) else registry.closest(name, known)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(
        f"sweep: no metric is called {metric!r}.{hint} Give what compile(metrics=[...]) takes, "
        "such as 'mae' or a keras.metrics.Metric. It is measured on the validation data; there is "
        "no `val_` in its name."
    )


def _is_known(metric: Any) -> bool:
    try:
        keras.metrics.get(metric)
    except ValueError:
        return False
    return True


def _direction(metric: Any) -> str | None:
    found = keras.metrics.get(metric)
    if not isinstance(found, keras.metrics.Metric) and callable(found):
        found = keras.metrics.MeanMetricWrapper(found)
    return _DIRECTIONS.get(getattr(found, "_direction", None) or "")


def _refusal(loss: Loss, swept: list[str]) -> str:
    names = ", ".join(f"`{name}`" for name in swept)
    return (
        f"sweep: candidates cannot be ranked by {loss.name} itself, since {names} changes what it "
        "measures: the value at which it is smallest wins whatever the model has learned (for a "
        "Huber loss, the smallest threshold). Give a metric that is the same for all, such as "
        f"metric='mae' or metric={_fixed(loss, swept)}, or sweep a loss in likelihood form, as "
        "losses.cauchy_likelihood or losses.general_adaptive, with metric='loss'."
    )


def _fixed(loss: Loss, swept: list[str]) -> str:
    values: Mapping[str, Any] = {
        name: loss.hyperparameters[name] for name in swept if "." not in name
    }
    return repr(grid.with_values(loss, values))
