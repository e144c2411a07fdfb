"""`trading-pipeline metrics`: the one exporter, which reads everything when it is scraped."""

import signal
import threading
from functools import cache, partial
from importlib.metadata import version
from time import monotonic
from typing import Final

from trading_pipeline import logs
from trading_pipeline.adapters.ledger.figures import LedgerFigures
from trading_pipeline.adapters.metrics import LOOPBACK, Exporter, Sample, serving
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page
from trading_pipeline.core.strategies import models_of, strategies
from trading_pipeline.flows.measure import Instruments, measure
from trading_pipeline.flows.metrics import METRICS, PREFIX
from trading_pipeline.settings import Settings, dagster_database_url, utc_now

PORT: Final = 9464


def metrics(*, port: int = PORT, host: str = LOOPBACK) -> int:
    """Answer Prometheus at `/metrics` until stopped; every scrape reads ledger, lake and Redis.

    Examples: `trading-pipeline metrics`; `trading-pipeline metrics --port 9500`.

    Args:
        port: Where to listen; 0 takes a free one and says which.
        host: The address to listen on. It asks nobody who they are: keep it on this machine or in a
            network of your own.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    exporter = Exporter(METRICS, partial(_read, instruments(settings)))
    with serving(exporter, host=host, port=port) as taken:
        Page().line("Metrics", f"http://{host}:{taken}/metrics")
        stopped.wait()
    return 0


def instruments(settings: Settings) -> Instruments:
    """What the settings say is to be read; nothing is opened before a scrape.

    SettingsError when the URL of Redis is none.
    """
    services.redis(settings)
    return Instruments(
        ledger=cache(partial(services.open_ledger, settings)),
        figures=LedgerFigures(settings.ledger_location),
        lake=services.lake(settings),
        store=services.models(settings),
        vendor=cache(partial(services.vendor, settings)),
        records=RunRecords(url=dagster_database_url(), home=settings.home),
        redis=partial(services.redis, settings),
        models=models_of(settings.strategy, strategies(settings.strategies)),
        rules=settings.risk.breaker,
        version=version("trading-pipeline"),
        may_stream=settings.alpaca.key_id is not None,
    )


def _read(read: Instruments) -> list[Sample]:
    begun = monotonic()
    found = measure(read, now=utc_now())
    return [*found, Sample(f"{PREFIX}scrape_seconds", monotonic() - begun)]
