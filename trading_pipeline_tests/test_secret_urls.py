"""A URL that cannot be used is refused in words that repeat no part of its password."""

import traceback
from collections.abc import Callable

import pytest

from trading_pipeline.adapters.databases import ensure_database
from trading_pipeline.adapters.ledger.engine import normalized
from trading_pipeline.adapters.live_store import RedisLink
from trading_pipeline.defs.run_workers import application
from trading_pipeline.errors import SettingsError
from trading_pipeline.instance_storage import postgres_url

REDIS = (RedisLink, application)
DATABASES = (normalized, ensure_database, postgres_url)
BROKEN = {
    "redis": (
        "redis://:planted/secret@127.0.0.1:1/0",
        "redis://:planted#secret@127.0.0.1:1/0",
        "redis://:planted[secret@127.0.0.1:1/0",
        "redis://:plantedsecret@127.0.0.1:port/0",
        "ftp://:plantedsecret@127.0.0.1/0",
        "plantedsecret",
    ),
    "postgresql": (
        "postgresql://ada:planted@secret@127.0.0.1/x",
        "postgresql://ada:plantedsecret@127.0.0.1:port/x",
        "postgresql:/plantedsecret",
        "[plantedsecret",
    ),
}
CASES = [(read, url) for read in REDIS for url in BROKEN["redis"]]
CASES += [(read, url) for read in DATABASES for url in BROKEN["postgresql"]]


@pytest.mark.parametrize(("read", "url"), CASES)
def test_nothing_of_a_password_is_told(read: Callable[[str], object], url: str) -> None:
    """Neither in the sentence nor in what Dagster keeps of it, which has the causes too."""
    with pytest.raises(SettingsError) as refused:
        read(url)

    told = "".join(traceback.format_exception_only(refused.value)) + repr(refused.value.__cause__)
    assert "planted" not in told
    assert "secret" not in told.replace("TP_", "")
