"""Where the `files` vendor reads, and the members of the universe."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.universe import UniverseRules


class FileSource(BaseModel):
    """Where the `files` vendor reads: a folder or one file, and a mapping of its columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(default=None, description="a folder or a file of CSV or Parquet bars")
    mapping: Path | None = Field(default=None, description="TOML: our column names to theirs")


class UniverseOptions(UniverseRules):
    """The rules of the universe, and where its members are listed."""

    members: Path | None = Field(
        default=None, description="CSV of symbol, first, last: who belongs from when to when"
    )

    @property
    def rules(self) -> UniverseRules:
        """The rules alone."""
        return UniverseRules(**self.model_dump(exclude={"members"}))
