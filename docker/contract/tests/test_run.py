from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from refit_contract.errors import BadInputError, InternalError, StoreUnavailableError
from refit_contract.run import EXIT_CRASHED, EXIT_FAILED, EXIT_SUCCEEDED, EXIT_USAGE, Context, Work, main
from refit_contract.spec import Artifact, Spec
from refit_contract.store import Store

FIGURES = {"train_rows": 8, "test_rows": 2, "columns": 524, "feast_seconds": 0.5, "vocabulary": 500}


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Put the root logger back as it was: `main` owns it in a workload."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def work_that(action: Any) -> Work:
    """Return work that writes one artifact and then calls `action` with the context."""

    def work(_spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
        path = context.scratch / "tfidf.json"
        path.write_text("{}")
        artifact = context.upload(path)
        action(context)
        return FIGURES, {"tfidf": artifact}

    return work


def test_a_success_writes_the_result_last(spec_uri: str, tmp_path: Path) -> None:
    """While the work runs there is no result; afterwards it names every artifact."""
    seen: list[bool] = []

    code = main("features", work_that(lambda _: seen.append((tmp_path / "out/result.json").exists())), argv=[spec_uri])

    assert (code, seen) == (EXIT_SUCCEEDED, [False])
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["artifacts"]["tfidf"]["uri"] == f"file://{tmp_path}/out/tfidf.json"


def test_an_understood_failure_writes_its_reason(spec_uri: str, tmp_path: Path) -> None:
    """A WorkloadError becomes a failed result and exit code 1, with no artifacts."""

    def refuse(_: Context) -> None:
        raise BadInputError("column label is missing")

    assert main("features", work_that(refuse), argv=[spec_uri]) == EXIT_FAILED
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["error"] == {"reason": "BadInput", "message": "column label is missing"}
    assert result["artifacts"] == {}


def test_a_crash_leaves_no_result(spec_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any other exception leaves no result, another exit code, and its traceback in the log."""

    def crash(_: Context) -> None:
        raise KeyError("surprise")

    assert main("features", work_that(crash), argv=[spec_uri]) == EXIT_CRASHED
    assert not (tmp_path / "out/result.json").exists()
    assert "KeyError: 'surprise'" in capsys.readouterr().out


def test_figures_that_break_the_contract_fail_the_attempt(spec_uri: str, tmp_path: Path) -> None:
    """Figures outside their schema never reach a reader: the attempt fails with Internal."""
    code = main("features", lambda _spec, _context: ({"columns": 1}, {}), argv=[spec_uri])

    assert code == EXIT_FAILED
    assert json.loads((tmp_path / "out/result.json").read_text())["error"]["reason"] == "Internal"


def test_a_passed_deadline_starts_no_work(spec_value: dict[str, Any], tmp_path: Path) -> None:
    """An attempt that starts after its deadline says so and does nothing."""
    spec_value["deadline"] = "2020-01-01T00:00:00Z"
    (tmp_path / "spec.json").write_text(json.dumps(spec_value))

    code = main("features", work_that(pytest.fail), argv=[f"file://{tmp_path}/spec.json"])

    assert code == EXIT_FAILED
    assert json.loads((tmp_path / "out/result.json").read_text())["error"]["reason"] == "DeadlineExceeded"


def test_scratch_is_private_and_removed(spec_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch folder lies in REFIT_TMPDIR and is gone afterwards, also after a crash."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("REFIT_TMPDIR", str(scratch))

    def crash(context: Context) -> None:
        assert context.scratch.parent == scratch
        raise KeyError

    assert main("features", work_that(crash), argv=[spec_uri]) == EXIT_CRASHED
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("argv", [[], ["a", "b"], ["file:///nowhere/spec.json"], ["nonsense"]])
def test_without_a_usable_spec_there_is_no_result(argv: list[str]) -> None:
    """One URI of a readable spec is all that is accepted on the command line."""
    assert main("features", work_that(pytest.fail), argv=argv) == EXIT_USAGE


def test_a_pod_learns_its_spec_from_the_environment(
    spec_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an argument REFIT_SPEC counts: in a cluster nothing of a spec reaches a command line."""
    monkeypatch.setenv("REFIT_SPEC", spec_uri)

    assert main("features", work_that(lambda _: None), argv=[]) == EXIT_SUCCEEDED
    assert (tmp_path / "out/result.json").exists()


def test_an_argument_counts_before_the_environment(
    spec_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who names a spec by hand in a pod gets that one."""
    monkeypatch.setenv("REFIT_SPEC", f"file://{tmp_path}/other.json")

    assert main("features", work_that(lambda _: None), argv=[spec_uri]) == EXIT_SUCCEEDED


def test_a_spec_of_another_stage_is_refused(spec_uri: str) -> None:
    """A workload never does another stage's work."""
    assert main("prepare", work_that(pytest.fail), argv=[spec_uri]) == EXIT_USAGE


def test_a_store_that_fails_at_the_end_leaves_no_result(spec_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When result.json cannot be written the attempt has crashed: somebody must try again."""

    def refuse(*_: object) -> Artifact:
        raise StoreUnavailableError("down")

    monkeypatch.setattr(Store, "put_json", refuse)

    assert main("features", work_that(lambda _: None), argv=[spec_uri]) == EXIT_CRASHED


def test_an_input_is_downloaded_once_asked_for(spec_uri: str, tmp_path: Path) -> None:
    """The context downloads an input by name, checked against the spec."""
    (tmp_path / "train.parquet").write_bytes(b"abc")
    found: list[bytes] = []

    main("features", work_that(lambda c: found.append(c.download("train").read_bytes())), argv=[spec_uri])

    assert found == [b"abc"]


def test_every_error_says_something(spec_uri: str, tmp_path: Path) -> None:
    """A failure without a message still has one in the result."""

    def refuse(_: Context) -> None:
        raise InternalError

    main("features", work_that(refuse), argv=[spec_uri])

    assert json.loads((tmp_path / "out/result.json").read_text())["error"]["message"] == "InternalError"
