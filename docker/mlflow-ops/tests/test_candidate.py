"""What the earlier stages hand over, and the rule that picks the one that is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evaluatetest.world import World
from refit_contract import FEATURES, BadInputError
from refit_mlflow_ops.candidate import Candidate, gains, pick


def candidate(name: str, *, f1: float, log_loss: float) -> Candidate:
    """Return a candidate with these figures of the validation."""
    return Candidate(name=name, model=Path("none"), threshold=0.5, f1=f1, log_loss=log_loss, choice={})


@pytest.mark.parametrize(
    ("tuned_f1", "tuned_log_loss", "want"),
    [
        (0.98, 0.30, "tuned"),
        (0.96, 0.05, "baseline"),
        (0.97, 0.09, "tuned"),
        (0.97, 0.11, "baseline"),
        (0.97, 0.10, "baseline"),
    ],
    ids=["higher F1", "lower F1", "tie, lower loss", "tie, higher loss", "tie in all"],
)
def test_validation_picks_the_winner(tuned_f1: float, tuned_log_loss: float, want: str) -> None:
    """Higher validation F1, then lower log loss, then the simpler model; the other is the other."""
    baseline = candidate("baseline", f1=0.97, log_loss=0.10)
    tuned = candidate("tuned", f1=tuned_f1, log_loss=tuned_log_loss)
    winner, other = pick(baseline, tuned)
    assert winner.name == want
    assert {winner.name, other.name} == {"baseline", "tuned"}


def test_a_choice_without_its_fields_is_refused(world: World, tmp_path: Path) -> None:
    """The message names the candidate and the field instead of a traceback."""
    choice = tmp_path / "tuned.json"
    choice.write_text('{"threshold": 0.5}')
    with pytest.raises(BadInputError, match="tuned has no field"):
        Candidate.read(name="tuned", model=world.folder / "tuned.ubj", choice=choice)


def test_gains_bear_the_names_of_features(world: World) -> None:
    """Every feature has a gain, by title, in column order, whether the booster knows names or not."""
    read = Candidate.read(name="tuned", model=world.folder / "tuned.ubj", choice=world.folder / "tuned.json")
    named = read.booster(threads=1)
    got = gains(named, titles=FEATURES)
    assert list(got) == list(FEATURES)
    assert got["spam_count"] > 0
    named.feature_names = None
    assert gains(named, titles=FEATURES) == got


def test_a_candidate_is_a_value(world: World) -> None:
    """Reading twice gives equal candidates; nothing is loaded before it is asked for."""
    files = {"model": world.folder / "tuned.ubj", "choice": world.folder / "tuned.json"}
    first, second = (Candidate.read(name="tuned", **files) for _ in range(2))
    assert first == second
    assert replace(first, name="other") != first
