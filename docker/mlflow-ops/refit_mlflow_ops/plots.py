"""The pictures of an evaluation, as PNG files: readable alone, without the figures beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from refit_mlflow_ops import measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN, _OTHER, _MARK, _GRID = "#1f5a96", "#9aa5b1", "#c8442b", "#e3e7eb"
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
_HIGH_SHARE = 0.9  # numbers of points from here on stand below them
_WIDE, _SQUARE = (7.2, 4.6), (5.6, 5.2)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One candidate on the test split: its name, its probabilities (shape (n,)) and threshold."""

    name: str
    probabilities: measures.Probabilities
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One tuning trial: its number, its validation F1, whether it was ended early or is the best."""

    number: int
    f1: float
    stopped: bool
    best: bool


def read_trials(path: Path) -> list[Trial]:
    """Return the trials in the file of the tune stage that got as far as a figure."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [
        Trial(
            number=int(trial["trial"]),
            f1=float(trial["f1"]),
            stopped=bool(trial["stopped_early"]),
            best=trial["trial"] == content["best_trial"],
        )
        for trial in content["trials"]
        if "f1" in trial
    ]


def draw(
    *,
    folder: Path,
    labels: measures.Labels,
    winner: Judged,
    other: Judged,
    gains: Mapping[str, float],
    trials: Sequence[Trial],
) -> dict[str, Path]:
    """Draw every picture into `folder` and return its path by artifact name.

    `gains` is the winner's gain by feature name. Without `trials` there is no tuning history, and
    over one class there are no curves.
    """
    pictures = {
        "calibration": _calibration(labels, winner),
        "confusion_matrix": _confusion_matrix(labels, winner),
        "feature_importance": _feature_importance(gains, winner),
    }
    if labels.min() != labels.max():
        pictures["pr_curve"] = _pr_curve(labels, winner, other)
        pictures["roc_curve"] = _roc_curve(labels, winner, other)
    if trials:
        pictures["tuning_history"] = _tuning_history(trials)
    return {name: _save(figure, folder / f"{name}.png") for name, figure in pictures.items()}


def _pr_curve(labels: measures.Labels, winner: Judged, other: Judged) -> Figure:
    with _figure(_WIDE) as (figure, axes):
        for judged, style in ((other, _faint()), (winner, _strong())):
            p = judged.probabilities
            precision, recall, _ = measures.pr_curve(labels=labels, probabilities=p)
            area = measures.average_precision(labels=labels, probabilities=p)
            axes.plot(recall, precision, label=f"{judged.name}, area {area:.4f}", **style)
        at = _confusion_of(labels, winner)
        _mark(axes, at.recall, at.precision, f"threshold {winner.threshold:.3f}: F1 {at.f1:.4f}")
        low = min(0.95, at.precision, float(labels.mean()) + 0.3)
        axes.set(
            title="Precision and recall on the test split",
            xlabel="Recall: share of all spam that is caught",
            ylabel="Precision: share of the catch that is spam",
            xlim=(0, 1.02),
            ylim=(max(0.0, low - 0.1), 1.01),
        )
        axes.legend(loc="lower left")
        return figure


def _roc_curve(labels: measures.Labels, winner: Judged, other: Judged) -> Figure:
    with _figure(_WIDE) as (figure, axes):
        for judged, style in ((other, _faint()), (winner, _strong())):
            p = judged.probabilities
            false, true, _ = measures.roc_curve(labels=labels, probabilities=p)
            area = measures.roc_auc(labels=labels, probabilities=p)
            axes.plot(false, true, label=f"{judged.name}, area {area:.4f}", **style)
        at = _confusion_of(labels, winner)
        rate = at.fp / max(1, at.fp + at.tn)
        _mark(axes, rate, at.recall, f"threshold {winner.threshold:.3f}")
        # Nearly all of a good curve lies below 1 % false alarms: a linear axis shows a corner.
        axes.set_xscale("symlog", linthresh=0.01, linscale=1.0)
        ticks = [0, 0.005, 0.01, 0.03, 0.1, 0.3, 1]
        axes.set_xticks(ticks, [f"{100 * t:g} %" for t in ticks])
        axes.minorticks_off()
        axes.set(
            title="Receiver operating characteristic on the test split",
            xlabel="False alarms: share of all ham that is called spam (log above 1 %)",
            ylabel="Recall: share of all spam that is caught",
            xlim=(-0.0002, 1.05),
            ylim=(0, 1.02),
        )
        axes.legend(loc="lower right")
        return figure


def _calibration(labels: measures.Labels, winner: Judged) -> Figure:
    bins = measures.calibration(labels=labels, probabilities=winner.probabilities)
    error = measures.expected_calibration_error(bins, rows=len(labels))
    means = [b.mean_probability for b in bins]
    shares = [b.spam_share for b in bins]
    spread = np.array([_wilson(b) for b in bins]).T
    with _figure(_SQUARE) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_OTHER, linestyle="--", label="a perfectly honest model")
        # No line between the points: most bins of a good model hold a handful of mails.
        axes.errorbar(
            means,
            shares,
            yerr=np.abs(spread - shares),
            fmt="o",
            color=_SHOWN,
            elinewidth=1,
            capsize=3,
            label=f"{winner.name} with 95 % intervals, mean error {error:.4f}",
        )
        for b in bins:
            axes.annotate(
                f"{b.rows:,}",
                (b.mean_probability, b.spam_share),
                xytext=(5, 5 if b.spam_share < _HIGH_SHARE else -12),
                textcoords="offset points",
                fontsize=8,
                color="#555",
            )
        axes.plot([winner.threshold] * 2, [-0.03, 1.04], color=_MARK, linewidth=1, linestyle=":")
        note = f"threshold {winner.threshold:.3f}"
        axes.annotate(note, (winner.threshold, 1.06), ha="center", color=_MARK, fontsize=9)
        axes.set(
            title="Calibration on the test split (mails per bin)",
            xlabel="Mean probability of spam that the model gave",
            ylabel="True share of spam",
            xlim=(-0.03, 1.08),
            ylim=(-0.24, 1.12),
            yticks=np.linspace(0, 1, 6),
        )
        axes.legend(loc="lower right")
        return figure


def _wilson(b: measures.Bin) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a bin's share of spam."""
    z = 1.96
    middle = (b.spam_share + z * z / (2 * b.rows)) / (1 + z * z / b.rows)
    inner = b.spam_share * (1 - b.spam_share) / b.rows + z * z / (4 * b.rows * b.rows)
    half = z * inner**0.5 / (1 + z * z / b.rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def _confusion_matrix(labels: measures.Labels, winner: Judged) -> Figure:
    at = _confusion_of(labels, winner)
    counts = np.array([[at.tn, at.fp], [at.fn, at.tp]])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    with _figure((5.6, 4.6)) as (figure, axes):
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            axes.text(
                column,
                row,
                f"{count:,}\n{100 * shares[row, column]:.1f} %",
                ha="center",
                va="center",
                fontsize=13,
                color="white" if shares[row, column] > 0.5 else "black",
            )
        axes.set_xticks([0, 1], ["called ham", "called spam"])
        axes.set_yticks([0, 1], ["is ham", "is spam"])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{winner.name} at threshold {winner.threshold:.3f}, {len(labels):,} test mails")
        return figure


def _feature_importance(gains: Mapping[str, float], winner: Judged) -> Figure:
    top = sorted(gains.items(), key=lambda item: (-item[1], item[0]))[:25][::-1]
    whole = sum(gains.values()) or 1.0
    with _figure((7.2, 7.0)) as (figure, axes):
        names = [name for name, _ in top]
        shares = [100 * gain / whole for _, gain in top]
        bars = axes.barh(names, shares, color=_SHOWN, height=0.7)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.1, y=0.01)
        axes.set(
            title=f"What {winner.name} looks at: the {len(top)} features of highest gain",
            xlabel="Share of the total gain over all splits (%)",
        )
        return figure


def _tuning_history(trials: Sequence[Trial]) -> Figure:
    ordered = sorted(trials, key=lambda t: t.number)
    numbers = np.array([t.number for t in ordered])
    scores = np.array([t.f1 for t in ordered])
    stopped = np.array([t.stopped for t in ordered])
    best = np.maximum.accumulate(scores)
    with _figure(_WIDE) as (figure, axes):
        axes.step(numbers, best, where="post", color=_SHOWN, label="best so far")
        axes.plot(numbers[~stopped], scores[~stopped], "o", color=_SHOWN, label="trial, run to its end")
        if stopped.any():
            axes.plot(
                numbers[stopped],
                scores[stopped],
                "o",
                mfc="white",
                color=_OTHER,
                label="trial, stopped early",
            )
        for first in np.flatnonzero([t.best for t in ordered]):
            _mark(
                axes,
                numbers[first],
                scores[first],
                f"trial {numbers[first]}: {scores[first]:.4f}",
                below=False,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.15)
        axes.set(
            title="Tuning history (the first trial has the baseline's parameters)",
            xlabel="Trial",
            ylabel="F1 on the validation part of train",
        )
        axes.legend(loc="lower right")
        return figure


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """Yield a new figure in this module's style; no global state of pyplot is touched."""
    with rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.add_subplot()


def _save(figure: Figure, path: Path) -> Path:
    # Without the software's name and version the same figures give the same bytes.
    figure.savefig(path, dpi=144, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    return path


def _mark(axes: Axes, x: float, y: float, text: str, *, below: bool = True) -> None:
    axes.plot([x], [y], "o", color=_MARK, markersize=8, zorder=5)
    axes.annotate(
        text,
        (x, y),
        xytext=(-14, -42 if below else 14),
        textcoords="offset points",
        ha="right",
        color=_MARK,
        zorder=6,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        arrowprops={"arrowstyle": "-", "color": _MARK, "linewidth": 0.8},
    )


def _confusion_of(labels: measures.Labels, judged: Judged) -> measures.Confusion:
    return measures.confusion(labels=labels, calls=judged.probabilities >= judged.threshold)


def _strong() -> dict[str, Any]:
    return {"color": _SHOWN, "linewidth": 2.0, "zorder": 3}


def _faint() -> dict[str, Any]:
    return {"color": _OTHER, "linewidth": 1.4, "zorder": 2}
