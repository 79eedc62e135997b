"""What every step of the pipeline has: retries, and the settings of the cluster in its environment."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kfp.dsl import PipelineTask

Step = Callable[..., PipelineTask]
"""A component: called with its inputs inside a pipeline, it adds a task."""

CONFIG_MAP: Final = "refit"
"""The ConfigMap of the settings, the one that functions and workloads read too."""

SECRET: Final = "refit-s3"  # noqa: S105 - the name of a Secret
"""The Secret with the keys of the object store."""

_SETTINGS: Final = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "REFIT_BUCKET",
    "REFIT_LANDING_BUCKET",
    "REFIT_DEADLINE",
    "MLFLOW_TRACKING_URI",
)
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def settle(task: PipelineTask) -> PipelineTask:
    """Give `task` its retries and its environment, and return it.

    A step that is tried again makes a new attempt, so what a cache would give back is another run's.
    """
    task.set_caching_options(False)
    task.set_retry(num_retries=2, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration="300s")
    task.platform_config["kubernetes"] = environment()
    return task


def environment() -> dict[str, Any]:
    """Return the KubernetesExecutorConfig of a step, in the JSON form of that message.

    It is what kfp-kubernetes' use_config_map_as_env and use_secret_as_env write. All of it is
    optional, so that a cluster may leave out what it does not need, such as keys where pods have
    an identity; a step that misses something says so in its log instead of never starting.
    """
    return {
        "configMapAsEnv": [_source("configMap", CONFIG_MAP, _SETTINGS)],
        "secretAsEnv": [_source("secret", SECRET, _KEYS)],
    }


def _source(kind: str, name: str, variables: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        f"{kind}Name": name,
        f"{kind}NameParameter": {"runtimeValue": {"constant": name}},
        "keyToEnv": [{f"{kind}Key": variable, "envVar": variable} for variable in variables],
        "optional": True,
    }
