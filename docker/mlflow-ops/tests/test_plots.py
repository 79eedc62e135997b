"""The pictures: which there are, and that equal figures draw equal files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refit_contract import schema
from refit_mlflow_ops import measures, plots

LABELS = (np.arange(300) % 3 == 0).astype(np.int8)
TRIALS = [plots.Trial(number=i, f1=0.9 + i / 100, stopped=i == 2, best=i == 3) for i in range(4)]


def judged(name: str, *, seed: int) -> plots.Judged:
    """Return a candidate that knows something about LABELS."""
    noise = np.random.default_rng(seed).normal(0, 0.2, len(LABELS))
    return plots.Judged(name=name, probabilities=np.clip(0.3 + 0.4 * LABELS + noise, 0, 1), threshold=0.5)


def draw(folder: Path, *, labels: measures.Labels = LABELS, trials: list[plots.Trial]) -> dict[str, Path]:
    """Draw everything into `folder`."""
    folder.mkdir()
    return plots.draw(
        folder=folder,
        labels=labels,
        winner=judged("tuned", seed=1),
        other=judged("baseline", seed=2),
        gains={f"feature {i}": float(i) for i in range(40)},
        trials=trials,
    )


def test_equal_figures_draw_equal_files(tmp_path: Path) -> None:
    """Six PNG files, of a size to read, byte for byte the same when drawn again."""
    from PIL import Image

    first, second = draw(tmp_path / "a", trials=TRIALS), draw(tmp_path / "b", trials=TRIALS)
    assert len(first) == 6
    for name, path in first.items():
        assert path.name == f"{name}.png"
        assert path.read_bytes() == second[name].read_bytes()
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 600


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_curves(tmp_path: Path, label: int) -> None:
    """Curves need both classes; the other pictures are drawn all the same."""
    labels = np.full(len(LABELS), label, dtype=np.int8)
    got = draw(tmp_path / "one", labels=labels, trials=[])
    assert set(got) == {"calibration", "confusion_matrix", "feature_importance"}


def test_figures_outside_their_limits_break_the_schema() -> None:
    """The schema is no decoration: shares beyond 1 and missing figures are found."""
    found = schema.problems("figures.register", {"winner": "best", "f1": 1.2})
    assert any("winner" in problem for problem in found)
    assert any("f1" in problem and "maximum" in problem for problem in found)
    assert any("champion" in problem for problem in found)
