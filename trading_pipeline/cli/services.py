"""The outside things of an installation, opened to be looked at: nothing is made or migrated."""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import urlopen

import sqlalchemy as sa
from sqlalchemy import exc

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.errors import MissingDataError, SettingsError, TransientError
from trading_pipeline.flows.ports import Broker, MarketData
from trading_pipeline.settings import Settings, dagster_database_url, use_home

if TYPE_CHECKING:
    from trading_pipeline.adapters.live_store import RedisLink
    from trading_pipeline.flows.announce import Announcer
    from trading_pipeline.flows.live_pnl import Quotes

CONNECT_SECONDS: Final = 1.0
_PATIENCE: Final = {"connect_timeout": 2}
_SQLITE: Final = "sqlite:///"


def enter_home(settings: Settings) -> None:
    """Make the folder of the settings the Dagster home of this process, unless one is set.

    SettingsError where it is no project's: Dagster would keep its records elsewhere, by rules of
    its own, and nothing of ours would find them.
    """
    if not (settings.home / "dagster.yaml").is_file():
        raise SettingsError(
            f"{settings.home} has no dagster.yaml: run in the project's folder or set DAGSTER_HOME."
        )
    use_home(settings.home)


def lake(settings: Settings) -> Lake:
    """The lake where the settings say."""
    return Lake(settings.lake_location)


def models(settings: Settings) -> ModelStore:
    """The releases in the data folder."""
    return ModelStore(settings.data_dir / "models", settings.tracking_location)


def vendor(settings: Settings) -> MarketData:
    """The vendor of market data."""
    from trading_pipeline.defs import resources  # noqa: PLC0415 - heavy: on first use

    return resources.vendor(settings)


def is_archive(settings: Settings) -> bool:
    """Whether the vendor's data ends in the past."""
    from trading_pipeline.defs import resources  # noqa: PLC0415 - heavy: on first use

    return resources.is_archive(settings)


def broker(settings: Settings) -> Broker:
    """The broker."""
    from trading_pipeline.defs import resources  # noqa: PLC0415 - heavy: on first use

    return resources.broker(settings)


def announcer(settings: Settings) -> "Announcer":
    """Who tells facts."""
    from trading_pipeline.defs import resources  # noqa: PLC0415 - heavy: on first use

    return resources.announcer(settings)


def simulated_account(settings: Settings) -> Path:
    """Where the simulated broker keeps its account."""
    return settings.data_dir / "simulated_broker.db"


def open_ledger(settings: Settings) -> Ledger:
    """The ledger as it is; MissingDataError when it is a file that is not there."""
    location = settings.ledger_location
    path = location.removeprefix(_SQLITE)
    if path != location and not Path(path).is_file():
        raise MissingDataError(f"There is no ledger at {path}: the first run makes one.")
    return Ledger(location)


def redis(settings: Settings) -> "RedisLink | None":
    """The Redis that is configured, else the data folder's own while it runs, or None."""
    from trading_pipeline.defs.resources import redis_url  # noqa: PLC0415 - heavy: on first use

    url = redis_url(settings)
    return _link(url) if url else None


def quotes(settings: Settings) -> "Quotes":
    """The stream's last quotes; none at all where no Redis is."""
    from trading_pipeline.adapters.live_store import QuoteStore  # noqa: PLC0415 - heavy

    link = redis(settings)
    return QuoteStore(link).latest if link else lambda _symbols: {}


@cache
def _link(url: str) -> "RedisLink":
    from trading_pipeline.adapters.live_store import RedisLink  # noqa: PLC0415 - heavy

    return RedisLink(url)


def ping_redis(settings: Settings) -> str | None:
    """Where Redis answers, without the password; None when none is configured and none runs."""
    from trading_pipeline.defs.resources import redis_url  # noqa: PLC0415 - heavy: on first use

    url = redis_url(settings)
    if url is None:
        return None
    from redis import Redis, RedisError  # noqa: PLC0415 - heavy: on first use

    try:
        with Redis.from_url(
            url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS
        ) as client:
            client.ping()
    except ValueError as error:
        raise SettingsError("TP_REDIS_URL is not a URL: redis://… is expected.") from error
    except RedisError as error:
        raise TransientError(f"Redis at {_host(url)} does not answer.") from error
    return f"answers at {_host(url)}"


def model_registry(settings: Settings) -> str | None:
    """Where MLflow answers; None when it is a file of ours, which trading never reads."""
    uri = settings.mlflow_tracking_uri
    if uri is None or not uri.startswith(("http", "postgres")):
        return None
    try:
        where = _host(uri)
        if uri.startswith("http"):
            urlopen(f"{uri.rstrip('/')}/health", timeout=CONNECT_SECONDS).close()  # noqa: S310
        else:
            _connection(uri).close()
    except ValueError as error:
        raise SettingsError("TP_MLFLOW_TRACKING_URI is not a URL: http://… is expected.") from error
    except (OSError, exc.SQLAlchemyError) as error:
        raise TransientError(f"MLflow at {where} does not answer.") from error
    return f"answers at {where}"


def dagster_records(settings: Settings) -> str:
    """How many runs Dagster has on record, asked without importing it, which takes a second."""
    url = dagster_database_url()
    return _runs_in_database(url) if url else _runs_in_file(settings.home)


def _runs_in_database(url: str) -> str:
    try:
        with _connection(url) as connection:
            count = connection.scalar(sa.text("select count(*) from runs"))
    except exc.ArgumentError:
        raise SettingsError("TP_DAGSTER_URL is not a URL: postgresql://… is expected.") from None
    except exc.ProgrammingError as error:
        where = _host(url)
        raise MissingDataError(
            f"There are no records at {where}: the first run makes them."
        ) from error
    except exc.SQLAlchemyError as error:
        raise TransientError(f"The database at {_host(url)} does not answer.") from error
    return f"{count} runs on record at {_host(url)}"


def _connection(url: str) -> sa.Connection:
    address = sa.make_url(url).set(drivername="postgresql+psycopg2")
    return sa.create_engine(address, poolclass=sa.NullPool, connect_args=_PATIENCE).connect()


def _runs_in_file(home: Path) -> str:
    path = home / "data" / "dagster" / "history" / "runs.db"
    if not path.is_file():
        raise MissingDataError(f"There are no records at {path}: the first run makes them.")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as connection:
            count = connection.execute("select count(*) from runs").fetchone()[0]
    except sqlite3.Error as error:
        raise TransientError(f"{path} cannot be read: {error}.") from error
    return f"{count} runs on record"


def _host(url: str) -> str:
    address = urlsplit(url)
    return f"{address.hostname or 'localhost'}{f':{address.port}' if address.port else ''}"
