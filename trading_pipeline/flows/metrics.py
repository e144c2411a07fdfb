"""Every metric there is: its name, what it means, and its labels. Nothing else names one.

Rules and dashboards may use these names only, which a test holds them to; the reference page is
made of this table.
"""

from typing import Final

from trading_pipeline.adapters.metrics import Metric

PREFIX: Final = "trading_pipeline_"

_AT: Final = ", live while quotes come, else at the last snapshot"


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name=f"{PREFIX}{name}", kind="gauge", meaning=meaning, labels=labels)


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name=f"{PREFIX}{name}_total", kind="counter", meaning=meaning, labels=labels)


METRICS: Final[tuple[Metric, ...]] = (
    # The services
    _gauge("up", "Whether the service answers: 1 or 0. One that is not used is absent.", "service"),
    _gauge("scrape_seconds", "Seconds that reading everything took."),
    _gauge("version_info", "1, with the product's version as label.", "version"),
    _gauge("redis_memory_bytes", "Memory that Redis uses."),
    # The market's hours
    _gauge("market_open", "Whether the exchange trades now: 1 or 0."),
    _gauge("is_archive", "Whether the vendor's data ends in the past: 1 or 0."),
    # What trading may do
    _gauge("trading_state", "1 for what trading may do now, 0 for the other states.", "state"),
    _counter("trading_state_changes", "Halts and releases, by the state they led to.", "state"),
    _gauge("breaker_told", "Rules of the breaker that are reached and not over, by code.", "code"),
    # The trading day
    _gauge("runs_missing", "Sessions whose day should have been run by now and was not."),
    _counter("runs", "Days that came to their report, by how they ended.", "status"),
    _gauge("last_run_timestamp_seconds", "When a day last ended so, in Unix time.", "status"),
    _gauge("job_runs", "Runs on Dagster's record, by job and status.", "job", "status"),
    _gauge(
        "job_last_end_timestamp_seconds",
        "When a run of the job last ended so, in Unix time.",
        "job",
        "status",
    ),
    _gauge("schedule_on", "Whether the schedule of the trading day is switched on: 1 or 0."),
    _gauge("daemon_heartbeat_age_seconds", "Seconds since Dagster's daemon minded schedules."),
    # Orders
    _counter("order_events", "States that orders have come to, since the ledger began.", "state"),
    _gauge("orders", "Orders of the newest decided session, by the state they are in.", "state"),
    _counter("fills", "Fills since the ledger began."),
    _counter("commission_dollars", "Commission paid since the ledger began."),
    # The book: at live quotes while the exchange trades and they come, else at the last snapshot
    _gauge("nav_dollars", f"Net asset value{_AT}."),
    _gauge("cash_dollars", f"Cash{_AT}."),
    _gauge("pnl_dollars", f"P&L since the beginning{_AT}.", "kind"),
    _gauge("exposure_dollars", f"Exposure{_AT}: gross and net.", "kind"),
    _gauge("daily_loss_ratio", f"Loss of the session, as a share of NAV before it{_AT}."),
    _gauge("drawdown_ratio", f"Loss since the highest NAV, as a share of it{_AT}."),
    _gauge("position_shares", f"Shares held{_AT}; negative if owed.", "symbol"),
    _gauge("position_dollars", f"Value of the position{_AT}.", "symbol"),
    _gauge("position_unrealized_dollars", f"Unrealized P&L{_AT}.", "symbol"),
    _gauge("positions_real_time", "Positions that are valued at a live quote of this session."),
    _gauge("unpriced_positions", f"Positions without a price{_AT}."),
    # Reconciliation
    _gauge("breaks", "Differences to the broker that the last comparison left open.", "kind"),
    _gauge("reconciled_timestamp_seconds", "When the last comparison was written, in Unix time."),
    # Data and models
    _gauge("bars_sessions_behind", "Sessions that should be held by now, after the newest held."),
    _gauge("bars", "Rows of the newest session with clean bars."),
    _gauge("quarantined_bars", "Bars of that session that were set aside."),
    _gauge("model_info", "1, with the version of the release that trades.", "strategy", "version"),
    _gauge(
        "model_age_sessions", "Sessions since the last one the model was trained on.", "strategy"
    ),
    # The stream of live prices
    _gauge("stream_wanted", "Whether the stream should run, and has the keys to: 1 or 0."),
    _gauge("stream_heartbeat_age_seconds", "Seconds since the stream told that it lives."),
    _counter("stream_quotes", "Quotes that the running stream has received."),
    _counter("stream_dropped_quotes", "Quotes that it had to drop."),
    _gauge("stream_lag_seconds", "Time that 99 of 100 quotes take to Redis."),
    _gauge("stream_symbols", "Symbols it is subscribed to."),
    _gauge("quote_age_seconds", "Age of the latest quote.", "symbol"),
)
