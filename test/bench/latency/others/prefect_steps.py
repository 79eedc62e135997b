"""Five tasks of Prefect that do nothing, in one process: `prefect_steps.py`.

It prints the seconds of the second run: the first one waits for the server that Prefect starts
beside itself.
"""

from __future__ import annotations

import time

from prefect import flow, task


@task
def nothing(number: int) -> int:
    """Do nothing, after the task before."""
    return number + 1


@flow
def five() -> int:
    """Run the tasks one after the other."""
    number = 0
    for _ in range(5):
        number = nothing(number)
    return number


if __name__ == "__main__":
    five()
    began = time.monotonic()
    five()
    print(time.monotonic() - began)  # noqa: T201 - what it measured is its output
