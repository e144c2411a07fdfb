"""The one typed Settings, and the only reader of the environment and of the clock.

Precedence: arguments (command-line flags) > environment > `.env` > default. Names are `TP_<FIELD>`,
nested ones `TP_<GROUP>__<FIELD>`: `TP_RISK__MAX_ORDER_VALUE=25000`. An unknown `TP_` name is an
error, so that a misspelt limit is never silently the default.
"""

import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from trading_pipeline import logs
from trading_pipeline.adapters.alerts.access import AlertAccess
from trading_pipeline.adapters.alpaca_broker.access import AlpacaAccess
from trading_pipeline.adapters.alpaca_data.access import DataAccess
from trading_pipeline.adapters.alpaca_stream.rules import FeedRules
from trading_pipeline.adapters.file_data.source import FileSource, UniverseOptions
from trading_pipeline.adapters.lake import BucketAccess, LakePath, location
from trading_pipeline.adapters.web_guard.access import WebAccess
from trading_pipeline.core.backtest.rules import BacktestOptions
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.features.alpha158 import LOOK_BACK as FEATURE_LOOK_BACK
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.core.market.universe import require_symbols
from trading_pipeline.core.market.watch import WatchRules
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.portfolio.allocation_rules import AllocationOptions
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.portfolio.targets import RISK_SESSIONS
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.strategies import STRATEGIES, StrategyName, StrategyRules, look_backs
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.clean import LOOK_BACK as GATE_LOOK_BACK
from trading_pipeline.flows.stream_rules import StreamRules

PREFIX = "TP_"


class _AlpacaKeys(BaseSettings):
    """An Alpaca key under the names that Alpaca gives it."""

    model_config = SettingsConfigDict(
        env_prefix="APCA_", env_file=".env", dotenv_filtering="match_prefix", extra="ignore"
    )

    api_key_id: SecretStr | None = None
    api_secret_key: SecretStr | None = None


class DagsterSettings(BaseSettings):
    """What the Dagster instance itself reads, before there are any other settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        dotenv_filtering="match_prefix",  # the file may serve other programs too
        extra="ignore",
        frozen=True,
    )

    dagster_url: SecretStr | None = Field(
        default=None, description="PostgreSQL URL of Dagster's records; default SQLite files"
    )
    celery_url: SecretStr | None = Field(
        default=None, description="redis:// URL of the workers' queue; default: runs stay here"
    )


class Settings(DagsterSettings):
    """Everything that can be set, with its default and its meaning."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", extra="forbid", nested_model_default_partial_update=True
    )

    home: Path = Field(
        default_factory=lambda: home(),  # noqa: PLW0108 - defined below
        description="the project's folder; default $DAGSTER_HOME",
    )
    data_dir: Path = Field(
        default_factory=lambda fields: fields["home"] / "data",
        description="where everything the product writes goes",
    )
    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("AAPL", "FB", "GOOG", "IBM", "MSFT"),
        min_length=1,
        description="the universe asked for, comma-separated; each session keeps those with a bar",
    )
    vendor: Literal["sample", "files", "alpaca"] = Field(
        default="sample", description="where bars and corporate actions come from"
    )
    files: FileSource = FileSource()
    second_vendor: Literal["sample", "files", "alpaca"] | None = Field(
        default=None, description="whose bars may confirm suspect ones; none: nobody else's"
    )
    second_files: FileSource = FileSource()
    alpaca_data: DataAccess = DataAccess()
    lake_url: str | None = Field(
        default=None,
        pattern=r"^s3://[^/]+/.+",
        description="s3://bucket/prefix of the lake; default: a folder in the data folder",
    )
    bucket: BucketAccess = BucketAccess()
    alpaca: AlpacaAccess = Field(default=AlpacaAccess(), validate_default=True)
    feed: FeedRules = FeedRules()
    stream: StreamRules = StreamRules()
    restatement_sessions: int = Field(
        default=5,
        ge=0,
        le=250,
        description="sessions before the run's that are asked for again, for late restatements",
    )
    adjustment: Convention = Field(
        default="crsp", description="the convention of the adjustment factor"
    )
    strategy: StrategyName = Field(
        default="alpha_baseline", description=f"the strategy that trades: {', '.join(STRATEGIES)}"
    )
    strategies: StrategyRules = StrategyRules()
    shares_account: bool = Field(
        default=False,
        description="other strategies trade in the same account: what they hold is left alone",
    )
    broker: Literal["simulated", "alpaca-paper", "alpaca-live"] = Field(
        default="simulated",
        description="where orders go; live needs `alpaca.confirm_live` too",
    )
    dry_run: bool = Field(default=False, description="plan and show, send and book nothing")
    ledger_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL; default SQLite in the data folder"
    )
    redis_url: SecretStr | None = Field(default=None, description="redis:// URL; none: not used")
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow; default SQLite in the data folder"
    )
    revision: str | None = Field(
        default=None, description="what names the code, in models; default: the checkout's git hash"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="of the platform's own JSON lines"
    )
    quality: QualityRules = QualityRules()
    freshness: FreshnessRules = FreshnessRules()
    watch: WatchRules = WatchRules()
    universe: UniverseOptions = UniverseOptions()
    training: TrainingRules = TrainingRules()
    portfolio: ConstructionRules = ConstructionRules()
    allocation: AllocationOptions = AllocationOptions()
    sizing: SizingRules = SizingRules()
    risk: RiskLimits = RiskLimits()
    costs: CostModel = CostModel()
    backtest: BacktestOptions = BacktestOptions()
    web: WebAccess = WebAccess()
    keep: logs.LogRules = logs.LogRules()
    alerts: AlertAccess = AlertAccess()

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """`AAPL, msft` becomes (AAPL, MSFT): upper case, each once, sorted."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)):
            return names
        return require_symbols(sorted({str(name).strip().upper() for name in names} - {""}))

    @field_validator("alpaca")
    @classmethod
    def _take_vendor_names(cls, access: AlpacaAccess) -> AlpacaAccess:
        """Alpaca's own names for its keys count where ours are not set."""
        theirs = _AlpacaKeys()
        key, secret = access.key_id or theirs.api_key_id, access.secret_key or theirs.api_secret_key
        return access.model_copy(update={"key_id": key, "secret_key": secret})

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Read and check all settings; any fault is one SettingsError that names each field."""
        try:
            settings = cls(**arguments)
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None
        except UnreadableError as error:  # its own words hold no value
            raise SettingsError(f"The settings cannot be used: {error}.") from None
        logs.hide(logs.secrets_of(settings))
        if unknown := sorted(_unknown(os.environ, cls)):
            raise SettingsError(
                f"{', '.join(unknown)} is no setting: the names are in docs/reference/settings.md."
            )
        return settings

    @property
    def ledger_location(self) -> str:
        """The ledger's SQLAlchemy URL, password included: for the engine only, never for a log."""
        if self.ledger_url:
            return self.ledger_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'ledger.db'}"

    @property
    def lake_location(self) -> LakePath:
        """Where the lake is: a folder of the data folder, or a prefix in a bucket."""
        return location(self.lake_url or self.data_dir / "lake", self.bucket)

    @property
    def tracking_location(self) -> str:
        """The MLflow tracking URI."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.data_dir / 'mlflow' / 'mlflow.db'}"

    @property
    def feature_history(self) -> int:
        """Sessions of features a run makes sure of: what a training needs, and a few to spare."""
        return self.training.sessions + 10

    @property
    def bar_history(self) -> int:
        """Sessions of clean bars: those of the features, and the first one's look-back."""
        by_rules, by_models = look_backs(self.strategy, self.strategies)
        by_models = self.feature_history + max(FEATURE_LOOK_BACK, by_models)
        return max(by_models, by_rules + FEATURE_LOOK_BACK, RISK_SESSIONS)

    @property
    def raw_history(self) -> int:
        """Sessions of raw bars: those of the clean ones, and what the first verdict looks at."""
        return self.bar_history + GATE_LOOK_BACK

    @property
    def capital(self) -> Decimal:
        """Dollars the strategy sizes by, and what a new simulated account opens with."""
        return self.sizing.capital


def home() -> Path:
    """The project's folder: $DAGSTER_HOME when set, else the current one."""
    return Path(os.environ.get("DAGSTER_HOME") or Path.cwd()).resolve()


def dagster_database_url() -> str | None:
    """The database of the Dagster instance, or None for SQLite files in the data folder."""
    url = DagsterSettings().dagster_url
    return url.get_secret_value() or None if url else None


def use_home(path: Path) -> None:
    """Make `path` the Dagster home of this process, unless one is set."""
    os.environ.setdefault("DAGSTER_HOME", str(path))


def utc_now() -> datetime:
    """The present, aware, UTC: read once at the edge and handed down."""
    return datetime.now(UTC)


def utc_now_ns() -> int:
    """The present in nanoseconds since 1970, for what happens thousands of times a second."""
    return time.time_ns()


def _unknown(environment: Mapping[str, str], model: type[BaseModel]) -> Iterator[str]:
    known = set(_names(model, PREFIX))
    return (name for name in environment if name.startswith(PREFIX) and name.upper() not in known)


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        full = f"{prefix}{name.upper()}"
        yield full
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{full}__")


_SECRET = ("_url", "_uri", "_key", "_secret", "_password", "_token")
"""Ends of names whose values are never repeated; that of a misspelt name may be any of them."""


def _sentence(error: ValidationError) -> str:
    faults = (_fault(fault) for fault in error.errors(include_url=False))
    return f"The settings cannot be used: {'; '.join(faults)}."


def _fault(fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    # A whole group holds the secrets of all its fields.
    is_plain = isinstance(fault["input"], str | int | float | None)
    hidden = fault["type"] == "extra_forbidden" or name.endswith(_SECRET) or not is_plain
    given = "" if hidden else f" (got {fault['input']!r})"
    return f"{name}: {fault['msg'][0].lower()}{fault['msg'][1:]}{given}"
