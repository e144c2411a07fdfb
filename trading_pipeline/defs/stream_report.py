"""What the UI shows of the stream: heartbeats, counts and the live book."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from trading_pipeline.defs.metadata import dollars, table
from trading_pipeline.flows.live_pnl import LivePnl
from trading_pipeline.flows.stream_report import Streamed


def heartbeat_metadata(facts: Mapping[str, str]) -> dict[str, Any]:
    """A heartbeat; what is a number is one, so that it has a chart."""
    return {name: _number(value) for name, value in facts.items() if value}


def quotes_metadata(done: Streamed) -> dict[str, Any]:
    """What a stream did."""
    gaps = [[str(gap.epoch), str(gap.since), str(gap.until)] for gap in done.gaps]
    columns = ["epoch", "since", "until"]
    return {
        "quotes": done.received,
        "in_redis": done.written,
        "dropped": done.overflow,
        "unreadable": done.bad,
        **done.faults,
        "connections": done.epochs,
        "lag_p99_ms": round(done.lag * 1000, 1),
        "ended": done.why,
        "gaps": table(pl.DataFrame(gaps, schema=dict.fromkeys(columns, pl.String), orient="row")),
    }


def pnl_metadata(found: LivePnl) -> dict[str, Any]:
    """The account and its holdings."""
    pnl = found.pnl
    rows = [
        {name: None if value is None else str(value) for name, value in row.items()}
        for row in found.document()["positions"]
    ]
    return {
        "nav": dollars(pnl.nav),
        "unrealized": dollars(pnl.unrealized),
        "realized": dollars(pnl.realized),
        "total": dollars(pnl.total),
        "percent": float(found.percent or 0),
        "holdings": len(found.positions),
        "real_time": found.live,
        "positions": table(pl.DataFrame(rows)),
        **({"warning": found.warning} if found.warning else {}),
    }


def _number(text: str) -> float | int | str:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text
