"""Small plots: the equity curve and target weights of a day, and what a training looked like.

An SVG takes its colors from CSS variables of the page around it (`--ink`, `--up`, … as in COLORS),
so one picture serves a light page, a dark page and paper; COLORS is what it falls back to, and what
a PNG has.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from io import BytesIO, StringIO
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS: Final = {
    "ink": "#1c2430",
    "muted": "#66707f",
    "line": "#d9dee5",
    "up": "#0b7a5b",
    "down": "#b3372f",
    "long": "#2b5fa8",
    "short": "#95620b",
}
SHOWN_WEIGHTS = 30
"""At most this many bars, the largest; a longer list is the table's business."""

SHOWN_FEATURES = 20
"""At most this many features in the plot of importance."""

_PNG_DPI = 110
_SERIES_COLORS: Final = ("long", "short", "up", "down")
_TITLE: Final[dict[str, Any]] = {"fontsize": 9, "color": COLORS["ink"], "loc": "left"}
_METADATA: Final = ("Creator", "Date", "Format", "Type")
_FOR_A_PAGE: Final = [
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<style.*?</style>", ""),
        (r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg xmlns="http://www.w3.org/2000/svg" \1>'),
        (r"font-family: [^;]*; ", ""),
        (r' transform="rotate\(-0 [^"]*\)"', ""),
        ("xlink:href", "href"),
        (r"\n\s*", " "),
    )
]
"""The page has its own fonts and styles; names of the vocabulary of SVG only."""


def equity_curve(history: Sequence[tuple[date, float]], *, cash_in: float) -> "Figure":
    """Draw NAV in dollars by session, over a dashed line at the cash put in.

    `history` is oldest first; one session is a single dot.
    """
    figure, axes = _canvas("equity", width=6.4, height=2.3)
    places = range(len(history))
    navs = [nav for _, nav in history]
    color = COLORS["up"] if not navs or navs[-1] >= cash_in else COLORS["down"]
    axes.axhline(cash_in, color=COLORS["muted"], linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot(places, navs, color=color, linewidth=1.6, solid_capstyle="round")
    axes.plot(places[-1:], navs[-1:], color=color, marker="o", markersize=4)
    axes.fill_between(places, navs, cash_in, color=color, alpha=0.10, linewidth=0)
    _session_ticks(axes, [session for session, _ in history])
    axes.yaxis.set_major_formatter(lambda value, _: f"${value:,.0f}")
    axes.locator_params(axis="y", nbins=5)
    axes.margins(x=0.03, y=0.18)
    axes.grid(axis="y", color=COLORS["line"], linewidth=0.6)
    return figure


def weights(target_weights: Mapping[str, float]) -> "Figure":
    """Draw each symbol's share of capital as a bar: long to the right, short to the left.

    Weights of zero are left out; of many, the SHOWN_WEIGHTS largest by size are drawn.
    """
    largest = sorted(target_weights.items(), key=lambda item: (-abs(item[1]), item[0]))
    shown = sorted(
        [item for item in largest if item[1]][:SHOWN_WEIGHTS], key=lambda item: (item[1], item[0])
    )
    figure, axes = _canvas("weights", width=3.6, height=max(2.3, 0.5 + 0.21 * len(shown)))
    names, shares = [name for name, _ in shown], [share for _, share in shown]
    bars = axes.barh(
        names,
        shares,
        height=0.56,
        color=[COLORS["long" if share > 0 else "short"] for share in shares],
    )
    labels = [f"{share:+.1%}".replace("-", "−") for share in shares]
    axes.bar_label(bars, labels, padding=3, color=COLORS["ink"], fontsize=8)
    axes.axvline(0, color=COLORS["muted"], linewidth=0.8)
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", labelcolor=COLORS["ink"])
    axes.margins(x=0.28)
    return figure


def limit_use(sessions: Sequence[date], uses: Mapping[str, Sequence[float]]) -> "Figure":
    """Draw how much of each limit was used by session; what is left is the room below the line.

    `uses` holds, by the limit's name, a fraction of the limit a session: 1 is all of it.
    """
    figure, axes = _canvas("limit_use", width=6.4, height=2.6)
    places, styles = range(len(sessions)), ("-", "--", ":")
    for number, (name, values) in enumerate(uses.items()):
        color = COLORS[_SERIES_COLORS[number % len(_SERIES_COLORS)]]
        style = styles[number // len(_SERIES_COLORS) % len(styles)]
        drawn = {"color": color, "linestyle": style, "marker": "o", "markersize": 2.5}
        axes.plot(places, values, linewidth=1.4, label=name, **drawn)
    axes.axhline(1.0, color=COLORS["down"], linewidth=1.0)
    axes.set_title("use of each limit of the book, and the headroom to it", **_TITLE)
    _session_ticks(axes, sessions)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def learning_curves(curves: Mapping[str, Sequence[float]], *, best: int) -> "Figure":
    """Draw the error of each window by boosting round, and mark the round that was kept.

    `curves` holds a value a round by the window's name; rounds count from 1.
    """
    figure, axes = _canvas("learning_curves", width=6.4, height=2.6)
    for (window, values), color in zip(curves.items(), _SERIES_COLORS, strict=False):
        rounds = range(1, len(values) + 1)
        axes.plot(rounds, values, color=COLORS[color], linewidth=1.6, label=window)
    axes.axvline(best, color=COLORS["muted"], linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_title(f"mean absolute error by round, best round {best}", **_TITLE)
    axes.locator_params(axis="x", integer=True)
    _legend(axes)
    return figure


def cumulative_ic(
    sessions: Sequence[date], daily: Mapping[str, Sequence[float | None]]
) -> "Figure":
    """Draw the running sum of daily correlations by session, oldest first; flat is no skill.

    `daily` holds a value a session by the measure's name; None and NaN count as nothing.
    """
    figure, axes = _canvas("cumulative_ic", width=6.4, height=2.6)
    axes.axhline(0, color=COLORS["muted"], linewidth=0.8)
    for (measure, values), color in zip(daily.items(), _SERIES_COLORS, strict=False):
        sums = list(accumulate(value if value and isfinite(value) else 0.0 for value in values))
        axes.plot(range(len(sums)), sums, color=COLORS[color], linewidth=1.6, label=measure)
    axes.set_title("cumulative daily correlation, out of sample", **_TITLE)
    axes.grid(axis="y", color=COLORS["line"], linewidth=0.6)
    _session_ticks(axes, sessions)
    _legend(axes)
    return figure


def importance(gains: Mapping[str, float]) -> "Figure":
    """Draw the features with the largest total gain as bars, the largest on top."""
    largest = sorted(gains.items(), key=lambda item: (-item[1], item[0]))
    shown = largest[:SHOWN_FEATURES][::-1]
    figure, axes = _canvas("importance", width=6.4, height=0.6 + 0.21 * len(shown))
    names, values = [name for name, _ in shown], [gain for _, gain in shown]
    axes.barh(names, values, height=0.56, color=COLORS["long"])
    axes.set_title("importance by total gain", **_TITLE)
    axes.tick_params(axis="y", labelcolor=COLORS["ink"])
    return figure


def curves(
    sessions: Sequence[date], lines: Mapping[str, Sequence[float]], *, name: str
) -> "Figure":
    """Draw lines by session, oldest first, each a value a session; NaN leaves a gap."""
    figure, axes = _canvas(name, width=6.4, height=2.3)
    for (label, values), color in zip(lines.items(), _SERIES_COLORS, strict=False):
        axes.plot(range(len(values)), values, color=COLORS[color], linewidth=1.4, label=label)
    axes.margins(x=0.03, y=0.12)
    _rule(axes, lambda value, _: f"{value:,.6g}")
    _session_ticks(axes, sessions)
    if len(lines) > 1:
        _legend(axes)
    return figure


def drawdown(sessions: Sequence[date], falls: Sequence[float]) -> "Figure":
    """Draw how far below its peak wealth was in each session, as a share."""
    figure, axes = _canvas("drawdown", width=6.4, height=2.3)
    below = [-fall for fall in falls]
    axes.fill_between(range(len(below)), below, 0, color=COLORS["down"], alpha=0.25, linewidth=0)
    axes.plot(range(len(below)), below, color=COLORS["down"], linewidth=1.0)
    _rule(axes, lambda value, _: f"{value:.0%}")
    _session_ticks(axes, sessions)
    return figure


def bars(heights: Mapping[str, float], *, name: str) -> "Figure":
    """Draw a bar for each name, in the order given, up or down from 0."""
    figure, axes = _canvas(name, width=6.4, height=2.3)
    values = list(heights.values())
    colors = [COLORS["up" if value >= 0 else "down"] for value in values]
    axes.bar(list(heights), values, width=0.62, color=colors)
    axes.axhline(0, color=COLORS["muted"], linewidth=0.8)
    _rule(axes, lambda value, _: f"{value:.4g}")
    return figure


def to_svg(figure: "Figure") -> str:
    """Return the figure as an `<svg>` element for a page, which lends it fonts and colors."""
    import matplotlib as mpl  # heavy: on first use
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    page = StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": str(figure.get_label())}):
        FigureCanvasSVG(figure).print_svg(page, metadata=dict.fromkeys(_METADATA))
    svg = page.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern, replacement in _FOR_A_PAGE:
        svg = pattern.sub(replacement, svg)
    used = set(re.findall(r"#([^\"')]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] * (found[1] in used), svg)
    for name, color in COLORS.items():
        svg = svg.replace(color, f"var(--{name}, {color})")
    return svg


def to_png(figure: "Figure") -> bytes:
    """Return the figure as PNG bytes on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # heavy: on first use

    page = BytesIO()
    figure.set_facecolor("white")
    FigureCanvasAgg(figure)
    figure.savefig(page, format="png", dpi=_PNG_DPI)
    return page.getvalue()


def markdown_image(png: bytes, *, text: str = "plot") -> str:
    """Return markdown that holds the picture itself, as a data URI."""
    return f"![{text}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _canvas(label: str, *, width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty figure of that many inches, without pyplot and its global state."""
    from matplotlib.figure import Figure  # heavy: on first use

    figure = Figure(figsize=(width, height), layout="constrained", label=label)
    figure.set_facecolor("none")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    style: dict[str, Any] = {"labelsize": 8, "length": 0, "pad": 6, "labelcolor": COLORS["muted"]}
    axes.tick_params(**style)
    return figure, axes


def _rule(axes: "Axes", written: Callable[[float, object], str]) -> None:
    """At most five values on the left, each with a line across."""
    axes.yaxis.set_major_formatter(lambda value, at: written(value, at).replace("-", "−"))
    axes.locator_params(axis="y", nbins=5)
    axes.grid(axis="y", color=COLORS["line"], linewidth=0.6)


def _legend(axes: "Axes") -> None:
    """Names of the lines, without a frame."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=COLORS["ink"])


def _session_ticks(axes: "Axes", sessions: Sequence[date]) -> None:
    """At most five dates, first and last among them; places are sessions, so no weekend gaps."""
    last = len(sessions) - 1
    places = sorted({round(last * part / 4) for part in range(5)}) if sessions else []
    axes.set_xticks(places, [f"{sessions[place]:%b %d, %Y}" for place in places])
