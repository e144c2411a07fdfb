"""The report that sets two models side by side: a JSON document and a page."""

from math import isfinite
from pathlib import Path
from typing import Final, Literal

from pydantic import FiniteFloat

from trading_pipeline.adapters import plots, report_files
from trading_pipeline.core.models.evaluation import Mean
from trading_pipeline.flows.compare import Comparison
from trading_pipeline.flows.day_report import Document

TEMPLATE: Final = "comparison_report.html.j2"


class MeanRow(Document):
    """A mean daily rank IC with its 95% interval; null where there is no session."""

    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None


class ShadowRow(Document):
    """What both said of the same sessions before they were known."""

    first: MeanRow
    second: MeanRow
    difference: MeanRow
    """Of the second less the first, session by session."""
    sessions: int


class PairRow(Document):
    """A measure of both models; null where training did not take it."""

    first: FiniteFloat | None
    second: FiniteFloat | None


class ComparisonReport(Document):
    """Two models: their evaluations in training, how they agree, and what they said in advance."""

    version: Literal[1] = 1
    strategy: str
    first: str
    """Number and checksum of the model that trades, or of the first that was named."""
    second: str
    metrics: dict[str, PairRow]
    agreement: str | None
    """Their mean daily rank correlation on recent sessions; null when their features differ."""
    shadow: ShadowRow
    summary: str


def comparison_report(found: Comparison) -> ComparisonReport:
    """The document of a comparison."""
    shadow = found.shadow
    return ComparisonReport(
        strategy=found.first.manifest.strategy,
        first=found.first.model_version,
        second=found.second.model_version,
        metrics={
            name: PairRow(first=first, second=second)
            for name, (first, second) in found.metrics.items()
        },
        agreement=found.agreement.sentence if found.agreement else None,
        shadow=ShadowRow(
            first=_mean(shadow.first),
            second=_mean(shadow.second),
            difference=_mean(shadow.difference),
            sessions=shadow.difference.sessions,
        ),
        summary=shadow.sentence(),
    )


def save_comparison(found: Comparison, reports: Path) -> Path:
    """Write the page to `<reports>/models/<strategy>/<first>-against-<second>.html`; its path."""
    report, pictures = comparison_report(found), dict[str, str]()
    daily = found.shadow.daily
    if daily.height:
        sides = {report.first: "rank_ic", report.second: "rank_ic_second"}
        series = {name: daily[column].to_list() for name, column in sides.items()}
        figure = plots.cumulative_ic(daily["session"].to_list(), series)
        pictures["shadow"] = plots.to_svg(figure)
    name = f"{found.first.manifest.version}-against-{found.second.manifest.version}.html"
    place = report_files.require_writable(reports / "models" / report.strategy / name)
    return report_files.write_html(place, report.model_dump(), pictures, template=TEMPLATE)


def _mean(its: Mean) -> MeanRow:
    value, low, high = (x if isfinite(x) else None for x in (its.value, its.low, its.high))
    return MeanRow(value=value, low=low, high=high)
