"""The day as a person waits for it: whole commands, and pieces with a limit of their own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import date
from io import StringIO
from pathlib import Path

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.cli import run
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.defs import resources
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.predict import predict
from trading_pipeline.flows.score import score, weigh_targets
from trading_pipeline.settings import Settings, utc_now
from trading_pipeline_tests.benchmarks.harness import RUNS, Figure, median, timed
from trading_pipeline_tests.whole_day import make_checkout

SESSIONS = sessions_between(date(2013, 1, 2), date(2013, 2, 28))
COMMAND = str(Path(sys.executable).parent / "trading-pipeline")
DAGSTER = str(Path(sys.executable).parent / "dagster")
FIRM = ("AAPL", "IBM", "MSFT")


def figures() -> list[Figure]:
    """Measure in a folder of its own whose first day, with its training, is done."""
    with tempfile.TemporaryDirectory() as folder:
        home = make_checkout(Path(folder))
        os.environ["DAGSTER_HOME"] = str(home)
        os.chdir(home)
        sessions = iter(SESSIONS)
        _command(COMMAND, "paper-run", "--as-of-date", str(next(sessions)))
        start = median(lambda: _command(sys.executable, "-c", "import dagster"))
        whole = median(lambda: _command(COMMAND, "paper-run", "--as-of-date", str(next(sessions))))
        valid = median(
            lambda: _command(
                DAGSTER, "definitions", "validate", "-m", "trading_pipeline.definitions"
            )
        )
        own = median(lambda: _day(next(sessions)))
        return [
            _figure("paper-run, a new session, whole command", whole, 10, start),
            _figure("paper-run, its own work, everything imported", own, 2, start),
            _figure("dagster definitions validate", valid, 3, start),
            *_pieces(home),
        ]


def _figure(name: str, seconds: float, limit: float, start: float) -> Figure:
    return Figure(
        name=name,
        seconds=seconds,
        limit=limit,
        ratio=seconds / start,
        ratio_to="import dagster, fresh process",
    )


def _pieces(home: Path) -> list[Figure]:
    settings = Settings.load(home=home, data_dir=home / "data")
    lake, store = resources.lake(settings), resources.model_store(settings)
    session = [SESSIONS[0]]

    def signals() -> None:
        predict(lake, store, strategy=settings.strategy, sessions=session)
        score(lake, resources.cast_of(settings), session)
        rules = resources.allocation_of(settings)
        weigh_targets(lake, resources.cast_of(settings), session, rules)

    return [
        Figure(name="signals of 5 symbols, warm", seconds=median(signals), limit=0.05),
        Figure(name="ETL of 756 rows: adjust, gate, write", seconds=_etl(home), limit=0.05),
    ]


def _etl(home: Path) -> float:
    """The median over fresh lakes, so that each run writes anew."""
    year = sessions_between(date(2012, 1, 3), date(2013, 1, 4))[:252]
    rules = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="crsp")
    seconds: list[float] = []
    for number in range(RUNS + 1):
        lake = Lake(home / f"etl{number}")
        vendor = SampleData()
        for ingest in (ingest_bars, ingest_actions):
            ingest(lake, vendor, symbols=FIRM, sessions=_with_history(year), now=utc_now())
        seconds.append(timed(lambda lake=lake: _clean(lake, year, rules)))
    return sorted(seconds[1:])[RUNS // 2]


def _with_history(year: Sequence[date]) -> list[date]:
    return sessions_between(date(2011, 9, 1), year[-1])


def _clean(lake: Lake, year: Sequence[date], rules: GateRules) -> pl.DataFrame:
    done = clean(lake, symbols=FIRM, sessions=year, rules=rules)
    actions = lake.read("corporate_actions", year[0], year[-1])
    return adjust(done.clean, actions, convention="crsp")


def _day(session: date) -> None:
    with redirect_stdout(StringIO()):
        run(["paper-run", "--json", "--as-of-date", str(session)])


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
