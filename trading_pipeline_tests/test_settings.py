"""Settings: precedence, nesting, and errors that name the field."""

from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings, dagster_database_url


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for name in ("TP_STRATEGY", "TP_SYMBOLS", "TP_SIZING__CAPITAL", "TP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_a_flag_beats_the_environment_beats_the_env_file_beats_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Settings.load().portfolio.top_n == 2
    (tmp_path / ".env").write_text("TP_PORTFOLIO__TOP_N=3\n")
    assert Settings.load().portfolio.top_n == 3
    monkeypatch.setenv("TP_PORTFOLIO__TOP_N", "4")
    assert Settings.load().portfolio.top_n == 4
    assert Settings.load(portfolio={"top_n": 5}).portfolio.top_n == 5


def test_a_nested_field_is_set_by_itself_and_leaves_its_siblings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    default = Settings.load().sizing
    monkeypatch.setenv("TP_SIZING__CAPITAL", "50000.01")
    sizing = Settings.load().sizing
    assert sizing.capital == Decimal("50000.01")
    assert sizing.max_position_size == default.max_position_size


def test_a_flag_for_one_nested_field_keeps_the_environment_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TP_SIZING__MAX_POSITION_SIZE", "123")
    sizing = Settings.load(sizing={"capital": Decimal(50)}).sizing
    assert (sizing.capital, sizing.max_position_size) == (Decimal(50), Decimal(123))


def test_symbols_are_upper_case_unique_and_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_SYMBOLS", "msft, AAPL,,msft")
    assert Settings.load().symbols == ("AAPL", "MSFT")


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("TP_SIZING__CAPITAL", "-5", "sizing.capital"),
        ("TP_PORTFOLIO__TOP_N", "many", "portfolio.top_n"),
        ("TP_BROKER", "robinhood", "broker"),
        ("TP_SYMBOLS", " , ", "symbols"),
        ("TP_SYMBOLS", "AAPL,../../x", "symbols"),
        ("TP_SYMBOLS", "=cmd()", "symbols"),
        ("TP_SYMBOLS", "<script>", "symbols"),
        ("TP_SYMBOLS", "A\nB", "symbols"),
        ("TP_SYMBOLS", "A:*", "symbols"),
        ("TP_ADJUSTMENT", "qlib", "adjustment"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_field(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=field.replace(".", r"\.")) as caught:
        Settings.load()
    assert "\n" not in str(caught.value)


def test_a_misspelt_name_is_an_error_and_not_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_RISK__MAX_ORDER_VALU", "1")
    with pytest.raises(SettingsError, match=r"TP_RISK__MAX_ORDER_VALU|max_order_valu"):
        Settings.load()
    monkeypatch.delenv("TP_RISK__MAX_ORDER_VALU")
    monkeypatch.setenv("TP_CAPITALL", "1")
    with pytest.raises(SettingsError, match="TP_CAPITALL"):
        Settings.load()


def test_other_names_in_the_env_file_are_left_alone_and_misspelt_ones_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=hunter2\nTP_SYMBOLS=AAPL\n")
    assert Settings.load().symbols == ("AAPL",)
    (tmp_path / ".env").write_text("TP_ALPACA_SECRETT=hunter2\n")
    with pytest.raises(SettingsError, match="alpaca_secrett") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_dagster_reads_its_database_from_the_env_file_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dagster_database_url() is None
    (tmp_path / ".env").write_text("TP_DAGSTER_URL=postgresql://in-file/d\n")
    assert dagster_database_url() == "postgresql://in-file/d"
    monkeypatch.setenv("TP_DAGSTER_URL", "postgresql://in-environment/d")
    assert dagster_database_url() == "postgresql://in-environment/d"
    assert "in-environment" not in repr(Settings.load())


def test_a_password_never_stands_in_a_repr_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_LEDGER_URL", "postgresql://u:hunter2@127.0.0.1/x")
    settings = Settings.load()
    assert "hunter2" not in repr(settings)
    assert "hunter2" in settings.ledger_location
    with pytest.raises(SettingsError) as caught:
        Settings.load(redis_url=["redis://:hunter2@h"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TP_ALERTS", '{"smtp_password": "hunter2", "smtp_tls": "none"}'),
        ("TP_ALERTS", '{"smtp_password": "hunter2"'),
        ("TP_ALERTS", "hunter2"),
        ("TP_ALPACA", '{"secret_key": "hunter2", "secret": 1}'),
    ],
)
def test_a_group_that_cannot_be_used_is_refused_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"(?i)alerts|alpaca") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_the_data_folder_follows_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "here"))
    assert Settings.load().data_dir == tmp_path / "here" / "data"
    monkeypatch.setenv("TP_DATA_DIR", str(tmp_path / "elsewhere"))
    assert Settings.load().data_dir == tmp_path / "elsewhere"


def test_alpacas_own_names_for_its_keys_are_read_where_ours_are_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", "theirs")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "hush")
    assert Settings.load().alpaca.keys() == ("theirs", "hush")
    monkeypatch.setenv("TP_ALPACA__KEY_ID", "ours")
    loaded = Settings.load()
    assert loaded.alpaca.keys() == ("ours", "hush")
    assert "hush" not in repr(loaded)


def test_alpacas_own_names_are_read_from_the_env_file_too() -> None:
    Path(".env").write_text("APCA_API_KEY_ID=file\nAPCA_API_SECRET_KEY=hush\nTP_LOG_LEVEL=INFO\n")
    assert Settings.load().alpaca.keys() == ("file", "hush")
