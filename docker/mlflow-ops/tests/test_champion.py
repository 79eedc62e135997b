"""The champion is beaten only by evidence from mail that neither model was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluatetest import tracked
from evaluatetest.world import NOW, TEST_ROWS, World
from refit_contract import MLflowUnavailableError
from refit_mlflow_ops import champion
from refit_mlflow_ops.candidate import Candidate
from refit_mlflow_ops.split import Split

GUESSER = """
import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model


class Guesser(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        {body}


set_model(Guesser())
"""
ALL_SPAM = 'return pd.DataFrame({"probability": 1.0, "label": "spam"}, index=model_input.index)'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with an MLflow in it, which is the current one."""
    path = tmp_path_factory.mktemp("champion")
    with tracked.store(path):
        yield path


@pytest.fixture(scope="module")
def split(world: World) -> Split:
    """Return the world's test split, scored by the tuned candidate."""
    files = {"model": world.folder / "tuned.ubj", "choice": world.folder / "tuned.json"}
    booster = Candidate.read(name="tuned", **files).booster(threads=1)
    return Split.read(
        world.folder / "test_matrix.parquet", entities=world.folder / "entities.parquet", boosters={"tuned": booster}
    )


def guesser(folder: Path, name: str, *, body: str = ALL_SPAM, trained_on: list[str] | None = None) -> str:
    """Make a champion of `name` that does `body`; return its version."""
    import mlflow.pyfunc

    here = folder / name
    here.mkdir()
    code = here / "guesser.py"
    code.write_text(GUESSER.format(body=body))
    artifacts = {}
    if trained_on is not None:
        groups = champion.write_groups(trained_on, here / "train_groups.parquet")
        artifacts["train_groups"] = str(groups)
    with mlflow.start_run(experiment_id=tracked.experiment(folder)):
        info = mlflow.pyfunc.log_model(
            name="guesser", python_model=str(code), artifacts=artifacts, pip_requirements=["mlflow"]
        )
    return tracked.promote(name=name, source=info.model_uri)


def compare(world: World, split: Split, scratch: Path, *, name: str, raw: bool = True) -> champion.Verdict:
    """Compare the tuned candidate with the champion of `name`."""
    return champion.compare(
        model_name=name,
        split=split,
        candidate=split.probabilities["tuned"] >= 0.5,
        mails=world.folder / "test_raw.parquet" if raw else None,
        now=NOW,
        seed=1,
        scratch=scratch,
        seconds=60,
    )


def test_a_weak_champion_is_beaten(world: World, split: Split, folder: Path, tmp_path: Path) -> None:
    """Fifty mails that the champion was trained on are left out; on the others it loses surely."""
    guesser(folder, "weak", trained_on=split.groups[:50].tolist())
    verdict = compare(world, split, tmp_path, name="weak")
    assert verdict.better
    assert verdict.rows == TEST_ROWS - 50
    assert 0 < verdict.delta_low <= verdict.delta <= verdict.delta_high


def test_a_model_does_not_beat_itself(world: World, split: Split, folder: Path, tmp_path: Path) -> None:
    """A replay against its own model: compared on every test mail, no difference, not better."""
    logged = tracked.log(world, folder, tags={"refit.run": "itself"})
    version = tracked.promote(name="itself", source=logged.uri)
    verdict = compare(world, split, tmp_path, name="itself")
    assert verdict == champion.Verdict(version=version, rows=TEST_ROWS, better=False, reason=verdict.reason)
    assert "does not surely beat champion version 1" in verdict.reason


def test_too_few_common_strangers_decide_nothing(world: World, split: Split, folder: Path, tmp_path: Path) -> None:
    """A champion trained on most of the test mails keeps its place, with that reason."""
    guesser(folder, "knowing", trained_on=split.groups[:101].tolist())
    verdict = compare(world, split, tmp_path, name="knowing")
    assert (verdict.better, verdict.rows) == (False, TEST_ROWS - 101)
    assert "too few test mails that champion version 1 was not trained on: 99" in verdict.reason


def test_a_broken_champion_is_not_beaten(world: World, split: Split, folder: Path, tmp_path: Path) -> None:
    """A champion that raises is never passed over: not better, and the reason names its error."""
    guesser(folder, "broken", body='raise OSError("out of order")', trained_on=[])
    verdict = compare(world, split, tmp_path, name="broken")
    assert not verdict.better
    assert "champion version 1 is not comparable" in verdict.reason
    assert "out of order" in verdict.reason


def test_a_champion_of_unknown_origin_is_not_beaten(world: World, split: Split, folder: Path, tmp_path: Path) -> None:
    """Who does not say what it was trained on cannot be compared with honestly."""
    guesser(folder, "stranger")
    verdict = compare(world, split, tmp_path, name="stranger")
    assert not verdict.better
    assert "does not say which mails it was trained on" in verdict.reason


def test_without_raw_mail_nothing_is_compared(world: World, split: Split, folder: Path, tmp_path: Path) -> None:
    """The champion is asked with raw mail or not at all."""
    guesser(folder, "unasked", trained_on=[])
    verdict = compare(world, split, tmp_path, name="unasked", raw=False)
    assert (verdict.version, verdict.better) == ("1", False)
    assert "no raw mail" in verdict.reason


def test_one_known_mail_makes_its_group_known(split: Split) -> None:
    """A group may be named otherwise in other data: near copies of a known mail are left out too."""
    grouped = replace(split, groups=np.repeat(["a", "b"], [3, TEST_ROWS - 3]))
    keep = champion.comparable(grouped, trained_on={str(split.text_hashes[1])})
    assert keep.tolist() == [False] * 3 + [True] * (TEST_ROWS - 3)


@pytest.mark.usefixtures("folder")
def test_no_champion_is_told_from_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown model has no champion; a store that fails is an error and not "no champion"."""
    import mlflow
    from mlflow.exceptions import MlflowException

    assert champion.find("unknown") == ""

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("out of order")

    monkeypatch.setattr(mlflow.MlflowClient, "get_registered_model", refuse)
    with pytest.raises(MLflowUnavailableError, match="out of order"):
        champion.find("unknown")


def decide(*, rows: int, wrong: int, one_class: bool = False) -> champion.Verdict:
    """Compare a perfect candidate with a champion that errs on the first `wrong` of `rows`."""
    labels = np.zeros(rows, dtype=np.int8) if one_class else (np.arange(rows) % 2).astype(np.int8)
    theirs = labels == 1
    theirs[:wrong] = ~theirs[:wrong]
    return champion.decide(
        version="3",
        labels=labels,
        candidate=labels == 1,
        champion=theirs,
        groups=np.arange(rows).astype(str),
        seed=1,
    )


@pytest.mark.parametrize(
    ("rows", "wrong", "one_class", "better"),
    [
        (100, 30, False, True),
        (99, 30, False, False),
        (100, 30, True, False),
        (1000, 0, False, False),
        (1000, 1, False, False),
    ],
    ids=["surely better", "a row too few", "one class only", "no difference", "one mail better"],
)
def test_only_a_sure_difference_on_enough_mail_wins(rows: int, wrong: int, one_class: bool, better: bool) -> None:
    """The whole interval lies above 0, on at least 100 mails of both classes; else it stays."""
    assert decide(rows=rows, wrong=wrong, one_class=one_class).better is better
