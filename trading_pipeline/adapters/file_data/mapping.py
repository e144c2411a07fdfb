"""What a mapping file may say; the package's docstring tells it with examples."""

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.errors import SettingsError

Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BarColumns(_Part):
    """Our columns of bars by their names."""

    symbol: Name = "symbol"
    session: Name = "date"
    open: Name = "open"
    high: Name = "high"
    low: Name = "low"
    close: Name = "close"
    volume: Name = "volume"
    vwap: Name = "vwap"
    adj_close: Name | None = None


class ActionColumns(_Part):
    """Our columns of corporate actions by their names."""

    symbol: Name = "symbol"
    ex_date: Name = "ex_date"
    split_ratio: Name = "split_ratio"
    dividend: Name = "dividend"


class Constants(_Part):
    """Values of columns that the files lack."""

    symbol: Name | None = None


class ActionFile(_Part):
    """A file of corporate actions, beside the mapping."""

    file: Path
    columns: ActionColumns = ActionColumns()


class Mapping(_Part):
    """A mapping file, checked."""

    convention: Convention | None = None
    date_format: Name = "%Y-%m-%d"
    volume_is_adjusted: bool = False
    member: Name | None = None
    max_unreadable_share: Annotated[float, Field(ge=0, le=0.5)] = 0.001
    columns: BarColumns = BarColumns()
    constants: Constants = Constants()
    actions: ActionFile | None = None

    @model_validator(mode="after")
    def _has_one_source_of_actions(self) -> Self:
        adjusted = self.columns.adj_close is not None
        if adjusted != (self.convention is not None):
            raise ValueError("columns.adj_close and convention are given together or not at all")
        if adjusted and self.actions is not None:
            raise ValueError("actions come from columns.adj_close or from actions.file, not both")
        if self.volume_is_adjusted and not adjusted and self.actions is None:
            raise ValueError("volume_is_adjusted needs adj_close or actions to undo the splits by")
        return self


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file; any fault is a SettingsError that names the first one."""
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"The mapping {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise SettingsError(f"The mapping {path} is wrong: {_sentence(error)}.") from error
    except ValueError as error:  # not TOML, or not text at all
        raise SettingsError(f"The mapping {path} is no TOML: {error}.") from error


def _sentence(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    *parents, key = fault["loc"] or ("",)
    if fault["type"] != "extra_forbidden":
        return ": ".join(text for text in (".".join(map(str, fault["loc"])), fault["msg"]) if text)
    known = _model(parents).model_fields
    return f"{'.'.join(map(str, fault['loc']))} is unknown, {key!r} is none of {', '.join(known)}"


def _model(parents: list[int | str]) -> type[BaseModel]:
    if parents == ["actions", "columns"]:
        return ActionColumns
    tables: dict[int | str, type[BaseModel]] = {
        "columns": BarColumns,
        "constants": Constants,
        "actions": ActionFile,
    }
    return tables[parents[0]] if parents else Mapping
