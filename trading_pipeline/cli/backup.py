"""`trading-pipeline backup` and `restore`: everything that cannot be computed again."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress as Bar

from trading_pipeline import logs
from trading_pipeline.adapters.backup_folder import Manifest, opened
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page
from trading_pipeline.flows import backup as flow
from trading_pipeline.settings import Settings, utc_now

Json = Annotated[bool, Parameter(name="--json", negative="")]
_SHOWN: Final = (flow.LEDGER, flow.LAKE, flow.MODELS, flow.ACCOUNT)


def backup(to: Path, /, *, json_: Json = False) -> int:
    """Write ledger, lake, release bundles and simulated account into a new folder.

    The trading day may go on meanwhile. Passwords and settings are not part of it, and the model
    registry and Dagster's records are backed up with their own databases.

    Examples: `trading-pipeline backup /backups/2013-02-28`;
    `trading-pipeline backup "/backups/$(date +%F)" --json`.

    Args:
        to: The folder to make; nothing may be there yet.
        json_: Print the manifest.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    services.open_ledger(settings).close()  # says in one sentence when there is none
    with _bar() as bar:
        made = flow.backup(
            _places(settings),
            to.absolute(),
            now=utc_now(),
            product=version("trading-pipeline"),
            progress=_Told(bar),
        )
    _show(made, to, json_=json_)
    return 0


def restore(
    source: Path,
    /,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
) -> int:
    """Put a back-up in the place that the settings name, where nothing is yet.

    The ledger goes into SQLite or PostgreSQL, whichever the settings name and whichever it came
    from. Files that are there already must be those of the back-up, so a restore that was
    interrupted is run again.

    Examples: `trading-pipeline restore /backups/2013-02-28 --check`;
    `trading-pipeline restore /backups/2013-02-28`.

    Args:
        source: The folder that `backup` made.
        check: Only say whether it is whole.
        json_: Print the manifest.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    with _bar() as bar:
        if check:
            found = opened(source)
        else:
            found = flow.restore(source, _places(settings), progress=_Told(bar))
    _show(found, source, json_=json_)
    return 0


def _places(settings: Settings) -> flow.Places:
    return flow.Places(
        ledger_url=settings.ledger_location,
        lake=settings.lake_location,
        models=settings.data_dir / "models",
        account=services.simulated_account(settings),
    )


def _bar() -> Bar:
    return Bar("{task.description}", "{task.completed} files", transient=True, console=_ERRORS)


_ERRORS: Final = Console(stderr=True)


class _Told:
    """Shows how far each part is; a pipe or a log gets nothing."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._tasks = {part: bar.add_task(part, total=None, visible=False) for part in _SHOWN}

    def __call__(self, part: str, count: int) -> None:
        self._bar.update(self._tasks[part], completed=count, visible=True)


def _show(manifest: Manifest, place: Path, *, json_: bool) -> None:
    if json_:
        sys.stdout.write(f"{manifest.model_dump_json()}\n")
        return
    page = Page()
    page.line("Back-up", f"{place}, made {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC")
    rows = sum(manifest.rows.values())
    tables = f"{len(manifest.rows)} tables, revision {manifest.revision}"
    page.line("Ledger", f"{rows:,} rows of {tables}")
    for part in _SHOWN[1:]:
        page.line(part.capitalize(), f"{len(manifest.of(part)):,} files")
