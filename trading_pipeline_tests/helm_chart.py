"""What Dagster's chart, version 1.13, reads of its values, and the dagster.yaml that it writes."""

from pathlib import Path
from typing import Any

import yaml
from dagster._core.instance.config import dagster_instance_config

_OF_A_POD = "env envConfigMaps envSecrets annotations nodeSelector affinity tolerations labels "
_OF_A_POD += "podSecurityContext securityContext resources volumes volumeMounts schedulerName "
_OF_A_POD += "livenessProbe readinessProbe startupProbe "
_THREADS = "useThreads numWorkers numSubmitWorkers"
CHART = {
    "global": "postgresqlSecretName postgresqlAuthWifEnabled dagsterHome serviceAccountName "
    "celeryConfigSecretName",
    "postgresql": "enabled image postgresqlHost postgresqlUsername postgresqlPassword "
    "postgresqlDatabase postgresqlParams postgresqlScheme service",
    "dagsterWebserver": _OF_A_POD
    + "replicaCount image service workspace pathPrefix enableReadOnly",
    "dagster-user-deployments": "enabled enableSubchart imagePullSecrets deployments "
    "serviceAccount rbacEnabled",
    "dagster-user-deployments.deployments": _OF_A_POD
    + "name image port dagsterApiGrpcArgs codeServerArgs includeConfigInLaunchedRuns "
    "deploymentNamespace initContainers sidecarContainers deploymentStrategy",
    "runLauncher": "type config",
    "runLauncher.config": "k8sRunLauncher celeryK8sRunLauncher customRunLauncher",
    "runLauncher.config.k8sRunLauncher": "image imagePullPolicy jobNamespace loadInclusterConfig "
    "kubeconfigFile envConfigMaps envSecrets envVars volumeMounts volumes labels resources "
    "failPodOnRunFailure schedulerName securityContext runK8sConfig",
    "runLauncher.config.k8sRunLauncher.runK8sConfig": "containerConfig podSpecConfig "
    "podTemplateSpecMetadata jobSpecConfig jobMetadata",
    "dagsterDaemon": _OF_A_POD + "enabled image heartbeatTolerance runCoordinator runMonitoring "
    "runRetries schedules sensors backfills logFormat deploymentLabels initContainerResources "
    "checkDbReadyInitContainer extraContainers extraPrependedInitContainers",
    "dagsterDaemon.runCoordinator": "enabled type config",
    "dagsterDaemon.runCoordinator.config": "queuedRunCoordinator customRunCoordinator",
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": "maxConcurrentRuns "
    "tagConcurrencyLimits dequeueIntervalSeconds dequeueNumWorkers dequeueUseThreads "
    "blockOpConcurrencyLimitedRuns",
    "dagsterDaemon.runMonitoring": "enabled startTimeoutSeconds cancelTimeoutSeconds "
    "maxRuntimeSeconds maxResumeRunAttempts pollIntervalSeconds freeSlotsAfterRunEndSeconds",
    "dagsterDaemon.runRetries": "enabled maxRetries retryOnAssetOrOpFailure",
    "dagsterDaemon.schedules": _THREADS,
    "dagsterDaemon.sensors": _THREADS,
    "dagsterDaemon.backfills": _THREADS,
    "concurrency": "enabled pools runs",
    "concurrency.pools": "defaultLimit granularity opGranularityRunBuffer",
    "concurrency.runs": "maxConcurrentRuns tagConcurrencyLimits",
    "computeLogManager": "type config",
    "computeLogManager.config.customComputeLogManager": "module class config",
    "telemetry": "enabled",
    "retention": "enabled schedule sensor autoMaterialize",
}
"""The keys that Dagster's chart 1.13 reads, by section, for the sections that the values use."""

WORDS = {
    **{
        f"{word}Seconds": f"{new}_seconds"
        for word, new in (
            ("startTimeout", "start_timeout"),
            ("maxRuntime", "max_runtime"),
            ("pollInterval", "poll_interval"),
            ("freeSlotsAfterRunEnd", "free_slots_after_run_end"),
        )
    },
    "maxResumeRunAttempts": "max_resume_run_attempts",
    "purgeAfterDays": "purge_after_days",
    "useThreads": "use_threads",
    "numWorkers": "num_workers",
    "numSubmitWorkers": "num_submit_workers",
    "maxConcurrentRuns": "max_concurrent_runs",
    "tagConcurrencyLimits": "tag_concurrency_limits",
    "defaultLimit": "default_limit",
    "dequeueIntervalSeconds": "dequeue_interval_seconds",
    "loadInclusterConfig": "load_incluster_config",
    "imagePullPolicy": "image_pull_policy",
    "volumeMounts": "volume_mounts",
    "securityContext": "security_context",
    "runK8sConfig": "run_k8s_config",
    "podSpecConfig": "pod_spec_config",
    "podTemplateSpecMetadata": "pod_template_spec_metadata",
    "jobSpecConfig": "job_spec_config",
}
"""What the chart calls in dagster.yaml what the values call so."""

RAW = {"podSpecConfig", "podTemplateSpecMetadata", "jobSpecConfig", "securityContext", "volumes"}
"""What the chart copies as it stands."""


def renamed(value: Any) -> Any:
    """The same in the words of dagster.yaml."""
    if isinstance(value, dict):
        return {
            WORDS.get(key, key): inner if key in RAW else renamed(inner)
            for key, inner in value.items()
            if key != "enabled" or inner is not True
        }
    return value


def instance(values: dict[str, Any]) -> dict[str, Any]:
    """The dagster.yaml that the chart writes, except for where its records are."""
    daemon, launcher = values["dagsterDaemon"], values["runLauncher"]["config"]["k8sRunLauncher"]
    launched = renamed(launcher)
    launched["env_config_maps"] = [each["name"] for each in launched.pop("envConfigMaps")]
    launched |= {
        "job_namespace": "trading",
        "service_account_name": "dagster",
        "instance_config_map": "dagster-instance",
        "dagster_home": values["global"]["dagsterHome"],
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
    }
    queued = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    same = ("schedules", "sensors", "backfills")
    return {
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launched},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": renamed(queued),
        },
        "compute_logs": values["computeLogManager"]["config"]["customComputeLogManager"],
        "run_monitoring": {"enabled": True, **renamed(daemon["runMonitoring"])},
        **{key: renamed(daemon[key]) for key in same},
        "telemetry": values["telemetry"],
        "retention": renamed(values["retention"]),
        "concurrency": renamed(values["concurrency"]),
        **values["additionalInstanceConfig"],
    }


def read(said: dict[str, Any], home: Path) -> dict[str, Any]:
    """What Dagster makes of a dagster.yaml."""
    (home / "dagster.yaml").write_text(yaml.safe_dump(said))
    return dict(dagster_instance_config(str(home))[0])
