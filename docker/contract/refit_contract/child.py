"""One program as the child of another, whose place it takes for whoever sends signals."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run `command`, no shell between, pass SIGTERM and SIGINT on to it, and return its exit code.

    A child that a signal ended has the code that shells give: 128 and the signal's number.
    """
    with subprocess.Popen(list(command), env=env) as process:  # noqa: S603 - a list, from our own code
        before = {
            number: signal.signal(number, lambda sent, _frame: process.send_signal(sent))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return code if code >= 0 else 128 - code
