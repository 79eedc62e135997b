from __future__ import annotations

from pathlib import Path

import pytest

from refit_ray_train.cluster import Cluster


@pytest.mark.parametrize(
    ("cpus", "workers", "budget", "threads", "request_each"),
    [
        (2, 1, 2, 2, 2.0),
        (2, 2, 2, 1, 1.0),
        (16, 2, 4, 4, 4.0),
        (1, 1, 8, 1, 1.0),
        (2, 3, 2, 1, 0.666),
    ],
    ids=[
        "one worker has the whole machine",
        "two share it",
        "a machine has fewer threads than the cluster",
        "a small cluster bounds the driver's own budget",
        "more workers than CPUs",
    ],
)
def test_workers_share_the_cpus_and_all_fit(
    cpus: int, workers: int, budget: int, threads: int, request_each: float
) -> None:
    """No worker has more threads than its CPUs, and the cluster can run all workers at once."""
    cluster = Cluster(cpus=cpus, storage=Path("unused"))
    assert cluster.threads(of=workers, budget=budget) == threads
    assert cluster.request(of=workers, threads=threads) == request_each
    assert request_each * workers <= cpus
