"""alpaca-py's client made fit for orders: timeouts, no silent retries, errors of ours.

As it comes, alpaca-py waits for ever, sends an order again by itself after a 504 or 429, and lets
the environment's proxies between us and the broker.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from threading import local
from typing import Any, Final

from trading_pipeline.adapters.alpaca_broker.budget import Budget
from trading_pipeline.adapters.alpaca_broker.verdicts import (
    RefusalError,
    Verdict,
    judge,
    read_answer,
)
from trading_pipeline.errors import TransientError

_log = logging.getLogger(__name__)

READ_ATTEMPTS: Final = 3
"""How often something that changes nothing is asked for when the wire fails."""

READ_PAUSE: Final = 0.25
"""Seconds before the first repetition; each later one waits twice as long."""


class Connection:
    """Requests to one account of the trading API at `url`, each within the budget.

    Raises TransientError when the answer is lost or nobody can tell what it means, also for 429,
    after which nothing was done; RefusalError for a no; SettingsError for a key that is not
    accepted.
    """

    def __init__(
        self,
        url: str,
        keys: tuple[str, str],
        *,
        patience: tuple[float, float],
        budget: Budget,
        sleep: Callable[[float], None],
    ) -> None:
        self._url, self._keys, self._patience = url, keys, patience
        self._budget, self._sleep = budget, sleep
        self._mine = local()  # a session serves one thread

    def read(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at `path`; a failing wire is tried READ_ATTEMPTS times."""
        for attempt in range(1, READ_ATTEMPTS):
            try:
                return self._call("get", path, dict(query or {}))
            except TransientError as error:
                _log.warning("read failed", extra={"path": path, "why": str(error)})
                self._sleep(READ_PAUSE * 2 ** (attempt - 1))
        return self._call("get", path, dict(query or {}))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send `body` once and return the answer."""
        return self._call("post", path, dict(body))

    def delete(self, path: str) -> None:
        """Take something back, from the reserve if need be."""
        self._call("delete", path, None, urgent=True)

    def _call(self, verb: str, path: str, data: Any, *, urgent: bool = False) -> Any:
        # heavy: on first use
        from alpaca.common.exceptions import APIError
        from requests.exceptions import RequestException  # noqa: PLC0415

        client = self._client()
        self._budget.spend(urgent=urgent)
        try:
            return getattr(client, verb)(path, data)
        except APIError as error:
            raise self._translated(int(error.status_code or 0), str(error)) from error
        except (RequestException, ValueError) as error:  # ValueError: a body that is not JSON
            raise TransientError(f"No answer from Alpaca to {verb} {path}: {error}.") from error

    def _translated(self, status: int, text: str) -> Exception:
        answer = read_answer(status, text)
        verdict = judge(answer)
        if verdict is Verdict.TOO_MANY:
            self._budget.refused()
        if verdict in {Verdict.TOO_MANY, Verdict.AMBIGUOUS}:
            return TransientError(f"Alpaca answered {answer.sentence}.")
        return RefusalError(verdict, answer)

    def _client(self) -> Any:
        if (client := getattr(self._mine, "client", None)) is not None:
            return client
        from alpaca.trading.client import TradingClient

        client = TradingClient(*self._keys, raw_data=True, url_override=self._url)
        client._retry = 0
        session = client._session
        session.trust_env = False
        session.hooks["response"].append(lambda answer, **_: self._budget.learn(answer.headers))
        ask = partial(session.request, timeout=self._patience)
        session.request = ask  # type: ignore[method-assign]
        self._mine.client = client
        return client
