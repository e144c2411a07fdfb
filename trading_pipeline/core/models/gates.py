"""The gates a model passes before it may trade; each verdict says what was found and expected."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.models.dataset import KEYS

Compute = Callable[[pl.DataFrame, Sequence[date]], pl.DataFrame]
"""Takes bars and sessions, and returns the features of these sessions."""


class PromotionRules(BaseModel):
    """What a model must show before it may trade."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    min_rank_ic: float = Field(default=0.005, ge=-1, le=1)
    """Mean daily rank IC out of sample, at least."""
    min_rank_ic_low: float = Field(default=0.0, ge=-1, le=1)
    """The lower end of that mean's interval, at least."""
    min_rank_ic_t: float = Field(default=2.3, ge=-100)
    """Newey-West t of that mean, at least: of models that know nothing, some 2 in 100 reach it."""
    min_sessions: int = Field(default=60, ge=5)
    """Sessions out of sample that this must rest on."""
    recent_sessions: int = Field(default=20, ge=2, le=252)
    """Newest sessions on which features are computed again and models are compared."""
    min_agreement: float = Field(default=0.0, ge=-1, le=1)
    """Mean daily rank correlation with the running model's predictions, at least."""


def evidence(metrics: Mapping[str, float], rules: PromotionRules) -> CheckOutcome:
    """Whether the walk-forward evaluation shows skill: size, certainty and length of it."""
    floors = {
        "sessions": float(rules.min_sessions),
        "rank_ic": rules.min_rank_ic,
        "rank_ic_t": rules.min_rank_ic_t,
        "rank_ic_low": rules.min_rank_ic_low,
    }
    found = {name: metrics[name] for name in floors if name in metrics}
    short = [
        f"{name} {found[name]:.4g}, at least {floor:g} is expected"
        if name in found
        else f"{name} was not measured"
        for name, floor in floors.items()
        if name not in found or found[name] < floor
    ]
    shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    sentence = f"Out of sample: {'; '.join(short) or shown}."
    return CheckOutcome(name="evidence", passed=not short, sentence=sentence, numbers=found)


def schema(found: tuple[Sequence[str], str], expected: tuple[Sequence[str], str]) -> CheckOutcome:
    """Whether the model takes exactly the features that are stored: names in order, version."""
    (names, version), (stored, stored_version) = found, expected
    differs = [name for name in names if name not in stored] or [
        name for name in stored if name not in names
    ]
    passed = tuple(names) == tuple(stored) and version == stored_version
    sentence = f"The model takes {len(names)} features of {version}, as they are stored."
    if not passed:
        what = f"among them {listed(differs)}" if differs else "the same in another order"
        sentence = (
            f"The model takes {len(names)} features of {version}, stored are {len(stored)} of "
            f"{stored_version}: {what if tuple(names) != tuple(stored) else 'another version'}."
        )
    return CheckOutcome(name="feature_schema", passed=passed, sentence=sentence)


def parity(stored: pl.DataFrame, again: pl.DataFrame) -> CheckOutcome:
    """Whether stored features are, to the last bit, those that are computed again from bars."""
    return _equality(
        "parity",
        stored,
        again,
        "between what is stored and what is computed again: materialize these sessions again",
    )


def prefix(past_only: pl.DataFrame, with_future: pl.DataFrame) -> CheckOutcome:
    """Whether features of a session are, to the last bit, the same with later bars at hand."""
    return _equality(
        "prefix",
        past_only,
        with_future,
        "when later bars are known: they look into the future",
    )


def past_only(compute: Compute, bars: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """The features of each session, computed by itself from the bars up to it."""
    parts = [compute(bars.filter(pl.col("session") <= day), [day]) for day in sorted(sessions)]
    return pl.concat(parts)


def dry_prediction(predictions: pl.DataFrame) -> CheckOutcome:
    """Whether every prediction is a finite number and those of each session tell symbols apart."""
    value = pl.col("prediction")
    bad = predictions.filter(~value.is_finite() | value.is_null()).height
    flat = (
        predictions.group_by("session")
        .agg(kinds=value.n_unique())
        .filter(pl.col("kinds") < 2)["session"]
    )
    sessions = predictions["session"].n_unique()
    faults = [f"{bad} of {predictions.height} are no finite numbers"] if bad else []
    if len(flat) or not sessions:
        faults.append(f"{len(flat)} of {sessions} sessions have one value for all symbols")
    sentence = f"{predictions.height} predictions of {sessions} recent sessions"
    return CheckOutcome(
        name="dry_prediction",
        passed=not faults,
        sentence=f"{sentence}: {'; '.join(faults) or 'finite, and they tell symbols apart'}.",
        numbers={"predictions": float(predictions.height), "sessions": float(sessions)},
    )


def agreement(ours: pl.DataFrame, running: pl.DataFrame, rules: PromotionRules) -> CheckOutcome:
    """Whether a model does not contradict the running one; sessions without a rank count as 0.

    The mean over sessions of Spearman's correlation of the two predictions: blind to scale, which
    no decision depends on. The mean absolute difference is recorded and not judged.
    """
    keys = ["session", "symbol"]
    both = ours.join(running.select(*keys, running="prediction"), on=keys, how="inner")
    daily = (
        both.group_by("session")
        .agg(rho=pl.corr(pl.col("prediction").rank(), pl.col("running").rank()))["rho"]
        .fill_nan(0.0)
        .fill_null(0.0)
    )
    mean = float(np.mean(daily.to_numpy())) if len(daily) else 0.0
    numbers = {"rank_correlation": mean, "sessions": float(len(daily))}
    if both.height:
        distance = (both["prediction"] - both["running"]).abs().to_numpy()
        numbers["mean_absolute_difference"] = float(np.mean(distance))
    return CheckOutcome(
        name="agreement",
        passed=len(daily) > 0 and mean >= rules.min_agreement,
        sentence=f"Mean daily rank correlation with the running model {mean:+.3f} over "
        f"{len(daily)} recent sessions, at least {rules.min_agreement:+g} is expected.",
        numbers=numbers,
    )


def _equality(name: str, one: pl.DataFrame, other: pl.DataFrame, complaint: str) -> CheckOutcome:
    order = ["session", "symbol"]
    left, right = one.sort(order), other.sort(order)
    rows, sessions = left.height, left["session"].n_unique()
    sentence = f"{rows} rows of {sessions} recent sessions are the same to the last bit."
    passed = rows > 0 and left.equals(right)
    if not passed:
        sentence = f"{_difference(left, right)} {complaint}."
    return CheckOutcome(name=name, passed=passed, sentence=sentence, numbers={"rows": float(rows)})


def _difference(left: pl.DataFrame, right: pl.DataFrame) -> str:
    if not left.height:
        return "There are no rows to compare"
    keys = list(KEYS)
    if left.columns != right.columns or not left.select(keys).equals(right.select(keys)):
        return f"{left.height} rows stand against {right.height} others"
    names = [name for name in left.columns if not left[name].equals(right[name])]
    return f"{len(names)} features differ ({listed(names)})"
