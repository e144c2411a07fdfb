"""Metrics for Prometheus: declared as values, read when they are scraped, served over HTTP."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from trading_pipeline.errors import SettingsError

LOOPBACK: Final = "127.0.0.1"
_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

Family = CounterMetricFamily | GaugeMetricFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric's full name, what it means and in which unit, and the names of its labels.

    A counter only grows, over restarts too, since it is counted in the ledger; its name ends in
    `_total`.
    """

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """The value of a metric for one combination of its labels' values."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Exporter(Collector):
    """Puts the question to `read` at every scrape; nothing is kept between two of them."""

    def __init__(self, metrics: Sequence[Metric], read: Callable[[], Iterable[Sample]]) -> None:
        self._metrics, self._read = metrics, read

    def describe(self) -> Iterator[Family]:
        """The families without samples, so that registering asks nothing."""
        return (_family(metric) for metric in self._metrics)

    def collect(self) -> Iterator[Family]:
        """Every family that has samples, in the order of the declaration."""
        families = {metric.name: _family(metric) for metric in self._metrics}
        for sample in self._read():
            families[sample.name].add_metric(sample.labels, sample.value)
        return (family for family in families.values() if family.samples)


@contextmanager
def serving(exporter: Exporter, *, host: str = LOOPBACK, port: int) -> Iterator[int]:
    """Answer scrapes at `/metrics` until the block ends; gives the port, a free one for 0.

    On this machine's own address nothing is answered under another name: a web page whose name was
    pointed here could read it. SettingsError when the port is taken.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SettingsError(f"{host}:{port} cannot be listened on: {error.strerror}.") from error
    if host == LOOPBACK:
        server.set_app(_of_this_machine(server.get_app()))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _of_this_machine(application: Any) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    def guarded(environment: dict[str, Any], begin: Any) -> Iterable[bytes]:
        if environment.get("HTTP_HOST", "").lower().rpartition(":")[0] in _NAMES:
            return application(environment, begin)
        begin("421 Misdirected Request", [("Content-Type", "text/plain")])
        return [b"This is not reached under that name.\n"]

    return guarded


def _family(metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.meaning, labels=metric.labels)
