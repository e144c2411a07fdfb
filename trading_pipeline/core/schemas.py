"""The data dictionary: one pandera model per table of the lake.

Importing this module imports pandera, which is slow; callers import it on first use. Prices are
raw US dollars a share, volumes are shares, `session` is a trading day of the exchange, `known_at`
is aware UTC.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Final, cast

import pandera.polars as pa
import polars as pl
from pandera.api.dataframe.model_config import BaseConfig
from pandera.errors import SchemaErrors

from trading_pipeline.errors import SchemaError

KINDS: Final = (
    *("split", "reverse_split", "stock_dividend", "dividend", "special_dividend"),
    *("spin_off", "symbol_change", "delisting"),
)
"""The kinds of corporate actions; core.market.action_kinds says what each does."""

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
    """What changes shares, cash or symbols; `session` is the first on or after `ex_date`.

    `split_ratio` is new shares an old one (1.0 where shares stay), for the kinds split,
    reverse_split and stock_dividend; `dividend` is raw dollars of the ex-date a share: of a
    dividend or special_dividend in cash, of a spin_off the worth of the `new_shares` of
    `new_symbol` that come with a share. A symbol_change has the `new_symbol`, a delisting an empty
    one. A row of ratio 1, dividend 0 and no new symbol says that the vendor took the action back.
    """

    ex_date: date
    kind: str = pa.Field(isin=KINDS)
    split_ratio: float = pa.Field(gt=0)
    dividend: float = pa.Field(ge=0)
    new_symbol: str = pa.Field(nullable=True)
    new_shares: float = pa.Field(nullable=True)
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

    `verdict` is `confirmed` or `reverted` by rule, `confirmed` or `contradicted` by a second
    vendor, `released` or `rejected` by a person; `decided_in` is the session in which it was said,
    `decided_by` is `rule`, `vendor` and its name, or the person's name.
    """

    verdict: str = pa.Field(isin=["confirmed", "contradicted", "reverted", "released", "rejected"])
    decided_in: date
    decided_by: str = pa.Field(str_length={"min_value": 1})
    reason: str
    known_at: UtcTime


class Universe(Table):
    """Which of the asked symbols may trade in a session, as known at its close.

    `reason` is null for what may; `version` names the rules and the membership it was judged by.
    """

    reason: str = pa.Field(
        nullable=True,
        isin=["not_a_member", "blocked", "no_bar", "suspect", "below_price", "below_liquidity"],
    )
    version: str = pa.Field(str_length={"min_value": 1})


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
    "universe": Universe,
    "features": Features,
    "predictions": Predictions,
    "signals": Signals,
    "target_weights": TargetWeights,
}
"""Tables of the lake by name."""

MEANINGS: Final = {
    "symbol": "the ticker it trades under",
    "session": "the trading day of the exchange",
    "open": "first price, raw dollars a share",
    "high": "highest price, raw dollars a share",
    "low": "lowest price, raw dollars a share",
    "close": "last price, raw dollars a share",
    "volume": "shares that changed hands",
    "vwap": "price weighted by volume, raw dollars a share",
    "vendor": "who delivered it",
    "known_at": "when it became known, UTC",
    "ex_date": "the first day without what is distributed",
    "kind": "which kind of corporate action",
    "split_ratio": "new shares for an old one",
    "dividend": "raw dollars a share",
    "new_symbol": "the symbol that takes its place or comes with it",
    "new_shares": "shares of the new symbol for an old one",
    "announced": "the ratio the price should have fallen by",
    "moved": "the close before over the close",
    "verdict": "what was found",
    "reason": "why",
    "decided_in": "the session in which it was said",
    "decided_by": "who said it",
    "version": "the rules and the membership it was judged by",
    "feature_version": "the version of the features",
    "strategy": "whose it is",
    "prediction": "what the model expects, in the unit of its label",
    "model_version": "the release that said it",
    "score": "what the strategy says: the higher, the more wanted",
    "rank": "1 is the highest score",
    "target_weight": "share of capital wanted, negative for a short",
}
"""What each column means, of whichever table."""


def validate(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` if it has the shape of `table`; else SchemaError names the first offences."""
    if _is_sound(table, frame):
        return frame
    try:
        return TABLES[table].validate(frame, lazy=True)  # pyright: ignore[reportReturnType]
    except SchemaErrors as error:
        cases = cast("pl.DataFrame", error.failure_cases).head(3).to_dicts()
        found = "; ".join(
            f"{case['column']}: {case['check']} got {case['failure_case']}" for case in cases
        )
        raise SchemaError(f"{table} does not have the promised shape: {found}.") from error


def _is_sound(table: str, frame: pl.DataFrame) -> bool:
    """Whether the frame surely has the shape: all checks in one pass, a tenth of pandera's time.

    False means that pandera decides, and says what is wrong.
    """
    promised = _promised(table)
    if promised is None or list(frame.schema.items()) != promised[0]:
        return False
    return frame.is_empty() or all(frame.select(promised[1]).row(0))


@cache
def _promised(table: str) -> tuple[list[tuple[str, pl.DataType]], list[pl.Expr]] | None:
    """The columns of a table and what holds of them; None for what only pandera can say."""
    columns = TABLES[table].to_schema().columns
    if any(column.regex for column in columns.values()):
        return None
    holds = list[pl.Expr]()
    for name, column in columns.items():
        dtype: pl.DataType = column.dtype.type
        if not column.nullable:
            holds.append(pl.col(name).is_not_null().all())
        if not column.nullable and dtype.is_float():
            holds.append(pl.col(name).is_not_nan().all())
        for check in column.checks:
            held = _held(pl.col(name), str(check.name), check.statistics)
            if held is None:
                return None
            holds.append(held.all())
    kinds = [(name, column.dtype.type) for name, column in columns.items()]
    named = [hold.alias(str(number)) for number, hold in enumerate(holds)]
    return kinds, named


def _held(column: pl.Expr, check: str, given: Mapping[str, Any]) -> pl.Expr | None:
    """A check of pandera's as an expression; None for one that is not among them."""
    match check:
        case "greater_than":
            return column > given["min_value"]
        case "greater_than_or_equal_to":
            return column >= given["min_value"]
        case "less_than_or_equal_to":
            return column <= given["max_value"]
        case "isin":
            return column.is_in(list(given["allowed_values"]))
        case "str_length" if given["max_value"] is None and given["exact_value"] is None:
            return column.str.len_chars() >= given["min_value"]
        case _:
            return None
