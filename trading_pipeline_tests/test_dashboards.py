"""Dashboards and the way of log lines, as far as it can be judged without Grafana and Loki.

Neither is at hand here: Prometheus itself reads the dashboards' expressions, and the rest is held
to what it refers to.
"""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from trading_pipeline_tests.test_observability import DASHBOARDS, DEPLOY, run, tool


def test_prometheus_understands_every_expression_of_the_dashboards(tmp_path: Path) -> None:
    shown = [
        {"record": f"panel:{path.stem}:{number}", "expr": target["expr"]}
        for path in DASHBOARDS
        for number, panel in enumerate(json.loads(path.read_text())["panels"])
        for target in panel["targets"]
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
        assert panel["type"] in {"stat", "timeseries", "table", "bargauge", "gauge", "logs"}
        assert panel["title"]
        assert sources[source["uid"]] == source["type"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(references) == len(set(references))
    assert board["schemaVersion"] >= 39


def test_lines_are_kept_for_thirty_days_and_then_deleted() -> None:
    loki = yaml.safe_load((DEPLOY / "loki/loki.yml").read_text())

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
