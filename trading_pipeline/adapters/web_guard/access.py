"""Who may come in: passwords out of files, sessions that this process knows, few wrong guesses."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from trading_pipeline.errors import SettingsError

SESSION_SECONDS: Final = 12 * 3600
WRONG_GUESSES: Final = 10
GUESS_SECONDS: Final = 60
_SHORTEST: Final = 12


class Role(StrEnum):
    """What somebody may do: everything, or look."""

    OPERATOR = "operator"
    VIEWER = "viewer"


class WebAccess(BaseModel):
    """Who may use the web pages, and under which names they are reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operator_password_file: Path | None = Field(
        default=None, description="a file with the password of who may start runs"
    )
    viewer_password_file: Path | None = Field(
        default=None, description="a file with the password of who may look and change nothing"
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names besides localhost under which the pages are reached, comma-separated",
    )

    @field_validator("hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    def passwords(self) -> dict[Role, str]:
        """Read the files; SettingsError for one that is missing or holds a short password."""
        files = {
            Role.OPERATOR: self.operator_password_file,
            Role.VIEWER: self.viewer_password_file,
        }
        return {role: _password(path) for role, path in files.items() if path is not None}


class Door:
    """Lets people in by password and knows them again by a cookie; for one process.

    Sessions are this process's own: a restart ends all of them. `clock` tells seconds; any that
    goes forward does.
    """

    def __init__(self, passwords: dict[Role, str], clock: Callable[[], float]) -> None:
        self._passwords, self._clock = passwords, clock
        self._sessions: dict[bytes, tuple[Role, float]] = {}
        self._wrong: deque[float] = deque(maxlen=WRONG_GUESSES)

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return not self._passwords

    @property
    def is_tired(self) -> bool:
        """Whether so many guesses were wrong within a minute that none is heard for now."""
        full = len(self._wrong) == WRONG_GUESSES
        return full and self._clock() - self._wrong[0] < GUESS_SECONDS

    def enter(self, name: str, password: str) -> Role | None:
        """Return the role of this name if it is its password."""
        if self.is_tired:
            return None
        given = password.encode()
        for role, known in self._passwords.items():
            if hmac.compare_digest(given, known.encode()) and name == role:
                return role
        self._wrong.append(self._clock())
        return None

    def session(self, role: Role) -> str:
        """Return what to put into the cookie."""
        now, made = self._clock(), secrets.token_urlsafe(32)
        self._sessions = {k: kept for k, kept in self._sessions.items() if now < kept[1]}
        self._sessions[_digest(made)] = (role, now + SESSION_SECONDS)
        return made

    def known(self, session: str) -> Role | None:
        """Return whose session it is, None for one that is over or not ours."""
        role, until = self._sessions.get(_digest(session), (None, 0.0))
        return role if self._clock() < until else None

    def leave(self, session: str) -> None:
        """End a session: whoever has a copy of the cookie is asked for the password again."""
        self._sessions.pop(_digest(session), None)

    def known_by_header(self, header: str) -> Role | None:
        """Return the role of an `Authorization: Basic …` header, as programs send it."""
        kind, _, encoded = header.partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self.enter(name, password)


def _digest(session: str) -> bytes:
    """How a session is kept: found by what cannot be guessed piece by piece."""
    return hashlib.sha256(session.encode()).digest()


def _password(path: Path) -> str:
    try:
        password = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"The password file {path} cannot be read: {why}.") from None
    if len(password) < _SHORTEST:
        raise SettingsError(
            f"The password in {path} is too short: at least {_SHORTEST} characters are expected."
        )
    return password
