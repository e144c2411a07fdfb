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
from statistics import median
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
GROUPS = ("market", "features")
"""The groups of Dagster that hold the data assets; the others judge data or trade on it."""

RUNS = 3
PLANNED = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"
BATCHED = {"DAGSTER_EVENT_BATCH_SIZE": "1000", PLANNED: "1"}
ADDED = 10.0
"""Seconds that Dagster may add on PostgreSQL."""


def figures() -> list[Figure]:
    """The plain functions, and the one run on PostgreSQL and on SQLite; medians, in turns."""
    with TemporaryDirectory(prefix="trading_pipeline_backfill_") as folder:
        assets = _assets(Settings(home=Path(folder)))
    found: dict[str, list[float]] = {}
    for _ in range(RUNS):
        server = Postgres().start()
        try:
            ways = {
                "plain": {},
                "PostgreSQL, batched events": {"TP_DAGSTER_URL": server.url(), **BATCHED},
                "SQLite, planned events as one": {PLANNED: "1"},
                "SQLite, as Dagster comes": {},
            }
            for name, environment in ways.items():
                way = "plain" if name == "plain" else "dagster"
                found.setdefault(name, []).append(_seconds(way, **environment))
        finally:
            server.stop()
    plain, *others = ((name, median(seconds)) for name, seconds in found.items())
    note = f"{len(assets)} assets by {len(SESSIONS):,} sessions, plain {plain[1]:.1f} s"
    return [
        Figure(
            name=f"backfill in one run, added by {name}",
            seconds=max(seconds - plain[1], 0.0),
            limit=ADDED if name.startswith("PostgreSQL") else None,
            ratio=seconds / plain[1],
            ratio_to="the plain functions",
            note=note,
        )
        for name, seconds in others
    ]


def _assets(settings: Settings) -> list[dg.AssetKey]:
    """All assets of market data and features that have a partition a session."""
    nodes = build(settings).resolve_asset_graph().asset_nodes
    return [node.key for node in nodes if node.group_name in GROUPS and node.partitions_def]


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
    assert all(done.outcomes.of(SESSIONS).values())
    select(lake, symbols=symbols, sessions=SESSIONS, rules=settings.universe.rules)
    days = with_history(lake, "features", SESSIONS, history=settings.feature_history)
    featurize(lake, sessions=days, symbols=symbols, convention=settings.adjustment)
    return time.perf_counter() - start


def _in_dagster(settings: Settings) -> float:
    job = build(settings).resolve_implicit_global_asset_job_def()
    chosen = job.get_subset(asset_selection=set(_assets(settings)))
    ends = {"start": str(SESSIONS[0]), "end": str(SESSIONS[-1])}
    tags = {f"dagster/asset_partition_range_{end}": day for end, day in ends.items()}
    with dg.DagsterInstance.get() as instance:
        start = time.perf_counter()
        assert chosen.execute_in_process(instance=instance, tags=tags).success
        return time.perf_counter() - start


if __name__ == "__main__":
    ways = {"plain": _plain, "dagster": _in_dagster}
    sys.stdout.write(f"\n{json.dumps(ways[sys.argv[1]](Settings.load()))}\n")
