"""What cannot work or cannot be saved is refused when the loss is made, saying what to write."""

import functools

import keras
import numpy as np
import pytest
from contract import user_losses
from keras import ops

import lossmith as ls

huber = ls.losses.huber
Y = np.zeros(3, "float32")


def formula(y_true, y_pred, *, scale=1.0):
    return scale * ops.square(y_true - y_pred)


def factory(scale):
    def inner(y_true, y_pred):
        return scale * ops.square(y_true - y_pred)

    return inner


class Holder:
    def formula(self, y_true, y_pred):
        return y_true - y_pred


def three_tensors(y_true, y_pred, weights):
    return weights * (y_true - y_pred)


def swapped(y_pred, y_true):
    return y_true - y_pred


def doubling(method):
    @functools.wraps(method)
    def doubled(*tensors):
        return 2 * method(*tensors)

    return doubled


def one_tensor(y_pred):
    return y_pred


def hidden(y_true, y_pred, **options):
    return y_true - y_pred


def required(y_true, y_pred, *, scale):
    return scale * (y_true - y_pred)


def weighted(y_true, y_pred, sample_weight=None):
    return y_true - y_pred


def reserved(y_true, y_pred, *, reduction="sum"):
    return y_true - y_pred


def private(y_true, y_pred, *, _scale=1.0):
    return y_true - y_pred


def generator(y_true, y_pred):
    yield y_true - y_pred


async def coroutine(y_true, y_pred):
    return y_true - y_pred


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda y_true, y_pred: y_true - y_pred, "lambda cannot be saved.*def"),
        (factory(2.0), "reads `scale`.*keyword of the formula"),
        (functools.partial(formula, scale=2.0), "partial cannot be saved"),
        (Holder().formula, "bound method cannot be saved"),
        (ls.losses.Huber, r"it is a class; write Huber\(...\)"),
        (huber, "it is a loss already"),
        (three_tensors, r"third required argument, `weights`.*\*, weights=..."),
        (swapped, r"\(y_pred, y_true\) are swapped"),
        (one_tensor, "starts with two tensors"),
        (hidden, r"\*args and \*\*kwargs"),
        (required, "`scale` needs a default"),
        (weighted, "weights are applied for you"),
        (reserved, "`reduction` cannot be the name of a hyperparameter"),
        (private, "`_scale` cannot be the name"),
        (generator, r"`generator` yields its values.*`return` one tensor"),
        (coroutine, r"`coroutine` is a coroutine.*write `def`"),
        (3, "takes a function"),
        (None, r"takes a function; got None \(NoneType\): write a function"),
        ("huber", "takes a function"),
    ],
)
def test_what_is_no_formula(given, message):
    with pytest.raises(TypeError, match=message):
        ls.loss(given)


def test_a_class_whose_call_yields():
    with pytest.raises(TypeError, match="Mine: `yielding` yields its values"):
        define(call=yielding)


def yielding(self, y_true, y_pred):
    yield y_true - y_pred


@pytest.mark.parametrize(
    "value",
    [10**400, 10**5000, [10**5000], "x" * 3000, list(range(10_000))],
    ids=["long", "too long for Python", "in a list", "string", "list"],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda value: huber(threshold=value),
        lambda value: huber(reduction=value),
        lambda value: huber(dtype=value),
        lambda value: ls.loss(value),
    ],
)
def test_a_message_shows_long_values_in_short(make, value):
    with pytest.raises((TypeError, ValueError)) as error:
        make(value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("dtype", ["foo", "int32", 3, object()])
def test_a_dtype_that_is_none_is_refused_by_the_loss(dtype):
    with pytest.raises(ValueError, match=r"^Huber: dtype must be a floating dtype.*; got"):
        huber(dtype=dtype)


def test_a_dtype_that_a_class_hands_on_is_refused_too():
    with pytest.raises(ValueError, match=r"^classic: dtype must be a floating dtype.*; got 'foo'"):
        Classic("foo")


class Classic(ls.Loss):
    def __init__(self, kind="float32"):
        super().__init__(dtype=kind)

    def call(self, y_true, y_pred):
        return y_true - y_pred


def test_a_nested_function_without_free_variables_is_fine():
    def nested(y_true, y_pred):
        return ops.square(y_true - y_pred)

    assert float(ls.loss(nested)([0.0], [3.0])) == 9


@pytest.mark.parametrize("place", ["__init__", "scaled", "scale"])
def test_a_class_whose_methods_read_variables_around_it(place):
    def call(self, y_true, y_pred):
        return self.scale * (y_true - y_pred)

    factor = 2.0

    def __init__(self, scale=1.0):  # noqa: N807
        ls.Loss.__init__(self)
        self.scale = factor * scale

    def scaled(error):
        return factor * error

    def scale(self):
        return factor

    body = {
        "__init__": {"__init__": __init__},
        "scaled": {"scaled": staticmethod(scaled)},
        "scale": {"scale": property(scale)},
    }[place]
    with pytest.raises(TypeError, match=f"Mine: `{place}` reads `factor`.*argument of __init__"):
        define(call=call, **body)


def test_a_field_without_an_annotation_is_no_hyperparameter():
    def call(self, y_true, y_pred):
        return self.factor * (y_true - y_pred)

    with pytest.raises(TypeError, match=r"no hyperparameter; annotated .* `factor: float = 2\.0`"):
        define(call=call, factor=2.0)(factor=3.0)


def test_super_the_class_itself_and_decorators_are_no_closure():
    class Local(ls.Loss):
        def __init__(self, scale=1.0):
            super(Local, self).__init__()  # noqa: UP008 - as Python 2 wrote it
            self.scale = scale

        @functools.cache  # noqa: B019
        def doubled(self):
            return 2 * self.scale

        @doubling
        def call(self, y_true, y_pred):
            return self.scale * (y_true - y_pred)

    assert float(Local(3.0)([1.0], [0.0])) == 6


def test_unknown_targets():
    with pytest.raises(ValueError, match="'value', 'class' or 'pair'; got 'labels'"):
        ls.loss(formula, targets="labels")


def define(**body):
    return type("Mine", (ls.Loss,), {"__module__": __name__, **body})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"call": lambda self, y_true, y_pred: y_true}, "lambda"),
        ({"call": three_tensors}, "swapped|nothing else|two tensors"),
        ({"call": staticmethod(formula)}, "must be a method"),
    ],
)
def test_classes_that_cannot_work(body, message):
    with pytest.raises(TypeError, match=message):
        define(**body)


def test_a_class_with_a_third_tensor():
    with pytest.raises(TypeError, match="`weights` belongs in a field"):

        class Third(ls.Loss):
            def call(self, y_true, y_pred, weights):
                return weights * (y_true - y_pred)


def test_a_class_with_swapped_tensors():
    with pytest.raises(TypeError, match="swapped"):

        class Swapped(ls.Loss):
            def call(self, y_pred, y_true):
                return y_true - y_pred


def test_a_class_with_a_reserved_field():
    with pytest.raises(TypeError, match="`mask` cannot be the name"):

        class Reserved(ls.Loss):
            mask: float = 1.0

            def call(self, y_true, y_pred):
                return y_true - y_pred


def test_a_default_of_a_kind_that_cannot_be_saved():
    def curved(y_true, y_pred, *, curve=ops.square):
        return curve(y_true - y_pred)

    with pytest.raises(TypeError, match="`curve` must be of a kind that can be saved"):
        ls.loss(curved)()


@pytest.mark.parametrize("held", ["alone", "in a list"])
def test_a_variable_of_a_loss_is_refused(held):
    class Trained(ls.Loss):
        def __init__(self, held="alone"):
            super().__init__()
            scale = keras.Variable(1.0)
            self.scale = scale if held == "alone" else [scale]

        def call(self, y_true, y_pred):
            return y_true - y_pred

    with pytest.raises(TypeError, match=r"`scale` is a keras.Variable.*ith.learned.*adjustable"):
        Trained(held)


def test_a_class_without_a_formula():
    class Empty(ls.Loss):
        pass

    with pytest.raises(TypeError, match="has no formula: define call"):
        Empty()


def test_a_required_hyperparameter_that_is_missing():
    class Required(ls.Loss):
        scale: ls.Positive

        def call(self, y_true, y_pred):
            return self.scale * (y_true - y_pred)

    assert Required(scale=2.0).scale == 2
    with pytest.raises(TypeError, match=r"`scale` \(a finite number > 0\) needs a value"):
        Required()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: huber(2.0), r"called with one argument.*huber\(threshold=...\)"),
        (lambda: huber(Y), "called with one argument"),
        (lambda: huber(2.0, 3.0), r"huber\(2\.0, 3\.0\) would compare .* huber\(threshold=...\)"),
        (lambda: huber(y_true=1, y_pred=True), r"is huber\(\[1\], \[True\]\)"),
        (lambda: huber(Y, Y, threshold=2.0), r"in two calls: huber\(threshold=...\)\(y_true"),
        (lambda: huber(Y, threshold=2.0), "in two calls"),
        (lambda: huber(sample_weight=Y), "need y_true and y_pred"),
        (lambda: huber(None, Y), "y_true is None"),
        (lambda: huber(Y, None), "y_pred is None"),
        (lambda: ls.losses.Huber(2.0), r"by keyword: Huber\(threshold=...\)"),
        (lambda: ls.losses.Huber(Y, Y), r"Huber\(\)\(y_true, y_pred\)"),
        (lambda: huber(treshold=2.0), "no hyperparameter `treshold`. Did you mean `threshold`"),
        (lambda: ls.losses.log_cosh(scale=2.0), "This loss has none"),
        (lambda: ls.get(ls.losses.Huber), r"write Huber\(\)"),
        (lambda: ls.get(3), "Expected a loss"),
        (lambda: huber(name=5), "name must be a string; got 5"),
        (lambda: ls.losses.Huber(name=("a",)), "name must be a string"),
        (lambda: user_losses.ClassicHuber()(name=5), "name must be a string"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"loss": ls.losses.Huber}, "a loss"),
        ({"loss": "mse", "metrics": [ls.losses.Huber]}, "a metric"),
    ],
)
def test_a_class_given_to_compile(given, place):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(**given)
    with pytest.raises(TypeError, match=rf"class Huber in the place of {place}.* write Huber\(\)"):
        model.evaluate(np.zeros((2, 1)), np.zeros(2), verbose=0)


@pytest.mark.parametrize("value", ["mean_of_all", 3, "SUM"])
def test_reductions(value):
    with pytest.raises(ValueError, match="reduction must be one of"):
        huber(reduction=value)


def returns_nothing(y_true, y_pred):
    ops.square(y_true - y_pred)


def test_a_formula_without_return_is_named():
    with pytest.raises(TypeError, match=r"returned None; is a `return` missing"):
        ls.loss(returns_nothing)([1.0], [2.0])


def test_numbers_that_cannot_be_meant_for_hyperparameters_are_compared():
    assert huber(np.float32(2), np.float32(3)) == 0.5
    assert huber([2.0], 3.0) == 0.5
    assert huber.values(2.0, 3.0) == 0.5


def test_numbers_by_position_are_hyperparameters():
    with pytest.raises(TypeError, match=r"by keyword: Contrastive\(margin=\.\.\.\)"):
        ls.losses.Contrastive(1.0, 1)
