"""The files for Kubernetes: manifests by Kubernetes' own schemas, values by what the chart reads.

The chart and a cluster are not at hand here. `CHART` names the keys of the parts of Dagster's chart
that the values use; what the chart copies into objects is put into objects and judged as such.
"""

import importlib.util
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema

from trading_pipeline.cli import app
from trading_pipeline.settings import PREFIX, Settings, _names
from trading_pipeline_tests.test_deployment import ROOT, TUNED

FOLDER = ROOT / "docs/deploy/kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "platform.yaml").read_text())["items"]
CODE: dict[str, Any] = VALUES["dagster-user-deployments"]["deployments"][0]
RUNS: dict[str, Any] = VALUES["runLauncher"]["config"]["k8sRunLauncher"]

_POD = "env envConfigMaps envSecrets annotations nodeSelector affinity tolerations labels "
_POD += "podSecurityContext securityContext resources volumes volumeMounts schedulerName "
_POD += "livenessProbe readinessProbe startupProbe "
CHART = {
    "global": "postgresqlSecretName dagsterHome serviceAccountName celeryConfigSecretName",
    "postgresql": "enabled image postgresqlHost postgresqlUsername postgresqlPassword "
    "postgresqlDatabase postgresqlParams postgresqlScheme service",
    "dagsterWebserver": _POD + "replicaCount image service workspace pathPrefix enableReadOnly",
    "dagster-user-deployments": "enabled enableSubchart imagePullSecrets deployments",
    "dagster-user-deployments.deployments": _POD
    + "name image port dagsterApiGrpcArgs codeServerArgs includeConfigInLaunchedRuns",
    "runLauncher": "type config",
    "runLauncher.config": "k8sRunLauncher celeryK8sRunLauncher customRunLauncher",
    "runLauncher.config.k8sRunLauncher": "image imagePullPolicy jobNamespace loadInclusterConfig "
    "kubeconfigFile envConfigMaps envSecrets envVars volumeMounts volumes labels resources "
    "failPodOnRunFailure schedulerName securityContext runK8sConfig",
    "runLauncher.config.k8sRunLauncher.runK8sConfig": "containerConfig podSpecConfig "
    "podTemplateSpecMetadata jobSpecConfig jobMetadata",
    "dagsterDaemon": _POD + "enabled image heartbeatTolerance runCoordinator runMonitoring "
    "runRetries schedules sensors",
    "dagsterDaemon.runCoordinator": "enabled type config",
    "dagsterDaemon.runCoordinator.config": "queuedRunCoordinator customRunCoordinator",
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": "maxConcurrentRuns "
    "tagConcurrencyLimits dequeueIntervalSeconds dequeueNumWorkers dequeueUseThreads",
    "dagsterDaemon.runMonitoring": "enabled startTimeoutSeconds cancelTimeoutSeconds "
    "maxResumeRunAttempts pollIntervalSeconds freeSlotsAfterRunEndSeconds",
    "dagsterDaemon.runRetries": "enabled maxRetries",
    "dagsterDaemon.schedules": "useThreads numWorkers numSubmitWorkers",
    "dagsterDaemon.sensors": "useThreads numWorkers numSubmitWorkers",
    "telemetry": "enabled",
    "retention": "enabled schedule sensor autoMaterialize",
}
"""The keys that Dagster's chart 1.13 reads, by section, for the sections that the values use."""

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


def pod(given: dict[str, Any], image: str) -> dict[str, Any]:
    """The pod that the chart makes of a part of the values."""
    container = {
        key: given[key]
        for key in ("securityContext", "resources", "volumeMounts", "env")
        if key in given
    }
    probes = {
        name: {
            **{key: value for key, value in given[name].items() if key != "enabled"},
            "exec": {"command": ["dagster", "api", "grpc-health-check", "-p", "3030"]},
        }
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
        if name in given
    }
    container |= {"name": "c", "image": image, **probes}
    container["envFrom"] = [{"secretRef": each} for each in given.get("envSecrets", [])]
    return {
        "containers": [container],
        "volumes": given.get("volumes", []),
        "securityContext": given.get("podSecurityContext", {}),
    }


@pytest.mark.parametrize("given", [CODE, VALUES["dagsterDaemon"]], ids=["code", "daemon"])
def test_what_the_chart_puts_into_pods_belongs_there(given: dict[str, Any]) -> None:
    image = ":".join([CODE["image"]["repository"], CODE["image"]["tag"]])
    valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod(given, image)})


def test_what_the_launcher_puts_into_jobs_belongs_there() -> None:
    raw = RUNS["runK8sConfig"]
    spec = {**pod(RUNS, "i"), **raw["podSpecConfig"], "restartPolicy": "Never"}
    job = {**raw["jobSpecConfig"], "template": {"spec": spec}}

    valid({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": job})
    assert job["backoffLimit"] == 0, "a run is never begun again by itself"


@pytest.mark.skipif(
    importlib.util.find_spec("dagster_k8s") is None, reason="dagster-k8s is not installed"
)
def test_the_launcher_takes_its_configuration() -> None:
    from dagster_k8s import K8sRunLauncher  # noqa: PLC0415 - optional

    words = {"imagePullPolicy": "image_pull_policy", "loadInclusterConfig": "load_incluster_config"}
    words |= {"securityContext": "security_context", "resources": "resources"}
    raw = {"podSpecConfig": "pod_spec_config", "jobSpecConfig": "job_spec_config"}
    config = {theirs: RUNS[ours] for ours, theirs in words.items()}
    config |= {
        "run_k8s_config": {new: RUNS["runK8sConfig"][old] for old, new in raw.items()},
        "service_account_name": "dagster",
        "instance_config_map": "dagster-instance",
        "dagster_home": VALUES["global"]["dagsterHome"],
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
    }
    checked = process_config(K8sRunLauncher.config_type(), config)

    assert checked.success, checked.errors


def test_dagster_takes_what_is_added_to_its_instance() -> None:
    checked = process_config(dagster_instance_config_schema(), VALUES["additionalInstanceConfig"])

    assert checked.success, checked.errors


def test_the_instance_there_is_as_careful_as_the_one_here() -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    daemon, added = VALUES["dagsterDaemon"], VALUES["additionalInstanceConfig"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs = ours["concurrency"]["runs"]

    assert queue["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    assert added["concurrency"]["pools"] == ours["concurrency"]["pools"]
    assert daemon["runMonitoring"]["maxResumeRunAttempts"] == 0
    assert (daemon["runRetries"], VALUES["telemetry"]) == ({"enabled": False}, {"enabled": False})
    assert VALUES["dagsterWebserver"] == {"replicaCount": 0}, "it has no login: ours serves"
    assert VALUES["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_runs_and_services_have_the_same_settings_and_all_are_known() -> None:
    (shared,) = [each["data"] for each in MANIFESTS if each["kind"] == "ConfigMap"]
    given = {each["name"]: each["value"] for each in CODE["env"]}
    known = set(_names(Settings, PREFIX))

    assert given.items() <= shared.items()
    assert set(TUNED) <= given.keys()
    assert {name for name in shared if name.startswith(PREFIX)} <= known


def test_our_pods_run_commands_there_are_without_rights_and_with_bounds() -> None:
    templates = [each["spec"]["template"]["spec"] for each in MANIFESTS if "template" in str(each)]
    assert len(templates) == 4
    for spec in templates:
        (container,) = spec["containers"]
        assert container["command"][0] == "trading-pipeline"
        assert container["command"][1] in set(app)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_no_secret_stands_in_the_files() -> None:
    kinds = {each["kind"] for each in MANIFESTS}
    text = "".join(Path(path).read_text() for path in FOLDER.glob("*.yaml"))

    assert "Secret" not in kinds
    assert "postgresqlPassword:" not in text
