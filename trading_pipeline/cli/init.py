"""`trading-pipeline init`: make what a run needs, once; run it again after every upgrade."""

import json
import sys
from contextlib import redirect_stdout
from typing import Annotated

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.adapters.databases import ensure_database
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.model_store.connection import Connection, asking
from trading_pipeline.cli.page import Page
from trading_pipeline.cli.services import enter_home
from trading_pipeline.settings import Settings, dagster_database_url


def init(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Make the databases and their tables, or bring older ones up to date; a second call is safe.

    The ledger, Dagster's records and the model registry, in SQLite files or in PostgreSQL as the
    settings say. Of a PostgreSQL server it also makes the databases that are named and not there.

    Examples: `trading-pipeline init`; `trading-pipeline init --json`.

    Args:
        json_: Print what was made as JSON.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    enter_home(settings)
    made = {
        "ledger": _ledger(settings),
        "dagster": _dagster(),
        "models": _models(settings),
    }
    if json_:
        sys.stdout.write(f"{json.dumps(made)}\n")
        return 0
    page = Page()
    for name, sentence in made.items():
        page.line(name.capitalize(), sentence)
    return 0


def _ledger(settings: Settings) -> str:
    new = ensure_database(settings.ledger_location)
    ledger = Ledger(settings.ledger_location)
    ledger.create()
    ledger.close()
    return "database made, tables current" if new else "tables current"


def _dagster() -> str:
    import dagster as dg  # noqa: PLC0415 - heavy: on first use
    from filelock import FileLock  # noqa: PLC0415

    from trading_pipeline.instance_storage import folder  # noqa: PLC0415

    url = dagster_database_url()
    new = ensure_database(url) if url else False
    folder().mkdir(parents=True, exist_ok=True)
    # Dagster makes its tables on first touch, and two first touches at once get in each other's way
    with FileLock(folder() / ".init.lock", timeout=60), dg.DagsterInstance.get() as instance:
        with redirect_stdout(sys.stderr):  # it tells what it looks at
            instance.upgrade()
        count = instance.get_runs_count()
    return f"{'database made, ' if new else ''}tables current, {count} runs on record"


def _models(settings: Settings) -> str:
    uri = settings.tracking_location
    new = ensure_database(uri) if uri.startswith("postgres") else False
    with asking("make the tables of the registry"):
        Connection(uri, settings.data_dir / "models").client()
    return "database made, tables current" if new else "tables current"
