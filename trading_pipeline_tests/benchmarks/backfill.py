"""Five years of data assets in one Dagster run, against the same functions called by themselves.

Each way runs in a process of its own on a folder of its own; what counts is the work, without
imports. The yardstick is the plain functions, so the difference is what Dagster's records cost.
"""

import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.definitions import build
from trading_pipeline.defs import resources
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.featurize import featurize
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.select import select
from trading_pipeline.flows.window import with_history
from trading_pipeline.settings import Settings, utc_now
from trading_pipeline_tests.benchmarks.harness import Figure
from trading_pipeline_tests.servers import Postgres
from trading_pipeline_tests.whole_day import make_checkout

SESSIONS = session_window(date(2013, 2, 28), 1_255)
ASSETS = (
    *("raw_bars", "corporate_actions", "clean_bars", "quarantined_bars", "universe"),
    "features",
)
BATCHED = {
    "DAGSTER_EVENT_BATCH_SIZE": "1000",
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
}
ADDED = 10.0
"""Seconds that Dagster may add on PostgreSQL."""


def figures() -> list[Figure]:
    """The plain functions, and the one run on PostgreSQL and on SQLite."""
    server = Postgres().start()
    try:
        plain = _seconds("plain")
        found = {
            "PostgreSQL, batched events": _seconds(
                "dagster", TP_DAGSTER_URL=server.url(), **BATCHED
            ),
            "SQLite, planned events as one": _seconds(
                "dagster", DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS="1"
            ),
            "SQLite, as Dagster comes": _seconds("dagster"),
        }
    finally:
        server.stop()
    note = f"{len(ASSETS)} assets by {len(SESSIONS):,} sessions, plain {plain:.1f} s"
    return [
        Figure(
            name=f"backfill in one run, added by {name}",
            seconds=max(seconds - plain, 0.0),
            limit=ADDED if name.startswith("PostgreSQL") else None,
            ratio=seconds / plain,
            ratio_to="the plain functions",
            note=note,
        )
        for name, seconds in found.items()
    ]


def _seconds(way: str, **environment: str) -> float:
    """Seconds of one way in a fresh process and folder."""
    kept = {name: value for name, value in os.environ.items() if name not in BATCHED}
    with TemporaryDirectory(prefix="trading_pipeline_backfill_") as folder:
        home = make_checkout(Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", __name__, way],
            env=kept | {"DAGSTER_HOME": str(home)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return float(json.loads(done.stdout.splitlines()[-1]))


def _plain(settings: Settings) -> float:
    lake, vendor, symbols = resources.lake(settings), resources.vendor(settings), settings.symbols
    rules = GateRules(
        quality=settings.quality,
        freshness=settings.freshness,
        convention=settings.adjustment,
        watch=settings.watch,
    )
    start = time.perf_counter()
    for table, ingest in (("raw_bars", ingest_bars), ("corporate_actions", ingest_actions)):
        days = with_history(lake, table, SESSIONS, history=settings.raw_history, symbols=symbols)
        ingest(lake, vendor, symbols=symbols, sessions=days, now=utc_now())
    days = with_history(lake, "clean_bars", SESSIONS, history=settings.bar_history, symbols=symbols)
    done = clean(lake, symbols=symbols, sessions=days, rules=rules)
    assert all(done.outcomes[session] for session in SESSIONS)
    select(lake, symbols=symbols, sessions=SESSIONS, rules=settings.universe.rules)
    days = with_history(lake, "features", SESSIONS, history=settings.feature_history)
    featurize(lake, sessions=days, symbols=symbols, convention=settings.adjustment)
    return time.perf_counter() - start


def _in_dagster(settings: Settings) -> float:
    job = build(settings).resolve_implicit_global_asset_job_def()
    chosen = job.get_subset(asset_selection={dg.AssetKey(name) for name in ASSETS})
    ends = {"start": str(SESSIONS[0]), "end": str(SESSIONS[-1])}
    tags = {f"dagster/asset_partition_range_{end}": day for end, day in ends.items()}
    with dg.DagsterInstance.get() as instance:
        start = time.perf_counter()
        assert chosen.execute_in_process(instance=instance, tags=tags).success
        return time.perf_counter() - start


if __name__ == "__main__":
    ways = {"plain": _plain, "dagster": _in_dagster}
    sys.stdout.write(f"\n{json.dumps(ways[sys.argv[1]](Settings.load()))}\n")
