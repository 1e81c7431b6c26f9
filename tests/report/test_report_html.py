"""The report as one file: whole, self-contained, escaped, and never overwriting unasked."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from lossmith.report import (
    Embedding,
    ReportData,
    Roc,
    SamplePairs,
    SummaryRow,
    html,
    write_report,
)

pytestmark = pytest.mark.backend_free

RNG = np.random.default_rng(0)
PAIRS = {
    "distances": np.array([0.1, 0.6, 0.2, 0.4, 0.3, 0.9, 1.2, 1.5]),
    "labels": np.array([1, 1, 1, 1, 0, 0, 0, 0]),
    "threshold": 0.5,
}


def full_report(**changes):
    images = RNG.random((4, 6, 5, 3))
    parts = {
        "title": "Twin <network>",
        "summary": (
            SummaryRow("Accuracy", 0.912345, 0.9, 0.92, "pairs told right"),
            SummaryRow("Pairs", 12345),
        ),
        **PAIRS,
        "margin": 1.0,
        "roc": Roc(np.array([0, 0.1, 1]), np.array([0, 0.8, 1]), 0.15),
        "history": {"loss": [0.2, 0.1], "val_loss": [0.3, 0.2]},
        "embedding": Embedding(RNG.normal(size=(9, 4)), np.arange(9) % 3, ("a", "b", "<c>")),
        "pairs": SamplePairs(images, images, PAIRS["labels"][2:6], PAIRS["distances"][2:6]),
        "config": {"loss": {"name": "contrastive", "margin": 1.0}, "seed": 0},
        "notes": ("A class is <script>alert(1)</script>.",),
        "description": "Two lines.",
    }
    return ReportData(**(parts | changes))


class Page(HTMLParser):
    """The elements, attributes and text of a page; unclosed elements are an error."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, source):
        super().__init__()
        self.elements, self.text, self.open = [], [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.text.append(" ".join(data.split()))

    def attributes(self, wanted):
        return [attributes for tag, attributes in self.elements if tag == wanted]


@pytest.fixture
def page(tmp_path):
    write_report(tmp_path / "report.html", full_report())
    return Page((tmp_path / "report.html").read_text("utf-8"))


def test_needs_nothing_beside_it(page, tmp_path):
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object"})
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "poster")
    ]
    assert len(addresses) == 5
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    source = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search(r"url\(|@import|https?:", source)


def test_pictures_are_valid_and_have_text_in_their_place(page):
    for image in page.attributes("img"):
        drawn = base64.b64decode(image["src"].partition(",")[2])
        assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(image["alt"]) > 20


def test_names_of_any_script_reach_the_browser_as_text(recwarn):
    embedding = Embedding(RNG.normal(size=(4, 2)), np.arange(4) % 2, ("犬", "猫"))
    page = Page(html.render_report(full_report(embedding=embedding)))
    [drawn] = [image["src"] for image in page.attributes("img") if "Scatter" in image["alt"]]
    assert "犬" in base64.b64decode(drawn.partition(",")[2]).decode("utf-8")
    assert list(recwarn) == []


def test_says_the_error_rates_in_words(page):
    said = " ".join(page.text)
    assert "their distance is below 0.5 ." in said
    assert "On the 8 pairs" in said
    assert "wrong for 25.0% of the different pairs (called same) and for 25.0% of the same" in said


def test_figures_come_with_their_intervals(page):
    start = page.text.index("Accuracy")
    assert page.text[start : start + 4] == ["Accuracy", "0.9123", "0.9 to 0.92", "pairs told right"]
    assert page.text[page.text.index("Pairs") + 1] == "12,345"
    assert "95% interval" in page.text


def test_nested_configuration_is_spread_out(page):
    start = page.text.index("Configuration")
    assert page.text[start + 1 :] == [
        "loss.name",
        "contrastive",
        "loss.margin",
        "1.0",
        "seed",
        "0",
    ]


def test_text_from_outside_is_escaped(page):
    assert "Twin <network>" in page.text
    assert "A class is <script>alert(1)</script>." in page.text
    assert "network" not in {tag for tag, _ in page.elements}


def test_parts_without_data_are_left_out():
    report = ReportData("Bare", (), **PAIRS)
    text = Page(html.render_report(report)).text
    assert "Distances" in text
    left_out = {
        "Worth knowing",
        "Sample pairs",
        "Map of the embedding",
        "Training",
        "Configuration",
    }
    assert left_out.isdisjoint(text)


def test_the_same_data_give_the_same_page():
    report = full_report()
    assert html.render_report(report) == html.render_report(report)


class TestWriting:
    def test_a_file_that_is_there_stays_unless_told_otherwise(self, tmp_path):
        path = tmp_path / "report.html"
        path.write_text("mine")
        with pytest.raises(FileExistsError, match="overwrite=True"):
            write_report(path, full_report())
        assert path.read_text() == "mine"
        write_report(path, full_report(), overwrite=True)
        assert path.read_text("utf-8").startswith("<!doctype html>")

    def test_a_failure_leaves_the_old_file_and_no_other(self, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("mine")

        def full_disk(self, *_, **__):
            with self.open("w") as half:
                half.write("<!doc")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(type(path), "write_text", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write_report(path, full_report(), overwrite=True)
        assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
        assert path.read_text() == "mine"

    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="runs does not exist; create it first"):
            write_report(tmp_path / "runs" / "report.html", full_report())


class TestReportData:
    def test_error_rates_count_what_is_on_the_wrong_side(self):
        report = full_report(distances=np.array([0.5, 0.4, 0.1, 0.2, 0.3, 0.5, 0.9, 1.0]))
        assert report.error_rates == (0.25, 0.25)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": np.ones(8)}, "same and different pairs; all labels of these 8"),
            ({"labels": np.arange(8)}, "1 .same. or 0 .different."),
            ({"labels": np.ones(7)}, r"\(8,\) and labels of shape \(7,\)"),
            ({"distances": np.full(8, np.nan)}, "finite"),
            ({"confidence": 95}, "got 95"),
        ],
    )
    def test_what_cannot_be_reported_is_refused(self, changes, message):
        with pytest.raises(ValueError, match=message):
            full_report(**changes)

    @pytest.mark.parametrize(("low", "high"), [(0.1, None), (None, 0.1), (0.9, 0.1)])
    def test_an_interval_has_two_ordered_ends(self, low, high):
        with pytest.raises(ValueError, match="'AUC'"):
            SummaryRow("AUC", 0.5, low, high)
