"""The third step: the baseline, on Ray Train."""

from kfp import dsl

from components.setting import Step


def train(image: str) -> Step:
    """Return the step that runs in `image`, beside a Ray head of its own."""

    @dsl.container_component
    def train(
        run: str,
        featured: str,
        result: dsl.OutputPath(str),
        artifacts: dsl.OutputPath(dict),
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "refit_ray_train.head", "python", "-m", "refit_contract.step"],
            args=[
                *("--stage", "train", "--module", "refit_ray_train.train", "--image", image),
                *("--run", run, "--result", featured),
                *("--output-result", result, "--output-artifacts", artifacts),
            ],
        )

    return train
