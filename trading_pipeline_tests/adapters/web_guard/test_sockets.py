"""A WebSocket is judged as a request is, and changes nothing either."""

import asyncio
from contextlib import suppress
from typing import Any

from trading_pipeline.adapters.web_guard import Door, Guard, Role
from trading_pipeline_tests.adapters.web_guard.knocking import (
    EVIL,
    PASSWORDS,
    Clock,
    converse,
    limits,
    socket,
)


def test_a_socket_is_judged_as_a_request_is(clock: Clock) -> None:
    passed: list[Role] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope["state"]["role"])

    async def knock(**headers: str) -> list[Any]:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        door = Door(PASSWORDS, clock)
        known = {**headers, "cookie": f"trading_pipeline={door.session(Role.VIEWER)}"}
        scope = socket(headers if "anonymous" in headers else known)
        await Guard(application, door)(scope, None, send)  # pyright: ignore[reportArgumentType]
        return said

    assert asyncio.run(knock(host="localhost:3000", origin="http://localhost:3000")) == []
    assert passed == [Role.VIEWER]
    for headers in (
        {"host": "localhost:3000", "origin": EVIL},
        {"host": "evil.example"},
        {"host": "localhost", "anonymous": "yes"},
    ):
        (closed,) = asyncio.run(knock(**headers))
        assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert passed == [Role.VIEWER]


def test_no_subscription_is_a_mutation_in_disguise(dagster: tuple[Any, Any], clock: Clock) -> None:
    """Over a WebSocket to the real Dagster, where no body is looked at."""
    application, instance = dagster
    door = Door(PASSWORDS, clock)
    change = 'setConcurrencyLimit(concurrencyKey: "w", limit: 1)'
    listen = "subscription S { locationStateChangeEvents { __typename } }"
    tried = [
        {"query": f"mutation {{ {change} }}"},
        {"query": f"mutation {{ __typename {change} }}"},
        {"query": f"mutation {{ locationStateChangeEvents {{ __typename }} {change} }}"},
        {"query": f"{listen} mutation M {{ {change} }}", "operation_name": "M"},
        {"query": f"subscription {{ ...M }} fragment M on Mutation {{ {change} }}"},
    ]
    cookie = f"trading_pipeline={door.session(Role.OPERATOR)}"
    for payload in tried:
        said = [{"type": "start", "id": "1", "payload": payload}]
        answers = list[Any]()
        with suppress(TypeError):  # Dagster falls over the second
            answers = converse(Guard(application, door), said, host="localhost", cookie=cookie)
        assert [each["type"] for each in answers] in (["error"], []), payload

    assert "w" not in limits(instance)
