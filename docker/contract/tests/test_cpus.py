from __future__ import annotations

import os
from pathlib import Path

import pytest

from refit_contract import cpus


@pytest.mark.parametrize(
    ("files", "want"),
    [
        ({}, 64),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
    ],
    ids=["no cgroup", "version 2", "version 2 without limit", "version 1", "version 1 without limit"],
)
def test_the_quota_of_the_container_bounds_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], want: int
) -> None:
    """On a machine with 64 CPUs a container uses what it was given, rounded up."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    assert cpus.budget(env={}, cgroup=tmp_path) == want


def test_refit_cpus_decides() -> None:
    """REFIT_CPUS stands above what the machine has."""
    assert cpus.budget(env={"REFIT_CPUS": "3"}) == 3


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_bad_budget_is_refused(value: str) -> None:
    """A budget that is no positive whole number is named, not replaced."""
    with pytest.raises(ValueError, match=f"'{value}'"):
        cpus.budget(env={"REFIT_CPUS": value})


def test_every_library_is_told_and_a_given_value_stays() -> None:
    """The thread variables are set before the libraries load; an operator's own value stays."""
    env = {"REFIT_CPUS": "2", "OMP_NUM_THREADS": "1"}

    cpus.limit_threads(env=env)

    assert env["OMP_NUM_THREADS"] == "1"
    assert env["POLARS_MAX_THREADS"] == "2"
    assert env["OMP_WAIT_POLICY"] == "passive"
