"""The files for Kubernetes: manifests by Kubernetes' own schemas, the values by what comes of them.

A cluster is not at hand here: what Dagster's chart makes of the values is made as it does, Dagster
reads it, and its launcher makes the job of a run.
"""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster import DagsterRun
from dagster._config import process_config
from dagster._core.errors import DagsterInvalidConfigError

from trading_pipeline.settings import PREFIX, Settings, _names
from trading_pipeline_tests.helm_chart import CHART, instance, read
from trading_pipeline_tests.test_deployment import ROOT, TUNED

FOLDER = ROOT / "docs/deploy/kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "platform.yaml").read_text())["items"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
CODE: dict[str, Any] = VALUES["dagster-user-deployments"]["deployments"][0]
DAEMON: dict[str, Any] = VALUES["dagsterDaemon"]
RUNS: dict[str, Any] = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
SECRET = {"name": "settings", "mountPath": "/app/.env", "subPath": "settings.env", "readOnly": True}

SWITCHES = {"generatePostgresqlPasswordSecret", "additionalInstanceConfig"}


def valid(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, "1.33", strict=True)


def section(path: str) -> list[dict[str, Any]]:
    """What stands in the values under a dotted path; of a list, each of it."""
    found: Any = VALUES
    for name in path.split("."):
        found = found[name]
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("resource", MANIFESTS, ids=lambda each: f"{each['kind']}")
def test_a_manifest_is_what_kubernetes_takes(resource: dict[str, Any]) -> None:
    valid(resource)


def test_a_mistake_in_a_manifest_is_found() -> None:
    wrong = {**MANIFESTS[0], "spec": {**MANIFESTS[0]["spec"], "accesModes": []}}

    with pytest.raises(kubernetes_validate.ValidationError, match="accesModes"):
        valid(wrong)


def test_the_values_have_no_key_that_the_chart_does_not_read() -> None:
    assert VALUES.keys() - SWITCHES == {path.split(".")[0] for path in CHART}
    for path, keys in CHART.items():
        for found in section(path):
            assert found.keys() <= set(keys.split()), path


def test_dagster_starts_with_what_the_chart_makes_of_the_values(tmp_path: Path) -> None:
    made = read(instance(VALUES), tmp_path)
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())

    assert made["concurrency"] == ours["concurrency"]
    assert made["retention"]["sensor"]["purge_after_days"]["skipped"] == 1
    assert made["run_monitoring"]["max_resume_run_attempts"] == 0
    for key in ("compute_logs", "local_artifact_storage", "freshness", "nux", "telemetry"):
        assert made[key] == ours[key], key
    for key in ("schedules", "sensors", "backfills"):
        assert made[key] == ours[key], key
    kept = ours["run_monitoring"]["max_runtime_seconds"]
    assert made["run_monitoring"]["max_runtime_seconds"] == kept
    assert DAEMON["runRetries"] == {"enabled": False}, "orders are never sent again"


def test_a_number_of_runs_told_twice_would_not_start(tmp_path: Path) -> None:
    """The daemon ends at once when the queue and `concurrency` both say how many."""
    twice = instance(VALUES)
    twice["run_coordinator"]["config"]["max_concurrent_runs"] = 6

    with pytest.raises(DagsterInvalidConfigError, match="max_concurrent_runs"):
        read(twice, tmp_path)


def test_the_job_of_a_run_is_what_kubernetes_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kubernetes  # noqa: PLC0415 - heavy: here only
    from dagster_k8s import K8sRunLauncher  # noqa: PLC0415
    from dagster_k8s.job import construct_dagster_k8s_job  # noqa: PLC0415

    monkeypatch.setattr(kubernetes.config, "load_incluster_config", lambda: None)
    said = read(instance(VALUES), tmp_path)["run_launcher"]["config"]
    config = process_config(K8sRunLauncher.config_type(), said)
    assert config.success, config.errors
    launcher = K8sRunLauncher(**config.value)  # type: ignore[arg-type]
    context = launcher.get_container_context_for_run(DagsterRun(job_name="paper_run"))
    made = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(
            "registry.example.com/trading-pipeline:0.1.0", launcher
        ),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run-1",
        user_defined_k8s_config=context.run_k8s_config,
    )
    job: Any = kubernetes.client.ApiClient().sanitize_for_serialization(made)
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]

    valid(job)
    assert (job["spec"]["backoffLimit"], spec["restartPolicy"]) == (0, "Never")
    assert container["resources"]["limits"] == {"memory": "6Gi"}, "not those of the code server"
    assert SECRET in container["volumeMounts"]
    assert container["envFrom"] == [{"configMapRef": {"name": "trading-pipeline"}}]
    without_rights(spec)


def pod(given: dict[str, Any]) -> dict[str, Any]:
    """The pod that the chart makes of a part of the values."""
    container = {key: given[key] for key in ("securityContext", "resources", "volumeMounts")}
    container["envFrom"] = [{"configMapRef": each} for each in given.get("envConfigMaps", [])]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        if probe := given.get(name):
            asked = {"command": ["dagster", "api", "grpc-health-check", "-p", "3030"]}
            container[name] = {"exec": asked, **probe}
            container[name].pop("enabled", None)
    image = ":".join([given["image"]["repository"], given["image"]["tag"]])
    return {
        "containers": [{"name": "c", "image": image, **container}],
        "volumes": given["volumes"],
        "securityContext": given["podSecurityContext"],
        "automountServiceAccountToken": False,
    }


@pytest.mark.parametrize("given", [CODE, DAEMON], ids=["code", "daemon"])
def test_what_the_chart_puts_into_pods_belongs_there(given: dict[str, Any]) -> None:
    made = pod(given)

    valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": made})
    without_rights(made)
    assert given["image"] == CODE["image"]


def without_rights(spec: dict[str, Any]) -> None:
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001, "as in the Dockerfile"
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert container["resources"]["limits"]["memory"]


def templates() -> dict[str, dict[str, Any]]:
    """Our pods by component."""
    found = [each["spec"]["template"] for each in MANIFESTS if "template" in each.get("spec", {})]
    return {each["metadata"]["labels"]["component"]: each["spec"] for each in found}


@pytest.mark.parametrize(
    ("component", "service"),
    [("init", "init"), ("ui", "webserver"), ("metrics", "metrics"), ("stream", "stream")],
)
def test_our_pods_run_what_compose_runs_without_rights(component: str, service: str) -> None:
    spec = templates()[component]
    (container,) = spec["containers"]

    assert container["command"] == COMPOSE[service]["command"]
    assert SECRET in container["volumeMounts"], "where compose has it"
    without_rights({"automountServiceAccountToken": False, **spec})
    assert spec.get("serviceAccountName") == ("trading-pipeline-ui" if component == "ui" else None)
    assert (component == "ui") == spec.get("automountServiceAccountToken", True)


def test_the_stream_and_the_daemon_are_asked_as_in_compose() -> None:
    (stream,) = templates()["stream"]["containers"]

    for probe, name in ((stream["livenessProbe"], "stream"), (DAEMON["livenessProbe"], "daemon")):
        assert ["CMD", *probe["exec"]["command"]] == COMPOSE[name]["healthcheck"]["test"]


def test_runs_and_services_have_the_same_settings_and_all_are_known() -> None:
    (shared,) = [each["data"] for each in MANIFESTS if each["kind"] == "ConfigMap"]
    (pages,) = templates()["ui"]["containers"]
    own = {each["name"] for each in pages["env"]} - {"DAGSTER_PG_PASSWORD"}
    known = set(_names(Settings, PREFIX))

    assert set(TUNED) <= shared.keys()
    assert {name for name in shared.keys() | own if name.startswith(PREFIX)} <= known
    assert COMPOSE["webserver"]["environment"].keys() - own <= shared.keys()
    assert CODE["envConfigMaps"] == RUNS["envConfigMaps"] == [{"name": "trading-pipeline"}]
    assert CODE["includeConfigInLaunchedRuns"] == {"enabled": False}, "runs have their own bounds"


def test_nothing_that_asks_nobody_is_reached_from_everywhere() -> None:
    doors = {
        each["metadata"]["name"]: each["spec"]
        for each in MANIFESTS
        if each["kind"] == "NetworkPolicy"
    }

    assert VALUES["dagsterWebserver"] == {"replicaCount": 0}, "it has no login: ours serves"
    assert "ingress" not in doors["trading-pipeline"]
    assert "ingress" not in doors["dagster"]
    (callers,) = doors["dagster-code"]["ingress"]
    assert [each["podSelector"]["matchLabels"]["component"] for each in callers["from"]] == [
        "dagster-daemon",
        "ui",
    ]
    assert callers["ports"] == [{"port": CODE["port"]}]
    assert all(each["policyTypes"] == ["Ingress"] for each in doors.values())


def test_the_pages_may_end_a_run_and_not_start_one() -> None:
    (role,) = [each for each in MANIFESTS if each["kind"] == "Role"]
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}

    assert verbs == {"get", "list", "delete"}
    assert VALUES["dagster-user-deployments"]["rbacEnabled"] is False


def test_no_secret_stands_in_the_files_or_in_an_environment() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.yaml"))

    assert "Secret" not in {each["kind"] for each in MANIFESTS}
    assert "postgresqlPassword:" not in text
    assert "secretRef" not in text
    assert "envSecrets" not in text
    assert VALUES["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
