"""Channels that take a notice over HTTPS."""

from typing import TYPE_CHECKING, Any, Final

import httpx

from trading_pipeline.errors import RejectedError, SettingsError, TransientError

if TYPE_CHECKING:
    from trading_pipeline.adapters.alerts import Notice

PATIENCE_SECONDS: Final = 5.0
_MARKS: Final = {"critical": "🔴", "warning": "🟡", "info": "🟢"}


class Slack:
    """An incoming webhook of Slack, or of what speaks as Slack does."""

    name = "slack"

    def __init__(self, url: str) -> None:
        self._url = url

    def takes(self, notice: "Notice") -> bool:  # noqa: ARG002 - everything
        """True."""
        return True

    def send(self, notice: "Notice") -> None:
        """Post the title in bold and the text under it."""
        _post(self.name, self._url, {"text": for_slack(notice)})


class PagerDuty:
    """PagerDuty's Events API v2; the notice's key makes one incident of one thing."""

    name = "pagerduty"

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def takes(self, notice: "Notice") -> bool:
        """Whether it is worth waking someone."""
        return notice.severity == "critical"

    def send(self, notice: "Notice") -> None:
        """Trigger an incident."""
        payload = {
            "summary": f"{notice.title}: {notice.text}"[:1024],
            "source": "trading_pipeline",
            "severity": notice.severity,
            "timestamp": notice.at.isoformat(),
        }
        body = {
            "routing_key": self._key,
            "event_action": "trigger",
            "dedup_key": notice.key[:255],
            "payload": payload,
        }
        _post(self.name, self._url, body)


class Webhook:
    """Any address that takes a notice as JSON."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def takes(self, notice: "Notice") -> bool:  # noqa: ARG002 - everything
        """True."""
        return True

    def send(self, notice: "Notice") -> None:
        """Post the notice's fields."""
        body = {
            "key": notice.key,
            "severity": notice.severity,
            "title": notice.title,
            "text": notice.text,
            "at": notice.at.isoformat(),
        }
        _post(self.name, self._url, body)


def for_slack(notice: "Notice") -> str:
    """Return the notice in Slack's own markup."""
    return f"{_MARKS[notice.severity]} *{_escaped(notice.title)}*\n{_escaped(notice.text)}"


def _post(name: str, url: str, body: Any) -> None:
    """Post JSON; no error repeats the address, which is the secret."""
    try:
        answer = httpx.post(url, json=body, timeout=PATIENCE_SECONDS)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise SettingsError(f"The address of {name} is none: https://… is expected.") from None
    except httpx.HTTPError as error:
        raise TransientError(f"{name} does not answer: {type(error).__name__}.") from None
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
        raise TransientError(f"{name} answers {answer.status_code}: later, perhaps.")
    if not answer.is_success:
        raise RejectedError(f"{name} answers {answer.status_code}: it does not take the notice.")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
