"""The fifth step, second half, behind the gate: the model gets its version in MLflow."""

from kfp import dsl

from components.setting import Step


def register(image: str) -> Step:
    """Return the step that runs in `image`."""

    @dsl.container_component
    def register(
        prepared: str,
        evaluated: str,
        version: dsl.OutputPath(str),
        alias: dsl.OutputPath(str),
        reason: dsl.OutputPath(str),
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "refit_mlflow_ops.register"],
            args=[
                *("--evaluation", evaluated, "--preparation", prepared, "--image", image),
                *("--output-version", version, "--output-alias", alias, "--output-reason", reason),
            ],
        )

    return register
