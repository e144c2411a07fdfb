"""Verdicts on suspect bars: what became of a move that may be an error or may be true.

A suspect bar stays in the history, and its symbol is not traded in its session. Its next bar
settles it: `reverted` when the price is back where it came from, else `confirmed`. A second vendor
whose bar has the same close has `confirmed` it at once: the symbol trades, and that goes before the
rule. One whose close is another has `contradicted` it, which settles nothing, for nobody can tell
yet which of the two is wrong: a true bar is never lost to a vendor that lags. A person may say
`released` or `rejected` of any sound bar at any time, and that goes before both. Reverted and
rejected bars leave the history.
"""

from datetime import datetime
from typing import Literal

import polars as pl

from trading_pipeline.core.market.quality import BAR, Gated, is_suspect
from trading_pipeline.core.market.restatements import current

Verdict = Literal["confirmed", "contradicted", "reverted", "released", "rejected"]

RULE = "rule"
"""Who decided, when it was the next bar."""

VENDOR = "vendor "
"""How the name of who decided begins, when it was a second vendor's bar."""

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


def by_vendor(
    suspects: pl.DataFrame, theirs: pl.DataFrame, *, vendor: str, within: float, at: datetime
) -> pl.DataFrame:
    """The verdicts that a second vendor's raw bars give, shaped like the table bar_verdicts.

    `confirmed` where its close is the suspect's but for a share of `within`, else `contradicted`;
    of a suspect without a bar of theirs, nothing.
    """
    both = suspects.join(theirs.select(*_BAR_KEY, theirs="close"), on=_BAR_KEY, how="inner")
    same = (pl.col("theirs") / pl.col("close") - 1).abs() <= within + 1e-9
    return both.filter(pl.col("theirs").is_finite() & (pl.col("theirs") > 0)).select(
        *_BAR_KEY,
        verdict=pl.when(same).then(pl.lit("confirmed")).otherwise(pl.lit("contradicted")),
        decided_in="session",
        decided_by=pl.lit(f"{VENDOR}{vendor}"),
        reason=pl.format("close {} here, {} there", "close", "theirs"),
        known_at=pl.lit(at).cast(pl.Datetime("us", "UTC")),
    )


def in_force(verdicts: pl.DataFrame, as_known_at: datetime | None = None) -> pl.DataFrame:
    """The verdict that counts on each bar, the newest of whose word goes before the others'.

    A person's goes before a confirming vendor's, that before the rule's, and a contradicting
    vendor's stands only where there is no other.
    """
    if verdicts.is_empty():
        return verdicts
    newest = current(verdicts, as_known_at, key=VERDICTS_KEY)
    weight = (
        pl.when(pl.col("verdict") == "contradicted")
        .then(0)
        .when(pl.col("decided_by") == RULE)
        .then(1)
        .when(_by_vendor())
        .then(2)
        .otherwise(3)
    )
    ranked = newest.sort(*_BAR_KEY, weight, "known_at", "decided_by")
    return ranked.unique(_BAR_KEY, keep="last", maintain_order=True)


def still_meant(verdicts: pl.DataFrame, deliveries: pl.DataFrame) -> pl.DataFrame:
    """The verdicts but those of people and vendors on a close that was restated since.

    `deliveries` are all rows delivered of the bars, with known_at. What was said of 48 dollars does
    not speak of 40.
    """
    words = verdicts.filter(pl.col("decided_by") != RULE)
    if words.is_empty():
        return verdicts
    said = words.select(*VERDICTS_KEY, "known_at")
    told = deliveries.select(*_BAR_KEY, "close", told_at="known_at").sort("told_at")
    closes = said.join(told, on=_BAR_KEY, maintain_order="right")
    then, now = pl.col("close").filter(pl.col("told_at") <= pl.col("known_at")), pl.col("close")
    restated = (
        closes.group_by(*VERDICTS_KEY, "known_at")
        .agg(then=then.last(), now=now.last())
        .filter(pl.col("then") != pl.col("now"))
    )
    return verdicts.join(restated, on=[*VERDICTS_KEY, "known_at"], how="anti")


def apply(gated: Gated, verdicts: pl.DataFrame) -> Gated:
    """Part the bars once more, by the verdicts that are `in_force`.

    A suspect stays clean and is listed in quarantined as well, unless it was released or a second
    vendor confirmed it; reverted and rejected bars are in quarantined only, and their reason says
    so.
    """
    if gated.suspects.is_empty() and verdicts.is_empty():
        return gated
    trusted = (pl.col("verdict") == "confirmed") & _by_vendor()
    verdict = pl.when(trusted).then(pl.lit("released")).otherwise("verdict")
    said = verdicts.select(*_BAR_KEY, verdict=verdict)
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


def _by_vendor() -> pl.Expr:
    return pl.col("decided_by").str.starts_with(VENDOR)


def suspended(quarantined: pl.DataFrame) -> list[str]:
    """The symbols not to be traded in a session, though they have a clean bar in it."""
    return quarantined.filter(is_suspect())["symbol"].unique().sort().to_list()
