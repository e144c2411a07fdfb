"""Notices by e-mail."""

import smtplib
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final

from trading_pipeline.adapters.alerts.access import AlertAccess
from trading_pipeline.errors import RejectedError, TransientError

if TYPE_CHECKING:
    from trading_pipeline.adapters.alerts import Notice

PATIENCE_SECONDS: Final = 10.0


class Mail:
    """A mail server that takes our messages."""

    name = "email"

    def __init__(self, access: AlertAccess) -> None:
        self._access = access

    def takes(self, notice: "Notice") -> bool:  # noqa: ARG002 - everything
        """True."""
        return True

    def send(self, notice: "Notice") -> None:
        """Send one message to all addresses."""
        message = EmailMessage()
        message["From"], message["To"] = self._access.email_from, self._access.email_to
        message["Subject"] = " ".join(f"[{notice.severity}] {notice.title}".split())
        message["Date"] = notice.at
        message.set_content(f"{notice.text}\n")
        try:
            with self._server() as server:
                server.send_message(message)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPAuthenticationError) as error:
            raise RejectedError(f"The mail server refuses: {type(error).__name__}.") from None
        except (smtplib.SMTPException, OSError) as error:
            raise TransientError(
                f"The mail server {self._access.smtp_host} fails: {type(error).__name__}."
            ) from None

    def _server(self) -> smtplib.SMTP:
        access = self._access
        safe = ssl.create_default_context()
        place = (access.smtp_host, access.smtp_port)
        if access.smtp_tls == "tls":
            server = smtplib.SMTP_SSL(*place, timeout=PATIENCE_SECONDS, context=safe)
        else:
            server = smtplib.SMTP(*place, timeout=PATIENCE_SECONDS)
        if access.smtp_tls == "starttls":
            server.starttls(context=safe)
        if access.smtp_user and access.smtp_password:
            server.login(access.smtp_user, access.smtp_password.get_secret_value())
        return server
