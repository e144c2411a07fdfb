"""What is shipped for Prometheus, Alertmanager and Grafana fits the exporter and does its work.

promtool and amtool are those of the packages prometheus and prometheus-alertmanager; where they are
not on the path, the tests that need them are skipped and the others still hold.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_pipeline.flows.metrics import METRICS

DEPLOY = Path(__file__).parents[1] / "docs/deploy"
RULES = DEPLOY / "prometheus/rules.yml"
ALERTMANAGER = DEPLOY / "alertmanager/alertmanager.yml"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
LABELS = {metric.name: set(metric.labels) for metric in METRICS}

USED = re.compile(r"(trading_pipeline_\w+)(?:\{([^}]*)\})?")

OPEN, CLOSED = {"market_open": 1}, {"market_open": 0}
LIVE, ARCHIVE = {"is_archive": 0}, {"is_archive": 1}
ENDS = "job_last_end_timestamp_seconds"
SENT = 'order_events_total{state="submitting"}'

FIRES: dict[str, list[dict[str, float]]] = {
    "BreakerTripped": [{'breaker_told{code="daily_loss"}': 1}],
    "ReconciliationBreak": [{'breaks{kind="unknown"}': 2}],
    "NavDropped": [{"daily_loss_ratio": 0.031}],
    "OrdersUnanswered": [
        {'orders{state="unknown"}': 1, SENT: 9},
        {'orders{state="submitting"}': 1, SENT: 9, **CLOSED},
    ],
    "StreamSilent": [
        {"stream_heartbeat_age_seconds": 31, "stream_wanted": 1, **OPEN},
        {
            "stream_heartbeat_age_seconds": 1,
            'quote_age_seconds{symbol="A"}': 61,
            'quote_age_seconds{symbol="B"}': 62,
            "stream_wanted": 1,
            **OPEN,
        },
        {"stream_wanted": 1, **OPEN},
    ],
    "RunMissing": [{"runs_missing": 1, **LIVE}],
    "DaemonSilent": [
        {"schedule_on": 1, "daemon_heartbeat_age_seconds": 121},
        {"schedule_on": 1},
    ],
    "RunFailed": [
        {f'{ENDS}{{job="paper_run",status="FAILURE"}}': 20},
        {
            f'{ENDS}{{job="paper_run",status="FAILURE"}}': 20,
            f'{ENDS}{{job="paper_run",status="SUCCESS"}}': 10,
        },
    ],
    "ServiceDown": [{'up{service="ledger"}': 0}, {'up{service="models"}': 0}],
    "ExporterDown": [{"-up": 0}, {}],
    "TradingHalted": [{'trading_state{state="halted"}': 1}],
    "OrdersRejected": [{'orders{state="rejected"}': 1}],
    "DataBehind": [{"bars_sessions_behind": 1, **LIVE}],
    "BarsQuarantined": [{"bars": 80, "quarantined_bars": 20}],
    "ModelOld": [{'model_age_sessions{strategy="a"}': 43, **LIVE}],
    "PositionUnpriced": [{"unpriced_positions": 1}],
    "DrawdownDeep": [{"drawdown_ratio": 0.11}],
    "JobFailed": [
        {f'{ENDS}{{job="retrain",status="FAILURE"}}': 20},
        {
            f'{ENDS}{{job="retrain",status="FAILURE"}}': 20,
            f'{ENDS}{{job="retrain",status="SUCCESS"}}': 10,
        },
    ],
    "StoreDown": [{'up{service="redis"}': 0}],
    "QuotesDropped": [{"+stream_dropped_quotes_total": 5}],
    "ExporterSlow": [{"scrape_seconds": 6}],
    "Watchdog": [{}],
}
"""By alert, values of metrics at which it fires, each on its own. `-up` is Prometheus's own."""

QUIET: dict[str, list[dict[str, float]]] = {
    "BreakerTripped": [{'trading_state{state="halted"}': 1}],
    "ReconciliationBreak": [{'breaks{kind="unknown"}': 0}],
    "NavDropped": [{"daily_loss_ratio": 0.029}],
    "OrdersUnanswered": [
        {'orders{state="submitting"}': 1, f"+{SENT}": 20},
        {'orders{state="filled"}': 1, SENT: 9},
    ],
    "StreamSilent": [
        {"stream_heartbeat_age_seconds": 900, "stream_wanted": 1, **CLOSED},
        {"stream_heartbeat_age_seconds": 900, "stream_wanted": 0, **OPEN},
        {
            'quote_age_seconds{symbol="A"}': 61,
            'quote_age_seconds{symbol="B"}': 2,
            "stream_heartbeat_age_seconds": 1,
            "stream_wanted": 1,
            **OPEN,
        },
        {"stream_wanted": 0, **OPEN},
        {"stream_wanted": 1, **CLOSED},
    ],
    "DaemonSilent": [
        {"schedule_on": 1, "daemon_heartbeat_age_seconds": 119},
        {"schedule_on": 0, "daemon_heartbeat_age_seconds": 9000},
        {"schedule_on": 0},
    ],
    "RunMissing": [{"runs_missing": 0, **LIVE}, {"runs_missing": 9, **ARCHIVE}],
    "RunFailed": [
        {
            f'{ENDS}{{job="paper_run",status="FAILURE"}}': 10,
            f'{ENDS}{{job="paper_run",status="SUCCESS"}}': 20,
        },
        {f'{ENDS}{{job="retrain",status="FAILURE"}}': 20},
    ],
    "ServiceDown": [{'up{service="ledger"}': 1, 'up{service="redis"}': 0}],
    "ExporterDown": [{"-up": 1}],
    "TradingHalted": [{'trading_state{state="halted"}': 0, 'trading_state{state="active"}': 1}],
    "OrdersRejected": [{'orders{state="filled"}': 4, 'orders{state="rejected"}': 0}],
    "DataBehind": [{"bars_sessions_behind": 0, **LIVE}, {"bars_sessions_behind": 9, **ARCHIVE}],
    "BarsQuarantined": [{"bars": 95, "quarantined_bars": 5}],
    "ModelOld": [{'model_age_sessions{strategy="a"}': 42, **LIVE}],
    "PositionUnpriced": [{"unpriced_positions": 0}],
    "DrawdownDeep": [{"drawdown_ratio": 0.09}],
    "JobFailed": [
        {f'{ENDS}{{job="paper_run",status="FAILURE"}}': 20},
        {f'{ENDS}{{job="retrain",status="FAILURE"}}': -86400},
        {
            f'{ENDS}{{job="retrain",status="FAILURE"}}': 10,
            f'{ENDS}{{job="retrain",status="SUCCESS"}}': 20,
        },
    ],
    "StoreDown": [{'up{service="ledger"}': 0}],
    "QuotesDropped": [{"stream_dropped_quotes_total": 5}],
    "ExporterSlow": [{"scrape_seconds": 4}],
    "Watchdog": [],
}
"""By alert, values at which it stays silent, each on its own."""


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: Debian's prometheus, prometheus-alertmanager")
    return path


def run(*words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def require_declared(expression: str) -> None:
    for name, matchers in USED.findall(expression):
        assert name in LABELS, f"{name} of {expression} is not measured"
        asked = set(re.findall(r"(\w+)\s*[=!]", matchers))
        assert asked <= LABELS[name], f"{name} has no {asked - LABELS[name]}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_uses_what_is_measured_and_says_what_to_do(rule: dict[str, Any]) -> None:
    require_declared(rule["expr"])
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert rule["annotations"]["summary"]
    if rule["alert"] != "Watchdog":
        assert (DEPLOY.parents[1] / rule["annotations"]["runbook"]).is_file()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_labels_in_a_summary_are_labels_of_the_alert(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    grouped = set(re.findall(r"by \((\w+)\)", rule["expr"]))
    own = set().union(*(LABELS[name] for name, _ in USED.findall(rule["expr"])))

    assert named <= (grouped or own)


def test_a_critical_alert_needs_less_than_a_minute() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["global"]
    routes = yaml.safe_load(ALERTMANAGER.read_text())["route"]["routes"]
    seconds = [int(config[name][:-1]) for name in ("scrape_interval", "evaluation_interval")]
    critical = [route for route in routes if route["matchers"] == ['severity="critical"']]
    waits = [int(rule.get("for", "0s")[:-1]) for rule in rules() if "m" not in rule.get("for", "")]

    assert all(
        not rule.get("for", "0s").endswith("m")
        for rule in rules()
        if rule["labels"]["severity"] == "critical"
    )
    assert len(critical) == 3
    assert sum(seconds) + max(waits) + max(int(r["group_wait"][:-1]) for r in critical) < 60


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_shows_what_is_measured(path: Path) -> None:
    board = json.loads(path.read_text())
    asked = [target for panel in board["panels"] for target in panel["targets"]]
    shown = [each["expr"] for each in asked if each["datasource"]["type"] == "prometheus"]

    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for expression in shown:
        assert USED.search(expression), expression
        require_declared(expression)


def test_there_is_a_dashboard_for_each_thing_that_is_watched() -> None:
    names = [path.stem for path in DASHBOARDS]
    pnl = (DEPLOY / "grafana/dashboards/pnl.json").read_text()

    assert names == ["data", "orders", "pnl", "positions", "system"]
    assert "trading_pipeline_pnl_dollars" in pnl
    assert len({json.loads(path.read_text())["uid"] for path in DASHBOARDS}) == 5


def test_every_route_leads_to_a_receiver_and_no_secret_is_written_down() -> None:
    config = yaml.safe_load(ALERTMANAGER.read_text())
    routes = [config["route"], *config["route"]["routes"]]

    assert {route["receiver"] for route in routes} == {each["name"] for each in config["receivers"]}
    assert not re.search(r"https?://", ALERTMANAGER.read_text())


def test_every_rule_has_values_that_it_fires_at_and_others() -> None:
    names = [rule["alert"] for rule in rules()]

    assert sorted(FIRES) == sorted(QUIET) == sorted(names)


def series(values: dict[str, float]) -> list[dict[str, str]]:
    """Constant series of these values; `+` grows by the value a step."""
    made: list[dict[str, str]] = []
    for name, value in values.items():
        grows, short = name.startswith("+"), name.lstrip("+-")
        full = 'up{job="trading_pipeline"}' if name == "-up" else f"trading_pipeline_{short}"
        made.append({"series": full, "values": f"0+{value}x60" if grows else f"{value}+0x60"})
    return made


def test_each_rule_fires_when_it_should_and_is_silent_when_it_should(tmp_path: Path) -> None:
    promtool = tool("promtool")
    tests = [
        {
            "name": f"{alert} {values}",
            "interval": "10s",
            "input_series": series(values),
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": "9m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for table, fires in ((FIRES, True), (QUIET, False))
        for alert, cases in table.items()
        for values in cases
    ]
    file = tmp_path / "rules_test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))

    run(promtool, "test", "rules", file)


def test_prometheus_accepts_its_configuration() -> None:
    run(tool("promtool"), "check", "config", DEPLOY / "prometheus/prometheus.yml")


def routed(folder: Path, **labels: str) -> list[str]:
    words = [f"{name}={value}" for name, value in labels.items()]
    config = for_old(ALERTMANAGER.read_text(), folder, "http://127.0.0.1:9/")
    said = run(tool("amtool"), "config", "routes", "test", f"--config.file={config}", *words)
    return said.strip().split(",")


def for_old(text: str, folder: Path, url: str) -> Path:
    """The configuration with `url_file`, which Alertmanager knows from 0.26 on, written out."""
    path = folder / "alertmanager.yml"
    path.write_text(re.sub(r"url_file: /run/secrets/dead_mans.*", f"url: {url}", text))
    return path


def test_alertmanager_accepts_its_configuration(tmp_path: Path) -> None:
    config = for_old(ALERTMANAGER.read_text(), tmp_path, "http://127.0.0.1:9/")

    run(tool("amtool"), "check-config", config)


def test_critical_alerts_wake_someone_and_warnings_do_not(tmp_path: Path) -> None:
    assert routed(tmp_path, alertname="BreakerTripped", severity="critical") == [
        "pagerduty",
        "slack",
        "email",
    ]
    assert routed(tmp_path, alertname="ModelOld", severity="warning") == ["slack"]
    assert routed(tmp_path, alertname="Watchdog", severity="none") == ["dead_mans_switch"]
