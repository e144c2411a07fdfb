"""The one typed Settings, and the only reader of the environment and of the clock.

Precedence: arguments (command-line flags) > environment > `.env` > default. Names are `TP_<FIELD>`,
nested ones `TP_<GROUP>__<FIELD>`: `TP_RISK__MAX_ORDER_VALUE=25000`. An unknown `TP_` name is an
error, so that a misspelt limit is never silently the default.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.features.alpha158 import LOOK_BACK as FEATURE_LOOK_BACK
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.clean import LOOK_BACK as GATE_LOOK_BACK

PREFIX = "TP_"
DAGSTER_DATABASE = "TP_DAGSTER_URL"
"""Read by the Dagster instance itself, before there is a Settings object."""


class FileSource(BaseModel):
    """Where the `files` vendor reads: a folder or one file, and a mapping of its columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(default=None, description="a folder or a file of CSV or Parquet bars")
    mapping: Path | None = Field(default=None, description="TOML: our column names to theirs")


class Settings(BaseSettings):
    """Everything that can be set, with its default and its meaning."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
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
    vendor: Literal["sample", "files"] = Field(
        default="sample", description="where bars and corporate actions come from"
    )
    files: FileSource = FileSource()
    adjustment: Convention = Field(
        default="crsp", description="the convention of the adjustment factor"
    )
    strategy: Literal["alpha_baseline"] = Field(
        default="alpha_baseline", description="the strategy that trades"
    )
    broker: Literal["simulated"] = Field(default="simulated", description="where orders go")
    dry_run: bool = Field(default=False, description="plan and show, send and book nothing")
    ledger_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL; default SQLite in the data folder"
    )
    redis_url: SecretStr | None = Field(default=None, description="redis:// URL; none: not used")
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow; default SQLite in the data folder"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="of the platform's own JSON lines"
    )
    quality: QualityRules = QualityRules()
    freshness: FreshnessRules = FreshnessRules()
    training: TrainingRules = TrainingRules()
    portfolio: ConstructionRules = ConstructionRules()
    sizing: SizingRules = SizingRules()
    risk: RiskLimits = RiskLimits()
    costs: CostModel = CostModel()

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """`AAPL, msft` becomes (AAPL, MSFT): upper case, each once, sorted."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)):
            return names
        return tuple(sorted({str(name).strip().upper() for name in names} - {""}))

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Read and check all settings; any fault is one SettingsError that names each field."""
        try:
            settings = cls(**arguments)
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None
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
        return self.feature_history + FEATURE_LOOK_BACK

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
    return os.environ.get(DAGSTER_DATABASE) or None


def use_home(path: Path) -> None:
    """Make `path` the Dagster home of this process, unless one is set."""
    os.environ.setdefault("DAGSTER_HOME", str(path))


def utc_now() -> datetime:
    """The present, aware, UTC: read once at the edge and handed down."""
    return datetime.now(UTC)


def source_revision() -> str | None:
    """The git revision of the code, or None outside a checkout."""
    head = subprocess.run(  # noqa: S603 - fixed words
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return head.stdout.strip() or None


def _unknown(environment: Mapping[str, str], model: type[BaseModel]) -> Iterator[str]:
    known = set(_names(model, PREFIX)) | {DAGSTER_DATABASE}
    return (name for name in environment if name.startswith(PREFIX) and name.upper() not in known)


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        full = f"{prefix}{name.upper()}"
        yield full
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{full}__")


def _sentence(error: ValidationError) -> str:
    faults = (_fault(fault) for fault in error.errors(include_url=False))
    return f"The settings cannot be used: {'; '.join(faults)}."


def _fault(fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    # A URL may hold a password, so what was given for one is never repeated.
    given = "" if name.endswith(("_url", "_uri")) else f" (got {fault['input']!r})"
    return f"{name}: {fault['msg'][0].lower()}{fault['msg'][1:]}{given}"
