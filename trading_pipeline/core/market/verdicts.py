"""Verdicts on suspect bars: what became of a move that may be an error or may be true.

A suspect bar stays in the history, and its symbol is not traded in its session. Its next bar
settles it: `reverted` when the price is back where it came from, else `confirmed`. A person may say
`released` or `rejected` of any sound bar at any time, and that goes before the rule. Reverted and
rejected bars leave the history.
"""

from datetime import datetime
from typing import Literal

import polars as pl

from trading_pipeline.core.market.quality import BAR, Gated, is_suspect
from trading_pipeline.core.market.restatements import current

Verdict = Literal["confirmed", "reverted", "released", "rejected"]

RULE = "rule"
"""Who decided, when it was the next bar."""

REJECTED = "rejected"
"""The reason of a bar that only a person found fault with."""

VERDICTS_KEY = ("symbol", "session", "decided_by")
"""What a verdict is about, and whose it is: of one decider the newest counts."""

_BAR_KEY = ("symbol", "session")
_OUT = ("reverted", REJECTED)


def by_rule(suspects: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """The verdicts that the next bars of suspects give, shaped like the table bar_verdicts.

    `suspects` are those of a gate over `bars`, which have known_at: a verdict is known when both
    bars of it are.
    """
    known = bars.group_by(_BAR_KEY).agg(pl.col("known_at").max())
    settled = suspects.drop_nulls("verdict")
    return (
        settled.join(known, on=_BAR_KEY, how="left", maintain_order="left")
        .join(
            known,
            left_on=["symbol", "decided_in"],
            right_on=list(_BAR_KEY),
            how="left",
            suffix="_next",
            maintain_order="left",
        )
        .select(
            *_BAR_KEY,
            "verdict",
            "decided_in",
            decided_by=pl.lit(RULE),
            reason=pl.format("move of {} settled by the next bar", pl.col("move").round(2)),
            known_at=pl.max_horizontal("known_at", "known_at_next"),
        )
    )


def in_force(verdicts: pl.DataFrame, as_known_at: datetime | None = None) -> pl.DataFrame:
    """The verdict that counts on each bar: the newest a person gave, else the newest by rule."""
    if verdicts.is_empty():
        return verdicts
    newest = current(verdicts, as_known_at, key=VERDICTS_KEY)
    by_person = pl.col("decided_by") != RULE
    ranked = newest.sort(*_BAR_KEY, by_person, "known_at", "decided_by")
    return ranked.unique(_BAR_KEY, keep="last", maintain_order=True)


def apply(gated: Gated, verdicts: pl.DataFrame) -> Gated:
    """Part the bars once more, by the verdicts that are `in_force`.

    A suspect stays clean and is listed in quarantined as well, unless it was released; reverted and
    rejected bars are in quarantined only, and their reason says so.
    """
    if gated.suspects.is_empty() and verdicts.is_empty():
        return gated
    said = verdicts.select(*_BAR_KEY, "verdict")
    listed = gated.suspects.select(*BAR, "reason")
    others = gated.clean.join(listed, on=_BAR_KEY, how="anti").with_columns(reason=pl.lit(None))
    judged = (
        pl.concat([listed, others.cast({"reason": pl.String})])
        .join(said, on=_BAR_KEY, how="left")
        .filter(pl.col("reason").is_not_null() | (pl.col("verdict") == REJECTED))
    )
    out = pl.col("verdict").is_in(_OUT).fill_null(value=False)
    reason = pl.concat_str(
        "reason", pl.when(out).then("verdict"), separator="; ", ignore_nulls=True
    )
    released = (pl.col("verdict") == "released").fill_null(value=False)
    aside = judged.filter(~released).select(*BAR, reason.alias("reason"))
    return Gated(
        clean=gated.clean.join(judged.filter(out), on=_BAR_KEY, how="anti", maintain_order="left"),
        quarantined=pl.concat([gated.quarantined, aside]).sort(
            "session", "symbol", maintain_order=True
        ),
        suspects=gated.suspects,
    )


def suspended(quarantined: pl.DataFrame) -> list[str]:
    """The symbols not to be traded in a session, though they have a clean bar in it."""
    return quarantined.filter(is_suspect())["symbol"].unique().sort().to_list()
