"""Back-ups hold everything, restores overwrite nothing, and either database takes the other's."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from trading_pipeline.adapters import backup_folder
from trading_pipeline.adapters.databases import ensure_database
from trading_pipeline.adapters.lake import copies
from trading_pipeline.adapters.ledger import Ledger, transfer
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import DataError, SettingsError
from trading_pipeline.flows.backup import Places, backup, restore
from trading_pipeline_tests.fakes import NOW, STRATEGY

GOLDEN = Path(__file__).parents[1] / "golden/ledger_0001"


def places(data: Path, ledger_url: str | None = None) -> Places:
    return Places(
        ledger_url=ledger_url or f"sqlite:///{data / 'ledger.db'}",
        lake=data / "lake",
        models=data / "models",
        account=data / "simulated_broker.db",
    )


@pytest.fixture
def day(first_day: Path) -> Places:
    """What one trading day has written; not to be changed."""
    return places(first_day / "data")


@pytest.fixture
def made(once: Callable[[str, Callable[[Path], None]], Path], day: Places) -> Path:
    """A back-up of that day; not to be changed."""
    return once("backup", lambda folder: _backup(day, folder))


def _backup(of: Places, to: Path) -> None:
    backup(of, to, now=NOW, product="1.2.3")


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Where nothing is yet, its ledger in either database, which is not there either."""
    postgres = request.param == "postgresql"
    url = f"{request.getfixturevalue('postgres_url')}_new" if postgres else None
    return places(tmp_path / "new", url)


@pytest.fixture
def started(tmp_path: Path, ledger_url: str) -> Places:
    """Where only an empty ledger is, in either database."""
    return places(tmp_path / "new", ledger_url)


def files(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and not path.name.startswith(".")
    }


def test_what_is_restored_is_what_was_backed_up(
    day: Places, made: Path, target: Places, tmp_path: Path
) -> None:
    manifest = restore(made, target)

    again = tmp_path / "again"
    _backup(target, again)
    assert manifest.rows["orders"] > 0
    assert files(again / "ledger") == files(made / "ledger")
    assert manifest.files.keys() == backup_folder.opened(again).files.keys()
    assert files(target.models) == files(day.models)
    assert dict(copies.contents(target.lake)) == dict(copies.contents(day.lake))
    assert ModelStore(target.models, "").release(STRATEGY)


def test_a_restored_ledger_is_as_guarded_and_writable_as_before(
    made: Path, started: Places
) -> None:
    restore(made, started)
    ledger = Ledger(started.ledger_url)
    ledger.create()
    assert ledger.first_session() is not None

    ledger.append_halt(TradingState.HALTED, who="ada", reason="restored", at=NOW)

    assert ledger.trading_state().reason == "restored"
    with (
        pytest.raises(Exception, match="append-only"),
        LedgerEngine(started.ledger_url).writing() as connection,
    ):
        connection.execute(sa.text("DELETE FROM halts"))
    ledger.close()


def test_a_ledger_with_rows_is_never_restored_over(made: Path, started: Places) -> None:
    ledger = Ledger(started.ledger_url)
    ledger.append_halt(TradingState.HALTED, who="ada", reason="mine", at=NOW)

    with pytest.raises(SettingsError, match="nothing is overwritten"):
        restore(made, started)

    assert ledger.trading_state().reason == "mine"
    assert not started.models.exists()
    ledger.close()


@pytest.mark.parametrize("name", ["raw_bars/sessions/1999-01-04.parquet", "same name"])
def test_another_lake_is_never_restored_over(made: Path, tmp_path: Path, name: str) -> None:
    target = places(tmp_path / "new")
    own = name if "/" in name else next(iter(backup_folder.opened(made).of("lake")))
    copies.put(target.lake, own, b"mine")

    with pytest.raises(SettingsError, match="expected an empty"):
        restore(made, target)

    assert copies.names(target.lake) == [own]
    assert not (tmp_path / "new" / "ledger.db").exists()


def test_a_restore_that_was_interrupted_is_completed_by_running_it_again(
    made: Path, tmp_path: Path
) -> None:
    target = places(tmp_path / "new")
    restore(made, target)
    half = places(tmp_path / "half")
    for number, (name, content) in enumerate(copies.contents(target.lake)):
        if number % 2:
            copies.put(half.lake, name, content)

    restore(made, half)

    assert copies.names(half.lake) == copies.names(target.lake)
    assert files(half.models) == files(target.models)


@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_a_damaged_back_up_is_not_restored(made: Path, tmp_path: Path, fault: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy, symlinks=True)
    victim = copy / "ledger/orders.jsonl.gz"
    victim.unlink() if fault == "missing" else victim.write_bytes(b"?")

    with pytest.raises(DataError, match=r"damaged: ledger/orders\.jsonl\.gz"):
        restore(copy, places(tmp_path / "new"))

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["lake/../../stolen", "lake//stolen", "/stolen", "lake/./stolen"])
@pytest.mark.parametrize("kind", ["files", "links", "targets"])
def test_a_back_up_that_somebody_made_up_writes_nothing_beside_its_place(
    made: Path, tmp_path: Path, name: str, kind: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy, symlinks=True)
    manifest = copy / backup_folder.MANIFEST
    said = json.loads(manifest.read_text())
    if kind == "targets":
        said["links"]["models/alpha_baseline/champion"] = name
    else:
        said[kind][name] = backup_folder.digest(b"stolen")
    manifest.write_text(json.dumps(said))

    with pytest.raises(SettingsError, match="not what a back-up has"):
        restore(copy, places(tmp_path / "new"))

    assert list(tmp_path.iterdir()) == [copy]


def test_a_folder_that_is_no_back_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no back-up"):
        restore(tmp_path, places(tmp_path / "new"))


def test_nothing_stays_of_a_back_up_that_failed(day: Places, tmp_path: Path) -> None:
    without = replace(day, ledger_url=f"sqlite:///{tmp_path / 'none.db'}")

    with pytest.raises(SettingsError, match="no ledger"):
        _backup(without, tmp_path / "backup")

    assert list(tmp_path.iterdir()) == []


def test_a_back_up_is_never_made_over_something(day: Places, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="something at"):
        _backup(day, tmp_path)


def test_a_ledger_of_the_last_version_is_brought_up_to_date_with_all_its_rows(
    target: Places, tmp_path: Path
) -> None:
    ensure_database(target.ledger_url)
    rows = transfer.load(target.ledger_url, GOLDEN, "0001")

    ledger = Ledger(target.ledger_url)
    ledger.create()
    (tmp_path / "now").mkdir()
    revision, now = transfer.dump(target.ledger_url, tmp_path / "now")
    assert {name: now[name] for name in rows} == rows
    assert rows["orders"] > 0
    assert revision > "0001"
    assert {order.session.year for order in ledger.orders()} == {2012}
    assert ledger.history().entries
    ledger.close()
