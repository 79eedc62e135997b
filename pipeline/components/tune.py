"""The fourth step: the search for better parameters, on Ray Tune."""

from kfp import dsl

from components.setting import Step


def tune(image: str) -> Step:
    """Return the step that runs in `image`, beside a Ray head of its own."""

    @dsl.container_component
    def tune(
        run: str,
        featured: str,
        trained: str,
        result: dsl.OutputPath(str),
        artifacts: dsl.OutputPath(dict),
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "refit_ray_train.head", "python", "-m", "refit_contract.step"],
            args=[
                *("--stage", "tune", "--module", "refit_ray_train.tune", "--image", image),
                *("--run", run, "--result", featured, "--result", trained),
                *("--output-result", result, "--output-artifacts", artifacts),
            ],
        )

    return tune
