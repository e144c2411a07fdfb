"""The ways to people, among them Slack by Dagster's own integration."""

from http import HTTPStatus
from typing import Final

from trading_pipeline.adapters import alerts
from trading_pipeline.adapters.alerts import AlertAccess, Channel, Notice
from trading_pipeline.errors import RejectedError, TransientError

PATIENCE_SECONDS: Final = 5


def channels(access: AlertAccess) -> list[Channel]:
    """The channels that are set."""
    found = alerts.channels(access)
    if access.slack_token and access.slack_channel:
        token = access.slack_token.get_secret_value()
        found.append(SlackBot(access.slack_api_url, token, access.slack_channel))
    return found


class SlackBot:
    """A bot of a Slack workspace, by `dagster-slack`: for those that allow no incoming webhooks."""

    name = "slack-bot"

    def __init__(self, url: str, token: str, channel: str) -> None:
        self._url, self._token, self._channel = url, token, channel

    def takes(self, notice: Notice) -> bool:  # noqa: ARG002 - everything
        """True."""
        return True

    def send(self, notice: Notice) -> None:
        """Post the title in bold and the text under it."""
        # heavy: on first use
        from dagster_slack import SlackResource  # noqa: PLC0415
        from slack_sdk.errors import SlackApiError, SlackClientError  # noqa: PLC0415

        from trading_pipeline.adapters.alerts.web import for_slack  # noqa: PLC0415

        client = SlackResource(token=self._token).get_client()
        client.base_url, client.timeout = self._url, PATIENCE_SECONDS
        try:
            client.chat_postMessage(channel=self._channel, text=for_slack(notice))
        except SlackApiError as error:
            code, said = error.response.status_code, error.response["error"]
            if code >= HTTPStatus.TOO_MANY_REQUESTS:
                raise TransientError(f"Slack answers {code}: later, perhaps.") from None
            raise RejectedError(f"Slack does not take the bot's notice: {said}.") from None
        except (SlackClientError, OSError) as error:
            raise TransientError(f"Slack does not answer: {type(error).__name__}.") from None
