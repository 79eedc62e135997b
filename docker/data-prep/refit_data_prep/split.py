"""Which mail is fitted on, which chooses, and which judges.

A side is drawn for a group of near-identical mail, by a seeded hash of its oldest member's
content: the same mail falls on the same side in every later version of the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

FIT: Final = "fit"
VALIDATION: Final = "validation"
TEST: Final = "test"
NEAR_COPY: Final = "near_copy_of_train"
"""The part of mail in a test period that nearly equals mail of the train period: none."""

VALIDATION_RATIO: Final = 0.2
"""Share of train that is kept out of what is fitted for choosing."""


def draw(*, seed: int, purpose: str, name: str) -> float:
    """Return a number from 0 up to 1 that depends on the three arguments alone."""
    digest = hashlib.blake2b(f"{seed}:{purpose}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def by_hash(groups: Sequence[str], *, ratio: float, seed: int) -> list[str]:
    """Return the part of each mail, given the name of its group.

    About `ratio` of the groups are test; of the others, VALIDATION_RATIO are validation by
    an independent draw.
    """
    parts: dict[str, str] = {}
    for group in groups:
        if group not in parts:
            test = draw(seed=seed, purpose="test", name=group) < ratio
            held = draw(seed=seed, purpose="validation", name=group) < VALIDATION_RATIO
            parts[group] = TEST if test else VALIDATION if held else FIT
    return [parts[group] for group in groups]


def by_time(groups: Sequence[str], times: NDArray[np.int64], names: Sequence[str], *, ratio: float) -> list[str]:
    """Return the part of each mail: the last `ratio` by time is test.

    The last VALIDATION_RATIO of the rest is validation. Mail of the test period whose group
    has mail in train is NEAR_COPY. Ties in time are ordered by `names`.
    """
    order = np.lexsort((np.asarray(names), times))
    cut = len(order) - round(len(order) * ratio)
    held = cut - round(cut * VALIDATION_RATIO)
    known = {groups[i] for i in order[:cut]}
    parts = [""] * len(order)
    for rank, i in enumerate(order):
        later = NEAR_COPY if groups[i] in known else TEST
        parts[i] = FIT if rank < held else VALIDATION if rank < cut else later
    return parts
