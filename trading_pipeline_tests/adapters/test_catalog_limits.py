"""What a query may cost: time, rows, memory; beyond it is stopped, and the catalog goes on."""

from collections.abc import Iterator

import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.catalog import Catalog, Limits
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.errors import SettingsError
from trading_pipeline_tests.factories import random_bars, sessions_from

SESSIONS = sessions_from(count=25)
BARS = random_bars(("AAPL", "IBM", "MSFT"), SESSIONS)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.write("clean_bars", BARS, SESSIONS)
    return lake


@pytest.fixture
def catalog(lake: Lake) -> Iterator[Catalog]:
    with Catalog(lake.root) as opened:
        yield opened


def test_a_query_that_takes_too_long_is_stopped(catalog: Catalog) -> None:
    endless = "SELECT count(*) FROM range(100000000) a, range(1000) b WHERE a.range % 7 = b.range"

    with pytest.raises(SettingsError, match=r"longer than 0\.2 s"):
        catalog.run(endless, seconds=0.2)
    forever = "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) SELECT i FROM a"
    with pytest.raises(SettingsError, match=r"longer than 0\.2 s"):
        catalog.run(forever, seconds=0.2, rows=10**12)
    assert catalog.stats("clean_bars")["rows"] == BARS.height


def test_more_rows_than_the_limit_are_an_error_or_cut_and_said_so(lake: Lake) -> None:
    with Catalog(lake.root, limits=Limits(rows=5)) as catalog:
        cut = catalog.run("SELECT * FROM clean_bars ORDER BY session, symbol")
        assert (cut.frame.height, cut.is_cut) == (5, True)
        assert_frame_equal(cut.frame, BARS.head(5))
        with pytest.raises(SettingsError, match="limit of 5"):
            catalog.query("SELECT * FROM clean_bars")
        assert catalog.query("SELECT * FROM clean_bars LIMIT 5").height == 5
        assert not catalog.run("SELECT * FROM range(100)", rows=100).is_cut


def test_a_query_has_no_more_memory_than_its_limit(lake: Lake) -> None:
    with (
        Catalog(lake.root, limits=Limits(memory="64MB")) as catalog,
        pytest.raises(SettingsError, match="more memory"),
    ):
        catalog.query("SELECT list(range) AS l FROM range(50000000)")


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": float("nan")}, {"rows": 0}])
def test_a_limit_that_limits_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="limit of"):
        Limits(**limits)  # pyright: ignore[reportArgumentType]
