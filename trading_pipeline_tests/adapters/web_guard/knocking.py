"""How tests knock at the door: a request, a WebSocket, a login, and a clock that stands."""

import asyncio
import json
from typing import Any

import httpx

from trading_pipeline.adapters.web_guard import Guard, Role

OPERATOR, VIEWER = "correct horse battery", "only looking here"
PASSWORDS = {Role.OPERATOR: OPERATOR, Role.VIEWER: VIEWER}
EVIL = "https://evil.example"
QUERY = {"query": "{ version }"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def mutation(key: str) -> str:
    return f'mutation {{ setConcurrencyLimit(concurrencyKey: "{key}", limit: 1) }}'


def ask(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    """One request; redirects are not followed."""

    async def asked() -> httpx.Response:
        client = (options.pop("peer", "127.0.0.1"), 40000)
        transport = httpx.ASGITransport(app=app, client=client)
        base = options.pop("base_url", "http://127.0.0.1:3000")
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **options)

    return asyncio.run(asked())


def log_in(app: Any, name: str, password: str, **options: Any) -> httpx.Response:
    return ask(app, "POST", "/login", data={"name": name, "password": password}, **options)


def limits(instance: Any) -> set[str]:
    return instance.event_log_storage.get_concurrency_keys()


def socket(headers: dict[str, str]) -> dict[str, Any]:
    """How a server tells an application of a WebSocket."""
    return {
        "type": "websocket",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }


def converse(guard: Guard, said: list[Any], **headers: str) -> list[Any]:
    """Say this over a WebSocket, after it was accepted, and return what was answered."""
    heard: list[Any] = [{"type": "websocket.connect"}]
    heard += [{"type": "websocket.receive", "text": json.dumps(each)} for each in said]
    heard += [{"type": "websocket.disconnect", "code": 1000}]
    answered: list[Any] = []

    async def receive() -> Any:
        return heard.pop(0)

    async def send(message: Any) -> None:
        answered.append(message)

    asyncio.run(guard(socket(headers), receive, send))
    return [json.loads(each["text"]) for each in answered if each["type"] == "websocket.send"]
