"""`trading-pipeline doctor`: what is missing on this machine, and how to mend it.

Nothing is written, nothing is started, and all checks run at once within a time limit, so the
command answers also when everything is down.
"""

import json as jsons
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from tempfile import TemporaryFile
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.cli.lock_file import differing, locked
from trading_pipeline.cli.services import (
    broker,
    dagster_records,
    models,
    open_ledger,
    ping_redis,
    simulated_account,
    vendor,
)
from trading_pipeline.core.market.calendar import LAST_SESSION, sessions_between
from trading_pipeline.core.strategies import models_of, strategies
from trading_pipeline.errors import (
    AdapterError,
    MissingDataError,
    ModelNotFoundError,
    SettingsError,
)
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.probe import ask
from trading_pipeline.settings import Settings, dagster_database_url, use_home, utc_now

SECONDS: Final = 10.0
"""All checks together have this long."""

FREE_BYTES: Final = 1 << 30
UI_PORT: Final = 3000
MISSING: Final = 1
"""The exit code when anything is not as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing a run needs: whether it is there, what was found, and how to mend it if not."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is examined, and against what: the settings, the present, and what a run asks for."""

    settings: Settings
    now: datetime
    port: int = UI_PORT
    free_bytes: int = FREE_BYTES


def doctor(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Say what is missing on this machine and how to mend it; exit code 1 when anything is.

    Examples: `trading-pipeline doctor`; `trading-pipeline doctor --json`.

    Args:
        json: Print a JSON array, an object a thing examined, and nothing else.
    """
    found = checks(Place(settings=Settings.load(), now=utc_now()))
    if json:
        sys.stdout.write(f"{jsons.dumps([asdict(one) for one in found], indent=2)}\n")
    else:
        show(found)
    return 0 if all(diagnosis.ok for diagnosis in found) else MISSING


def checks(place: Place, *, seconds: float = SECONDS) -> list[Diagnosis]:
    """Examine everything a run needs, all at once, and return a diagnosis each."""
    use_home(place.settings.home)
    answers = ask(
        {name: partial(check.examine, place) for name, check in CHECKS.items()}, seconds=seconds
    )
    return [
        Diagnosis(
            name=name,
            ok=answer.fault is None,
            detail=answer.fault or str(answer.value),
            remedy=CHECKS[name].remedy if answer.fault else None,
        )
        for name, answer in answers.items()
    ]


def show(found: Sequence[Diagnosis], *, console: Console | None = None) -> None:
    """Print a line a diagnosis, `name: detail` after a mark, and the remedy under what is amiss."""
    console = console or Console()
    for diagnosis in found:
        mark = Text("✓", "green") if diagnosis.ok else Text("✗", "red")
        line = Text.assemble(mark, f" {diagnosis.name}: {diagnosis.detail}")
        console.print(line, soft_wrap=True)
        if diagnosis.remedy:
            console.print(Text(f"  to mend it: {diagnosis.remedy}", "yellow"), soft_wrap=True)
    amiss = sum(not diagnosis.ok for diagnosis in found)
    verdict = f"{amiss} of {len(found)} need attention" if amiss else "everything is in place"
    console.print(Text(f"doctor: {verdict}", "bold"), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Check:
    """How a thing is examined (what it returns is the detail, what it raises is the fault)."""

    examine: Callable[[Place], str]
    remedy: str


def _python(_: Place) -> str:
    version = sys.version_info
    if not (3, 11) <= version[:2] < (3, 14):
        raise SettingsError(f"Python {version.major}.{version.minor} cannot run this.")
    return f"{version.major}.{version.minor}.{version.micro} in {sys.prefix}"


def _packages(place: Place) -> str:
    lock = place.settings.home / "requirements.lock"
    if not lock.is_file():
        raise MissingDataError(f"{lock} is not there: it names the version of every package.")
    wanted = locked(lock.read_text(encoding="utf-8"))
    wrong = differing(wanted)
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise MissingDataError(f"Not as locked: {', '.join(wrong[:3])}{more}.")
    return f"{len(wanted)} as locked"


def _home(place: Place) -> str:
    path = place.settings.home / "dagster.yaml"
    if not path.is_file():
        raise MissingDataError(f"{place.settings.home} has no dagster.yaml.")
    return str(path)


def _data_folder(place: Place) -> str:
    wanted = place.settings.data_dir
    folder = next(found for found in (wanted, *wanted.parents) if found.exists())
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written to: {error.strerror}.") from error
    free, enough = shutil.disk_usage(folder).free, place.free_bytes
    if free < enough:
        numbers = f"{free / 2**20:,.0f} MB left: {enough / 2**20:,.0f} MB are expected"
        raise SettingsError(f"{folder} has {numbers}.")
    return f"{wanted} is writable, {free / 2**30:,.1f} GB free"


def _vendor(place: Place) -> str:
    found = vendor(place.settings)
    known = found.symbols()
    unknown = sorted(set(place.settings.symbols) - known) if known is not None else []
    if unknown:
        raise SettingsError(f"The vendor {found.name} has no {', '.join(unknown)}.")
    last = found.last_session()
    return f"{found.name}, {'up to the present' if last is None else f'last session {last}'}"


def _ledger(place: Place) -> str:
    try:
        ledger = open_ledger(place.settings)
    except MissingDataError:
        return "none yet: the first run makes one"
    ledger.require_current()  # raises when it does not answer, too; the next line never does
    rules = place.settings.risk.breaker
    state, reason, who, _ = standing(ledger, now=place.now, rules=rules)
    return f"up to date; trading is {state} ({who}: {reason})"


def _account(place: Place) -> str:
    if place.settings.broker == "simulated" and not simulated_account(place.settings).exists():
        return "none yet: the first run opens one"
    found = broker(place.settings).account()
    return f"{place.settings.broker}, {len(found.positions)} positions, ${found.cash:,.2f} cash"


def _model(place: Place) -> str:
    settings = place.settings
    asked = models_of(settings.strategy, strategies(settings.strategies))
    said = [_release(models(settings), name) for name in asked]
    return "; ".join(said) or f"none needed: {settings.strategy} goes by rules"


def _release(store: ModelStore, name: str) -> str:
    try:
        release = store.release(name)
    except ModelNotFoundError:
        return "none yet: the first run trains and promotes one"
    manifest = release.manifest
    return f"{release.model_version}, checksum verified, trained through {manifest.trained_through}"


def _signals(place: Place) -> str:
    from trading_pipeline.cli.signals import tried  # noqa: PLC0415 - heavy: on first use

    return tried(place.settings)


def _redis(place: Place) -> str:
    return ping_redis(place.settings) or "not configured, not needed"


def _workers(place: Place) -> str:
    url = place.settings.celery_url
    if url is None:
        return "not configured: runs are processes of this machine"
    from trading_pipeline.defs.run_workers import answering  # noqa: PLC0415 - heavy: on first use

    if not (names := answering(url.get_secret_value())):
        raise MissingDataError("No worker answers: no run would be started.")
    return f"{len(names)} answering: {', '.join(names)}"


def _dagster(place: Place) -> str:
    _home(place)  # without that file Dagster would make itself another place
    if dagster_database_url():
        dagster_records(
            place.settings
        )  # a database that is down is told at once, not after retries
    elif not (place.settings.home / "data" / "dagster").is_dir():
        return "none yet: the first run makes it"
    from dagster import DagsterInstance  # noqa: PLC0415 - heavy: on first use

    with DagsterInstance.from_config(str(place.settings.home)) as instance:
        return f"{instance.get_runs_count()} runs on record"


def _calendar(place: Place) -> str:
    today = place.now.date()
    if today + timedelta(days=90) > LAST_SESSION:
        raise MissingDataError(f"The table of sessions ends with {LAST_SESSION}.")
    return f"through {LAST_SESSION}, {len(sessions_between(today, LAST_SESSION))} sessions ahead"


def _port(place: Place) -> str:
    try:
        with socket.create_server(("127.0.0.1", place.port)):
            return f"{place.port} is free"
    except OSError as error:
        raise AdapterError(f"Port {place.port} of this machine is taken.") from error


CHECKS: Final[Mapping[str, Check]] = {
    "python": Check(
        _python, "install CPython 3.11, 3.12 or 3.13, remove .venv and run `make setup`"
    ),
    "packages": Check(_packages, "run `make setup`"),
    "home": Check(_home, "run in the project's folder, or set DAGSTER_HOME to it"),
    "data folder": Check(_data_folder, "free space or rights there, or set TP_DATA_DIR elsewhere"),
    "vendor": Check(_vendor, "correct TP_VENDOR, TP_FILES__PATH and TP_SYMBOLS; `make setup`"),
    "ledger": Check(_ledger, "start the database of TP_LEDGER_URL, or unset it to use a file"),
    "account": Check(
        _account,
        "correct TP_BROKER and its keys; of the simulated broker put back the file from a copy",
    ),
    "model": Check(_model, "promote a version again, or remove the release to train a new one"),
    "signals": Check(_signals, "run `trading-pipeline signals`, which says what is missing"),
    "redis": Check(_redis, "start the Redis of TP_REDIS_URL, or unset it: nothing depends on it"),
    "dagster": Check(_dagster, "start the database of TP_DAGSTER_URL, or unset it to use files"),
    "workers": Check(_workers, "start `trading-pipeline worker`, or unset TP_CELERY_URL"),
    "calendar": Check(_calendar, "update the package: a newer one has a longer table of sessions"),
    "port": Check(_port, "close what uses it, or start the web UI with `make ui PORT=3001`"),
}
"""What is examined, in the order shown."""
