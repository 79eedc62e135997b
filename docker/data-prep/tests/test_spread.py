from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from refit_contract.errors import BadInputError
from refit_data_prep.spread import spread


def numbers(first: int, every: int) -> Iterator[tuple[int, int]]:
    """Yield numbers below 10, and the process that made each."""
    for number in range(first, 10, every):
        yield number, os.getpid()


@pytest.mark.parametrize("processes", [1, 2, 3, 12])
def test_items_come_in_order_from_as_many_processes(processes: int) -> None:
    """However many processes there are, the items are those of one, in their order."""
    found = list(spread(numbers, processes=processes))

    assert [number for number, _ in found] == list(range(10))
    assert len({pid for _, pid in found}) == min(processes, 10)
    assert (os.getpid() in {pid for _, pid in found}) == (processes == 1)


def test_an_error_is_raised_at_its_place() -> None:
    """What came before the error is there; the error is what the work raised."""

    def damaged(first: int, every: int) -> Iterator[int]:
        for number in range(first, 10, every):
            if number == 5:
                raise BadInputError("row 5 is damaged")
            yield number

    taken: list[int] = []
    with pytest.raises(BadInputError, match="row 5 is damaged"):
        taken.extend(spread(damaged, processes=2))
    assert taken == list(range(5))


def test_a_process_that_is_killed_is_missed() -> None:
    """A fork that the kernel ends for want of memory ends the work with that word."""

    def dying(first: int, every: int) -> Iterator[int]:
        for number in range(first, 10, every):
            if number == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            yield number

    with pytest.raises(MemoryError):
        list(spread(dying, processes=2))


def test_no_process_outlives_its_reader() -> None:
    """Who stops early leaves no process behind."""
    items = spread(numbers, processes=2)
    _, pid = next(items)
    items.close()  # type: ignore[attr-defined]

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
