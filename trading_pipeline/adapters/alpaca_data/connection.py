"""alpaca-py's data clients made fit for long fetches: timeouts, a rate budget, errors of ours.

As they come, they wait for ever on a silent peer, keep every page in memory and throw all of them
away when a later one fails.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from trading_pipeline.errors import RejectedError, SettingsError, TransientError

_log = logging.getLogger(__name__)

READ_ATTEMPTS: Final = 3
"""How often a page is asked for when the wire fails or the server is busy."""

_MINUTE: Final = 60.0
_BUSY: Final = 429
_FORBIDDEN: Final = frozenset({401, 403})
_SERVER_FAULTS: Final = 500


class Connection:
    """Requests to the data API, at most so many in any minute of `clock`'s seconds.

    Raises TransientError when a page does not come, SettingsError for a key or a feed that is not
    allowed, RejectedError for any other no.
    """

    def __init__(
        self,
        url: str,
        keys: tuple[str, str],
        *,
        patience: tuple[float, float],
        requests_per_minute: int,
        timer: tuple[Callable[[], datetime], Callable[[float], None]],
    ) -> None:
        """Take the address without a version, seconds to connect and to wait, clock and sleep."""
        self._url, self._keys, self._patience = url, keys, patience
        self._per_minute = requests_per_minute
        self._clock, self._sleep = timer
        self._sent: list[datetime] = []
        self._clients: dict[str, Any] = {}
        self.requests = 0

    def page(self, version: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON at `path`; a failing wire or a busy server is asked again."""
        for attempt in range(1, READ_ATTEMPTS):
            try:
                return self._get(version, path, query)
            except TransientError as error:
                _log.warning("page failed", extra={"path": path, "why": str(error)})
                self._sleep(2.0**attempt)
        return self._get(version, path, query)

    def _get(self, version: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        # heavy: on first use
        from alpaca.common.exceptions import APIError
        from requests.exceptions import RequestException  # noqa: PLC0415

        client = self._client(version)
        self._spend()
        try:
            answer = client.get(path, dict(query))
        except APIError as error:
            raise _translated(int(error.status_code or 0), str(error)) from error
        except (RequestException, ValueError) as error:  # ValueError: a body that is not JSON
            raise TransientError(f"No answer from Alpaca to {path}: {error}.") from error
        if not isinstance(answer, dict):
            raise TransientError(f"Alpaca's answer to {path} is no JSON object.")
        return answer

    def _spend(self) -> None:
        """Wait until one more request is within the budget of the minute."""
        now = self._clock()
        self._sent = [at for at in self._sent if (now - at).total_seconds() < _MINUTE]
        if len(self._sent) >= self._per_minute:
            self._sleep(_MINUTE - (now - self._sent[0]).total_seconds())
        self._sent.append(self._clock())
        self.requests += 1

    def _client(self, version: str) -> Any:
        if version in self._clients:
            return self._clients[version]
        # heavy: on first use
        from alpaca.data.historical.corporate_actions import CorporateActionsClient
        from alpaca.data.historical.stock import StockHistoricalDataClient

        kind = StockHistoricalDataClient if version == "v2" else CorporateActionsClient
        client = kind(*self._keys, raw_data=True, url_override=self._url)
        client._retry = 0
        session = client._session
        session.trust_env = False
        session.request = partial(session.request, timeout=self._patience)  # type: ignore[method-assign]
        self._clients[version] = client
        return client


def _translated(status: int, text: str) -> Exception:
    said = _message(text)
    if status == _BUSY or status >= _SERVER_FAULTS or not status:
        return TransientError(f"Alpaca answered {status}: {said}.")
    if status in _FORBIDDEN:
        return SettingsError(
            f"Alpaca answered {status}: {said}. Expected a key that may read this feed: see"
            " TP_ALPACA_DATA__FEED."
        )
    return RejectedError(f"Alpaca answered {status}: {said}.")


def _message(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text[:120]
    return str(found.get("message", found) if isinstance(found, dict) else found).rstrip(".")
