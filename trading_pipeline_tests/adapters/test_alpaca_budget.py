"""The rate budget: as much as the server allows, never more, and always something for cancels."""

from datetime import UTC, datetime

import pytest

from trading_pipeline.adapters.alpaca_broker.budget import Budget

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC).timestamp()


class Time:
    """A clock that only waiting moves; the server's runs three hours ahead."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def answer(self, *, limit: int = 200, left: int, ends_in: float) -> dict[str, str]:
        """The headers of an answer now."""
        server = START + self.now
        return {
            "X-Ratelimit-Limit": str(limit),
            "X-Ratelimit-Remaining": str(left),
            "X-Ratelimit-Reset": str(int(server + ends_in)),
            "Date": f"{datetime.fromtimestamp(server, UTC):%a, %d %b %Y %H:%M:%S GMT}",
        }


@pytest.fixture
def time() -> Time:
    return Time()


def spend(budget: Budget, count: int, *, urgent: bool = False) -> None:
    for _ in range(count):
        budget.spend(urgent=urgent)


def test_a_minute_holds_the_limit_less_the_reserve(time: Time) -> None:
    budget = Budget(200, 10, sleep=time.sleep, clock=time)
    spend(budget, 190)
    assert time.slept == []
    spend(budget, 1)
    assert time.slept == [60]


def test_cancels_use_the_reserve(time: Time) -> None:
    budget = Budget(200, 10, sleep=time.sleep, clock=time)
    spend(budget, 190)
    spend(budget, 10, urgent=True)
    assert time.slept == []
    budget.spend(urgent=True)
    assert time.slept == [60]


def test_the_server_knows_better(time: Time) -> None:
    budget = Budget(200, 10, sleep=time.sleep, clock=time)
    budget.spend()
    budget.learn(time.answer(limit=1000, left=11, ends_in=20))  # others spend from it too
    budget.spend()
    assert time.slept == []
    budget.spend()
    assert time.slept == [20]
    spend(budget, 989)
    assert time.slept == [20]


def test_answers_out_of_order_give_nothing_back(time: Time) -> None:
    budget = Budget(200, 0, sleep=time.sleep, clock=time)
    budget.learn(time.answer(left=1, ends_in=20))
    budget.learn(time.answer(left=5, ends_in=20))
    spend(budget, 2)
    assert time.slept == [20]


def test_a_refusal_empties_the_window(time: Time) -> None:
    budget = Budget(200, 10, sleep=time.sleep, clock=time)
    budget.learn(time.answer(left=150, ends_in=30))
    budget.refused()
    budget.spend(urgent=True)
    assert time.slept == [30]


def test_a_reserve_larger_than_the_limit_still_lets_one_pass(time: Time) -> None:
    budget = Budget(5, 10, sleep=time.sleep, clock=time)
    spend(budget, 3)
    assert time.slept == [60, 60]


@pytest.mark.parametrize("headers", [{}, {"X-Ratelimit-Limit": "many"}])
def test_answers_that_tell_nothing_are_passed_by(time: Time, headers: dict[str, str]) -> None:
    budget = Budget(2, 0, sleep=time.sleep, clock=time)
    budget.learn(headers)
    spend(budget, 3)
    assert time.slept == [60]
