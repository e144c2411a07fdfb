"""Ingest on a disk that is full, and by two processes at once."""

import os
import resource
import signal
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.flows.ingest import ingest_bars
from trading_pipeline_tests.factories import random_bars, sessions_from
from trading_pipeline_tests.flows.market_days import LATER, NOW, frames, whole
from trading_pipeline_tests.forks import FORKS

SYMBOLS = tuple(f"S{number:03d}" for number in range(40))
DAYS = sessions_from(count=90)
BARS = random_bars(SYMBOLS, DAYS)


def _ingest(root: Path, symbols: Sequence[str], sessions: Sequence[date], now: datetime) -> None:
    ingest_bars(Lake(root), frames(BARS), symbols=symbols, sessions=sessions, now=now)


def _on_a_full_disk(root: Path) -> None:
    """Files end at 20 kB: like a disk without room, and as a process may be told of it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        _ingest(root, SYMBOLS, DAYS, NOW)
    except SettingsError as error:
        os._exit(7 if "cannot be written to" in str(error) else 8)
    except TradingPipelineError:
        os._exit(9)
    os._exit(0)


def test_a_full_disk_is_said_clearly_leaves_nothing_half_written_and_is_healed(
    tmp_path: Path,
) -> None:
    _ingest(tmp_path, SYMBOLS, DAYS[:2], NOW)
    before = whole(Lake(tmp_path))
    process = FORKS.Process(target=_on_a_full_disk, args=[tmp_path])
    process.start()
    process.join(60)
    assert process.exitcode == 7
    assert_frame_equal(whole(Lake(tmp_path)), before)
    _ingest(tmp_path, SYMBOLS, DAYS, LATER)
    assert whole(Lake(tmp_path)).height == BARS.height


@pytest.mark.parametrize("sessions", [DAYS[:3], DAYS], ids=["session files", "a year file"])
def test_two_ingests_at_once_lose_nothing(tmp_path: Path, sessions: list[date]) -> None:
    halves = (SYMBOLS[:20], SYMBOLS[15:])
    both = [FORKS.Process(target=_ingest, args=[tmp_path, half, sessions, NOW]) for half in halves]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    held = Lake(tmp_path).read("raw_bars", DAYS[0], DAYS[-1])
    expected = BARS.filter(BARS["session"].is_in(sessions))
    assert_frame_equal(held.select(BARS.columns), expected)
