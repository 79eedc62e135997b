"""The second step: Feast gives each mail its 524 features."""

from kfp import dsl

from components.setting import Step


def features(image: str) -> Step:
    """Return the step that runs in `image`."""

    @dsl.container_component
    def features(
        run: str,
        prepared: str,
        result: dsl.OutputPath(str),
        artifacts: dsl.OutputPath(dict),
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "refit_contract.step"],
            args=[
                *("--stage", "features", "--module", "refit_data_prep.features", "--image", image),
                *("--run", run, "--result", prepared),
                *("--output-result", result, "--output-artifacts", artifacts),
            ],
        )

    return features
