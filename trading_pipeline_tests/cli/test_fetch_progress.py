"""How far a long fetch is: a bar on a terminal, lines and numbers in a run."""

import io
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import dagster as dg
from rich.console import Console

from trading_pipeline.adapters.alpaca_data import AlpacaData, DataAccess
from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.cli.console import Progress
from trading_pipeline.defs.market import raw_bars
from trading_pipeline.defs.resources import FETCHING, logged
from trading_pipeline.settings import Settings
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.factories import random_bars, sessions_from

DAYS = sessions_from(date(2012, 1, 3), 80)
NAMES = ("AAA", "BBB", "CCC", "DDD")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def watched(twin: AlpacaTwin, folder: Path, log: object) -> AlpacaData:
    access = DataAccess(url=twin.url, symbols_per_request=2, sessions_per_request=40)
    return AlpacaData(
        access,
        (KEY, SECRET),
        spool=folder / "spool",
        clock=lambda: NOON,
        sleep=lambda _: None,
        progress=logged(log),
    )


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def info(self, line: str) -> None:
        self.kept.append(line)


def test_every_slice_of_a_fetch_is_told_with_its_share(alpaca: AlpacaTwin, tmp_path: Path) -> None:
    alpaca.market.add_bars(random_bars(NAMES, DAYS))
    lines = Lines()
    watched(alpaca, tmp_path, lines).bars(NAMES, DAYS[0], DAYS[-1])
    assert lines.kept == [
        f"{FETCHING} stocks/bars of alpaca, page 1 of slice {number} of 4 ({number * 25}%)"
        for number in (1, 2, 3, 4)
    ]


def test_a_fetch_of_many_pages_is_told_at_most_twenty_times(
    alpaca: AlpacaTwin, tmp_path: Path
) -> None:
    alpaca.market.add_bars(random_bars(NAMES, DAYS))
    alpaca.market.page = 2
    lines = Lines()
    watched(alpaca, tmp_path, lines).bars(NAMES, DAYS[0], DAYS[-1])
    assert len(lines.kept) <= 21


def test_every_file_of_a_folder_is_told(tmp_path: Path) -> None:
    told = list[tuple[str, float]]()
    for name in ("AAA", "BBB"):
        frame = random_bars([name], DAYS[:2]).rename({"session": "date"})
        frame.write_parquet(tmp_path / f"{name}.parquet")
    FileData(tmp_path, progress=lambda *said: told.append(said)).symbols()
    assert told == [("AAA.parquet, file 1 of 2", 0.5), ("BBB.parquet, file 2 of 2", 1.0)]


def test_a_run_logs_and_counts_a_fetch_and_a_terminal_shows_a_bar(
    alpaca: AlpacaTwin, tmp_path: Path
) -> None:
    alpaca.market.add_bars(random_bars(NAMES, DAYS))
    settings = Settings(home=tmp_path, symbols=NAMES, restatement_sessions=0)
    made = dg.ResourceDefinition(
        lambda context: watched(alpaca, tmp_path, context.log), config_schema={}
    )
    job = dg.define_asset_job("fetch", selection=[raw_bars])
    defs = dg.Definitions(
        [raw_bars],
        jobs=[job],
        resources={"settings": settings, "lake": Lake(tmp_path / "lake"), "vendor": made},
    )
    console = Console(
        file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"}
    )
    run_id = str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance, Progress(console=console) as progress:
        instance.add_event_listener(run_id, progress.listen)
        done = defs.resolve_job_def("fetch").execute_in_process(
            instance=instance, run_id=run_id, partition_key=str(DAYS[-1])
        )
        lines = [entry.user_message for entry in instance.all_logs(run_id)]
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["vendor_requests"].value == len(alpaca.journal)
    assert sum(line.startswith(FETCHING) for line in lines) >= 4
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "stocks/bars of alpaca" in shown
    assert "━" in shown
