"""The embedded Valkey: one for a folder, for its owner only, and nothing of it stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from trading_pipeline.adapters.embedded_valkey import EmbeddedValkey, running
from trading_pipeline.adapters.embedded_valkey.server import Place
from trading_pipeline.errors import AdapterError

PROGRAM = """
import sys
from pathlib import Path
from trading_pipeline.adapters.embedded_valkey import EmbeddedValkey
with EmbeddedValkey(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.readline()
"""


class User:
    """A process that uses the server of a folder until it is told to let go."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def url(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose server is gone when the test is over, whatever happened."""
    yield tmp_path / 'the "redis"'
    until(lambda: not pids_of(tmp_path))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def pids_of(folder: Path) -> dict[str, int]:
    """The keeper of the folder's server and the server, of those that live."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text()
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if "keeper.py" in words and str(folder) in words:
            found["keeper"] = int(process.name)
        elif "valkey-server" in words:
            found[f"child of {parent}"] = int(process.name)
    keeper = found.get("keeper")
    server = found.get(f"child of {keeper}")
    return {n: p for n, p in (("keeper", keeper), ("server", server)) if p}


def answers(url: str) -> bool:
    try:
        return bool(Redis.from_url(url, retry=Retry(NoBackoff(), 0)).ping())
    except (RedisError, OSError):
        return False


def test_it_answers_on_loopback_to_its_password_only_and_is_gone_afterwards(folder: Path) -> None:
    with EmbeddedValkey(folder) as server:
        redis = Redis.from_url(url := server.url)
        assert redis.config_get("bind")["bind"] == "127.0.0.1"
        said = json.loads((folder / "server.json").read_bytes())
        with pytest.raises(AuthenticationError):
            Redis(port=said["port"], retry=Retry(NoBackoff(), 0)).ping()
        assert pids_of(folder).keys() == {"keeper", "server"}
        for pid in pids_of(folder).values():
            for name in ("cmdline", "environ"):
                assert said["password"] not in Path(f"/proc/{pid}/{name}").read_text()
        assert (folder / "server.json").stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700

    assert not answers(url)
    assert (pids_of(folder), running(folder)) == ({}, None)
    assert not (folder / "server.json").exists()


def test_all_who_want_it_have_the_same_and_the_last_one_ends_it(folder: Path) -> None:
    users = [User(folder) for _ in range(3)]
    (url,) = {user.url for user in users}
    assert running(folder) == url

    for user in users[1:]:
        user.leave()
        assert answers(url)
    users[0].leave()

    assert not answers(url)
    assert pids_of(folder) == {}


def test_it_outlives_the_one_who_started_it_and_not_the_last_one_however_it_ends(
    folder: Path,
) -> None:
    first = User(folder)
    url = first.url
    with EmbeddedValkey(folder) as server:
        assert server.url == url
        first.kill()
        Redis.from_url(url).set("here", 1)

    assert pids_of(folder) == {}
    last = User(folder)
    assert Redis.from_url(again := last.url).get("here") == b"1", "what it held is in the folder"
    last.kill()
    until(lambda: not pids_of(folder))
    assert not answers(again)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of the killed")
def test_when_its_keeper_is_killed_the_next_user_has_a_new_one_with_what_it_held(
    folder: Path,
) -> None:
    with EmbeddedValkey(folder) as old:
        Redis.from_url(old.url).set("here", 1)
        os.kill(pids_of(folder)["keeper"], signal.SIGKILL)
        until(lambda: not old.is_there)
        with EmbeddedValkey(folder) as new:
            assert Redis.from_url(new.url).get("here") == b"1"
            assert new.url != old.url


def test_when_it_is_killed_itself_it_is_back_in_the_same_place_with_what_it_held(
    folder: Path,
) -> None:
    with EmbeddedValkey(folder) as server:
        Redis.from_url(server.url).set("here", 1)
        time.sleep(1.1)  # one that lives less than a second would not be started again
        os.kill(pids_of(folder)["server"], signal.SIGKILL)
        with EmbeddedValkey(folder) as found:  # waits for it
            assert found.url == server.url
            assert Redis.from_url(server.url).get("here") == b"1"


def test_a_file_of_others_or_of_another_folder_is_not_believed(folder: Path) -> None:
    with EmbeddedValkey(folder) as server:
        told = folder / "server.json"
        copy = folder.with_name("copy")
        copy.mkdir()
        (copy / "server.json").write_bytes(told.read_bytes())
        (copy / "server.json").chmod(0o600)
        assert running(copy) is None
        told.chmod(0o644)
        assert running(folder) is None
        told.chmod(0o600)
        assert running(folder) == server.url


def test_what_is_wrong_is_one_sentence(folder: Path) -> None:
    (folder.parent / "file").write_text("")
    with (
        pytest.raises(AdapterError, match="embedded Valkey"),
        EmbeddedValkey(folder.parent / "file"),
    ):
        pass
    damaged = folder / "aof"
    damaged.mkdir(parents=True)
    (damaged / "appendonly.aof.manifest").write_text("what is this")
    with pytest.raises(AdapterError, match=r"server\.log"), EmbeddedValkey(folder):
        pass
    assert not Place(1, "x").answers()
