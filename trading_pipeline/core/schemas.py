"""The data dictionary: one pandera model per table of the lake.

Importing this module imports pandera, which is slow; callers import it on first use. Prices are
raw US dollars a share, volumes are shares, `session` is a trading day of the exchange, `known_at`
is aware UTC.
"""

from datetime import date
from typing import Annotated, cast

import pandera.polars as pa
import polars as pl
from pandera.api.dataframe.model_config import BaseConfig
from pandera.errors import SchemaErrors

from trading_pipeline.errors import SchemaError

UtcTime = Annotated[pl.Datetime, "us", "UTC"]


class Table(pa.DataFrameModel):
    """What all tables share: a symbol and a session; no column more, none fewer, in this order."""

    symbol: str = pa.Field(str_length={"min_value": 1})
    session: date

    class Config(BaseConfig):  # pyright: ignore[reportIncompatibleVariableOverride]
        """No silent coercion: a wrong type is an error where it enters."""

        strict = True
        ordered = True


class RawBars(Table):
    """Bars as delivered: a row a symbol, session and change; any price may be missing."""

    open: float = pa.Field(nullable=True)
    high: float = pa.Field(nullable=True)
    low: float = pa.Field(nullable=True)
    close: float = pa.Field(nullable=True)
    volume: float = pa.Field(nullable=True)
    vwap: float = pa.Field(nullable=True)
    vendor: str
    known_at: UtcTime


class CorporateActions(Table):
    """Splits and cash dividends; `session` is the first session on or after `ex_date`.

    `kind` is `split` or `dividend`; `split_ratio` is new shares an old one (1.0 for a dividend);
    `dividend` is raw dollars of the ex-date a share (0.0 for a split). A row of ratio 1 and
    dividend 0 says that the vendor took the action back.
    """

    ex_date: date
    kind: str = pa.Field(isin=["split", "dividend"])
    split_ratio: float = pa.Field(gt=0)
    dividend: float = pa.Field(ge=0)
    vendor: str
    known_at: UtcTime


class ActionChecks(Table):
    """Each corporate action against what the price did on its day.

    `announced` is the ratio the price should have fallen by, `moved` the close before over the
    close. What is `contradicted` or `late` is not adjusted by.
    """

    ex_date: date
    kind: str
    announced: float = pa.Field(nullable=True)
    moved: float = pa.Field(nullable=True)
    verdict: str = pa.Field(isin=["agrees", "contradicted", "late", "unverified"])


class CleanBars(Table):
    """Raw bars that passed the quality gate, unadjusted: adjust them as of the reading session."""

    open: float = pa.Field(gt=0)
    high: float = pa.Field(gt=0)
    low: float = pa.Field(gt=0)
    close: float = pa.Field(gt=0)
    volume: float = pa.Field(ge=0)
    vwap: float = pa.Field(nullable=True)


class QuarantinedBars(Table):
    """Raw bars that did not pass, with the reasons, `; ` between them.

    A reason that is `suspect_move_` and a number alone is of a bar which is in clean_bars too: it
    stays in the history, but its symbol is not traded in that session.
    """

    open: float = pa.Field(nullable=True)
    high: float = pa.Field(nullable=True)
    low: float = pa.Field(nullable=True)
    close: float = pa.Field(nullable=True)
    volume: float = pa.Field(nullable=True)
    vwap: float = pa.Field(nullable=True)
    reason: str


class BarVerdicts(Table):
    """What became of suspect bars, every word kept; `session` is the bar's.

    `verdict` is `confirmed` or `reverted` by rule, `released` or `rejected` by a person;
    `decided_in` is the session in which it was said, `decided_by` is `rule` or the person's name.
    """

    verdict: str = pa.Field(isin=["confirmed", "reverted", "released", "rejected"])
    decided_in: date
    decided_by: str = pa.Field(str_length={"min_value": 1})
    reason: str
    known_at: UtcTime


class Features(pa.DataFrameModel):
    """Alpha158 of a session; the feature columns, all Float32, follow the three that stand here."""

    symbol: str = pa.Field(str_length={"min_value": 1})
    session: date
    feature_version: str
    features: pl.Float32 = pa.Field(alias=r"^[A-Z].*$", regex=True, nullable=True)

    class Config(BaseConfig):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Column names are the feature list's business: the model checks them against its own."""

        strict = True


class Predictions(Table):
    """What the model says, before any strategy; one model version a session."""

    strategy_: str = pa.Field(alias="strategy")
    prediction: float = pa.Field(nullable=True)
    model_version: str


class Signals(Table):
    """A score with its strategy and session; rank 1 is the highest score."""

    strategy_: str = pa.Field(alias="strategy")
    score: float
    rank: pl.Int32 = pa.Field(ge=1)


class TargetWeights(Table):
    """The share of capital wanted in each symbol; 0 means none."""

    strategy_: str = pa.Field(alias="strategy")
    target_weight: float = pa.Field(ge=-1, le=1)


TABLES: dict[str, type[pa.DataFrameModel]] = {
    "raw_bars": RawBars,
    "corporate_actions": CorporateActions,
    "action_checks": ActionChecks,
    "clean_bars": CleanBars,
    "quarantined_bars": QuarantinedBars,
    "bar_verdicts": BarVerdicts,
    "features": Features,
    "predictions": Predictions,
    "signals": Signals,
    "target_weights": TargetWeights,
}
"""Tables of the lake by name."""


def validate(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` if it has the shape of `table`; else SchemaError names the first offences."""
    try:
        return TABLES[table].validate(frame, lazy=True)  # pyright: ignore[reportReturnType]
    except SchemaErrors as error:
        cases = cast("pl.DataFrame", error.failure_cases).head(3).to_dicts()
        found = "; ".join(
            f"{case['column']}: {case['check']} got {case['failure_case']}" for case in cases
        )
        raise SchemaError(f"{table} does not have the promised shape: {found}.") from error
