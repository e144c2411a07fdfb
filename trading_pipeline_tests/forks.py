"""New processes without the wait: forked from one that has imported the product and done no more.

A library that starts threads when it is used, not when it is imported, can be named here.
"""

import multiprocessing
from typing import Final

IMPORTED: Final = [
    "alembic.command",
    "alpaca.trading.client",
    "dagster._core.storage.event_log",
    "dagster._core.storage.runs",
    "dagster._core.storage.schedules",
    "hypothesis",  # pandera looks for it when it first validates
    "jinja2",
    "lightgbm",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "pandera.polars",
    "rich.progress",
    "sqlalchemy.dialects.sqlite",
    "trading_pipeline.adapters.ledger",
    "trading_pipeline.adapters.simulated_broker",
    "trading_pipeline.cli.paper_run",
    "trading_pipeline.cli.status",
    "trading_pipeline.core.schemas",
    "trading_pipeline_tests.flows.mortal_day",
    "trading_pipeline_tests.flows.order_matrix",
    "trading_pipeline_tests.whole_day",
    "upath",
]

FORKS: Final = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(IMPORTED)
