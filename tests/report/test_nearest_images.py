"""The picture of a search: the query first, then what was found, in rows."""

from io import BytesIO

import numpy as np
import pytest

from lossmith.report.figures import nearest_images

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize("channels", [1, 3])
def test_the_query_comes_first_and_each_neighbour_says_what_it_is(channels):
    rng = np.random.default_rng(0)
    images = rng.random((8, 5, 6, channels))
    distances = np.arange(8) / 10
    names = ["$dog$", "_cat", *["bird"] * 6]
    figure = nearest_images(images[0], images, names, distances, threshold=0.25)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[0] == "query"
    assert labels[1:4] == [r"\$dog\$" + "\n0.000, same", " _cat\n0.100, same", "bird\n0.200, same"]
    assert labels[4] == "bird\n0.300, different"
    assert len(labels) == 9
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    np.testing.assert_allclose(shown[0], np.broadcast_to(images[0], (5, 6, 3)))
    np.testing.assert_allclose(shown[8], np.broadcast_to(images[7], (5, 6, 3)))
    figure.savefig(BytesIO(), format="png")


@pytest.mark.parametrize("count", [0, 2])
def test_parts_that_do_not_fit_are_refused(count):
    images = np.zeros((count, 4, 4, 1))
    with pytest.raises(ValueError, match=f"got {count} images, 1 classes and 0 distances"):
        nearest_images(np.zeros((4, 4, 1)), images, ["cat"], [], 0.5)
