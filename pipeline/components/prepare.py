"""The first step: the upload is split into what is learnt from and what is judged on."""

from kfp import dsl

from components.setting import Step


def prepare(image: str) -> Step:
    """Return the step that runs in `image`: the only one that sees parameters, for it defines the run."""
    # Kubeflow replaces placeholders inside of an argument, and does not know kfp's ConcatPlaceholder.

    @dsl.container_component
    def prepare(
        job: str,
        entity_data_path: str,
        test_split_ratio: float,
        num_hpo_trials: int,
        f1_threshold: float,
        model_name: str,
        run: dsl.OutputPath(str),
        result: dsl.OutputPath(str),
        artifacts: dsl.OutputPath(dict),
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "refit_contract.step"],
            args=[
                *("--stage", "prepare", "--module", "refit_data_prep.prepare", "--image", image),
                *("--job", job),
                *("--set", f"entity_data_path={entity_data_path}"),
                *("--set", f"test_split_ratio={test_split_ratio}"),
                *("--set", f"num_hpo_trials={num_hpo_trials}"),
                *("--set", f"f1_threshold={f1_threshold}"),
                *("--set", f"model_name={model_name}"),
                *("--output-run", run, "--output-result", result, "--output-artifacts", artifacts),
            ],
        )

    return prepare
