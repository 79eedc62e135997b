"""The frame of every workload: spec in, work, artifacts, and the result last."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refit_contract import cpus
from refit_contract.errors import DeadlineExceededError, InternalError, WorkloadError
from refit_contract.progress import Progress
from refit_contract.result import Result, stamp
from refit_contract.spec import Artifact, Spec
from refit_contract.store import Store

EXIT_SUCCEEDED = 0
"""The result says succeeded."""
EXIT_FAILED = 1
"""The result says failed, with a reason."""
EXIT_USAGE = 2
"""There is no usable spec, so there is no result either."""
EXIT_CRASHED = 3
"""The workload died of something it does not understand; there is no result."""

_log = logging.getLogger("refit")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a stage's work may use: the store, a scratch folder, progress and a log.

    `scratch` is private to the attempt and removed at its end; `cpus` is the thread
    budget.
    """

    spec: Spec
    store: Store
    scratch: Path
    progress: Progress
    log: logging.Logger
    cpus: int

    def download(self, name: str) -> Path:
        """Stream the spec's input `name` into the scratch folder and return its path."""
        artifact = self.spec.input(name)
        return self.store.download(artifact, self.scratch / f"input-{name}")

    def upload(self, path: Path) -> Artifact:
        """Write the file `path` under the spec's output prefix, by its own name."""
        return self.store.upload(path, self.spec.output + path.name)

    def check_deadline(self) -> None:
        """Raise DeadlineExceededError when the spec's deadline has passed."""
        if datetime.now(UTC) >= self.spec.deadline:
            raise DeadlineExceededError(
                f"the deadline {stamp(self.spec.deadline)} of stage {self.spec.stage} has passed"
            )


Work = Callable[[Spec, Context], tuple[Mapping[str, Any], Mapping[str, Artifact]]]
"""A stage's work: returns its figures and its artifacts, or raises a WorkloadError."""


def main(stage: str, work: Work, *, argv: Sequence[str] | None = None) -> int:
    """Run `work` for the spec whose URI is the one argument, or else REFIT_SPEC; return the exit code.

    The exit code is one of the EXIT_ constants of this module. `result.json` is written
    after every artifact, also for a failure that the work understands.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    _log_to_stdout()
    if not arguments and (uri := os.environ.get("REFIT_SPEC")):
        arguments = [uri]
    if len(arguments) != 1:
        _log.error("usage: python -m <module of stage %s> <URI of spec.json>; REFIT_SPEC can hold the URI", stage)
        return EXIT_USAGE
    store = Store()
    try:
        spec = Spec.parse(store.read(arguments[0]))
        if spec.stage != stage:
            raise InternalError(f"the spec is for stage {spec.stage}, this is stage {stage}")
    except WorkloadError as err:
        _log.error("cannot use the spec %s: %s", arguments[0], err)
        return EXIT_USAGE
    try:
        return _attempt(spec, store, work)
    except Exception:  # noqa: BLE001 - the one place that turns a crash into an exit code
        _log.exception("%s crashed; there is no result", stage)
        return EXIT_CRASHED


def _attempt(spec: Spec, store: Store, work: Work) -> int:
    started, clock = datetime.now(UTC), time.monotonic()
    _log.info("stage %s of run %s, attempt %d", spec.stage, spec.run, spec.attempt)
    result = _work(spec, store, work, started)
    store.put_json(spec.output + "result.json", result)
    seconds = time.monotonic() - clock
    if "error" in result:
        _log.error("failed after %.1f s: %s", seconds, result["error"]["message"])
        return EXIT_FAILED
    _log.info("succeeded after %.1f s", seconds)
    return EXIT_SUCCEEDED


def _work(spec: Spec, store: Store, work: Work, started: datetime) -> dict[str, Any]:
    scratch = Path(tempfile.mkdtemp(prefix="refit-", dir=os.environ.get("REFIT_TMPDIR") or None))
    figures: Mapping[str, Any] = {}
    artifacts: Mapping[str, Artifact] = {}
    try:
        context = Context(
            spec=spec,
            store=store,
            scratch=scratch,
            progress=Progress(store=store, uri=spec.output + "progress.json"),
            log=_log,
            cpus=cpus.limit_threads(env=os.environ),
        )
        context.check_deadline()
        figures, artifacts = work(spec, context)
        return _result(spec, started, figures, artifacts).json()
    except WorkloadError as err:
        _log.debug("the failure in full", exc_info=True)
        return _result(spec, started, {}, {}, err).json()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _result(
    spec: Spec,
    started: datetime,
    figures: Mapping[str, Any],
    artifacts: Mapping[str, Artifact],
    error: WorkloadError | None = None,
) -> Result:
    return Result(
        spec=spec,
        figures=figures,
        artifacts=artifacts,
        started_at=started,
        ended_at=datetime.now(UTC),
        error=error,
    )


def _log_to_stdout() -> None:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
