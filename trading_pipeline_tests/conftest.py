"""Fixtures shared by all tests; a server starts when the first test of a worker asks for it."""

import gc
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

from trading_pipeline_tests.servers import Postgres, Valkey

if TYPE_CHECKING:
    from trading_pipeline.adapters.ledger import Ledger
    from trading_pipeline.adapters.simulated_broker import SimulatedBroker
    from trading_pipeline_tests.alpaca_twin import AlpacaTwin

# Machines of very different speed run the suite: no verdict by the clock, and none by luck either,
# which has its turn with the full-size tests.
settings.register_profile("quick", deadline=None, max_examples=20, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("quick")

_numbers = itertools.count(1)

LONGEST = ("test_paper_run", "test_docs", "test_native", "test_trade_crashes")
"""Files with tests of many seconds."""

MEMORY = Path("/dev/shm")
"""Files in memory: databases that wait for a disk at each commit take an eighth of the time."""

ROOM = 4 << 30
"""Bytes that must be free there; the tests write a tenth of it."""

EMPTY_LEDGER = """
SET session_replication_role = replica;  -- no triggers: the ledger's rows cannot be deleted else
DELETE FROM order_events; DELETE FROM orders; DELETE FROM skips; DELETE FROM decisions;
DELETE FROM fills; DELETE FROM cash_entries; DELETE FROM settlements; DELETE FROM runs;
DELETE FROM snapshot_positions; DELETE FROM snapshots; DELETE FROM halts WHERE id > 1;
DELETE FROM book_positions; DELETE FROM book_parts; DELETE FROM book_snapshots;
DELETE FROM breaks; DELETE FROM reconciliations; DELETE FROM openings;
"""
"""Back to what the migrations left: one row, that trading is allowed."""


def pytest_configure() -> None:
    """Forget the settings of whoever runs the tests; the ones that a test wants it sets itself."""
    for name in [name for name in os.environ if name.startswith(("TP_", "DAGSTER_"))]:
        del os.environ[name]
    if "PYTEST_XDIST_WORKER" in os.environ:  # more threads only get in each other's way
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)  # for processes that tests start, too
        tempfile.tempdir = str(MEMORY)


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that uses a ledger one of each database, unless its module or it names fewer."""
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "ledger_url" in metafunc.fixturenames and "ledger_url" not in named:
        databases = getattr(metafunc.module, "DATABASES", ("sqlite", "postgresql"))
        metafunc.parametrize("ledger_url", databases, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first: else a worker ends with one of them while the other has no work."""
    items.sort(key=lambda item: not item.path.name.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Take what was imported out of every later garbage collection, which saves a tenth."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared real price files; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1] / "../shared/data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not next to this repository")
    return folder.resolve()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server; tests want `postgres_url` rather."""
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    name = f"test_{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Valkey]:
    """A Valkey server; tests want `redis_url` rather."""
    server = Valkey()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server: Valkey) -> str:
    """The URL of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated, empty ledger: a test that uses it runs once a database.

    Where the database has no part in the question, a module says `DATABASES = ["sqlite"]`.

    On PostgreSQL the tests of a worker share one database, so a test that changes the schema itself
    makes its own by `postgres_url`.
    """
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        shutil.copyfile(request.getfixturevalue("_sqlite_ledger"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("_postgres_ledger")
    server: Postgres = request.getfixturevalue("postgres_server")
    server.execute(EMPTY_LEDGER, "ledger")
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator["Ledger"]:
    """A migrated, empty ledger: a test that uses it runs on SQLite and on PostgreSQL."""
    from trading_pipeline.adapters.ledger import Ledger  # noqa: PLC0415 - heavy: on first use

    opened = Ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator["SimulatedBroker"]:
    """A simulated broker whose new account opens with 100,000 dollars."""
    # heavy: on first use
    from trading_pipeline.adapters.simulated_broker import SimulatedBroker  # noqa: PLC0415
    from trading_pipeline.core.execution.costs import CostModel  # noqa: PLC0415

    opened = SimulatedBroker(tmp_path / "broker.db", CostModel(), Decimal(100_000))
    yield opened
    opened.close()


@pytest.fixture
def alpaca() -> Iterator["AlpacaTwin"]:
    """A loopback Alpaca whose clock stands between `fakes.SESSION` and the next open."""
    from trading_pipeline_tests.alpaca_twin import AlpacaTwin  # noqa: PLC0415 - heavy: on first use
    from trading_pipeline_tests.fakes import NOW  # noqa: PLC0415

    with AlpacaTwin(now=NOW) as twin:
        yield twin


@pytest.fixture(scope="session")
def _sqlite_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgres_ledger(postgres_server: Postgres) -> str:
    postgres_server.execute("CREATE DATABASE ledger")
    _migrate(postgres_server.url("ledger"))
    return postgres_server.url("ledger")


def _migrate(url: str) -> None:
    from trading_pipeline.adapters.ledger import Ledger  # noqa: PLC0415 - heavy: on first use

    made = Ledger(url)
    made.create()
    made.close()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once for all workers, and return where it is; nobody may change it."""
    common = tmp_path_factory.getbasetemp()
    common = common.parent if os.environ.get("PYTEST_XDIST_WORKER") else common

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = common / name
        with FileLock(common / f"{name}.lock"):
            if not folder.exists():
                make(common / f"{name}.part")
                (common / f"{name}.part").rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def first_day(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A project folder in which the day of `whole_day.FIRST` has been run; not to be changed."""
    from trading_pipeline_tests import whole_day  # noqa: PLC0415 - it imports the whole product

    def make(folder: Path) -> None:
        whole_day.report_of(whole_day.make_checkout(folder), whole_day.FIRST)

    return once("first_day", make)


@pytest.fixture(scope="session")
def month(once: Callable[[str, Callable[[Path], None]], Path], first_day: Path) -> Path:
    """The folder of twenty days one after the other, `reports.json` in it; not to be changed."""
    from trading_pipeline_tests import whole_day  # noqa: PLC0415 - it imports the whole product

    def make(folder: Path) -> None:
        home = whole_day.copy_state(first_day, folder)
        reports = whole_day.reports_of(home, whole_day.MONTH)
        (home / "reports.json").write_text(json.dumps(reports))

    return once("month", make)


@pytest.fixture
def home(first_day: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to run further days in."""
    from trading_pipeline_tests import whole_day  # noqa: PLC0415 - it imports the whole product

    return whole_day.copy_state(first_day, tmp_path / "home")
