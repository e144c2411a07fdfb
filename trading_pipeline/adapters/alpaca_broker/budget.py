"""How many requests the account may still make, of which some are kept for cancels."""

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Final

MINUTE: Final = 60.0
_AFTER_REFUSAL: Final = 1.0


class Budget:
    """Requests in windows of a minute, as the server counts them once it has told.

    Every answer of the trading API bears the account's limit, what is left of it and when the next
    window begins, other processes' requests included. Until the first answer, windows of our own.
    Times are seconds of `clock`, which need not agree with the server's.
    """

    def __init__(
        self,
        requests_per_minute: int,
        reserve: int,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._reserve = requests_per_minute, reserve
        self._left = requests_per_minute
        self._window: int | None = None
        self._ends = clock() + MINUTE
        self._clock, self._sleep = clock, sleep
        self._lock = Lock()

    def spend(self, *, urgent: bool = False) -> None:
        """Take one request, waiting for the next window if need be; urgent ones use the reserve."""
        while (wait := self._take(0 if urgent else self._reserve)) > 0:
            self._sleep(wait)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over what an answer tells of the limit; answers that tell nothing are passed by."""
        try:
            limit, left, window = (
                int(float(headers[f"X-Ratelimit-{name}"]))
                for name in ("Limit", "Remaining", "Reset")
            )
            told_at = parsedate_to_datetime(headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return
        with self._lock:
            ends = self._clock() + window - told_at
            if window == self._window:
                # Answers may come in any order, and `Date` is cut to seconds: the least is right.
                self._left, self._ends = min(left, self._left), min(ends, self._ends)
            else:
                self._left, self._ends = left, ends
            self._limit, self._window = limit, window

    def refused(self) -> None:
        """Note that the server counted otherwise: nothing is left until the window ends."""
        with self._lock:
            self._left, self._ends = 0, max(self._ends, self._clock() + _AFTER_REFUSAL)

    def _take(self, floor: int) -> float:
        """Take a request and return 0, or return the seconds until there may be one."""
        with self._lock:
            now = self._clock()
            if now >= self._ends:
                self._left, self._ends, self._window = self._limit, now + MINUTE, None
            if self._left > min(floor, self._limit - 1):
                self._left -= 1
                return 0
            return self._ends - now
