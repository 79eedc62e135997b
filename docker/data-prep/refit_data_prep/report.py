"""The data report: what came in, what stays, and why the rest does not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from refit_contract.result import stamp
from refit_data_prep import split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refit_contract.spec import Spec
    from refit_data_prep.prepare import Keys, Plan
    from refit_data_prep.upload import Upload

_LABELS = {0: "ham", 1: "spam"}


def report_of(*, spec: Spec, upload: Upload, keys: Keys, plan: Plan, listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return report.json; its "figures" are the stage's figures.

    `listed` holds the dropped rows to show by reason and the number of renamed ids.
    """
    counts = Counter((part, keys.labels[row]) for row, part in plan.parts.items())
    return {
        "figures": _figures(upload, plan, counts),
        "columns": {"used": upload.columns, "ignored": upload.ignored},
        "data": {"uri": spec.data.uri, "landed_at": stamp(spec.data.landed_at)},
        "split": _split(spec, counts),
        "event_times": {**keys.clocks, "landing_time_used": plan.landing_time},
        "near_identical": _groups(keys, plan),
        "renamed_ids": listed["renamed_ids"],
        "dropped": listed["rows"],
    }


def _figures(upload: Upload, plan: Plan, counts: Counter[tuple[str, int]]) -> dict[str, Any]:
    drops = Counter(plan.drops.values())
    rows = {part: counts[part, 0] + counts[part, 1] for part in _PARTS}
    kept = sum(rows.values())
    return {
        "data_digest": upload.digest,
        "rows": upload.rows,
        "kept": kept,
        "dropped": upload.rows - kept,
        "train_rows": rows[split.FIT] + rows[split.VALIDATION],
        "validation_rows": rows[split.VALIDATION],
        "test_rows": rows[split.TEST],
        "spam_train": counts[split.FIT, 1] + counts[split.VALIDATION, 1],
        "spam_test": counts[split.TEST, 1],
        "duplicates": drops["duplicate"],
        "groups": len(set(plan.groups.values())),
        "layout": upload.layout,
        "drops": dict(sorted(drops.items())),
    }


def _split(spec: Spec, counts: Counter[tuple[str, int]]) -> dict[str, Any]:
    total = Counter[int]()
    for (_, label), n in counts.items():
        total[label] += n
    return {
        "kind": spec.parameters.split,
        "seed": spec.parameters.seed,
        "asked_test_share": spec.parameters.test_split_ratio,
        "parts": {p: {n: counts[p, i] for i, n in _LABELS.items()} for p in _PARTS},
        "test_share": {n: round(counts[split.TEST, i] / total[i], 4) for i, n in _LABELS.items()},
    }


def _groups(keys: Keys, plan: Plan) -> dict[str, int]:
    sizes = Counter(plan.groups.values())
    labels: dict[str, set[int]] = {}
    for row, group in plan.groups.items():
        labels.setdefault(group, set()).add(keys.labels[row])
    return {
        "groups": len(sizes),
        "groups_of_several": sum(n > 1 for n in sizes.values()),
        "mails_in_groups_of_several": sum(n for n in sizes.values() if n > 1),
        "largest_group": max(sizes.values()),
        "groups_with_both_labels": sum(len(found) > 1 for found in labels.values()),
    }


_PARTS = (split.FIT, split.VALIDATION, split.TEST)
