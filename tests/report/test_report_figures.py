"""Single figures: what is drawn is what the data say."""

from io import BytesIO
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color

from lossmith.report import RocPoint
from lossmith.report.figures import (
    distance_histogram,
    embedding_map,
    roc_curve,
    sample_pairs,
    training_curves,
)
from lossmith.report.figures.style import ERROR

pytestmark = pytest.mark.backend_free

RNG = np.random.default_rng(0)
SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes, label):
    [found] = [line for line in axes.lines if line.get_label() == label]
    return found


def test_global_state_is_left_alone():
    settings = dict(mpl.rcParams)
    roc_curve([0, 1], [0, 1])
    training_curves({"loss": [1.0]})
    assert pyplot.get_fignums() == []
    assert dict(mpl.rcParams) == settings


class TestTrainingCurves:
    def test_each_quantity_has_a_panel_with_training_and_validation(self):
        history = {
            "loss": [3, 2, 1],
            "val_loss": [4, 3.5],
            "learning_rate": [0.1, 0.1, 0.05],
            "val_accuracy": [0.5],
        }
        panels = {axes.get_ylabel(): axes for axes in training_curves(history).axes}
        assert list(panels) == ["loss", "learning rate", "accuracy"]
        assert legend(panels["loss"]) == ["training", "validation"]
        np.testing.assert_array_equal(
            line(panels["loss"], "validation").get_xydata(), [[1, 4], [2, 3.5]]
        )
        assert legend(panels["learning rate"]) == ["training"]
        assert legend(panels["accuracy"]) == ["validation"]

    def test_an_empty_history_is_refused(self):
        with pytest.raises(ValueError, match="it is empty"):
            training_curves({})


class TestDistanceHistogram:
    DISTANCES = np.concatenate([RNG.gamma(2, 0.1, 300), RNG.gamma(9, 0.1, 700)])
    LABELS = np.repeat([1, 0], [300, 700])

    def test_bars_are_the_shares_of_numpys_histogram(self):
        axes = distance_histogram(self.DISTANCES, self.LABELS, threshold=0.5).axes[0]
        for patch, label in zip(axes.patches, (1, 0), strict=True):
            outline = patch.get_path().vertices
            edges = np.unique(outline[:, 0])
            distances = self.DISTANCES[np.equal(self.LABELS, label)]
            counts, _ = np.histogram(distances, edges)
            assert counts.sum() == len(distances)
            assert outline[:, 1].max() == pytest.approx((counts / counts.sum()).max())

    def test_lines_stand_at_threshold_and_margin(self):
        axes = distance_histogram(self.DISTANCES, self.LABELS, 0.52, margin=9.0).axes[0]
        assert [drawn.get_xdata()[0] for drawn in axes.lines] == [0.52, 9.0]
        assert axes.get_xlim()[1] > 9.0
        assert legend(axes) == [
            "same (300 pairs)",
            "different (700 pairs)",
            "threshold 0.52",
            "margin 9",
        ]

    def test_one_kind_of_pairs_only_can_be_drawn(self):
        axes = distance_histogram([0.0, 0.0], [1, 1], threshold=0.5).axes[0]
        assert "different (0 pairs)" in legend(axes)

    @pytest.mark.parametrize(
        ("distances", "labels", "message"),
        [
            ([0.1, 0.2], [1], r"shape \(2,\) and labels of shape \(1,\)"),
            ([[0.1], [0.2]], [[1], [0]], r"shape \(2, 1\)"),
            ([0.1, np.nan], [1, 0], "NaN"),
            ([0.1, 0.2], [1, 2], r"got \[1 2\]"),
        ],
    )
    def test_what_are_no_pairs_is_refused(self, distances, labels, message):
        with pytest.raises(ValueError, match=message):
            distance_histogram(distances, labels, 0.5)


class TestRocCurve:
    def test_curve_and_points_lie_where_they_were_given(self):
        far, tar = [0, 0.2, 1], [0.1, 0.8, 1]
        axes = roc_curve(far, tar, eer=0.2, operating_point=(0.1, 0.45)).axes[0]
        np.testing.assert_array_equal(line(axes, "this network").get_xydata(), np.c_[far, tar])
        np.testing.assert_array_equal(
            line(axes, "equal error rate 20.00%").get_xydata(), [[0.2, 0.8]]
        )
        np.testing.assert_array_equal(
            line(axes, "at the threshold: 10.00%, 45.00%").get_xydata(), [[0.1, 0.45]]
        )

    def test_bars_span_the_intervals(self):
        point = RocPoint(far=(0.2, 0.1, 0.4), tar=(0.8, 0.7, 0.85))
        axes = roc_curve([0, 0.2, 1], [0.1, 0.8, 1], points=[point]).axes[0]
        (bars,) = axes.containers
        (horizontal,), (vertical,) = (each.get_segments() for each in bars.lines[2])
        np.testing.assert_allclose(horizontal, [[0.1, 0.8], [0.4, 0.8]])
        np.testing.assert_allclose(vertical, [[0.2, 0.7], [0.2, 0.85]])

    def test_points_are_optional(self):
        assert legend(roc_curve([0, 1], [0, 1]).axes[0]) == ["guessing", "this network"]

    @pytest.mark.parametrize("tar", [[0, 0.5], [0, 0.5, 1.1], [0, np.nan, 1]])
    def test_what_are_no_rates_is_refused(self, tar):
        with pytest.raises(ValueError, match=r"rates in \[0, 1\]"):
            roc_curve([0, 0.5, 1], tar)


class TestEmbeddingMap:
    def test_two_dimensions_are_drawn_as_they_are(self):
        points, labels = RNG.normal(size=(40, 2)), RNG.permutation(np.repeat([0, 1, 2, 3], 10))
        axes = embedding_map(points, labels, list("abcd")).axes[0]
        assert legend(axes) == list("abcd")
        for dots, class_id in zip(classes(axes), range(4), strict=True):
            np.testing.assert_array_equal(dots.get_offsets(), points[labels == class_id])

    def test_more_dimensions_are_seen_along_their_principal_axes(self):
        points = RNG.normal(size=(60, 5)) * [1, 9, 2, 5, 1]
        axes = embedding_map(points, np.zeros(60, int), ["all"]).axes[0]
        drawn = np.asarray(classes(axes)[0].get_offsets())
        centred = points - points.mean(axis=0)
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        np.testing.assert_allclose(np.abs(drawn), np.abs(centred @ rows[:2].T), atol=1e-8)
        share = singular[0] ** 2 / (singular**2).sum()
        assert f"({share:.0%} of the variance)" in axes.get_xlabel()

    def test_a_collapsed_embedding_is_drawn(self):
        figure = embedding_map(np.ones((5, 3)), np.array([0, 0, 1, 1, 1]), ["a", "b"])
        assert len(classes(figure.axes[0])) == 2

    def test_one_dimension_is_drawn_on_a_line(self):
        axes = embedding_map([[1.0], [2.0]], [0, 0], ["a"]).axes[0]
        np.testing.assert_array_equal(classes(axes)[0].get_offsets(), [[1, 0], [2, 0]])

    def test_every_class_has_its_own_look(self):
        axes = embedding_map(RNG.normal(size=(60, 2)), np.arange(60), [str(i) for i in range(60)])
        looks = {
            (tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes())
            for dots in classes(axes.axes[0])
        }
        assert len(looks) == 60

    def test_names_are_shown_as_they_stand(self):
        names = [r"$\wrong{$", "_misc", "5 $"]
        figure = embedding_map(RNG.normal(size=(3, 2)), [0, 1, 2], names)
        drawing = BytesIO()
        with mpl.rc_context({"svg.fonttype": "none"}):
            figure.savefig(drawing, format="svg")
        shown = [text.text for text in ElementTree.fromstring(drawing.getvalue()).iter(SVG_TEXT)]
        assert [shown.count(name) + shown.count(f" {name}") for name in names] == [2, 2, 2]

    def test_a_legend_too_long_to_read_is_left_out(self):
        names = [str(i) for i in range(200)]
        figure = embedding_map(RNG.normal(size=(200, 2)), np.arange(200), names)
        assert figure.axes[0].get_legend() is None

    @pytest.mark.parametrize(
        ("points", "labels", "message"),
        [
            (np.zeros((3, 2)), [0, 1], r"\(3, 2\) and \(2,\)"),
            (np.zeros((1, 2)), [0], "N >= 2"),
            (np.full((2, 2), np.inf), [0, 1], "finite"),
            (np.zeros((2, 2)), [0, 2], "from 0 to 1.*from 0 to 2"),
            (np.zeros((2, 2)), [0.0, 1.0], "float64"),
        ],
    )
    def test_what_is_no_embedding_is_refused(self, points, labels, message):
        with pytest.raises(ValueError, match=message):
            embedding_map(points, labels, ["a", "b"])


def classes(axes):
    return [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]


class TestSamplePairs:
    LABELS = np.array([1, 1, 0, 0])
    DISTANCES = np.array([0.1, 0.7, 0.8, 0.5])  # the threshold itself is called different

    def test_errors_are_framed_and_named_and_the_rest_is_plain(self):
        images = RNG.random((4, 6, 5, 1))
        figure = sample_pairs(images, images, self.LABELS, self.DISTANCES - [0, 0, 0, 0.2], 0.5)
        texts = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
        assert texts == [
            "0.10\nsame",
            "0.70\nerror:\ncalled different",
            "0.80\ndifferent",
            "0.30\nerror:\ncalled same",
        ]
        framed = [same_color(axes.spines["left"].get_edgecolor(), ERROR) for axes in figure.axes]
        assert framed == [False, False, True, True, False, False, True, True]

    def test_a_pair_at_the_threshold_is_called_different(self):
        images = np.zeros((4, 2, 2, 1))
        figure = sample_pairs(images, images, self.LABELS, self.DISTANCES, 0.5)
        assert figure.axes[-1].get_xlabel() == "0.50\ndifferent"

    @pytest.mark.parametrize("channels", [1, 3])
    def test_images_are_shown_as_they_are(self, channels):
        first, second = RNG.random((2, 3, 6, 5, channels))
        figure = sample_pairs(first, second, [1, 0, 1], [0.1, 0.2, 0.3], 0.5)
        shown = [axes.images[0].get_array() for axes in figure.axes]
        for pair in range(3):
            np.testing.assert_allclose(shown[2 * pair], first[pair] * np.ones(3))
            np.testing.assert_allclose(shown[2 * pair + 1], second[pair] * np.ones(3))

    def test_many_pairs_go_on_in_further_rows(self):
        images = np.zeros((23, 2, 2, 1))
        figure = sample_pairs(images, images, np.ones(23, int), np.zeros(23), 0.5)
        assert len(figure.axes) == 46
        assert figure.axes[0].get_gridspec().get_geometry() == (6, 10)

    @pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 5, 4), (3, 6, 5, 1), (0, 6, 5, 1)])
    def test_what_are_no_pairs_of_images_is_refused(self, shape):
        with pytest.raises(ValueError, match="N, H, W, C"):
            sample_pairs(np.zeros(shape), np.zeros(shape), [1, 0], [0.1, 0.2], 0.5)
