"""What a request is, and whether it may pass: decided on its head and, for GraphQL, its body."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import parse_qs

from trading_pipeline.adapters.web_guard.access import Role

LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE: Final = frozenset({"GET", "HEAD"})
_OUR_PAGES: Final = frozenset({"same-origin", "none", None})
_HOST: Final = re.compile(r"(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::[0-9]{1,5})?", re.IGNORECASE)
_MOST_TOKENS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request does not pass."""

    status: HTTPStatus
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a request; header names are in lower case.

    `is_socket` is a WebSocket's; `peer` is the address that asks, None over a socket of files.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    is_socket: bool
    peer: str | None

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "Head":
        """Read it from an ASGI scope; a header that comes twice is both, and so fits nothing."""
        headers: dict[str, str] = {}
        for key, value in scope["headers"]:
            name, text = key.decode("latin-1").lower(), value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        return cls(
            method=scope.get("method", "GET"),
            path=scope["path"],
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=headers,
            is_socket=scope["type"] == "websocket",
            peer=(scope.get("client") or (None,))[0],
        )

    @property
    def is_graphql(self) -> bool:
        """Whether it is put to the GraphQL endpoint."""
        return self.path.rstrip("/").endswith("/graphql")

    @property
    def is_safe(self) -> bool:
        """Whether by its method it changes nothing."""
        return self.method in _SAFE


def refusal_of_peer(head: Head) -> Refusal | None:
    """Refuse another machine: for a door that asks nobody for a password."""
    if head.peer is None or _is_this_machine(head.peer):
        return None
    return Refusal(
        HTTPStatus.FORBIDDEN,
        "Without TP_WEB__OPERATOR_PASSWORD_FILE only this machine itself is answered.",
    )


def refusal_of_origin(head: Head, hosts: Collection[str]) -> Refusal | None:
    """Refuse a name we are not reached under, and another site's page that talks to us.

    The first keeps out a page whose name was pointed at this machine, the second one that is open
    in somebody's browser. Programs send no Origin.
    """
    host = head.headers.get("host", "").lower()
    if _name(host) not in LOCAL.union(hosts):
        return Refusal(HTTPStatus.MISDIRECTED_REQUEST, "This is not reached under that name.")
    origin = head.headers.get("origin")
    if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}:
        return Refusal(HTTPStatus.FORBIDDEN, "Another site's page may not ask for that.")
    if origin is None and not head.is_safe and head.headers.get("sec-fetch-site") not in _OUR_PAGES:
        return Refusal(HTTPStatus.FORBIDDEN, "Another site's page may not ask for that.")
    return None


def refusal_of_form(head: Head) -> Refusal | None:
    """Refuse GraphQL by any other way than a POST of JSON.

    Dagster would carry out a mutation that stands in a link or that a form of any page posts.
    """
    if not head.is_graphql or head.is_socket:
        return None
    if "query" in parse_qs(head.query, keep_blank_values=True):
        return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL is put by POST, in the body.")
    if head.is_safe:
        return None
    # As Dagster reads it: in capitals it would look for another kind of body.
    kind = head.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "GraphQL is put as application/json.")
    return None


def refusal_of_role(head: Head, role: Role, body: bytes) -> Refusal | None:
    """Refuse whoever may only look everything that is not a query."""
    if role is Role.OPERATOR or head.is_safe or head.is_socket:
        return None
    if head.is_graphql and _only_queries(body):
        return None
    return Refusal(HTTPStatus.FORBIDDEN, "You may look, and change nothing.")


def _only_queries(body: bytes) -> bool:
    # heavy: on first use
    from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse  # noqa: PLC0415

    try:
        said = json.loads(body)
        document = parse(said["query"], max_tokens=_MOST_TOKENS)
    except (ValueError, TypeError, KeyError, RecursionError, GraphQLError):
        return False
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    return all(each.operation is OperationType.QUERY for each in operations)


def _is_this_machine(address: str) -> bool:
    try:
        known = ip_address(address)
    except ValueError:
        return False
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return (mapped or known).is_loopback


def _name(host: str) -> str:
    """The host without its port; of an IPv6 address without the brackets; else nothing."""
    found = _HOST.fullmatch(host)
    return found[1] or found[2] if found else ""
