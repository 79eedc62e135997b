"""Work on all cores: forks of this process make items, and this process takes them in order."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Item = TypeVar("Item")


def spread(work: Callable[[int, int], Iterable[Item]], *, processes: int) -> Iterator[Item]:
    """Yield what `work(k, processes)` yields in the k-th of `processes` forks, one item of each in turn.

    When `work(k, n)` makes every n-th item from the k-th on, all items come in their order. One
    process forks nothing. Items are pickled. Raises what `work` raises, and MemoryError when a fork
    is killed, which is what the kernel does for want of memory.
    """
    if processes == 1:
        yield from work(0, 1)
        return
    with ExitStack() as forks:
        readers = [forks.enter_context(closing(_Fork(work, k, processes))).reader for k in range(processes)]
        for reader in cycle(readers):
            try:
                item, err = reader.recv()
            except EOFError:
                raise MemoryError("a process that was to read mail is gone") from None
            if err is not None:
                raise err
            if item is None:
                return
            yield item[0]


class _Fork:
    """A fork that works until it is done, nobody reads or it is closed."""

    def __init__(self, work: Callable[[int, int], Iterable[Any]], k: int, n: int) -> None:
        context = multiprocessing.get_context("fork")
        self.reader, writer = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(work, k, n, writer), daemon=True)
        self._process.start()
        # With a copy left here the end of the fork would not be the end of the pipe.
        writer.close()

    def close(self) -> None:
        """End the fork."""
        self._process.kill()
        self._process.join()
        self.reader.close()


def _serve(work: Callable[[int, int], Iterable[Any]], k: int, n: int, writer: Connection) -> None:
    """Send each item as ((item,), None), then (None, None), or (None, the error) instead."""
    with suppress(BrokenPipeError):
        try:
            for item in work(k, n):
                writer.send(((item,), None))
        except Exception as err:  # noqa: BLE001 - it is raised where the items are taken
            err.add_note(traceback.format_exc())
            writer.send((None, err))
        else:
            writer.send((None, None))
