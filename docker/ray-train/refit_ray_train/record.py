"""The stage's run in MLflow, opened and filled beside the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from refit_contract import MLflowUnavailableError, Spec, tracking
from refit_ray_train.booster import Point
from refit_ray_train.threshold import Figures

if TYPE_CHECKING:
    from mlflow import MlflowClient

Metrics = Iterable[tuple[str, float, int]]
"""Metrics as (name, value, step)."""

_INPUT: Final = "train_matrix"


class Record:
    """The MLflow run of one attempt. Calls return at once; their work is done in order beside.

    What fails there is raised by `run_id` and at the end of `opened`. The first call opens the
    run; by then the caller has imported what it needs itself, so that no two threads import
    libraries that need each other.
    """

    def __init__(self, spec: Spec, pool: ThreadPoolExecutor) -> None:
        """Use `pool`, which must have one worker, for what takes time."""
        self._spec, self._pool = spec, pool
        self._opening: Future[tuple[MlflowClient, str]] | None = None
        self._pending: list[Future[None]] = []
        self._experiment_id = ""

    @property
    def run_id(self) -> str:
        """The id of the run; waits until it is open."""
        return self._open().result()[1]

    def log(
        self,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Metrics = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add params, metrics and tags to the run."""

        def write(client: MlflowClient, run_id: str) -> None:
            tracking.log(client, run_id, params=params, metrics=metrics, tags=tags)

        self._later(write)

    def child(
        self,
        *,
        name: str,
        params: Mapping[str, object],
        metrics: Metrics,
        tags: Mapping[str, str],
        failed: bool = False,
    ) -> None:
        """Add a finished run below this one."""

        def write(client: MlflowClient, run_id: str) -> None:
            with tracking.translated(f"log {name}"):
                made = client.create_run(
                    self._experiment(client, run_id),
                    run_name=name,
                    tags={"mlflow.parentRunId": run_id, "refit.run": self._spec.run, **tags},
                )
            tracking.log(client, made.info.run_id, params=params, metrics=metrics)
            tracking.finish(client, made.info.run_id, failed=failed)

        self._later(write)

    def close(self, *, failed: bool) -> None:
        """Wait for everything that was logged and end the run, when it failed its parent too."""
        if self._opening is None:
            return
        client, run_id = self._opening.result()
        for written in self._pending:
            written.result()
        tracking.finish(client, run_id, failed=failed)
        if failed:
            parent = tracking.parent_run(self._spec, client=client)
            tracking.finish(client, parent, failed=True)

    def _later(self, write: Callable[[MlflowClient, str], None]) -> None:
        opening = self._open()
        self._pending.append(self._pool.submit(lambda: write(*opening.result())))

    def _experiment(self, client: MlflowClient, run_id: str) -> str:
        if not self._experiment_id:
            self._experiment_id = str(client.get_run(run_id).info.experiment_id)
        return self._experiment_id

    def _open(self) -> Future[tuple[MlflowClient, str]]:
        if self._opening is None:
            self._opening = self._pool.submit(self._connect)
        return self._opening

    def _connect(self) -> tuple[MlflowClient, str]:
        spec = self._spec
        client = tracking.connect(spec)
        run_id = tracking.stage_run(spec, client=client, fresh=True)
        tracking.log(
            client,
            run_id,
            params={
                "seed": spec.parameters.seed,
                "split": spec.parameters.split,
                "data_uri": spec.data.uri,
                "data_digest": spec.data.digest,
                "train_matrix_digest": spec.input(_INPUT).digest,
            },
        )
        return client, run_id


@contextmanager
def opened(spec: Spec) -> Iterator[Record]:
    """Yield the record of this attempt; at the end its run is finished, or failed by an exception.

    Raises MLflowUnavailableError when something could not be logged.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow") as pool:
        record = Record(spec, pool)
        try:
            yield record
        except BaseException:
            _close_quietly(record)
            raise
        record.close(failed=False)


def _close_quietly(record: Record) -> None:
    # The failure that led here is the one to tell.
    with suppress(MLflowUnavailableError):
        record.close(failed=True)


def history(points: Iterable[Point]) -> list[tuple[str, float, int]]:
    """Return the metric history of `points`, with the round as the step."""
    return [
        metric
        for point in points
        for metric in (
            ("validation_log_loss", point.log_loss, point.round),
            ("validation_f1", point.f1, point.round),
        )
    ]


def summary(figures: Figures, *, rounds: int) -> list[tuple[str, float, int]]:
    """Return the metrics of the chosen round."""
    return [(name, value, rounds) for name, value in {**figures.json(), "rounds": rounds}.items()]
