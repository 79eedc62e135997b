"""An MLflow that lives in a folder, and models logged to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evaluatetest.world import World
from refit_mlflow_ops import champion, model
from refit_mlflow_ops.split import Train


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """Point MLflow at a database in `folder` and yield its tracking URI."""
    import mlflow

    before = mlflow.get_tracking_uri()
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    try:
        yield uri
    finally:
        mlflow.set_tracking_uri(before)


def files(world: World, folder: Path) -> dict[str, Path]:
    """Return the files of the tuned candidate as a served model."""
    train = Train.read(world.folder / "entities.parquet")
    return {
        "model": world.folder / "tuned.ubj",
        "choice": world.folder / "tuned.json",
        "tfidf": world.folder / "tfidf.json",
        "senders": world.folder / "senders.parquet",
        "train_groups": champion.write_groups(train.hashes, folder / "train_groups.parquet"),
    }


def log(world: World, folder: Path, *, tags: Mapping[str, str]) -> model.Logged:
    """Log the tuned candidate in a run of its own."""
    import mlflow

    with mlflow.start_run(experiment_id=experiment(folder)):
        return model.log(
            files=files(world, folder),
            threshold=0.5,
            tags=tags,
            params={"rounds": 30},
            experiment_id=experiment(folder),
        )


def experiment(folder: Path) -> str:
    """Return the id of the one experiment, whose artifacts lie in `folder`."""
    import mlflow

    found = mlflow.get_experiment_by_name("test")
    if found is not None:
        return str(found.experiment_id)
    location = (folder / "artifacts").as_uri()
    return str(mlflow.create_experiment("test", artifact_location=location))


def promote(*, name: str, source: str) -> str:
    """Register the model at the URI `source` as champion of `name`; return its version."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # A server takes a logged model as source only together with its id.
    model_id = source.removeprefix("models:/")
    made = client.create_model_version(name=name, source=source, model_id=model_id)
    version = str(made.version)
    client.set_registered_model_alias(name, champion.ALIAS, version)
    return version
