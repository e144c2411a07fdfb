"""Minute bars from Alpaca's REST API, for the minutes a lost connection missed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from trading_pipeline.errors import AdapterError, TransientError

PAGE: Final = 10_000
SECONDS: Final = 10.0
_PAGES: Final = 100


def gap_bars(
    url: str,
    keys: tuple[str, str],
    *,
    feed: str,
    symbols: Sequence[str],
    span: tuple[datetime, datetime],
) -> list[tuple[Any, ...]]:
    """Return (symbol, nanoseconds, open, high, low, close) of every minute that `span` touches.

    Raises TransientError when Alpaca does not answer, AdapterError for a refusal.
    """
    import httpx  # noqa: PLC0415 - heavy: on first use

    since = span[0].replace(second=0, microsecond=0)
    query: dict[str, Any] = {
        "symbols": ",".join(symbols),
        "timeframe": "1Min",
        "start": since.isoformat(),
        "end": span[1].isoformat(),
        "limit": PAGE,
        "feed": feed,
    }
    headers = {"APCA-API-KEY-ID": keys[0], "APCA-API-SECRET-KEY": keys[1]}
    rows: list[tuple[Any, ...]] = []
    try:
        with httpx.Client(headers=headers, timeout=SECONDS, trust_env=False) as client:
            for _ in range(_PAGES):
                answer = client.get(f"{url.rstrip('/')}/v2/stocks/bars", params=query)
                answer.raise_for_status()
                page = answer.json()
                rows += _rows(page.get("bars") or {})
                if not (token := page.get("next_page_token")):
                    break
                query["page_token"] = token
    except httpx.HTTPStatusError as error:
        raise AdapterError(f"Alpaca refused the bars: {error.response.status_code}.") from error
    except (httpx.HTTPError, ValueError) as error:
        raise TransientError(f"Alpaca did not answer with bars: {error}.") from error
    return rows


def _rows(bars: dict[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    return [
        (symbol, _nanoseconds(bar["t"]), *(float(bar[name]) for name in ("o", "h", "l", "c")))
        for symbol, listed in bars.items()
        for bar in listed
    ]


def _nanoseconds(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp()) * 1_000_000_000
