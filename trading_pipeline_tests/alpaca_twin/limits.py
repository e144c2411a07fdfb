"""A limit of requests in windows of time, as Alpaca's: 200 a minute."""

import time
from dataclasses import dataclass, field


@dataclass
class RateLimit:
    """So many requests in each window of whole seconds; `Reset` is when the next one begins."""

    requests: int = 1_000_000
    seconds: int = 60
    window: int = field(default=0, init=False)
    used: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)

    def take(self) -> bool:
        window = int(time.time()) // self.seconds
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.requests:
            self.refused += 1
            return False
        self.used += 1
        return True

    def headers(self) -> dict[str, str]:
        return {
            "X-Ratelimit-Limit": str(self.requests),
            "X-Ratelimit-Remaining": str(self.requests - self.used),
            "X-Ratelimit-Reset": str((self.window + 1) * self.seconds),
        }
