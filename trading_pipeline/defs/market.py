"""Assets of market data: raw bars, corporate actions, what passed the gate, and the universe."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from trading_pipeline.adapters.file_data.members import read_members
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.freshness import LIVE
from trading_pipeline.core.market.watch import BLOCKING, WATCHES
from trading_pipeline.defs.metadata import at_each, check_results, described, numbers_of, table
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.defs.resources import cast_of, second_vendor
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import Ingested, ingest_actions, ingest_bars
from trading_pipeline.flows.look import live_freshness
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.select import select
from trading_pipeline.flows.window import with_history
from trading_pipeline.settings import Settings, utc_now

_COMMON = {"group_name": "market", "owners": ["team:data"]}


@dg.asset(
    **_COMMON,
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    kinds={"polars", "parquet"},
    check_specs=[
        dg.AssetCheckSpec(
            LIVE,
            asset="raw_bars",
            blocking=True,
            description="Enough symbols were quoted in the last minutes of trading. Blocks the day "
            "while the exchange is open; a warning when it is closed.",
        )
    ],
    description="Daily bars as the vendor delivered them, every restatement kept. The first run "
    "fetches the history that features and training need.",
)
def raw_bars(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    vendor: dg.ResourceParam[MarketData],
) -> dg.MaterializeResult:
    """Ingest the bars of the run's sessions, and of the history that is not held yet."""
    asked, symbols = sessions_of(context), settings.symbols
    sessions = _with_history(lake, "raw_bars", asked, settings)
    done = ingest_bars(lake, vendor, symbols=symbols, sessions=sessions, now=utc_now())
    unreadable: Sequence[str] = getattr(vendor, "unreadable", ())
    told: dict[str, str | int] = {
        "unreadable_lines": len(unreadable),
        "unreadable": "\n".join(unreadable[:20]) or "none",
        "vendor_requests": getattr(vendor, "requests", 0),
    }
    live = live_freshness(
        vendor, symbols=symbols, session=asked[-1], now=utc_now(), rules=settings.freshness
    )
    checked = check_results("raw_bars", {asked[-1]: [live]})
    return _ingested(asked, done, **told)._replace(check_results=checked)


@dg.asset(
    **_COMMON,
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    kinds={"polars", "parquet"},
    description="Splits, dividends, spin-offs, symbol changes and delistings by the first session "
    "they matter in.",
)
def corporate_actions(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    vendor: dg.ResourceParam[MarketData],
) -> dg.MaterializeResult:
    """Ingest the corporate actions of the run's sessions and of the missing history."""
    asked, symbols = sessions_of(context), settings.symbols
    sessions = _with_history(lake, "corporate_actions", asked, settings)
    done = ingest_actions(lake, vendor, symbols=symbols, sessions=sessions, now=utc_now())
    return _ingested(asked, done)


@dg.multi_asset(
    name="quality_gate",
    specs=[
        dg.AssetSpec(
            "clean_bars",
            deps=["raw_bars", "corporate_actions"],
            kinds={"polars", "parquet"},
            description="Raw bars that passed the quality gate: the only bars anything trades on.",
            **_COMMON,
        ),
        dg.AssetSpec(
            "quarantined_bars",
            deps=["raw_bars", "corporate_actions"],
            kinds={"polars", "parquet"},
            description="Raw bars set aside, each with its reasons.",
            **_COMMON,
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            name, asset="clean_bars", blocking=True, description=f"{sentence} Blocks the day."
        )
        for name, sentence in {
            "coverage": "Enough of the listed universe has a clean bar.",
            "quarantine": "Few enough bars were set aside.",
            "freshness": "Each symbol's newest bar is of the session.",
        }.items()
    ]
    + [
        dg.AssetCheckSpec(
            name,
            asset="clean_bars",
            blocking=name in BLOCKING,
            description=f"{sentence} {'Blocks the day.' if name in BLOCKING else 'A warning.'}",
        )
        for name, sentence in WATCHES.items()
    ],
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
)
def quality_gate(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
):
    """Judge the bars of the run's sessions, and of the history that is not judged yet."""
    asked, symbols = sessions_of(context), settings.symbols
    done = clean(
        lake,
        symbols=symbols,
        sessions=with_history(
            lake,
            "clean_bars",
            asked,
            history=settings.bar_history,
            symbols=symbols,
            again=settings.restatement_sessions,
        ),
        rules=GateRules(
            quality=settings.quality,
            freshness=settings.freshness,
            convention=settings.adjustment,
            watch=settings.watch,
        ),
        second=second_vendor(settings),
    )
    outcomes = done.outcomes.of(asked)
    for session, found in outcomes.items():  # of a range, too, the UI draws each session's own
        context.add_asset_metadata(numbers_of(found), "clean_bars", partition_key=str(session))
    odd = done.action_checks.filter(pl.col("verdict").is_in(["contradicted", "late"]))
    yield dg.MaterializeResult(
        "clean_bars",
        metadata=at_each(
            asked,
            described(
                done.clean,
                actions_not_applied=odd.height,
                odd_actions=table(odd),
                second_vendor_said=done.second_words.height,
                second_vendor=table(done.second_words),
            ),
        ),
    )
    aside = at_each(asked, described(done.quarantined))
    yield dg.MaterializeResult("quarantined_bars", metadata=aside)
    yield from check_results("clean_bars", outcomes)


@dg.asset(
    **_COMMON,
    deps=["clean_bars", "quarantined_bars"],
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    kinds={"polars", "parquet"},
    description="Which of the asked symbols may trade in a session, by membership, blocklist, "
    "price and liquidity, and why the others may not; the version names the rules.",
)
def universe(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult:
    """Judge the asked symbols in the run's sessions, and in the history that is not judged yet."""
    asked, rules, path = sessions_of(context), settings.universe.rules, settings.universe.members
    found = select(
        lake,
        symbols=settings.symbols,
        sessions=with_history(
            lake,
            "universe",
            asked,
            history=cast_of(settings).strategy.prediction_look_back,
            symbols=settings.symbols,
            again=settings.restatement_sessions,
        ),
        rules=rules,
        members=read_members(path) if path else None,
    )
    newest = found.filter(pl.col("session") == asked[-1])
    out = newest.filter(pl.col("reason").is_not_null()).select("symbol", "reason")
    named = found["version"][0]
    told = described(
        found,
        version=named,
        members=newest.height - out.height,
        outsiders=out.height,
        who_is_out=table(out.head(50)),
    )
    return dg.MaterializeResult(metadata=at_each(asked, told), data_version=dg.DataVersion(named))


def _with_history(lake: Lake, table: str, asked: list[date], settings: Settings) -> list[date]:
    """The run's sessions, those before them that may have been restated, and what is not held."""
    return with_history(
        lake,
        table,
        asked,
        history=settings.raw_history,
        symbols=settings.symbols,
        again=settings.restatement_sessions,
    )


def _ingested(asked: list[date], done: Ingested, **more: str | int) -> dg.MaterializeResult:
    told = {
        **described(done.rows, sessions=done.sessions),
        "restated_cells": done.restated.height,
        "repeated_rows": done.repeated,
        "restated": table(done.restated.head(20)),
        **more,
    }
    return dg.MaterializeResult(metadata=at_each(asked, told))
