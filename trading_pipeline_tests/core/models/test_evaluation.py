"""Information coefficients and what can honestly be said about their means."""

from math import isnan, sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.models.evaluation import (
    bootstrap_interval,
    daily_ic,
    evaluate,
    mean_of,
    newey_west_t,
)
from trading_pipeline_tests.core.models import panels

DAYS = panels.sessions(3)


def judged(predictions: list[float], labels: list[float], *, day: int = 0) -> pl.DataFrame:
    count = len(predictions)
    return pl.DataFrame(
        {
            "symbol": [f"S{number}" for number in range(count)],
            "session": [DAYS[day]] * count,
            "prediction": predictions,
            "label": labels,
            "target": labels,
        }
    )


def noise(seed: int, count: int = 120, names: int = 5) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    days = panels.sessions(count)
    rows = count * names
    return pl.DataFrame(
        {
            "symbol": [f"S{number % names}" for number in range(rows)],
            "session": [days[number // names] for number in range(rows)],
            "prediction": rng.standard_normal(rows),
            "label": rng.standard_normal(rows) * 0.02,
        }
    ).with_columns(target=pl.col("label") / 0.02)


def test_the_ic_of_a_session_is_the_correlation_across_its_symbols() -> None:
    predictions, labels = [0.1, 0.4, -0.2, 0.0], [0.02, 0.01, -0.03, 0.005]

    found = daily_ic(judged(predictions, labels))

    assert found["ic"][0] == pytest.approx(np.corrcoef(predictions, labels)[0, 1])
    assert found["symbols"].to_list() == [4]


def test_tied_predictions_share_their_average_rank() -> None:
    found = daily_ic(judged([1.0, 2.0, 2.0, 3.0], [10.0, 20.0, 30.0, 40.0]))

    expected = np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1]
    assert found["rank_ic"][0] == pytest.approx(expected)


def test_sessions_are_judged_each_by_themselves() -> None:
    up, down = judged([1, 2, 3], [1, 2, 3]), judged([3, 2, 1], [11, 12, 13], day=1)

    found = daily_ic(pl.concat([down, up]))

    assert found["session"].to_list() == DAYS[:2]
    assert found["rank_ic"].to_list() == pytest.approx([1, -1])


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([1.0, 2.0], [5.0, 5.0]), ([1.0], [2.0])],
)
def test_a_session_that_ranks_nothing_has_no_ic(
    predictions: list[float], labels: list[float]
) -> None:
    found = daily_ic(judged(predictions, labels))

    assert found["ic"].to_list() == [None]
    assert found["rank_ic"].to_list() == [None]


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=12, unique=True), st.randoms())
def test_the_rank_ic_does_not_change_under_a_rising_transformation(values, random) -> None:
    labels = [float(value) for value in values]
    random.shuffle(labels)
    predictions = [float(value) for value in values]
    stretched = [value**3 / 100 + value for value in predictions]

    plain, bent = judged(predictions, labels), judged(stretched, labels)

    assert daily_ic(plain)["rank_ic"][0] == pytest.approx(daily_ic(bent)["rank_ic"][0])


def test_errors_are_those_of_the_training_target() -> None:
    frame = judged([1.0, 2.0, 4.0], [1.0, 3.0, 2.0])

    found = evaluate(frame)

    assert found.mae == pytest.approx(1.0)
    assert found.rmse == pytest.approx(sqrt(5 / 3))
    assert found.r2 == pytest.approx(1 - 5 / 2)


def test_an_evaluation_names_its_window_and_its_universe() -> None:
    frame = pl.concat([judged([1, 2, 3], [1, 2, 3]), judged([1, 2], [2, 1], day=2)])

    found = evaluate(frame)

    assert (found.first, found.last, found.sessions) == (DAYS[0], DAYS[2], 2)
    assert (found.fewest, found.most) == (2, 3)
    assert found.sentence() == (
        "mean daily rank IC +0.0000 (95% interval -1.0000 to +1.0000) over 2 sessions, "
        f"{DAYS[0]} to {DAYS[2]}, 2–3 symbols"
    )


def test_figures_that_are_undefined_are_left_out() -> None:
    found = evaluate(judged([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])).metrics("test_")

    assert "test_rank_ic" not in found
    assert found["test_mae"] == pytest.approx(1.0)
    assert found["test_symbols_max"] == 3


def test_the_t_is_newey_and_wests() -> None:
    daily = np.random.default_rng(5).standard_normal(150) + 0.1
    rest, count = daily - daily.mean(), 150
    lags = int(4 * (count / 100) ** (2 / 9))
    gamma = [sum(rest[i] * rest[i - lag] for i in range(lag, count)) / count for lag in range(9)]
    variance = gamma[0] + 2 * sum((1 - k / (lags + 1)) * gamma[k] for k in range(1, lags + 1))

    assert lags == 4
    assert newey_west_t(daily) == pytest.approx(daily.mean() / sqrt(variance / count))


def test_a_series_that_hangs_together_is_worth_less_than_its_length() -> None:
    steps = np.random.default_rng(5).standard_normal(300) + 0.3
    slow = np.repeat(steps[:60], 5)
    plain = slow.mean() / (slow.std() / sqrt(len(slow)))

    assert 0 < newey_west_t(slow) < plain * 0.8


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(150):
        daily = np.random.default_rng(seed).standard_normal(120) + 0.5
        low, high = bootstrap_interval(daily, draws=400)
        held += low <= 0.5 <= high

    assert 0.86 <= held / 150 <= 0.99


def test_the_interval_is_the_same_whenever_it_is_made() -> None:
    daily = np.random.default_rng(1).standard_normal(50)

    assert bootstrap_interval(daily) == bootstrap_interval(daily)


def test_predictions_of_noise_are_not_called_skill() -> None:
    found = [evaluate(noise(seed)).rank_ic for seed in range(20)]

    assert sum(not (mean.low <= 0 <= mean.high) for mean in found) <= 3


@pytest.mark.parametrize("values", [[], [0.3]])
def test_a_mean_of_next_to_nothing_claims_no_certainty(values: list[float]) -> None:
    found = mean_of(np.array(values, dtype=float))

    assert found.sessions == len(values)
    assert isnan(found.t)
    assert isnan(found.low)
    assert isnan(found.ratio)
