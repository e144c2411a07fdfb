"""Look: whether a vendor's quotes are of the last minutes of trading."""

from collections.abc import Sequence
from datetime import date, datetime

from trading_pipeline.core.market.calendar import last_closed_session
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.freshness import LIVE, FreshnessRules, check_live, is_open
from trading_pipeline.errors import AdapterError
from trading_pipeline.flows.ports import LiveQuotes, MarketData


def live_freshness(
    vendor: MarketData,
    *,
    symbols: Sequence[str],
    session: date,
    now: datetime,
    rules: FreshnessRules,
) -> CheckOutcome:
    """Return the check `live_freshness` of a run for `session`, asking the vendor for quotes.

    Nothing is asked for a session before the last closed one, or of a vendor without quotes: the
    check passes and says so. A vendor that does not answer has no quote.
    """
    if not isinstance(vendor, LiveQuotes):
        return _not_asked(f"The vendor {vendor.name} has no live quotes.")
    if session < last_closed_session(now):
        return _not_asked(f"{session} is past: live quotes are not of it.")
    try:
        quotes = vendor.latest_quotes(symbols)
    except AdapterError as error:
        return CheckOutcome(name=LIVE, passed=False, sentence=str(error), blocking=is_open(now))
    newest = {symbol: quotes[symbol].at if symbol in quotes else None for symbol in symbols}
    return check_live(newest, now, rules)


def _not_asked(why: str) -> CheckOutcome:
    return CheckOutcome(name=LIVE, passed=True, sentence=why)
