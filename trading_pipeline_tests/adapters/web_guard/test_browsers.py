"""What another page makes a browser ask for does not pass: the real Dagster is behind."""

import json
from typing import Any

import pytest

from trading_pipeline.adapters.web_guard import Door, Guard, Role
from trading_pipeline_tests.adapters.web_guard.knocking import (
    EVIL,
    OPERATOR,
    PASSWORDS,
    QUERY,
    Clock,
    ask,
    limits,
    mutation,
)

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
    "another port's page that hides its origin": (
        "POST",
        {"json": {"query": mutation("k")}, "headers": {"sec-fetch-site": "same-site"}},
    ),
    "a word of a browser that nobody knows": (
        "POST",
        {"json": {"query": mutation("l")}, "headers": {"sec-fetch-site": "CROSS-SITE"}},
    ),
    "an origin that is none": (
        "POST",
        {"json": {"query": mutation("m")}, "headers": {"origin": "http://[::1"}},
    ),
    "a media type that Dagster reads otherwise": (
        "POST",
        {
            "content": mutation("n"),
            "headers": {"content-type": "Application/JSON; application/graphql"},
        },
    ),
    "two names": (
        "POST",
        {
            "content": json.dumps({"query": mutation("o")}),
            "headers": [
                ("content-type", "application/json"),
                ("host", "127.0.0.1:3000"),
                ("host", "evil.example"),
            ],
        },
    ),
    "two media types": (
        "POST",
        {
            "content": mutation("p"),
            "headers": [
                ("content-type", "application/json"),
                ("content-type", "application/graphql"),
            ],
        },
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


def test_no_other_page_can_show_ours_within_it(dagster: tuple[Any, Any], clock: Clock) -> None:
    """Else one that lies over it leads a click to a button of ours."""
    for door in (Door({}, clock), Door(PASSWORDS, clock)):
        for path in ("/", "/login", "/server_info", "/graphql"):
            answer = ask(Guard(dagster[0], door), "GET", path, headers={"accept": "text/html"})
            assert answer.headers.get_list("x-frame-options") == ["SAMEORIGIN"], path
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"


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


NOT_OURS = (
    "trading.example.evil",
    "",
    "localhost, localhost",
    "localhost:3000, evil.example",
    "[::1",
    "evil.example@localhost",
    "localhost@evil.example",
    "localhost/evil.example",
    "localhost#",
    "localhost:port",
    "localhost.",
    "127.1",
    "0.0.0.0:3000",
    "[::ffff:127.0.0.1]",
)


def test_a_name_of_ours_is_known_with_and_without_a_port(
    dagster: tuple[Any, Any], clock: Clock
) -> None:
    guard = Guard(dagster[0], Door({}, clock), hosts=("Trading.Example",))

    for base in ("http://trading.example", "http://[::1]:3000", "http://LOCALHOST:1"):
        assert ask(guard, "POST", "/graphql", json=QUERY, base_url=base).status_code == 200
    for host in NOT_OURS:
        headers = {"host": host}
        answer = ask(guard, "POST", "/graphql", content=json.dumps(QUERY), headers=headers)
        assert answer.status_code == 421, host
