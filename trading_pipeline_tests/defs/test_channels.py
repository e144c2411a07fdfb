"""A bot of Slack posts notices by Dagster's own integration."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr, ValidationError

from trading_pipeline.adapters.alerts import AlertAccess, Notice
from trading_pipeline.defs.channels import channels
from trading_pipeline.errors import RejectedError, TransientError
from trading_pipeline_tests.receivers import Receiver, receiving

NOTICE = Notice(
    key="halt:1",
    severity="critical",
    title="Trading is halted",
    text="By ann: a <strange> fill.",
    at=datetime(2012, 11, 5, 15, 0, tzinfo=UTC),
)


@pytest.fixture
def slack() -> Iterator[Receiver]:
    with receiving() as made:
        made.answer = 200
        yield made


def access(url: str) -> AlertAccess:
    return AlertAccess(
        slack_token=SecretStr("xoxb-planted"), slack_channel="#desk", slack_api_url=f"{url}/api/"
    )


def test_the_bot_posts_to_its_channel_and_shows_its_token(slack: Receiver) -> None:
    slack.said = b'{"ok": true}'
    (bot,) = channels(access(slack.url))

    bot.send(NOTICE)

    (said,) = slack.bodies("/api/chat.postMessage")
    assert said["channel"] == "#desk"
    assert said["text"] == "🔴 *Trading is halted*\nBy ann: a &lt;strange&gt; fill."
    assert slack.words == ["Bearer xoxb-planted"]


def test_a_refusal_says_why_and_never_the_token(slack: Receiver) -> None:
    slack.said = b'{"ok": false, "error": "channel_not_found"}'
    (bot,) = channels(access(slack.url))

    with pytest.raises(RejectedError, match="channel_not_found") as refused:
        bot.send(NOTICE)

    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("answer", [429, 502])
def test_a_slack_that_is_busy_or_silent_is_asked_again_later(slack: Receiver, answer: int) -> None:
    slack.answer, slack.said = answer, b"<html>"
    for url, said in ((slack.url, f"answers {answer}"), ("http://127.0.0.1:1", "does not answer")):
        (bot,) = channels(access(url))
        with pytest.raises(TransientError, match=said):
            bot.send(NOTICE)


def test_a_token_without_a_channel_is_no_way(slack: Receiver) -> None:
    with pytest.raises(ValidationError, match="set together"):
        AlertAccess(slack_token=SecretStr("xoxb-planted"))
    assert channels(AlertAccess()) == []
    assert [way.name for way in channels(access(slack.url))] == ["slack-bot"]
