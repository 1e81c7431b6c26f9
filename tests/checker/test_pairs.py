"""What is said of the way in which a loss of distances pulls and pushes."""

import pytest
from keras import ops

from lossmith.checker.context import Context
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.probes import pairs
from lossmith.checker.settings import Settings
from lossmith.checker.targets import build


def without_a_hinge(y_true, y_pred):
    return ops.mean(y_true * y_pred**2 + (1 - y_true) * (1.0 - y_pred) ** 2, axis=-1)


def with_a_bound(y_true, y_pred):
    pull = ops.minimum(y_pred, 4.0 - y_pred)
    return ops.mean(y_true * pull + (1 - y_true) * ops.relu(1.0 - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("loss", "label", "distance"), [(without_a_hinge, 0, 1.0), (with_a_bound, 1, 2.0)]
)
def test_a_loss_turns_around_at_its_bound_and_not_where_it_is_steepest(loss, label, distance):
    context = Context(Evaluator(loss), build("distance"), Settings("distance"))
    (finding,) = pairs._mixed(context)
    assert finding.message.startswith(f"For label {label} the loss turns around at a distance of ")
    assert float(finding.message.split()[-1].rstrip(".")) == pytest.approx(distance, abs=0.05)
