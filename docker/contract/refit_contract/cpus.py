"""How many threads a workload may use, and telling every library before it starts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "ARROW_NUM_THREADS",
)


def budget(*, env: Mapping[str, str], cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of threads to use, at least 1.

    REFIT_CPUS decides when it is set; otherwise the smaller of the CPU quota of the
    container (cgroup v2 or v1, rounded up) and the CPUs this process may run on.
    Raises ValueError when REFIT_CPUS is no positive whole number.
    """
    if given := env.get("REFIT_CPUS", "").strip():
        if not given.isdigit() or int(given) < 1:
            raise ValueError(f"REFIT_CPUS is {given!r}; accepted is a whole number from 1")
        return int(given)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(usable or 1, _quota(cgroup)))


def limit_threads(*, env: MutableMapping[str, str]) -> int:
    """Set the thread variables of the numeric libraries that `env` leaves open.

    Call before those libraries are imported. Returns the budget.
    """
    count = budget(env=env)
    for name in _THREADS:
        env.setdefault(name, str(count))
    # Spinning OpenMP threads next to a busy neighbour cost more than ten times the work.
    env.setdefault("OMP_WAIT_POLICY", "passive")
    return count


def _quota(cgroup: Path) -> int:
    no_limit = 1 << 16
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return no_limit
    if not quota.isdigit() or not period.isdigit() or int(quota) == 0:
        return no_limit
    return math.ceil(int(quota) / int(period))
