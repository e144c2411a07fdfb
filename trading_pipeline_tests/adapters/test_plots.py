"""The plots of the report."""

import base64
import re
from datetime import date, timedelta
from xml.etree import ElementTree

import pytest

from trading_pipeline.adapters import plots
from trading_pipeline_tests.factories import sessions_from

HISTORY = [(date(2013, 1, 2) + timedelta(days), 100_000.0 + 500 * days) for days in range(30)]
SHARES = {"IBM": 0.5, "GOOG": 0.5, "FB": 0.0, "MSFT": -0.5, "AAPL": -0.5}


@pytest.fixture(scope="module")
def curve() -> str:
    return plots.to_svg(plots.equity_curve(HISTORY, cash_in=100_000))


@pytest.fixture(scope="module")
def bars() -> str:
    return plots.to_svg(plots.weights(SHARES))


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if "text" in node.tag]


def test_a_picture_is_a_small_element_for_a_page(curve: str, bars: str) -> None:
    for svg in (curve, bars):
        assert svg.startswith("<svg ")
        assert len(svg) < 20_000
        ElementTree.fromstring(svg)


def test_a_picture_takes_nothing_from_outside(curve: str, bars: str) -> None:
    for svg in (curve, bars):
        namespace = 'xmlns="http://www.w3.org/2000/svg"'
        assert "http" not in svg.replace(namespace, "")
        assert set(re.findall(r'href="(.)', svg)) <= {"#"}
        assert "<style" not in svg


def test_a_picture_takes_its_colors_from_the_page(curve: str) -> None:
    assert f"var(--up, {plots.COLORS['up']})" in curve
    assert not re.search(r"(?:fill|stroke): #(?!ffffff)", curve)


def test_two_pictures_on_a_page_share_no_id(curve: str, bars: str) -> None:
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (curve, bars)]

    assert ids[0]
    assert ids[1]
    assert not ids[0] & ids[1]


def test_the_same_numbers_make_the_same_picture(curve: str) -> None:
    assert plots.to_svg(plots.equity_curve(HISTORY, cash_in=100_000)) == curve


def test_the_curve_is_dated_from_the_first_to_the_last_session(curve: str) -> None:
    assert {"Jan 02, 2013", "Jan 31, 2013"} <= set(texts(curve))


def test_a_loss_is_drawn_in_the_color_of_losses() -> None:
    falling = [(session, 200_000 - nav) for session, nav in HISTORY]
    svg = plots.to_svg(plots.equity_curve(falling, cash_in=100_000))

    assert "var(--down" in svg
    assert "var(--up" not in svg


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_short_history_can_be_drawn(count: int) -> None:
    svg = plots.to_svg(plots.equity_curve(HISTORY[:count], cash_in=100_000))

    assert len([text for text in texts(svg) if "2013" in text]) == count


def test_weights_are_drawn_with_their_sign_and_without_zeros(bars: str) -> None:
    found = texts(bars)

    assert found.count("+50.0%") == 2
    assert found.count("−50.0%") == 2
    assert "FB" not in found


def test_of_many_weights_the_largest_are_drawn() -> None:
    many = {f"S{number:03}": number / 1000 for number in range(1, 101)}
    found = texts(plots.to_svg(plots.weights(many)))

    names = [name for name in found if name.startswith("S")]
    assert len(names) == plots.SHOWN_WEIGHTS
    assert "S100" in names
    assert "S001" not in names


def test_the_ui_gets_a_small_png_within_markdown() -> None:
    png = plots.to_png(plots.equity_curve(HISTORY, cash_in=100_000))
    text = plots.markdown_image(png, text="equity")

    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    head, data = text.split(",")
    assert head == "![equity](data:image/png;base64"
    assert base64.b64decode(data.rstrip(")")) == png


CURVES = {"train": (0.9, 0.8, 0.7), "valid": (0.9, 0.85, 0.86)}


def heights(svg: str, color: str) -> list[float]:
    """The vertical places of the line of a color; the axis of SVG points downward."""
    styles = [(node.attrib.get("style", ""), node) for node in ElementTree.fromstring(svg).iter()]
    lines = [node.attrib["d"] for style, node in styles if f"stroke: var(--{color}" in style]
    points = re.split("[ML]", lines[0])  # the one of the legend comes later
    return [float(point.split()[-1]) for point in points if point.strip()]


def test_the_learning_curves_name_their_windows_and_the_round_that_was_kept() -> None:
    svg = plots.to_svg(plots.learning_curves(CURVES, best=2))

    found = texts(svg)
    assert {"train", "valid"} <= set(found)
    assert "best round 2" in "".join(found)
    assert heights(svg, "long") == sorted(heights(svg, "long"))  # an error that falls


def test_a_session_without_a_correlation_adds_nothing() -> None:
    sessions = [session for session, _ in HISTORY[:4]]
    daily = {"IC": [0.1, None, 0.2, float("nan")]}

    svg = plots.to_svg(plots.cumulative_ic(sessions, daily))

    first, second, third, fourth = heights(svg, "long")
    assert first == second > third == fourth


def test_of_many_features_the_largest_gains_are_drawn_by_their_names() -> None:
    gains = {f"F<{number:03}": float(number) for number in range(100)}
    names = [name for name in texts(plots.to_svg(plots.importance(gains))) if name.startswith("F<")]

    assert names[-1] == "F<099"
    assert len(names) == plots.SHOWN_FEATURES


def test_a_training_without_figures_can_be_drawn() -> None:
    for figure in (
        plots.learning_curves({}, best=0),
        plots.cumulative_ic([], {"IC": []}),
        plots.importance({}),
    ):
        ElementTree.fromstring(plots.to_svg(figure))


def test_the_plots_of_a_backtest_show_every_line_bar_and_fall() -> None:
    days = sessions_from(count=40)
    rising = [100.0 + at for at in range(40)]
    both = plots.to_svg(plots.curves(days, {"momentum": rising, "benchmark": rising}, name="two"))
    assert "momentum" in both
    assert "benchmark" in both
    alone = plots.to_svg(plots.curves(days, {"sharpe": [float("nan"), *rising[1:]]}, name="one"))
    assert "sharpe" not in alone, "one line needs no legend"
    fall = plots.to_svg(plots.drawdown(days, [0.0] * 20 + [0.25] * 20))
    assert "−20%" in fall or "−25%" in fall
    figure = plots.bars({"1": -0.5, "2": 0.25}, name="bars")
    assert [bar.get_height() for bar in figure.axes[0].patches] == [-0.5, 0.25]
