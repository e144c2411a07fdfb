"""A door in front of a web application that has none: login, names, origins, a view to look at.

Pure ASGI: what stands behind is any application. Every request and every WebSocket passes here;
`scope["state"]["role"]` tells the application who asks.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from functools import partial
from html import escape
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

from trading_pipeline.adapters.web_guard.access import SESSION_SECONDS, Door, Role, WebAccess
from trading_pipeline.adapters.web_guard.request import (
    Head,
    Refusal,
    refusal_of_form,
    refusal_of_origin,
    refusal_of_peer,
    refusal_of_role,
)

__all__ = ["Door", "Guard", "Role", "WebAccess"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE: Final = "trading_pipeline"
LOGIN, LOGOUT, HEALTH = "/login", "/logout", "/server_info"
LARGEST_BODY: Final = 1 << 20
LARGEST_LOGIN: Final = 4 << 10

_OUR_HEADERS: Final = (
    (b"x-frame-options", b"SAMEORIGIN"),  # else a page lays itself over ours and leads a click
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>trading_pipeline</title>
<style>
body {{ font: 16px system-ui; max-width: 20rem; margin: 20vh auto }}
input, select, button {{ font: inherit; width: 100%; margin: .3rem 0; padding: .5rem }}
p {{ color: #a00 }}
</style>
<h1>trading_pipeline</h1>
<form method="post">
<p>{said}</p>
{form}
</form></html>
"""
_TO_COME_IN: Final = """<label>I am
<select name="name"><option>operator<option>viewer</select></label>
<label>Password <input type="password" name="password" autofocus required
autocomplete="current-password"></label>
<button>Log in</button>"""
_TO_LEAVE: Final = "<button>Log out</button>"


class Guard:
    """Lets pass what may pass; everything else is answered here."""

    def __init__(
        self,
        application: Application,
        door: Door,
        *,
        hosts: Collection[str] = (),
        read_only: bool = False,
    ) -> None:
        """Stand before `application`, which `read_only` lets nobody change anything in."""
        self._application, self._door = application, door
        self._hosts = frozenset(host.lower() for host in hosts)
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._application(scope, receive, send)
            return
        head, send = Head.of(scope), partial(_with_our_headers, send)
        if refusal := self._refusal(head):
            await _refuse(head, refusal, send)
        elif head.path in {LOGIN, LOGOUT} and not self._door.is_open:
            await self._at_the_door(head, receive, send, secure=scope.get("scheme") == "https")
        elif role := self._role(head):
            await self._pass(scope, receive, send, role)
        elif head.path == HEALTH and head.is_safe:
            await self._application(scope, receive, send)
        elif head.is_safe and "text/html" in head.headers.get("accept", ""):
            await _answer(send, HTTPStatus.SEE_OTHER, headers={"location": LOGIN})
        else:
            await _refuse(head, Refusal(HTTPStatus.UNAUTHORIZED, "Log in first."), send)

    def _refusal(self, head: Head) -> Refusal | None:
        stranger = refusal_of_peer(head) if self._door.is_open else None
        return stranger or refusal_of_origin(head, self._hosts) or refusal_of_form(head)

    def _role(self, head: Head) -> Role | None:
        role = Role.OPERATOR if self._door.is_open else self._known(head)
        return Role.VIEWER if role and self._read_only else role

    def _known(self, head: Head) -> Role | None:
        if header := head.headers.get("authorization"):
            return self._door.known_by_header(header)
        return self._door.known(_session(head))

    async def _pass(self, scope: Scope, receive: Receive, send: Send, role: Role) -> None:
        head = Head.of(scope)
        scope.setdefault("state", {})["role"] = role
        if head.is_safe or head.is_socket or role is Role.OPERATOR:
            await self._application(scope, receive, send)
            return
        body = await _body(receive, LARGEST_BODY)
        if refusal := refusal_of_role(head, role, body):
            await _refuse(head, refusal, send)
            return
        await self._application(scope, _replay(body, receive), send)

    async def _at_the_door(self, head: Head, receive: Receive, send: Send, *, secure: bool) -> None:
        if head.method != "POST":
            form = _TO_COME_IN if head.path == LOGIN else _TO_LEAVE
            await _page(send, form)
            return
        if head.path == LOGOUT:
            self._door.leave(_session(head))
            gone = _cookie("", seconds=0, secure=secure)
            await _answer(send, HTTPStatus.SEE_OTHER, headers={"location": LOGIN, **gone})
            return
        form = parse_qs((await _body(receive, LARGEST_LOGIN)).decode("latin-1"))
        name, password = (form.get(key, [""])[0] for key in ("name", "password"))
        if role := self._door.enter(name, password):
            cookie = _cookie(self._door.session(role), seconds=SESSION_SECONDS, secure=secure)
            await _answer(send, HTTPStatus.SEE_OTHER, headers={"location": "/", **cookie})
        elif self._door.is_tired:
            said = "Too many wrong guesses: wait a minute."
            await _page(send, _TO_COME_IN, said, HTTPStatus.TOO_MANY_REQUESTS)
        else:
            said = "That is not the password."
            await _page(send, _TO_COME_IN, said, HTTPStatus.UNAUTHORIZED)


def _session(head: Head) -> str:
    """What stands in the cookie, nothing without one."""
    try:
        cookies = SimpleCookie(head.headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _cookie(value: str, *, seconds: int, secure: bool) -> dict[str, str]:
    ending = "; Secure" if secure else ""
    rules = f"Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{ending}"
    return {"set-cookie": f"{COOKIE}={value}; {rules}"}


async def _page(send: Send, form: str, said: str = "", status: HTTPStatus = HTTPStatus.OK) -> None:
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
        "form-action 'self'; frame-ancestors 'none'",
    }
    await _answer(send, status, _PAGE.format(form=form, said=escape(said)), headers)


async def _refuse(head: Head, refusal: Refusal, send: Send) -> None:
    if head.is_socket:
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.sentence})
        return
    await _answer(send, refusal.status, f"{refusal.sentence}\n")


async def _answer(
    send: Send, status: HTTPStatus, text: str = "", headers: Mapping[str, str] | None = None
) -> None:
    body = text.encode()
    standard = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    pairs = [(k.encode(), v.encode()) for k, v in (standard | dict(headers or {})).items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def _with_our_headers(send: Send, message: MutableMapping[str, Any]) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), *_OUR_HEADERS]
    await send(message)


async def _body(receive: Receive, largest: int) -> bytes:
    """The whole body; more than anyone needs to send counts as none, and is not waited for."""
    parts, size = list[bytes](), 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            return b""
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    return partial(_next_message, [{"type": "http.request", "body": body}], receive)


async def _next_message(
    waiting: list[MutableMapping[str, Any]], receive: Receive
) -> MutableMapping[str, Any]:
    return waiting.pop() if waiting else await receive()
