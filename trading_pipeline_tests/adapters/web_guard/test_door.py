"""Who has no password stays outside, and who leaves is out."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.web_guard import Door, Guard, Role, WebAccess
from trading_pipeline.adapters.web_guard.access import GUESS_SECONDS, SESSION_SECONDS, WRONG_GUESSES
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.adapters.web_guard.knocking import (
    EVIL,
    OPERATOR,
    PASSWORDS,
    QUERY,
    VIEWER,
    Clock,
    ask,
    log_in,
)


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

    for made_up in (f"{session}A", session[:-1], session.swapcase(), "", ".", "é", others):
        headers = {"cookie": f"trading_pipeline={made_up}".encode()}
        assert ask(guard, "POST", "/graphql", json=QUERY, headers=headers).status_code == 401


def test_who_leaves_takes_every_copy_of_the_cookie_along(
    dagster: tuple[Any, Any], clock: Clock
) -> None:
    """By a button only: a link of another page puts nobody out."""
    guard = Guard(dagster[0], Door(PASSWORDS, clock))
    kept, others = (
        {"cookie": log_in(guard, "viewer", VIEWER).headers["set-cookie"].partition(";")[0]}
        for _ in range(2)
    )

    assert "<button>Log out" in ask(guard, "GET", "/logout", headers=kept).text
    evil = {**kept, "origin": EVIL}
    assert ask(guard, "POST", "/logout", headers=evil).status_code == 403
    assert ask(guard, "POST", "/graphql", json=QUERY, headers=kept).status_code == 200
    gone = ask(guard, "POST", "/logout", headers=kept)
    assert (gone.status_code, gone.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in gone.headers["set-cookie"]
    assert ask(guard, "POST", "/graphql", json=QUERY, headers=kept).status_code == 401
    assert ask(guard, "POST", "/graphql", json=QUERY, headers=others).status_code == 200


def test_a_login_is_small_and_the_rest_is_not_waited_for(
    dagster: tuple[Any, Any], clock: Clock
) -> None:
    """Who has no password cannot keep the server busy with reading."""
    read: list[int] = []

    async def endless() -> dict[str, Any]:
        read.append(1)
        return {"type": "http.request", "body": b"a&" * 1024, "more_body": True}

    async def said(message: Any) -> None:
        answered.append(message)

    answered: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/login",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(Guard(dagster[0], Door(PASSWORDS, clock))(scope, endless, said))

    assert answered[0]["status"] == 401
    assert len(read) == 3


def test_over_tls_the_cookie_is_for_tls_only(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock))

    answer = log_in(guard, "operator", OPERATOR, base_url="https://127.0.0.1")

    assert "Secure" in answer.headers["set-cookie"]


def test_guessing_is_slow(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock))

    for _ in range(WRONG_GUESSES - 1):
        assert log_in(guard, "operator", VIEWER).status_code == 401
    assert log_in(guard, "operator", "x").status_code == 429
    assert log_in(guard, "operator", OPERATOR).status_code == 429
    clock.now += GUESS_SECONDS
    assert log_in(guard, "operator", OPERATOR).status_code == 303


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
