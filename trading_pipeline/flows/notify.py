"""Tell people what they should know, once: a run that failed, the day, the breaker, a break.

Whatever is told is read from the ledger and from Dagster's records, where it stands anyway; nothing
is written there. What has been told is handed back to the caller, who keeps it for the next look.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from trading_pipeline.adapters.alerts import Channel, Notice
from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import RejectedError, TradingPipelineError
from trading_pipeline.flows.report import FINISHED
from trading_pipeline.flows.risk_monitor import alerts
from trading_pipeline.logs import redacted

_log = logging.getLogger(__name__)

FRESH: Final = timedelta(days=1)
"""What is older is not told any more: it would be of no use."""

_HOUR: Final = timedelta(hours=1)
_DAYS: Final = 10
"""Summaries that can be due: more days than these end within one only in a replay."""

_URGENCY: Final = ("critical", "warning", "info")


class Told(NamedTuple):
    """That a channel has delivered the notice of this key."""

    channel: str
    key: str
    at: datetime


def _unexplained(run_id: str) -> str:
    return f"See the events of run {run_id}."


def notify(
    notices: Sequence[Notice],
    channels: Iterable[Channel],
    told: Sequence[Told],
    *,
    per_hour: int,
    now: datetime,
) -> list[Told]:
    """Deliver what is due, and return what has been told within the last day, this included.

    A channel that fails is asked again at the next look; what it refuses holds up nothing else.
    """
    kept = [each for each in told if now - each.at < FRESH]
    for channel in channels:
        for notice in due(channel, notices, kept, per_hour=per_hour, now=now):
            try:
                channel.send(notice)
            except TradingPipelineError as error:
                _log.warning("not notified", extra={"channel": channel.name, "why": str(error)})
                if isinstance(error, RejectedError):
                    continue
                break
            kept.append(Told(channel.name, notice.key, now))
    return kept


def due(
    channel: Channel,
    notices: Iterable[Notice],
    told: Iterable[Told],
    *,
    per_hour: int,
    now: datetime,
) -> list[Notice]:
    """Return what the channel is to tell now, the most urgent first, and of those the oldest.

    Nothing twice, nothing that is older than a day, and no more than `per_hour` in an hour: the
    rest waits.
    """
    own = {each.key: each.at for each in told if each.channel == channel.name}
    left = per_hour - sum(now - at < _HOUR for at in own.values())
    new = {
        notice.key: notice
        for notice in notices
        if notice.key not in own and now - notice.at < FRESH and channel.takes(notice)
    }
    first = sorted(new.values(), key=lambda one: (_URGENCY.index(one.severity), one.at))
    return first[: max(left, 0)]


def notices_of(
    ledger: Callable[[], Ledger],
    records: RunRecords,
    now: datetime,
    *,
    why: Callable[[str], str] = _unexplained,
) -> list[Notice]:
    """Return everything that people should know of as things stand, told before or not.

    `why` says of a run's id why it failed. A ledger that cannot be read is a notice itself, once a
    day, and what Dagster has on record is told all the same.
    """
    try:
        found = list(_of_ledger(ledger()))
    except TradingPipelineError as error:
        title = "The ledger cannot be read: nothing is traded"
        found = [_notice(f"ledger:{now.date()}", "critical", title, str(error), now)]
    return [*found, *_failures(records, now, why)]


def _of_ledger(ledger: Ledger) -> Iterator[Notice]:
    for alert in alerts(ledger):
        key = f"breaker:{alert.code}:{alert.at.isoformat()}"
        yield _notice(key, "critical", "The breaker has tripped", alert.sentence, alert.at)
    for made in ledger.reconciliations(1):
        for each in made.held:
            key = f"break:{made.session}:{each.subject}:{each.symbol}:{each.reference}"
            title = "A difference to the broker is open"
            yield _notice(key, "critical", title, each.sentence, made.at)
    last = ledger.trading_state()
    if last.state is not TradingState.ACTIVE and last.at:
        key = f"state:{last.state}:{last.at.isoformat()}"
        title = f"Trading is {last.state}, by {last.who}"
        yield _notice(key, "warning", title, last.reason, last.at)
    yield from (_day(ledger, run) for run in ledger.runs(_DAYS, FINISHED))


def _day(ledger: Ledger, run: Run) -> Notice:
    """The summary of a day: what it did, and what the account is worth now."""
    status = run.detail["status"]
    severity = {"failed": "critical", "partial": "warning"}.get(status, "info")
    said = [
        f"{run.detail['num_signals']} signals, {run.detail['num_orders_accepted']} orders accepted."
    ]
    past = ledger.snapshots(2)
    said += [
        f"NAV {pnl.nav:,.2f} at the close of {pnl.session}, {_change(past)}: "
        f"realized {pnl.realized:+,.2f}, unrealized {pnl.unrealized:+,.2f} and fees "
        f"{pnl.fees:,.2f} since the beginning; {len(pnl.open_positions)} positions."
        for pnl in past[-1:]
    ]
    title = f"The day of {run.session}: {status.replace('_', ' ')}"
    return _notice(f"day:{run.run_id}", severity, title, " ".join(said), run.at)


def _change(past: Sequence[Pnl]) -> str:
    """What the newest session earned, cash put in or taken out left aside."""
    pnl = past[-1]
    if len(past) == 1:
        return f"{pnl.nav - pnl.cash_in:+,.2f} since the beginning"
    before = past[-2]
    earned = pnl.nav - before.nav - (pnl.cash_in - before.cash_in)
    share = f" ({earned / before.nav:+.2%})" if before.nav > 0 else ""
    return f"{earned:+,.2f}{share} since the close of {before.session}"


def _failures(records: RunRecords, now: datetime, why: Callable[[str], str]) -> Iterator[Notice]:
    """Of failures in a row, of a job and of a session if it has one, the first."""
    try:
        failed = records.failed_since((now - FRESH).timestamp())
    except TradingPipelineError:
        return  # without records no run has failed yet; that they are down is told by the metrics
    for run in failed:
        title = f"The run of {run.job} failed"
        of = f" of {run.partition}" if run.partition else ""
        text = f"{why(run.run_id)} Run {run.run_id}{of}."
        at = datetime.fromtimestamp(run.ended_at, now.tzinfo)
        yield _notice(f"run:{run.run_id}", "critical", title, text, at)


def _notice(key: str, severity: str, title: str, text: str, at: datetime) -> Notice:  # noqa: PLR0917 - the fields in their order
    return Notice(
        key=key,
        severity=severity,  # pyright: ignore[reportArgumentType] - one of the three words
        title=redacted(title),
        text=redacted(text),
        at=at,
    )
