"""What the web UI shows beside an asset: counts, a preview as a table, plots, check results."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

from trading_pipeline.core.market.checks import CheckOutcome

PREVIEW_ROWS = 10
TOLERATED_SHARE = 0.1
"""In a range, the share of sessions that may fail a check before it blocks the whole range."""


def described(frame: pl.DataFrame, **more: Any) -> dict[str, Any]:
    """Row and symbol counts, a preview of the last rows, and whatever else is given."""
    return {
        "dagster/row_count": frame.height,
        "dagster/column_schema": columns(frame.schema),
        "symbols": frame["symbol"].n_unique(),
        "preview": table(frame.select(frame.columns[:12]).tail(PREVIEW_ROWS)),
        **more,
    }


def at_each(sessions: Sequence[date], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata as it is kept at each session of a run: of a range without its tables.

    Dagster stores it once a session; over years, copies of the same tables take most of the time.
    """
    if len(sessions) == 1:
        return dict(metadata)
    return {name: value for name, value in metadata.items() if isinstance(value, int | float | str)}


def table(frame: pl.DataFrame) -> dg.MetadataValue:
    """A frame as a table of the UI; floats to six digits, everything else as text."""
    rows = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()})
        for row in frame.to_dicts()
    ]
    return dg.MetadataValue.table(records=rows, schema=columns(frame.schema))


def dollars(amount: Decimal) -> float:
    """An amount as the UI shows and charts it, in cents."""
    return float(round(amount, 2))


def columns(schema: Mapping[str, object]) -> dg.TableSchema:
    """The column schema of a frame, with what the data dictionary says of each column."""
    from trading_pipeline.core.schemas import MEANINGS  # heavy: on first use

    return dg.TableSchema(
        [
            dg.TableColumn(name, type=_kind(dtype), description=MEANINGS.get(name))
            for name, dtype in schema.items()
        ]
    )


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Numbers as the UI shows and charts them, to six digits."""
    return {name: _digits(value) for name, value in figures.items()}


def check_results(
    asset: str, outcomes: Mapping[date, Sequence[CheckOutcome]]
) -> list[dg.AssetCheckResult]:
    """One result a check; over a range it fails above the tolerated share of sessions."""
    names = dict.fromkeys(outcome.name for found in outcomes.values() for outcome in found)
    return [_check_result(asset, name, outcomes) for name in names]


def _check_result(
    asset: str, name: str, outcomes: Mapping[date, Sequence[CheckOutcome]]
) -> dg.AssetCheckResult:
    found = {
        session: outcome
        for session, of_session in outcomes.items()
        for outcome in of_session
        if outcome.name == name
    }
    failed = {session: outcome for session, outcome in found.items() if not outcome.passed}
    tolerated = len(found) > 1 and len(failed) <= TOLERATED_SHARE * len(found)
    shown = list((failed or found).values())[:PREVIEW_ROWS]
    last = list(found.values())[-1]
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=not failed,
        severity=_severity(may_pass=tolerated or not last.blocking),
        description=" ".join(outcome.sentence for outcome in shown),
        metadata={
            "failed_sessions": ", ".join(str(session) for session in list(failed)[:50]) or "none",
            **rounded(last.numbers),
        },
    )


def numbers_of(outcomes: Sequence[CheckOutcome]) -> dict[str, float]:
    """The numbers behind a session's checks, which the UI draws over time."""
    return {name: value for found in outcomes for name, value in rounded(found.numbers).items()}


def _severity(*, may_pass: bool) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if may_pass else dg.AssetCheckSeverity.ERROR


def _kind(dtype: object) -> str:
    return "datetime (UTC)" if isinstance(dtype, pl.Datetime) else str(dtype).lower()


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def _cell(value: object) -> str | float | int | bool | None:
    if isinstance(value, float):
        return _digits(value)
    return value if value is None or isinstance(value, (int, str, bool)) else str(value)
