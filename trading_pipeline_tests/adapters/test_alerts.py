"""Notices reach Slack, PagerDuty, a webhook and a mailbox, and failures say which way is down."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr, ValidationError

from trading_pipeline.adapters.alerts import AlertAccess, Channel, Notice, channels
from trading_pipeline.errors import RejectedError, SettingsError, TransientError
from trading_pipeline_tests.receivers import Receiver, mail_server, receiving

NOTICE = Notice(
    key="breaker:daily_loss:1",
    severity="critical",
    title="The breaker has tripped",
    text="NAV fell by 6 % <today> & stays there.",
    at=datetime(2012, 11, 5, 15, 0, tzinfo=UTC),
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def over(receiver: Receiver, name: str) -> Channel:
    """The channel of that name, which leads to the receiver."""
    access = AlertAccess(
        slack_url=SecretStr(f"{receiver.url}/slack/secret-part"),
        pagerduty_key=SecretStr("routing-key"),
        pagerduty_url=f"{receiver.url}/pager",
        webhook_url=SecretStr(f"{receiver.url}/hook"),
    )
    return next(channel for channel in channels(access) if channel.name == name)


def test_slack_gets_a_line_that_holds_no_markup_of_ours(receiver: Receiver) -> None:
    over(receiver, "slack").send(NOTICE)

    (said,) = receiver.bodies("/slack/secret-part")
    assert said == {
        "text": "🔴 *The breaker has tripped*\nNAV fell by 6 % &lt;today&gt; &amp; stays there."
    }


def test_pagerduty_makes_one_incident_of_one_thing(receiver: Receiver) -> None:
    channel = over(receiver, "pagerduty")
    channel.send(NOTICE)

    (said,) = receiver.bodies("/pager")
    assert (said["routing_key"], said["event_action"]) == ("routing-key", "trigger")
    assert said["dedup_key"] == NOTICE.key
    assert said["payload"]["severity"] == "critical"
    assert said["payload"]["summary"].startswith("The breaker has tripped: NAV fell")
    assert channel.takes(NOTICE)


def test_a_webhook_gets_every_field(receiver: Receiver) -> None:
    over(receiver, "webhook").send(NOTICE)

    (said,) = receiver.bodies("/hook")
    assert said == {
        "key": NOTICE.key,
        "severity": "critical",
        "title": NOTICE.title,
        "text": NOTICE.text,
        "at": "2012-11-05T15:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("status", "kind"), [(429, TransientError), (503, TransientError), (404, RejectedError)]
)
def test_an_answer_that_is_no_is_told_without_the_address(
    receiver: Receiver, status: int, kind: type[Exception]
) -> None:
    receiver.answer = status

    with pytest.raises(kind, match=f"slack answers {status}") as refused:
        over(receiver, "slack").send(NOTICE)

    assert "secret-part" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_silence_and_nonsense_are_told_without_the_address() -> None:
    silent = AlertAccess(slack_url=SecretStr("http://127.0.0.1:1/secret-part"))
    nonsense = AlertAccess(slack_url=SecretStr("secret-part"))

    with pytest.raises(TransientError, match="slack does not answer") as unanswered:
        channels(silent)[0].send(NOTICE)
    with pytest.raises(SettingsError, match="https://… is expected") as refused:
        channels(nonsense)[0].send(NOTICE)

    assert "secret-part" not in f"{unanswered.value}{refused.value}"


def mailing(port: int) -> Channel:
    access = AlertAccess(
        email_to="a@example.com, b@example.com",
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_tls="none",
    )
    return channels(access)[0]


def test_an_e_mail_goes_to_everyone() -> None:
    with mail_server() as (port, messages):
        mailing(port).send(NOTICE)

    (message,) = messages
    assert "Subject: [critical] The breaker has tripped" in message
    assert "To: a@example.com, b@example.com" in message
    assert "NAV fell by 6 %" in message


def test_a_mail_server_that_refuses_or_is_silent_is_told() -> None:
    with mail_server(refuse="RCPT") as (port, _), pytest.raises(RejectedError, match="refuses"):
        mailing(port).send(NOTICE)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1 fails"):
        mailing(1).send(NOTICE)


def test_a_password_never_goes_over_an_open_line() -> None:
    with pytest.raises(ValidationError, match="starttls or tls"):
        AlertAccess(smtp_tls="none", smtp_password=SecretStr("x"))


def test_without_settings_there_is_no_channel() -> None:
    assert channels(AlertAccess()) == []
