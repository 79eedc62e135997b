from __future__ import annotations

import numpy as np

from refit_data_prep import split


def test_a_group_is_on_one_side_and_stays_there() -> None:
    """The part depends on the group's name and the seed alone, not on what else is in the data."""
    groups = [f"g{i % 500}" for i in range(1000)]

    parts = split.by_hash(groups, ratio=0.2, seed=42)

    assert parts[:500] == parts[500:]
    assert split.by_hash(groups[100:200], ratio=0.2, seed=42) == parts[100:200]
    assert split.by_hash(groups, ratio=0.2, seed=43) != parts


def test_the_shares_are_those_asked_for() -> None:
    """Of many groups about the ratio is test, and a fifth of the others validation."""
    parts = split.by_hash([str(i) for i in range(20_000)], ratio=0.3, seed=1)

    assert abs(parts.count(split.TEST) / 20_000 - 0.3) < 0.02
    assert abs(parts.count(split.VALIDATION) / 20_000 - 0.7 * 0.2) < 0.02


def test_a_larger_test_share_keeps_the_test_mail() -> None:
    """Raising the ratio only adds to the test part."""
    groups = [str(i) for i in range(1000)]
    small = split.by_hash(groups, ratio=0.1, seed=1)
    large = split.by_hash(groups, ratio=0.4, seed=1)

    assert all(b == split.TEST for a, b in zip(small, large, strict=True) if a == split.TEST)


def test_by_time_the_last_mail_is_test() -> None:
    """Fit, validation and test follow each other in time; ties go by name."""
    times = np.array([5, 1, 2, 3, 4, 4, 6, 7, 8, 9])
    names = list("jabcedfghi")

    parts = split.by_time(names, times, names, ratio=0.2)

    assert [parts[i] for i in np.lexsort((np.array(names), times))] == ["fit"] * 6 + ["validation"] * 2 + ["test"] * 2


def test_by_time_near_copies_of_train_are_marked() -> None:
    """Mail of the test period whose group has mail in train is neither test nor train."""
    groups = ["a", "b", "c", "d", "a"]

    parts = split.by_time(groups, np.arange(5), groups, ratio=0.4)

    assert parts == ["fit", "fit", "validation", "test", "near_copy_of_train"]
