"""Nobody gets past the door who should not: the real Dagster stands behind it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from trading_pipeline.adapters.web_guard import Door, Guard, Role, WebAccess
from trading_pipeline.adapters.web_guard.access import GUESS_SECONDS, SESSION_SECONDS, WRONG_GUESSES
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings

OPERATOR, VIEWER = "correct horse battery", "only looking here"
PASSWORDS = {Role.OPERATOR: OPERATOR, Role.VIEWER: VIEWER}
EVIL = "https://evil.example"
QUERY = {"query": "{ version }"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def dagster() -> Iterator[tuple[Any, Any]]:
    """Dagster's web application without any code, and its instance."""
    import dagster as dg  # noqa: PLC0415 - heavy: on first use
    from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC0415
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget  # noqa: PLC0415

    from trading_pipeline.web_pages import Pages  # noqa: PLC0415

    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace,
    ):
        yield Pages(workspace).create_asgi_app(), instance


@pytest.fixture
def clock() -> Clock:
    return Clock()


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


ATTACKS = {
    "a link": ("GET", {"params": {"query": mutation("a")}}),
    "a link in a page": (
        "GET",
        {"params": {"query": mutation("b")}, "headers": {"accept": "image/*", "origin": EVIL}},
    ),
    "a form": (
        "POST",
        {"params": {"query": mutation("c")}, "data": {"x": "y"}, "headers": {"origin": EVIL}},
    ),
    "a form without origin": ("POST", {"params": {"query": mutation("d")}, "data": {"x": "y"}}),
    "plain text": ("POST", {"content": mutation("e"), "headers": {"content-type": "text/plain"}}),
    "the old media type": (
        "POST",
        {"content": mutation("f"), "headers": {"content-type": "application/graphql"}},
    ),
    "a script of another page": (
        "POST",
        {"json": {"query": mutation("g")}, "headers": {"origin": EVIL}},
    ),
    "a sandboxed page": (
        "POST",
        {"json": {"query": mutation("h")}, "headers": {"origin": "null"}},
    ),
    "another name": (
        "POST",
        {"json": {"query": mutation("i")}, "base_url": "http://evil.example:3000"},
    ),
    "another port's page": (
        "POST",
        {"json": {"query": mutation("j")}, "headers": {"origin": "http://127.0.0.1:8000"}},
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_page_can_make_a_browser_change_anything(
    dagster: tuple[Any, Any], clock: Clock, attack: str
) -> None:
    application, instance = dagster
    method, options = ATTACKS[attack]

    answer = ask(Guard(application, Door({}, clock)), method, "/graphql", **options)

    assert answer.status_code in {403, 405, 415, 421}, answer.text
    assert limits(instance) <= {"bare", "mine"}


def test_without_the_guard_a_link_does(dagster: tuple[Any, Any]) -> None:
    application, instance = dagster

    async def unguarded(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["role"] = Role.OPERATOR
        await application(scope, receive, send)

    ask(unguarded, "GET", "/graphql", params={"query": mutation("bare")}, headers={"origin": EVIL})

    assert "bare" in limits(instance)


def test_the_pages_own_requests_pass(dagster: tuple[Any, Any], clock: Clock) -> None:
    application, instance = dagster
    guard = Guard(application, Door({}, clock))
    own = {"origin": "http://127.0.0.1:3000"}

    answer = ask(guard, "POST", "/graphql", json={"query": mutation("mine")}, headers=own)

    assert answer.status_code == 200
    assert "mine" in limits(instance)
    assert ask(guard, "GET", "/").status_code == 200


def test_without_a_password_no_other_machine_is_answered(
    dagster: tuple[Any, Any], clock: Clock
) -> None:
    """Whatever name it says it asks for, and however Dagster was told to listen."""
    open_door, locked = (
        Guard(dagster[0], Door({}, clock)),
        Guard(dagster[0], Door(PASSWORDS, clock)),
    )

    for peer, code in {"192.0.2.7": 403, "::ffff:192.0.2.7": 403, "x": 403, "::1": 200}.items():
        assert ask(open_door, "POST", "/graphql", json=QUERY, peer=peer).status_code == code, peer
        assert ask(open_door, "GET", "/server_info", peer=peer).status_code == code, peer
    auth = ("operator", OPERATOR)
    answer = ask(locked, "POST", "/graphql", json=QUERY, peer="192.0.2.7", auth=auth)
    assert answer.status_code == 200


def test_nobody_sees_anything_before_logging_in(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock))

    assert ask(guard, "POST", "/graphql", json=QUERY).status_code == 401
    assert ask(guard, "GET", "/logs/a/b.err").status_code == 401
    page = ask(guard, "GET", "/runs", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/login")
    assert "<form" in ask(guard, "GET", "/login").text
    assert ask(guard, "GET", "/server_info").status_code == 200


def test_who_logs_in_works_until_the_session_ends(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock))
    answer = log_in(guard, "operator", OPERATOR)
    cookie = answer.headers["set-cookie"]
    kept = {"cookie": cookie.partition(";")[0]}

    assert answer.status_code == 303
    assert "HttpOnly; SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert ask(guard, "POST", "/graphql", json=QUERY, headers=kept).status_code == 200
    clock.now += SESSION_SECONDS
    assert ask(guard, "POST", "/graphql", json=QUERY, headers=kept).status_code == 401


def test_a_session_cannot_be_made_up(dagster: tuple[Any, Any], clock: Clock) -> None:
    door = Door(PASSWORDS, clock)
    guard, session = Guard(dagster[0], door), door.session(Role.VIEWER)
    others = Door(PASSWORDS, clock).session(Role.OPERATOR)

    for made_up in (session.replace("viewer", "operator"), session[:-1], "", ".", "é", others):
        headers = {"cookie": f"trading_pipeline={made_up}".encode()}
        assert ask(guard, "POST", "/graphql", json=QUERY, headers=headers).status_code == 401


def test_over_tls_the_cookie_is_for_tls_only(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock))

    answer = log_in(guard, "operator", OPERATOR, base_url="https://127.0.0.1")

    assert "Secure" in answer.headers["set-cookie"]


def test_a_viewer_sees_everything_and_changes_nothing(
    dagster: tuple[Any, Any], clock: Clock
) -> None:
    application, instance = dagster
    guard = Guard(application, Door(PASSWORDS, clock))
    auth = ("viewer", VIEWER)
    permissions = {"query": "{ permissions { permission value } }"}

    def put(body: Any) -> int:
        return ask(guard, "POST", "/graphql", json=body, auth=auth).status_code

    granted = ask(guard, "POST", "/graphql", json=permissions, auth=auth).json()["data"]
    assert not any(each["value"] for each in granted["permissions"])
    assert put(QUERY) == 200
    assert put({"query": mutation("v")}) == 403
    two = f"query Q {{ version }} {mutation('v').replace('mutation', 'mutation M')}"
    assert put({"query": two, "operationName": "M"}) == 403
    assert put([{"query": mutation("v")}]) == 403
    assert ask(guard, "POST", "/report_asset_materialization/a", auth=auth).status_code == 403
    assert "v" not in limits(instance)


def test_read_only_is_for_everyone(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock), read_only=True)
    auth = ("operator", OPERATOR)

    answer = ask(guard, "POST", "/graphql", json={"query": mutation("r")}, auth=auth)

    assert answer.status_code == 403
    assert ask(guard, "POST", "/graphql", json=QUERY, auth=auth).status_code == 200


def test_guessing_is_slow(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock))

    for _ in range(WRONG_GUESSES - 1):
        assert log_in(guard, "operator", VIEWER).status_code == 401
    assert log_in(guard, "operator", "x").status_code == 429
    assert log_in(guard, "operator", OPERATOR).status_code == 429
    clock.now += GUESS_SECONDS
    assert log_in(guard, "operator", OPERATOR).status_code == 303


def test_a_socket_is_judged_as_a_request_is(clock: Clock) -> None:
    passed: list[Role] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope["state"]["role"])

    async def knock(**headers: str) -> list[Any]:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        scope = {
            "type": "websocket",
            "path": "/graphql",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }
        door = Door(PASSWORDS, clock)
        known = {**headers, "cookie": f"trading_pipeline={door.session(Role.VIEWER)}"}
        if "anonymous" not in headers:
            scope["headers"] = [(k.encode(), v.encode()) for k, v in known.items()]
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


def test_passwords_are_read_from_files_and_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, short = tmp_path / "good", tmp_path / "short"
    good.write_text(f"{OPERATOR}\n")
    short.write_text("secret")
    monkeypatch.setenv("TP_WEB__OPERATOR_PASSWORD_FILE", str(good))
    monkeypatch.setenv("TP_WEB__HOSTS", "trading.example,other")

    web = Settings.load(home=tmp_path).web

    assert web.passwords() == {Role.OPERATOR: OPERATOR}
    assert web.hosts == ("trading.example", "other")
    for path, said in ((short, "too short"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(SettingsError, match=said) as refused:
            WebAccess(viewer_password_file=path).passwords()
        assert "secret" not in str(refused.value)


def test_a_name_of_ours_is_known_with_and_without_a_port(
    dagster: tuple[Any, Any], clock: Clock
) -> None:
    guard = Guard(dagster[0], Door({}, clock), hosts=("Trading.Example",))

    for base in ("http://trading.example", "http://[::1]:3000", "http://LOCALHOST:1"):
        assert ask(guard, "POST", "/graphql", json=QUERY, base_url=base).status_code == 200
    for host in ("trading.example.evil", "", "localhost, localhost", "[::1"):
        headers = {"host": host}
        answer = ask(guard, "POST", "/graphql", content=json.dumps(QUERY), headers=headers)
        assert answer.status_code == 421, host
