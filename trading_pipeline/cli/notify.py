"""`trading-pipeline notify`: send a notice of one's own, to see that it arrives."""

from uuid import uuid4

from trading_pipeline import logs
from trading_pipeline.adapters.alerts import Notice, Severity
from trading_pipeline.cli.page import Page
from trading_pipeline.defs.channels import channels
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.settings import Settings, utc_now

FAILED = 1
"""The exit code when a channel did not take it."""


def notify(text: str = "This is a test.", /, *, severity: Severity = "info") -> int:
    """Send a notice over every channel that takes its severity, and say which delivered it.

    Examples: `trading-pipeline notify`;
    `trading-pipeline notify "Maintenance until nine" --severity critical`.

    Args:
        text: What to say.
        severity: How urgent it is; PagerDuty takes what is critical.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    found = channels(settings.alerts)
    if not found:
        raise SettingsError("No channel is set: TP_ALERTS__SLACK_URL is one of them.")
    notice = Notice(
        key=f"test:{uuid4()}",
        severity=severity,
        title="A notice from the command line",
        text=text,
        at=utc_now(),
    )
    page, code = Page(), 0
    for channel in found:
        if not channel.takes(notice):
            page.line(channel.name, f"does not take what is {severity}")
            continue
        try:
            channel.send(notice)
            page.line(channel.name, "delivered", "green")
        except TradingPipelineError as error:
            page.line(channel.name, str(error), "red")
            code = FAILED
    return code
