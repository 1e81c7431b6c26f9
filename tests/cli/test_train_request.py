"""What `lossmith train` makes of its options, before anything is trained."""

from pathlib import Path

import pytest

import lossmith as ls
from lossmith.core import registry
from lossmith.siamese.settings import settings_for
from lossmith_cli.train import Request

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize("name", [*registry.catalogue(), "Weighted", "Sum", "UncertaintyWeighted"])
def test_a_loss_by_name_trains_or_is_refused_in_words(name: str) -> None:
    request = Request(
        source="mnist5k",
        out=Path("run"),
        preset=None,
        given={},
        loss=name,
        hyperparameters={},
        image_size=None,
    )
    try:
        given = request.settings(ls.losses.supervised_contrastive)
        settings_for(1000, **given)
    except ValueError as refused:  # what the command shows in one line
        said = str(refused).replace("_", "").lower()
        assert name.replace("_", "").lower() in said
