"""`SiameseNetwork`: twins that share an encoder, and the distance between what they see."""

import math
import numbers
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from lossmith import distances
from lossmith.core.backend import keras
from lossmith.core.state import LossState
from lossmith.siamese.batches import ClassBatches
from lossmith.siamese.evaluation import embed_items
from lossmith.siamese.figures import VerificationReport
from lossmith.siamese.inputs import (
    BATCHES,
    batches_of,
    check_data,
    check_embeddings,
    check_labelled_items,
    checked_pair,
    inputs_and_labels,
    is_pair,
    item_shapes,
    without_views,
)
from lossmith.siamese.pairs import PairDataset
from lossmith.siamese.trainable_losses import (
    check_label_of_same,
    check_labels,
    check_margins,
    checked_loss,
    has_state,
    is_of_class_ids,
    refuse_accuracy,
)
from lossmith.siamese.verification import VerificationScores

ops = keras.ops
tree = keras.tree


@keras.saving.register_keras_serializable("lossmith", "SiameseNetwork")
class SiameseNetwork(keras.Model):
    """A Keras model of two inputs that gives the distance of their embeddings.

    `d(a, b) = distance(encoder(a), encoder(b))`, with one encoder and one set of weights. Both
    inputs pass the encoder as one batch, so that batch normalisation sees the two alike.

    Train it on pairs, `fit(pairs)` with `compile(loss=lossmith.losses.contrastive)`, or on items
    with a loss of class ids, such as `supervised_contrastive` or `ArcFace`: `fit(ClassBatches(x,
    labels))`. What such a loss learns, class centres say, is kept in `loss_state` and saved with
    the network that trains; `SiameseNetwork(network.encoder)` is one without. `calibrate` chooses
    the threshold below which a pair counts as the same; it is saved with the model, in one `.keras`
    file.

    Args:
        encoder: a Keras model from an input to a vector, `(N, ...) -> (N, D)`.
        distance: `"euclidean"`, `"squared_euclidean"`, `"manhattan"` or `"cosine"`.
        threshold: the distance below which a pair is the same; `None` until calibrated.
        name: the name of the model.
        **kwargs: `trainable` and `dtype` of a Keras model.

    Input: a pair `(a, b)` of arrays (or nested structures) as the encoder takes them.
    Output: the distances, `(N,)`. Compiled with a loss of class ids, the model also takes items
    alone, `(N, ...)` or V views `(N, V, ...)`, and gives their embeddings.

    Raises:
        TypeError: if the encoder is not a Keras model.
        ValueError: if the encoder does not give vectors, or the threshold is negative.

    Example:
    >>> import keras, lossmith as ls, numpy as np
    >>> encoder = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    >>> network = ls.siamese.SiameseNetwork(encoder, threshold=1.0)
    >>> a, b = np.zeros((2, 3)), np.array([[0.0, 0.0, 0.5], [0.0, 3.0, 4.0]])
    >>> network.distance(a, b).tolist()
    [0.5, 5.0]
    >>> network.same(a, b).tolist()
    [True, False]
    """

    def __init__(
        self,
        encoder: Any,
        distance: distances.Name | distances.Distance = "euclidean",
        threshold: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(encoder, keras.Model):
            raise TypeError(
                "SiameseNetwork: encoder must be a Keras model that turns an input into a vector "
                f"(a layer becomes one in keras.Sequential); got {encoder!r} "
                f"({type(encoder).__name__})."
            )
        self.encoder = encoder
        self._distance = distances.get(distance)
        self.threshold = threshold
        self.loss_state = None
        self._is_of_items = False
        if getattr(encoder, "built", False) and hasattr(encoder, "output_shape"):
            check_embeddings(encoder.output_shape)
            self.build((encoder.input_shape, encoder.input_shape))

    @property
    def threshold(self) -> float | None:
        """The distance below which a pair counts as the same; `None` until calibrated."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float | None) -> None:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 <= value < math.inf):
            raise ValueError(
                f"SiameseNetwork: threshold must be a finite number >= 0 or None; got {value!r}."
            )
        self._threshold = None if value is None else float(value)

    def build(self, input_shape: Any) -> None:
        """Build the encoder for one of the two inputs, or for items where those are given."""
        is_of_items = isinstance(input_shape, dict) or isinstance(input_shape[0], int | None)
        if not self.encoder.built:
            self.encoder.build(input_shape if is_of_items else input_shape[0])
        tree.map_structure(self._check_margin, self.loss)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The distances of the pairs, `(N,)`; of items, where it is trained on them, embeddings."""
        wanted = item_shapes(self.encoder)
        if self._is_of_items and not is_pair(inputs, wanted):
            return self._with_state(self._embedded(inputs, training), training)
        a, b = checked_pair(inputs, wanted)
        joined = tree.map_structure(lambda x, y: ops.concatenate([x, y], axis=0), a, b)
        embeddings = self.encoder(joined, training=training)
        check_embeddings(embeddings.shape)
        count = ops.shape(tree.flatten(a)[0])[0]
        distances = self._distance(embeddings[:count], embeddings[count:])
        return distances if self._is_of_items else self._with_state(distances, training)

    def _embedded(self, inputs: Any, training: bool | None) -> Any:
        items, views = without_views(inputs, item_shapes(self.encoder))
        embeddings = self.encoder(items, training=training)
        check_embeddings(embeddings.shape)
        if views is None:
            return embeddings
        return ops.reshape(embeddings, (-1, views, embeddings.shape[-1]))

    def _with_state(self, outputs: Any, training: bool | None) -> Any:
        return outputs if self.loss_state is None else self.loss_state(outputs, training=training)

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Configure training as `keras.Model.compile` does.

        Args:
            optimizer: as for any Keras model.
            loss: a loss of pair labels and distances, such as `lossmith.losses.contrastive`, its
                name, or a function of one's own; or a loss of class ids and embeddings, which is
                trained on items.
            **kwargs: what else `keras.Model.compile` takes.

        Raises:
            ValueError: if the loss compares neither pair labels with distances nor class ids with
                embeddings, has a margin out of reach or centres of other dimensions, or was given
                another distance, or a metric is Keras' accuracy, which is for probabilities.
            TypeError: if the loss is a class instead of an instance.
        """
        if loss is not None:
            loss = tree.map_structure(self._checked_loss, loss)
        for metric in tree.flatten([kwargs.get("metrics"), kwargs.get("weighted_metrics")]):
            refuse_accuracy(metric)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self._is_of_items = any(map(is_of_class_ids, tree.flatten(loss)))
        self._keep_state_of(next((each for each in tree.flatten(loss) if has_state(each)), None))

    def _keep_state_of(self, loss: Any) -> None:
        """Keep what a loss learns; of one that is equal to the last one, as it is by now."""
        present: Any = self.loss_state
        if loss is not None and present is not None and present.loss == loss:
            return
        states = (each for each in self.encoder._flatten_layers() if isinstance(each, LossState))
        is_in_encoder = any(state.loss == loss for state in states)
        self._tracker.unlock()
        self._tracker.untrack(present)
        self.loss_state = None if loss is None or is_in_encoder else loss.state
        self._tracker.lock()
        if self.loss_state is not None and self._dimensions() is not None:
            self.loss_state.build((None, self._dimensions()))

    def get_compile_config(self) -> Any:
        """What a Keras model has, and of which shape the state of the loss was built."""
        config = super().get_compile_config()
        if self.loss_state is None:
            return config
        return {**config, "loss_state": self.loss_state.get_build_config()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as a saved model was; Keras does not do so by itself where `compile` differs."""
        given = dict(keras.saving.deserialize_keras_object(config))
        shape = given.pop("loss_state", None)
        self.compile(**given)
        if shape and self.loss_state is not None and not self.loss_state.built:
            self.loss_state.build_from_config(shape)
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as `keras.Model.fit` does, on pairs `(a, b)` with labels or a data set of them.

        With a loss of class ids it is items with their ids, or `ClassBatches` of them; for a loss
        of two views, such as `clip`, those with `paired=True`.

        A threshold that is there stays, with a warning once steps have been taken: it was chosen
        for other distances.

        Raises:
            ValueError: if the inputs are not what the loss takes, or do not fit the encoder, if an
                array of labels holds others than the loss takes, or if the loss takes 0 for same
                and a data set of lossmith has 1; the network is as it was before.
        """
        self._check_labelled(x, y)
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, list | tuple):
            self._check_labelled(*held_out[:2])
        elif held_out is not None:
            self._check_labelled(held_out)
        before = self._steps_trained()
        try:
            return super().fit(x, y, *args, **kwargs)
        finally:
            if self.threshold is not None and self._steps_trained() > before:
                warnings.warn(
                    f"The threshold {self.threshold:.4g} was chosen for the network as it was "
                    "before this training: calibrate it again.",
                    stacklevel=2,
                )

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does; what it refuses is as for `fit`."""
        self._check_labelled(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The distances as `keras.Model.predict` gives them; what it refuses is as for `fit`."""
        check_data(x, None, item_shapes(self.encoder))
        return super().predict(x, *args, **kwargs)

    def embed(self, x: Any, batch_size: int = 256) -> np.ndarray:
        """The embeddings of `x`, `(N, D)`, as a NumPy array; images are read as they are needed."""
        return embed_items(self.encoder, x, batch_size)

    def distance(self, a: Any, b: Any, batch_size: int = 256) -> np.ndarray:
        """The distances of aligned pairs, `(N,)`, as a NumPy array; of no pairs, none."""
        first, _ = checked_pair((a, b), item_shapes(self.encoder))
        if tree.flatten(first)[0].shape[0] == 0:
            return np.zeros(0, dtype="float32")
        return np.asarray(self.predict((a, b), batch_size=batch_size, verbose=0))

    def same(self, a: Any, b: Any, batch_size: int = 256) -> np.ndarray:
        """Whether each pair is the same: its distance is below the calibrated threshold.

        Raises:
            ValueError: if no threshold has been calibrated or set.
        """
        if self.threshold is None:
            raise ValueError(
                "SiameseNetwork.same needs a threshold: call calibrate(...) on validation pairs, "
                "or set network.threshold."
            )
        return self.distance(a, b, batch_size) < self.threshold

    def score(self, pairs: Iterable[Any]) -> VerificationScores:
        """Count the distances of same and different pairs, batch by batch.

        Args:
            pairs: batches `((a, b), labels)` with label 1 for same pairs, such as `LabelPairs` or
                `ReadyPairs`; a list of one batch will do.

        Returns:
            The scores, in constant memory; `report()` gives ROC, AUC, EER and thresholds.

        Raises:
            TypeError: if the batches are not of this form.
        """
        scores = VerificationScores()
        for batch in batches_of(pairs):
            inputs, labels = inputs_and_labels(batch)
            check_data(inputs, labels, item_shapes(self.encoder))
            scores.update(ops.convert_to_numpy(self.predict_on_batch(inputs)), labels)
        return scores

    def calibrate(
        self, pairs: Iterable[Any], false_accept_rate: float | None = None
    ) -> VerificationReport:
        """Choose the threshold below which a pair counts as the same, and keep it.

        Args:
            pairs: validation batches `((a, b), labels)` as for `score`; none of their items should
                have been trained on, and figures should be reported on other pairs.
            false_accept_rate: the share of different pairs that may count as the same; `None` for
                the threshold of the highest accuracy.

        Returns:
            The report on these pairs. Its accuracy is optimistic, since the threshold was chosen
            on them.

        Raises:
            TypeError: if the pairs are not such batches, or the rate is no number.
            ValueError: if same or different pairs are missing, or the rate cannot be reached with
                so few different pairs.
        """
        if not isinstance(false_accept_rate, numbers.Real | None):
            raise TypeError(
                f"SiameseNetwork.calibrate takes {BATCHES}, and a false-accept rate as its second "
                f"argument; got a {type(false_accept_rate).__name__} for the rate."
            )
        scores = self.score(pairs)
        if false_accept_rate is None:
            report = scores.report()
            chosen = report.best.threshold.value
        else:
            report = scores.report(false_accept_rates=(false_accept_rate,))
            target = report.at_false_accept_rate[0]
            if not target.attainable:
                raise ValueError(f"SiameseNetwork.calibrate: {target}")
            chosen = target.point.threshold.value
        self.threshold = chosen
        return report

    def _steps_trained(self) -> int:
        optimizer = getattr(self, "optimizer", None)
        return 0 if optimizer is None else int(ops.convert_to_numpy(optimizer.iterations.value))

    def _check_labelled(self, x: Any, y: Any = None) -> None:
        check = check_labelled_items if self._is_of_items else check_data
        if x is not None:
            check(x, y, item_shapes(self.encoder))
        if isinstance(x, ClassBatches):
            y = x.class_ids
        if isinstance(x, PairDataset):
            tree.map_structure(check_label_of_same, self.loss)
        elif y is not None:
            labels = np.asarray(ops.convert_to_numpy(y))
            tree.map_structure(lambda loss: check_labels(loss, labels), self.loss)

    def _checked_loss(self, loss: Any) -> Any:
        loss = checked_loss(loss, self._distance.name, self._dimensions())
        self._check_margin(loss)
        return loss

    def _check_margin(self, loss: Any) -> None:
        check_margins(loss, self._distance, self._unit_length())

    def _unit_length(self) -> int | None:
        """The number of dimensions if the encoder is known to give vectors of length 1."""
        layers = getattr(self.encoder, "layers", [self.encoder])
        is_unit = layers and isinstance(layers[-1], keras.layers.UnitNormalization)
        return self._dimensions() if is_unit else None

    def _dimensions(self) -> int | None:
        """The number of dimensions; an encoder that is not built yet has no output shape."""
        shape = getattr(self.encoder, "output_shape", None)
        return None if shape is None else int(shape[-1])

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save encoder, distance, threshold and what the loss has learned in one `.keras` file.

        Raises:
            ValueError: for an `.h5` file.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"SiameseNetwork.save: got {str(filepath)!r}. Keras cannot load a model class from "
                "outside of Keras from an .h5 file; write a .keras file."
            )
        super().save(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """What a Keras model has, the encoder, the distance and the calibrated threshold."""
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "distance": self._distance.name,
            "threshold": self.threshold,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:
        """Make the network that `get_config` described."""
        encoder = keras.saving.deserialize_keras_object(
            config["encoder"], custom_objects=custom_objects
        )
        return cls(**{**config, "encoder": encoder})
