"""Names: what a string or a dictionary stands for."""

import keras
import pytest
from contract import user_losses

import lossmith as ls
from lossmith.core import hyperparameters as hp
from lossmith.core import registry

WITH_DEFAULTS = [
    name
    for name, cls in registry.catalogue().items()
    if all(each.default is not hp.REQUIRED for each in cls.declared.values())
]


@pytest.mark.parametrize("name", WITH_DEFAULTS)
def test_the_catalogue_by_name(name):
    loss = getattr(ls.losses, name)
    assert ls.get(name) == loss
    assert ls.get(type(loss).__name__) == loss
    assert ls.get(f"lossmith>{type(loss).__name__}") == loss
    assert type(loss) is getattr(ls.losses, type(loss).__name__)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("mse", ls.losses.mean_squared_error), ("MSE", ls.losses.mean_squared_error),
        ("mae", ls.losses.mean_absolute_error), ("rmse", ls.losses.root_mean_squared_error),
        ("logcosh", ls.losses.log_cosh), ("pinball", ls.losses.quantile),
        ("asymmetric", user_losses.asymmetric), ("FieldHuber", user_losses.FieldHuber()),
        ("contract.user_losses>asymmetric", user_losses.asymmetric),
    ],
)  # fmt: skip
def test_other_names(name, loss):
    assert ls.get(name) == loss


def test_names_that_only_keras_knows():
    assert ls.get("binary_crossentropy") is keras.losses.binary_crossentropy
    other = keras.losses.Poisson()
    assert ls.get(other) is other
    assert isinstance(ls.get(keras.losses.serialize(other)), keras.losses.Poisson)


def test_a_configuration_that_keras_wrote_for_its_own_loss_is_keras_business():
    """Lossmith's Huber would take none of the arguments that Keras writes for its own."""
    serialized = keras.losses.serialize(keras.losses.Dice(reduction="sum", axis=(1, 2)))
    assert ls.get(serialized).get_config() == keras.losses.get(serialized).get_config()
    assert type(ls.get(keras.losses.serialize(keras.losses.Huber()))) is keras.losses.Huber


def test_unknown_names():
    with pytest.raises(ValueError, match=r"No loss is called 'hubert'. Did you mean 'huber'"):
        ls.get("hubert")
    with pytest.raises(ValueError, match=r"'HUBER'. Did you mean 'Huber'"):
        ls.get("HUBER")
    for config in ({"class_name": "Hubert", "config": {}}, {"registered_name": "lossmith>Hubert"}):
        with pytest.raises(ValueError, match=r"No loss is called '.*Hubert'. Did you mean 'Huber'"):
            ls.get(config)
    with pytest.raises(ValueError, match="No loss is called 'Nope'"):
        ls.get({"class_name": "Nope", "config": {}})


@pytest.mark.parametrize(
    "config",
    [{"threshold": 1.0}, {"class_name": "huber", "config": [1]}, {"class_name": 3, "config": {}}],
)
def test_what_is_no_configuration(config):
    with pytest.raises(ValueError, match=r"is {\"class_name\": ..., \"config\": {...}}; got {"):
        ls.get(config)


@pytest.mark.parametrize(
    ("module", "name", "meant"),
    [
        (ls, "Huber", "lossmith.losses.Huber"),
        (ls, "contrastiv", "lossmith.losses.contrastive"),
        (ls, "los", "lossmith.loss"),
        (ls.losses, "hubr", "lossmith.losses.huber"),
        (ls.losses, "LogCoSh", "lossmith.losses.LogCosh"),
    ],
)
def test_a_name_that_a_module_does_not_have(module, name, meant):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'. Did you mean .*{meant}"):
        getattr(module, name)
    assert not hasattr(module, "quite_another_thing")


@ls.loss(package="old_module", name="renamed")
def new_name(y_true, y_pred):
    return y_true - y_pred


def test_a_package_and_a_name_of_its_own():
    assert registry.registered_name(type(new_name)) == "old_module>renamed"
    assert ls.get("renamed") == new_name
    assert new_name.name == "renamed"


def test_the_exact_name_of_one_of_two():
    class Tilted(ls.Loss, package="exact"):
        def call(self, y_true, y_pred):
            return y_true - y_pred

    @ls.loss(package="exact")
    def tilted(y_true, y_pred):
        return y_true - y_pred

    assert ls.get("Tilted") == Tilted()
    assert ls.get("tilted") == tilted


def test_an_ambiguous_name():
    for package in ("here", "there"):
        ls.loss(_twice, package=package)
    with pytest.raises(ValueError, match="Several losses are called '_twice'"):
        ls.get("_twice")
    assert type(ls.get("here>_twice")) is not type(ls.get("there>_twice"))


def _twice(y_true, y_pred):
    return y_true - y_pred
