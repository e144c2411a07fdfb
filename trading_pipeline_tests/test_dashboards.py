"""Dashboards and the way of log lines, as far as it can be judged without Grafana and Loki.

Neither is at hand here: Prometheus itself reads the dashboards' expressions, and the rest is held
to what it refers to.
"""

import itertools
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._utils.log import get_structlog_json_formatter

from trading_pipeline.flows.metrics import METRICS
from trading_pipeline.logs import JsonFormatter
from trading_pipeline_tests.test_observability import DASHBOARDS, DEPLOY, run, tool

KINDS = {"stat", "timeseries", "state-timeline", "table", "bargauge", "logs"}
LABELS_OF_A_LINE = {"service", "level"}


def targets(kind: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What the panels ask a kind of source, with the dashboard they stand on."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == kind:
                    yield path, target


def test_prometheus_understands_every_expression_of_the_dashboards(tmp_path: Path) -> None:
    shown = [
        {"record": f"panel:{path.stem}:{number}", "expr": target["expr"]}
        for number, (path, target) in enumerate(targets("prometheus"))
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": shown}]}))

    run(tool("promtool"), "check", "rules", file)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_laid_out_and_asks_a_source_there_is(path: Path) -> None:
    found = DEPLOY / "grafana/provisioning/datasources/datasources.yml"
    sources = {
        each["uid"]: each["type"] for each in yaml.safe_load(found.read_text())["datasources"]
    }
    board, taken = json.loads(path.read_text()), set[tuple[int, int]]()
    for panel in board["panels"]:
        place, source = panel["gridPos"], panel["datasource"]
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["type"] in KINDS
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert sources[source["uid"]] == source["type"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(references) == len(set(references))
    assert board["schemaVersion"] >= 39
    assert (board["refresh"], board["timezone"]) == ("10s", "America/New_York")


def test_a_figure_that_is_good_when_it_is_nothing_is_shown_as_nothing() -> None:
    """A sum over no series is empty, which looks like a dashboard that is broken."""
    for path, target in targets("prometheus"):
        if target["expr"].startswith(("sum(trading_pipeline_orders", "count(")):
            assert " or on () (0 * " in target["expr"], f"{path.stem}: {target['expr']}"


def test_lines_are_asked_for_by_the_labels_they_have() -> None:
    asked = [target["expr"] for _, target in targets("loki")]
    levels = {logging.getLevelName(level).lower() for level in (10, 20, 30, 40, 50)}

    assert asked
    for expression in asked:
        (selector,) = re.findall(r"\{([^}]*)\}", expression)
        matchers = dict(re.findall(r'(\w+)=~"([^"]*)"', selector))
        assert matchers.keys() == LABELS_OF_A_LINE
        assert set(matchers["level"].split("|")) <= levels | {".+"}


def test_a_label_of_ours_is_not_taken_by_prometheus() -> None:
    """Without it `job` is the name of the scrape, and no rule about a job ever fires."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (ours,) = [job for job in config["scrape_configs"] if job["job_name"] == "trading_pipeline"]

    assert {"job"} <= {label for metric in METRICS for label in metric.labels}
    assert ours["honor_labels"] is True


def test_lines_are_kept_for_thirty_days_and_then_deleted() -> None:
    loki = yaml.safe_load((DEPLOY / "loki/loki.yml").read_text())

    assert loki["analytics"] == {"reporting_enabled": False}
    assert loki["limits_config"]["discover_service_name"] == [], "no third label"
    assert loki["limits_config"]["retention_period"] == f"{30 * 24}h"
    assert loki["compactor"]["retention_enabled"] is True
    assert (
        loki["compactor"]["delete_request_store"]
        == loki["schema_config"]["configs"][-1]["object_store"]
    )


def test_the_way_of_a_line_to_loki_has_no_gap() -> None:
    text = re.sub(r"//.*", "", (DEPLOY / "alloy/config.alloy").read_text().replace("://", ":\\"))
    made = {".".join(names) for names in re.findall(r'(?m)^([\w.]+) "(\w+)" \{$', text)}
    used = re.findall(r"\b((?:discovery|loki)\.[\w.]+)\.(?:targets|output|receiver)\b", text)
    loki = yaml.safe_load((DEPLOY / "loki/loki.yml").read_text())

    assert text.count("{") == text.count("}")
    assert set(used) == made - {"loki.source.docker.lines"}
    assert f"loki:{loki['server']['http_listen_port']}/loki/api/v1/push" in text
    assert re.findall(r"stage\.labels \{\s*values = \{(\w+)", text) == ["level"]


@pytest.mark.parametrize(
    "formatter", [JsonFormatter(), get_structlog_json_formatter()], ids=["ours", "dagster"]
)
def test_what_is_read_of_a_line_stands_in_it(formatter: logging.Formatter) -> None:
    text = (DEPLOY / "alloy/config.alloy").read_text()
    (said,) = re.findall(r"expressions = \{(.*)\}", text)
    record = logging.makeLogRecord({"levelname": "ERROR", "levelno": logging.ERROR, "name": "x"})
    line = json.loads(formatter.format(record))

    assert set(re.findall(r'= "(\w+)"', said)) == {"level", "timestamp"} <= line.keys()
    assert line["level"].lower() == "error"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line["timestamp"])
    assert "ToLower" in text


def test_what_is_mounted_is_there_and_who_is_scraped_is_started() -> None:
    compose = yaml.safe_load((DEPLOY.parents[1] / "docker-compose.yml").read_text())
    prometheus = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    mounts = [
        mount.split(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]
    targets = [
        target.split(":")[0]
        for job in prometheus["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    ]

    assert mounts
    assert all((DEPLOY.parents[1] / mount).is_dir() for mount in mounts)
    assert set(targets) - {"localhost"} <= compose["services"].keys()
