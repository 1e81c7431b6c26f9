"""The example's fits against published and computed reference coefficients."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "robust_regression.py"

# OLS, Huber (k = 1.345, MAD scale), scale; intercept first. Published for each table, to the
# digits given: phones, stackloss and starsCYG in the books and packages that the CSV files name.
PUBLISHED = {
    "phones": ([-260.059, 5.0415], [-102.531, 2.0396], 9.01),
    "stackloss": ([-39.9197, 0.7156, 1.2953, -0.1521], [-41.0265, 0.8294, 0.9261, -0.1278], 2.4405),
    "engel": ([147.475, 0.4852], [99.428, 0.5368], None),
    "starsCYG": ([6.793, -0.413], None, None),
}


def load_example():
    spec = importlib.util.spec_from_file_location("robust_regression", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


example = load_example()


@pytest.fixture(scope="module")
def comparisons():
    return {name: example.compare(example.read_table(name)) for name in example.WRONG_ROWS}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_coefficients(comparisons, name):
    ols, huber, scale = PUBLISHED[name]
    result = comparisons[name]
    np.testing.assert_allclose(result.ols.ours, ols, rtol=1e-3)
    if huber is not None:
        np.testing.assert_allclose(result.huber.ours, huber, rtol=1e-3)
    if scale is not None:
        assert result.scale == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize("name", example.WRONG_ROWS)
def test_ours_agree_with_statsmodels(comparisons, name):
    for fit in (comparisons[name].ols, comparisons[name].huber):
        np.testing.assert_allclose(fit.ours, fit.reference, rtol=1e-3)


@pytest.mark.parametrize("name", example.WRONG_ROWS)
def test_huber_fit_solves_the_estimating_equations(comparisons, name):
    """Independent of statsmodels: the clipped residuals are orthogonal to the predictors."""
    result = comparisons[name]
    x, y = result.table.x, result.table.y
    threshold = 1.345 * result.scale
    residuals = y - result.huber.ours[0] - x @ result.huber.ours[1:]
    clipped = np.clip(residuals, -threshold, threshold)
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    assert abs(clipped.mean()) < 1e-4 * threshold
    assert np.abs(clipped @ standardised / len(y)).max() < 1e-4 * threshold
    np.testing.assert_allclose(result.weights * residuals, clipped, rtol=1e-12)


def test_phones_slope_falls_and_the_bad_years_lose_their_weight(comparisons):
    result = comparisons["phones"]
    assert result.ols.ours[1] > 5
    assert result.huber.ours[1] < 2.1
    bad_years = (result.table.x[:, 0] >= 64) & (result.table.x[:, 0] <= 69)
    np.testing.assert_array_equal(result.table.wrong, bad_years)
    assert result.weights[bad_years].max() < 0.15
    assert result.weights[~bad_years].min() > 0.6


def test_stars_keep_the_wrong_slope(comparisons):
    """The four giants hold the slope below 0; without them it is 2.05."""
    result = comparisons["starsCYG"]
    assert result.huber.ours[1] == pytest.approx(-0.4285, abs=1e-3)
    np.testing.assert_array_equal(result.weights[result.table.wrong], 1.0)
    assert "Huber does not help" in example.verdict(result)
    assert "2.0467" in example.verdict(result)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("phones", "Huber helps: 81% closer"),
        ("stackloss", "Huber helps: 29% closer"),
        ("hbk", "Huber does not help"),
        ("engel", "cannot be told"),
    ],
)
def test_verdict(comparisons, name, words):
    assert words in example.verdict(comparisons[name])


def test_hbk_good_leverage_points_are_blamed_instead_of_the_planted_ones(comparisons):
    weights = comparisons["hbk"].weights
    assert weights[:10].min() > 0.7
    assert weights[10:14].max() < 0.2


def test_main_prints_draws_and_does_not_overwrite(tmp_path, capsys):
    picture = tmp_path / "new" / "phones.png"
    example.main(["--data", "phones", "--out", str(picture)])
    printed = capsys.readouterr().out
    assert "15 (0.13), 16 (0.13), 17 (0.11), 18 (0.10), 19 (0.08), 20 (0.07)" in printed
    first = picture.read_bytes()
    assert first.startswith(b"\x89PNG")
    assert [file.name for file in picture.parent.iterdir()] == ["phones.png"]

    with pytest.raises(SystemExit):
        example.main(["--data", "phones", "--out", str(picture)])
    assert "--overwrite" in capsys.readouterr().err
    assert picture.read_bytes() == first

    example.main(["--data", "stackloss", "--out", str(picture), "--overwrite"])
    assert picture.read_bytes() != first


def test_one_panel_per_table(comparisons, tmp_path):
    for count in (1, 5):
        picture = tmp_path / f"{count}.png"
        example.draw(list(comparisons.values())[:count], picture)
        assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("name", example.WRONG_ROWS)
def test_every_table_states_its_source(name):
    text = (SCRIPT.parent / "data" / f"{name}.csv").read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("#")]
    assert any("Source:" in line for line in header)
