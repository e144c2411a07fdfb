"""The servers that other tests use: real, empty for each test, and never left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
from redis import Redis

START = """
import sys, time
from trading_pipeline_tests.servers import Postgres, Valkey
servers = [Postgres().start(), Valkey().start()]
print(*(server.port for server in servers), flush=True)
time.sleep(600)
"""


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_servers_die_with_a_process_that_is_killed() -> None:
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", START], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ports = [int(word) for word in process.stdout.readline().split()]
    assert len(ports) == 2
    assert all(answers(port) for port in ports)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 60
    while any(answers(port) for port in ports):
        assert time.monotonic() < end, "a server outlives the process that started it"
        time.sleep(0.05)


def test_each_test_has_an_empty_database(postgres_url: str) -> None:
    connection = psycopg2.connect(postgres_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)
        cursor.execute("CREATE TABLE left_behind (id INTEGER)")
    connection.close()


def test_the_next_test_has_another_one(postgres_url: str) -> None:
    test_each_test_has_an_empty_database(postgres_url)


def test_each_test_has_an_empty_redis(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_the_next_test_has_an_empty_one_too(redis_url: str) -> None:
    test_each_test_has_an_empty_redis(redis_url)
