"""Who may only look changes nothing, however it is said."""

import json
from typing import Any

from trading_pipeline.adapters.web_guard import Door, Guard
from trading_pipeline_tests.adapters.web_guard.knocking import (
    OPERATOR,
    PASSWORDS,
    QUERY,
    VIEWER,
    Clock,
    ask,
    limits,
    mutation,
)

ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")


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
    assert put({"query": "subscription { locationStateChangeEvents { __typename } }"}) == 403
    raw = {
        "a key that comes twice": '{"query": "{ version }", "query": "mutation { a }"}',
        "nested too deep": "[" * 100_000,
        "a query nested too deep": json.dumps({"query": "{" * 100_000}),
        "too many words": json.dumps({"query": f"{{ {'version ' * 60_000} }}"}),
        "too long": json.dumps({"query": "{ version }" + " " * (1 << 20)}),
        **{form: json.dumps({"query": mutation("v")}).encode(form) for form in ENCODINGS},
    }
    for name, content in raw.items():
        headers = {"content-type": "application/json"}
        answer = ask(guard, "POST", "/graphql", content=content, auth=auth, headers=headers)
        assert answer.status_code == 403, name
    for path in ("//graphql", "/%67raphql", "/graphql/", "/GRAPHQL", "/x/../graphql", "/graphql;x"):
        answer = ask(guard, "POST", path, json={"query": mutation("v")}, auth=auth)
        assert answer.status_code == 403, path
    assert ask(guard, "POST", "/report_asset_materialization/a", auth=auth).status_code == 403
    assert "v" not in limits(instance)


def test_read_only_is_for_everyone(dagster: tuple[Any, Any], clock: Clock) -> None:
    guard = Guard(dagster[0], Door(PASSWORDS, clock), read_only=True)
    auth = ("operator", OPERATOR)

    answer = ask(guard, "POST", "/graphql", json={"query": mutation("r")}, auth=auth)

    assert answer.status_code == 403
    assert ask(guard, "POST", "/graphql", json=QUERY, auth=auth).status_code == 200
