"""The kill switch as jobs: halt, resume, reduce, flatten, each with a confirmation in its config.

Only the ledger and the broker are opened, by the op itself: these jobs work when Redis, MLflow or
the vendor of market data are down, as the commands of the same names do.
"""

from typing import Final

import dagster as dg

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.resources import announcer, broker, is_archive
from trading_pipeline.defs.resources import ledger as open_ledger
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows import halt as halting
from trading_pipeline.flows import reduce as shrink
from trading_pipeline.flows.announce import of_halt
from trading_pipeline.settings import Settings, utc_now


class Said(LaunchConfig):
    """Who changes what trading may do and why; `confirm` repeats the job's name."""

    confirm: str
    reason: str
    by: str = "dagster"


@dg.op(name="halt_trading")
def _halt(
    context: dg.OpExecutionContext, config: Said, settings: dg.ResourceParam[Settings]
) -> None:
    _require(config, "halt")
    ledger, now = open_ledger(settings), utc_now()
    found = halting.stop(ledger, TradingState.HALTED, who=config.by, reason=config.reason, now=now)
    announcer(settings).tell(of_halt(found, now=now))
    taken = halting.withdraw(
        ledger, broker(settings), now=now, reason=f"Halted: {config.reason}", everything=True
    )
    tell(context, taken)


@dg.op(name="resume_trading")
def _resume(
    context: dg.OpExecutionContext, config: Said, settings: dg.ResourceParam[Settings]
) -> None:
    _require(config, "resume")
    words = {"who": config.by, "reason": config.reason, "now": utc_now()}
    found = halting.release(open_ledger(settings), rules=settings.risk.breaker, **words)
    context.log.info(f"Trading is {found.state}: {found.reason}")


@dg.op(name="reduce_positions")
def _reduce(
    context: dg.OpExecutionContext, config: Said, settings: dg.ResourceParam[Settings]
) -> None:
    _require(config, "reduce")
    ledger, place, now = open_ledger(settings), broker(settings), utc_now()
    words = {"who": config.by, "reason": config.reason, "now": now}
    found = halting.stop(ledger, TradingState.REDUCING, **words)
    announcer(settings).tell(of_halt(found, now=now))
    tell(context, halting.withdraw(ledger, place, now=now, reason=f"Reducing: {config.reason}"))
    shrinking = shrinking_of(settings, ledger, context.run_id, act=True)
    done = shrink.cure(ledger, place, shrinking=shrinking, now=now)
    context.log.info(f"{len(done.reduction.breaches)} breaches, {len(done.orders)} orders")


@dg.op(name="flatten_positions")
def _flatten(
    context: dg.OpExecutionContext, config: Said, settings: dg.ResourceParam[Settings]
) -> None:
    _require(config, "flatten")
    ledger = open_ledger(settings)
    shrinking = shrinking_of(settings, ledger, context.run_id, act=True)
    words = {"who": config.by, "reason": config.reason, "now": utc_now()}
    done = shrink.flatten(ledger, broker(settings), shrinking=shrinking, **words)
    announcer(settings).tell(of_halt(ledger.trading_state(), now=utc_now()))
    tell(context, done.withdrawn)
    context.log.info(f"{len(done.orders)} closing orders")


@dg.job(name="halt", description="Stop everything. Config: confirm: halt, and a reason.")
def halt() -> None:
    """Stop everything."""
    _halt()


@dg.job(name="resume", description="Let trading go on, staged. Config: confirm: resume, a reason.")
def resume() -> None:
    """Let trading go on."""
    _resume()


@dg.job(name="reduce", description="Reducing orders only, and those that cure breached limits.")
def reduce() -> None:
    """Cure what is over its limit."""
    _reduce()


@dg.job(
    name="flatten", description="Cancel everything, close everything. Config: confirm: flatten."
)
def flatten() -> None:
    """Close every position."""
    _flatten()


JOBS: Final = (halt, resume, reduce, flatten)


def shrinking_of(settings: Settings, ledger: Ledger, run_id: str, *, act: bool) -> shrink.Shrinking:
    """For which session, by which run and within which limits a book is shrunk."""
    session = shrink.session_for(ledger, now=utc_now(), is_archive=is_archive(settings))
    return shrink.Shrinking(session=session, run_id=run_id, limits=settings.risk, act=act)


def tell(context: dg.OpExecutionContext, taken: halting.Withdrawn) -> None:
    """Say in the run's log what was taken back, and what may still fill."""
    context.log.info(f"{len(taken.canceled)} orders canceled")
    for order in taken.standing:
        context.log.warning(f"May still fill: {order.side} {order.quantity} {order.symbol}")


def _require(config: Said, name: str) -> None:
    if config.confirm != name or not config.reason.strip():
        raise SettingsError(
            f"The job {name} is run with confirm: {name} and a reason, "
            f"and not with confirm: {config.confirm!r} and {config.reason!r}."
        )
