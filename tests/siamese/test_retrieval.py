"""Recall@k and MAP@R against plain loops over sorted neighbours, and scikit-learn's search."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_info, threadpool_limits

from lossmith.siamese import _ranking, retrieval_report

pytestmark = pytest.mark.backend_free

DISTANCES = ["euclidean", "squared_euclidean", "manhattan", "cosine"]
KS = (1, 2, 5)


def by_loops(distances, labels, gallery_labels, is_self):
    """The figures of each query in the plainest way; ties go to the other classes."""
    recalls, precisions, left_out = [], [], 0
    for query, label in enumerate(labels):
        others = [j for j in range(len(gallery_labels)) if not (is_self and j == query)]
        relevant = sum(gallery_labels[j] == label for j in others)
        if relevant == 0:
            left_out += 1
            continue
        others.sort(key=lambda j: (distances[query, j], gallery_labels[j] == label))
        hits = [gallery_labels[j] == label for j in others]
        recalls.append([any(hits[:k]) for k in KS])
        total = sum(sum(hits[: i + 1]) / (i + 1) for i in range(relevant) if hits[i])
        precisions.append(total / relevant)
    return np.mean(recalls, axis=0), np.mean(precisions), left_out


def check(report, expected):
    recalls, map_at_r, left_out = expected
    assert [report.recall_at[k].value for k in KS] == pytest.approx(recalls, abs=1e-12)
    assert report.map_at_r.value == pytest.approx(map_at_r, abs=1e-12)
    assert report.left_out == left_out


@st.composite
def labelled_points(draw, dtype, classes=4):
    """Points on a coarse grid, so that many distances are exactly equal, some of them 0."""
    size = draw(st.integers(2, 24))
    dimensions = draw(st.integers(1, 5))
    points = draw(arrays.arrays(dtype, (size, dimensions), elements=st.integers(-2, 2)))
    labels = draw(arrays.arrays(np.int64, size, elements=st.integers(0, classes - 1)))
    return points, labels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "manhattan"])
@given(data=st.data())
@settings(max_examples=60)
def test_figures_with_ties_are_those_of_plain_loops(dtype, distance, data):
    points, labels = data.draw(labelled_points(dtype))
    if np.unique(labels, return_counts=True)[1].max() < 2:
        labels[:2] = 0
    metric = "manhattan" if distance == "manhattan" else "sqeuclidean"
    exact = pairwise_distances(points.astype(np.float64), metric=metric).round()
    report = retrieval_report(points, labels, distance=distance, ks=KS, resamples=40)
    check(report, by_loops(exact, labels, labels, is_self=True))


@pytest.mark.parametrize("distance", DISTANCES)
def test_figures_of_many_random_points_are_those_of_plain_loops(distance, monkeypatch):
    # Blocks that do not divide the number of queries, and some classes with one item.
    monkeypatch.setattr(_ranking, "_BLOCK", 1000)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 40, 300) ** 2 // 40
    labels[[7, 200]] = 40, 41
    points = rng.normal(size=(42, 7))[labels] + rng.normal(size=(300, 7))
    metric = distance if distance in ("manhattan", "cosine") else "euclidean"
    report = retrieval_report(points, labels, distance=distance, ks=KS, resamples=40)
    expected = by_loops(pairwise_distances(points, metric=metric), labels, labels, is_self=True)
    check(report, expected)
    assert report.left_out >= 2
    assert report.queries + report.left_out == report.gallery == 300


@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("part", [1, 3000, 2**21])
def test_figures_of_classes_with_many_items_are_those_of_plain_loops(noise, part, monkeypatch):
    """Of most queries a part has one row, a few, or rows of several classes."""
    monkeypatch.setattr(_ranking, "_PART", part)
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 400)
    points = rng.normal(size=(4, 6))[labels] + noise * rng.normal(size=(400, 6))
    expected = by_loops(pairwise_distances(points), labels, labels, is_self=True)
    check(retrieval_report(points, labels, ks=KS, resamples=40), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_classes_of_very_different_sizes_may_share_a_part(dtype):
    """Far too many are looked for then on behalf of the small ones, some of which find nothing."""
    rng = np.random.default_rng(7)
    labels = np.concatenate([np.zeros(150, int), np.arange(1, 30), np.arange(1, 30)])
    points = rng.normal(size=(30, 4))[labels] + 0.8 * rng.normal(size=(len(labels), 4))
    points = points.astype(dtype)
    exact = pairwise_distances(points.astype(np.float64))
    check(retrieval_report(points, labels, ks=KS), by_loops(exact, labels, labels, is_self=True))


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_gallery_of_its_own_is_searched_without_leaving_anything_out(distance):
    rng = np.random.default_rng(1)
    labels, gallery_labels = rng.integers(0, 5, 40), rng.integers(1, 6, 90)
    points, gallery = rng.normal(size=(40, 6)), rng.normal(size=(90, 6))
    metric = distance if distance in ("manhattan", "cosine") else "euclidean"
    report = retrieval_report(
        points, labels, gallery=gallery, gallery_labels=gallery_labels, distance=distance, ks=KS
    )
    distances = pairwise_distances(points, gallery, metric=metric)
    check(report, by_loops(distances, labels, gallery_labels, is_self=False))
    assert report.left_out == (labels == 0).sum()


def test_recall_at_1_is_that_of_scikit_learns_nearest_neighbours():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 10, 2000)
    points = (rng.normal(size=(10, 16))[labels] + 1.5 * rng.normal(size=(2000, 16))).astype("f4")
    _, nearest = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points).kneighbors(points)
    hits = labels[nearest[:, 1:]] == labels[:, None]
    report = retrieval_report(points, labels, ks=(1, 5))
    assert report.recall_at[1].value == pytest.approx(hits[:, 0].mean(), abs=2e-3)
    assert report.recall_at[5].value == pytest.approx(hits.any(axis=1).mean(), abs=2e-3)


def test_average_precision_by_hand():
    # Seen from 0: same, other, same, other, same; R = 3, so 1/3 (1/1 + 2/3).
    report = retrieval_report(
        [[0.0]], ["a"], gallery=[[1.0], [2.0], [3.0], [4.0], [5.0]], gallery_labels=list("abaca")
    )
    assert report.map_at_r.value == pytest.approx((1 + 2 / 3) / 3)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [0.0, 0.1, 1000.0])
def test_embeddings_that_are_all_equal_find_nothing(distance, offset):
    points = np.full((70, 37), offset, dtype=np.float32)
    report = retrieval_report(points, np.arange(70) % 7, distance=distance)
    assert [figure.value for figure in report.recall_at.values()] == [0, 0, 0]
    assert report.map_at_r.value == 0


@pytest.mark.parametrize("distance", DISTANCES)
def test_an_equal_item_of_another_class_comes_first_wherever_it_is(distance):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(201, 33)).astype(np.float32)
    twice = np.concatenate([points, points, points])
    # Of each point there are two of its class and one of another.
    labels = np.concatenate([np.arange(201), np.arange(201), 1000 + np.arange(201)])
    report = retrieval_report(twice, labels, distance=distance, ks=(1, 2))
    assert report.recall_at[1].value == 0
    assert report.recall_at[2].value == 1


def test_what_all_embeddings_have_in_common_costs_no_digits():
    rng = np.random.default_rng(4)
    labels = np.arange(400) % 8
    points = (rng.normal(size=(8, 12))[labels] + 0.4 * rng.normal(size=(400, 12))) * 1024
    points = points.round().astype(np.float32)
    moved = retrieval_report(points + np.float32(2**20), labels)
    assert moved == retrieval_report(points, labels)


@pytest.mark.parametrize("scale", [2.0**-110, 2.0**110])
def test_embeddings_whose_squares_float32_does_not_hold_are_compared_all_the_same(scale):
    rng = np.random.default_rng(6)
    labels = np.arange(90) % 9
    points = (rng.normal(size=(9, 5))[labels] + 0.5 * rng.normal(size=(90, 5))).astype("f4")
    report = retrieval_report(points, labels)
    assert retrieval_report(points * np.float32(scale), labels) == report
    assert 0.3 < report.map_at_r.value < 1


@pytest.mark.parametrize("exponent", [-149, -127, 0, 125])
def test_the_smallest_and_the_largest_numbers_of_float32_are_compared_exactly(exponent):
    """A power of two that takes the smallest to 1 is itself no number of float32."""
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 6, 80)
    points = rng.integers(-1, 3, (80, 4))
    exact = pairwise_distances(points.astype(np.float64), metric="sqeuclidean").round()
    report = retrieval_report(np.ldexp(points.astype(np.float32), exponent), labels, ks=KS)
    check(report, by_loops(exact, labels, labels, is_self=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("distance", ["euclidean", "manhattan"])
@pytest.mark.parametrize("part", [1, 500, 2**21])
def test_ties_at_the_last_place_asked_for_count_against_classes_larger_than_k(
    dtype, distance, part, monkeypatch
):
    """On so coarse a grid the R-th neighbour is one of many; some queries find nothing at all."""
    monkeypatch.setattr(_ranking, "_PART", part)
    rng = np.random.default_rng(9)
    labels, gallery_labels = rng.integers(0, 5, 60), rng.integers(1, 5, 240)
    points, gallery = rng.integers(0, 3, (60, 2)), rng.integers(0, 3, (240, 2))
    report = retrieval_report(
        points.astype(dtype),
        labels,
        gallery=gallery.astype(dtype),
        gallery_labels=gallery_labels,
        distance=distance,
        ks=KS,
    )
    metric = "sqeuclidean" if distance == "euclidean" else distance
    exact = pairwise_distances(points.astype(float), gallery.astype(float), metric=metric).round()
    check(report, by_loops(exact, labels, gallery_labels, is_self=False))
    assert report.left_out == (labels == 0).sum() > 0


@given(labelled_points(np.float64), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_neither_the_order_of_the_items_nor_the_names_of_the_classes_matter(labelled, random):
    points, labels = labelled
    labels[:2] = 0
    order = np.array(random.sample(range(len(labels)), len(labels)))
    names = np.array(["d", "a", "c", "b"])[labels[order]]
    one = retrieval_report(points, labels)
    other = retrieval_report(points[order], names)
    assert [f.value for f in other.recall_at.values()] == [f.value for f in one.recall_at.values()]
    assert other.map_at_r.value == pytest.approx(one.map_at_r.value)


def test_intervals_hold_the_figure_and_cover_about_as_often_as_they_say():
    rng = np.random.default_rng(5)
    labels = np.arange(200) % 4
    centres = 2 * rng.normal(size=(4, 2))
    draws = [
        retrieval_report(
            centres[labels] + rng.normal(size=(200, 2)),
            labels,
            gallery=centres,
            gallery_labels=np.arange(4),
            resamples=200,
        ).recall_at[1]
        for _ in range(60)
    ]
    truth = np.mean([draw.value for draw in draws])
    covered = sum(draw.low <= truth <= draw.high for draw in draws)
    assert all(draw.low <= draw.value <= draw.high for draw in draws)
    assert 50 <= covered <= 60
    assert all(draw.high - draw.low > 0.02 for draw in draws)


def test_three_queries_are_too_few_for_an_interval():
    report = retrieval_report([[0.0], [0.1], [0.15]], ["a", "a", "b"], ks=(1,))
    assert report.too_few
    assert report.recall_at[1].low < 0.1
    assert "too few test queries" in str(report)
    many = retrieval_report(np.arange(20.0)[:, None], np.arange(20) // 2, ks=(1,))
    assert not many.too_few


def test_a_perfect_figure_has_an_interval_too():
    report = retrieval_report([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1])
    assert report.recall_at[1].value == 1
    assert report.recall_at[1].low < 0.5


def test_the_report_is_ready_for_json_and_for_people():
    report = retrieval_report([[0.0], [0.1], [5.0]], [0, 0, 1], ks=(1, 3))
    stored = json.loads(json.dumps(report.to_dict()))
    assert stored["recall_at"]["3"]["value"] == 1
    assert (stored["queries"], stored["left_out"], stored["gallery"]) == (2, 1, 3)
    assert "2 queries (1 left out, alone in their class) in a gallery of 3" in str(report)
    assert "recall@3                1.0000" in str(report)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embeddings": [1.0, 2.0]}, r"embeddings must be vectors .* shape \(2,\)"),
        ({"embeddings": np.zeros((0, 3)), "labels": []}, "not empty"),
        ({"labels": [0]}, "one class for each of the 2 embeddings"),
        ({"embeddings": [[0.0], [np.nan]]}, "NaN or infinity at position 1"),
        ({"labels": [0, 1]}, "None of the 2 queries"),
        ({"gallery": [[0.0]]}, "gallery and gallery_labels"),
        ({"gallery": [[0.0, 1.0]], "gallery_labels": [0]}, "of one length. Received: 1 and 2"),
        ({"gallery": [[0.0]], "gallery_labels": ["0"]}, "numbers or strings"),
        ({"ks": (0,)}, "ks must be whole numbers"),
        ({"confidence": 1.0}, r"confidence must be in \(0, 1\)"),
        ({"resamples": 3}, "at least 40 resamples"),
        ({"distance": "hamming"}, "distance must be one of"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(arguments, message):
    valid = {"embeddings": [[0.0], [1.0]], "labels": [0, 0]}
    with pytest.raises(ValueError, match=message):
        retrieval_report(**(valid | arguments))


@pytest.mark.parametrize("tile", [1, 7, 64, 2**14])
def test_manhattan_distances_need_no_other_library(tile, monkeypatch):
    monkeypatch.setattr(_ranking, "_TILE", tile)
    for name in ("sklearn", "sklearn.metrics", "sklearn.metrics.pairwise", "scipy"):
        monkeypatch.setitem(sys.modules, name, None)
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(23, 5)).astype("float32"), rng.normal(size=(31, 5))
    scores = _ranking.ManhattanScores(queries, gallery)
    block = np.empty((20, 31))
    scores.write(slice(3, 23), block)
    expected = [[np.abs(query - item).sum() for item in gallery] for query in queries[3:]]
    np.testing.assert_allclose(-block, expected, rtol=1e-12)
    report = retrieval_report([[0.0], [0.1], [1.0], [1.1]], [0, 0, 1, 1], distance="manhattan")
    assert report.map_at_r.value == 1.0


def test_two_searches_at_once_leave_the_threads_of_products_as_they_were():
    def threads():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    inside, leave = threading.Event(), threading.Event()

    def search():
        with _ranking._one_thread_for_a_product():
            inside.set()
            leave.wait(60)

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        with _ranking._one_thread_for_a_product():
            assert threads() == {1}
            other = pool.submit(search)
            assert not inside.wait(0.2)
        leave.set()
        other.result()
        assert threads() == {2}


def test_an_error_of_a_thread_is_that_of_the_search(monkeypatch):
    def broken(*_):
        raise ArithmeticError("as it is in a thread")

    monkeypatch.setattr(_ranking, "_nearest_match", broken)
    with pytest.raises(ArithmeticError, match="as it is in a thread"):
        retrieval_report(np.eye(6), np.arange(6) % 2, ks=KS, resamples=40)
