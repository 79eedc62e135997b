"""The fifth step, first half: both candidates are judged on the untouched test split."""

from kfp import dsl

from components.setting import Step


def evaluate(image: str) -> Step:
    """Return the step that runs in `image`; its F1 is what the gate looks at."""

    @dsl.container_component
    def evaluate(
        run: str,
        prepared: str,
        featured: str,
        trained: str,
        tuned: str,
        result: dsl.OutputPath(str),
        artifacts: dsl.OutputPath(dict),
        f1: dsl.OutputPath(float),
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "refit_contract.step"],
            args=[
                *("--stage", "register", "--module", "refit_mlflow_ops.evaluate", "--image", image),
                *("--run", run),
                *("--result", prepared, "--result", featured, "--result", trained, "--result", tuned),
                *("--output-result", result, "--output-artifacts", artifacts, "--output-f1", f1),
            ],
        )

    return evaluate
