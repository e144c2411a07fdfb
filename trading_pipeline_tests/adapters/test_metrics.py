"""Scrapes are answered with what is read at that moment, on loopback, in Prometheus's format."""

import socket
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trading_pipeline.adapters.metrics import Exporter, Metric, Sample, serving
from trading_pipeline.errors import SettingsError

METRICS = (
    Metric(name="nav_dollars", kind="gauge", meaning="What it is worth."),
    Metric(name="orders_total", kind="counter", meaning="Orders.", labels=("state",)),
    Metric(name="never", kind="gauge", meaning="Nothing is known of it."),
)


def scrape(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def test_a_scrape_tells_what_is_true_at_that_moment() -> None:
    nav = iter([100.0, 99.5])
    exporter = Exporter(
        METRICS,
        lambda: [
            Sample("nav_dollars", next(nav)),
            Sample("orders_total", 3, ("filled",)),
            Sample("orders_total", 1, ('odd "name"\n',)),
        ],
    )

    with serving(exporter, port=0) as port:
        first, second = scrape(port), scrape(port)

    found = {family.name: family for family in text_string_to_metric_families(second)}
    assert "nav_dollars 100.0" in first
    assert found["nav_dollars"].samples[0].value == 99.5
    assert found["nav_dollars"].documentation == "What it is worth."
    assert (found["orders"].type, len(found["orders"].samples)) == ("counter", 2)
    assert found["orders"].samples[1].labels == {"state": 'odd "name"\n'}
    assert "never" not in second


def test_a_scrape_that_fails_is_an_error_and_the_next_one_works() -> None:
    answers = iter([RuntimeError("no"), [Sample("nav_dollars", 1)]])

    def read() -> list[Sample]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with serving(Exporter(METRICS, read), port=0) as port:
        with pytest.raises(HTTPError):
            scrape(port)
        assert "nav_dollars 1.0" in scrape(port)


def test_it_listens_on_this_machine_only() -> None:
    with serving(Exporter(METRICS, list), port=0) as port, socket.socket() as other:
        other.settimeout(1)
        outside = socket.gethostbyname_ex(socket.gethostname())[2]
        for address in {*outside, "127.0.0.2"} - {"127.0.0.1"}:
            with pytest.raises(OSError):  # noqa: PT011 - refused, or no such address here
                socket.create_connection((address, port), 1).close()


def test_a_page_whose_name_was_pointed_at_this_machine_reads_nothing() -> None:
    with serving(Exporter(METRICS, list), port=0) as port:
        for host in (f"evil.example:{port}", "evil.example", "", f"localhost.evil.example:{port}"):
            with pytest.raises(HTTPError, match="421"):
                urlopen(Request(f"http://127.0.0.1:{port}/metrics", headers={"Host": host}))
        for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
            urlopen(Request(f"http://127.0.0.1:{port}/metrics", headers={"Host": host})).close()


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"127.0.0.1:{port} cannot be listened on"),
            serving(Exporter(METRICS, list), port=port),
        ):
            pass
