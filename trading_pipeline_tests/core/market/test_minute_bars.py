"""Minute bars: every sound quote is in the bar of its minute, and a gap is the vendor's."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.minute_bars import (
    BARS,
    TICKS,
    minute_bars,
    ticks_of,
    vendor_bars_of,
)

MINUTE = 60_000_000_000
PRICES = st.floats(0, 200) | st.just(0.0)
QUOTES = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 5 * MINUTE), PRICES, PRICES), max_size=40
)


def rows(quotes: list[tuple[str, int, float, float]]) -> list[tuple[object, ...]]:
    return [(name, at, bid, ask, 1.0, 1.0, "U", 1) for name, at, bid, ask in quotes]


def test_no_quotes_are_no_bars() -> None:
    empty = ticks_of([])

    assert empty.schema == TICKS
    assert minute_bars(empty.lazy(), pl.DataFrame(schema=BARS)).schema == BARS


@given(QUOTES)
def test_bars_hold_every_sound_quote_and_no_other(
    quotes: list[tuple[str, int, float, float]],
) -> None:
    bars = minute_bars(ticks_of(rows(quotes)).lazy(), pl.DataFrame(schema=BARS))

    sound = [(name, at // MINUTE, (bid + ask) / 2) for name, at, bid, ask in quotes
             if 0 < bid <= ask]  # fmt: skip
    assert sum(bars["quotes"]) == len(sound)
    assert bars.select("symbol", "minute").n_unique() == bars.height
    for row in bars.iter_rows(named=True):
        minute = int(row["minute"].timestamp()) // 60
        mids = [mid for name, at, mid in sound if (name, at) == (row["symbol"], minute)]
        assert (row["low"], row["high"]) == (min(mids), max(mids))
        assert row["low"] <= row["open"] <= row["high"]
        assert row["low"] <= row["close"] <= row["high"]


def test_a_minute_of_a_gap_is_the_last_bar_fetched_for_it() -> None:
    ticks = ticks_of(rows([("A", 10, 1.0, 2.0), ("A", MINUTE + 1, 1.0, 2.0)]))
    gap = vendor_bars_of([("A", 0, 9.0, 9.0, 9.0, 9.0), ("A", 0, 8.0, 8.0, 8.0, 8.0)])

    first, second = minute_bars(ticks.lazy(), gap).to_dicts()

    assert (first["open"], first["source"], first["quotes"]) == (8.0, "vendor", 0)
    assert (second["open"], second["source"], second["quotes"]) == (1.5, "quotes", 1)
