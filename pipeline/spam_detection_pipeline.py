"""The five stages as a Kubeflow pipeline: `python pipeline/spam_detection_pipeline.py` compiles it.

The containers, modules and the spec contract are those of the event path; what functions do
there, `refit_contract.step` does here. The stage register is two tasks: evaluate, which judges the
model, and register, which only runs if the F1 on the test split reaches f1_threshold. There is no
other branch: a run whose model is not good enough succeeds, and shows the gate as not taken.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kfp import compiler, dsl

from components.evaluate import evaluate
from components.features import features
from components.prepare import prepare
from components.register import register
from components.setting import settle
from components.train import train
from components.tune import tune

GOLDEN: Final = Path(__file__).with_suffix(".yaml")
"""Where the compiled pipeline lies."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where the images are: dev.local and v1.0 by default."""

    registry: str = "dev.local"
    tag: str = "v1.0"

    @classmethod
    def parse(cls, env: Mapping[str, str]) -> "Images":
        """Return those that REGISTRY and IMAGE_TAG in `env` name; an empty one has its default."""
        given = {"registry": env.get("REGISTRY", "").rstrip("/"), "tag": env.get("IMAGE_TAG", "")}
        return cls(**{name: value for name, value in given.items() if value})

    def name(self, image: str) -> str:
        """Return the full name of `image`."""
        return f"{self.registry}/refit-{image}:{self.tag}"


def pipeline(images: Images) -> Any:
    """Return the pipeline that runs `images`, for the compiler."""
    data_prep, ray_train, mlflow_ops = (images.name(image) for image in ("data-prep", "ray-train", "mlflow-ops"))

    @dsl.pipeline(
        name="spam-detection-pipeline",
        description=(
            "From an upload of labelled mail to a registered model: prepare, features, train, tune, register. "
            "A model whose F1 is below f1_threshold is not registered: the f1-gate is not taken then."
        ),
    )
    def spam_detection_pipeline(
        entity_data_path: str = "datasets/processed/emails/all_emails.parquet",
        test_split_ratio: float = 0.2,
        num_hpo_trials: int = 20,
        f1_threshold: float = 0.85,
        model_name: str = "spam-detector",
    ) -> None:
        prepared = settle(
            prepare(data_prep)(
                job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                entity_data_path=entity_data_path,
                test_split_ratio=test_split_ratio,
                num_hpo_trials=num_hpo_trials,
                f1_threshold=f1_threshold,
                model_name=model_name,
            )
        ).outputs
        run = prepared["run"]
        featured = settle(features(data_prep)(run=run, prepared=prepared["result"])).outputs["result"]
        trained = settle(train(ray_train)(run=run, featured=featured)).outputs["result"]
        tuned = settle(tune(ray_train)(run=run, featured=featured, trained=trained)).outputs["result"]
        evaluated = settle(
            evaluate(mlflow_ops)(run=run, prepared=prepared["result"], featured=featured, trained=trained, tuned=tuned)
        ).outputs
        with dsl.If(evaluated["f1"] >= f1_threshold, name="f1-gate"):
            settle(register(mlflow_ops)(prepared=prepared["result"], evaluated=evaluated["result"]))

    return spam_detection_pipeline


def compiled(images: Images) -> bytes:
    """Return the pipeline as YAML, ready for an upload to Kubeflow: the same bytes each time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline(images), str(path))
        return path.read_bytes()


def main(argv: Sequence[str] | None = None) -> int:
    """Write the compiled pipeline to the file that the arguments name."""
    parser = argparse.ArgumentParser(description="Compile the pipeline for the images at REGISTRY and IMAGE_TAG.")
    parser.add_argument("--output", type=Path, default=GOLDEN, help=f"by default {GOLDEN.name} beside this program")
    arguments = parser.parse_args(argv)
    arguments.output.write_bytes(compiled(Images.parse(os.environ)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
