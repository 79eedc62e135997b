"""A Ray head of its own for the tests, on free ports, with token authentication."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from refit_contract import wait_for

_PORTS = (
    "port",
    "ray-client-server-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
    "node-manager-port",
    "object-manager-port",
)


@contextmanager
def running(folder: Path, *, cpus: int = 2) -> Iterator[dict[str, str]]:
    """Run a head that keeps its files in `folder`, a short path; yield what drivers need in env."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_WAIT_POLICY": "passive",
        "HOME": str(folder),
    }
    address = f"127.0.0.1:{ports['port']}"
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *("--include-dashboard=false", f"--temp-dir={folder}/ray", f"--num-cpus={cpus}"),
        *("--object-store-memory=200000000", "--min-worker-port=0", "--max-worker-port=0"),
        *(f"--{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - every argument is made above
            command, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"tcp://{address}", deadline=datetime.now(UTC) + timedelta(minutes=1))
            yield {**env, "RAY_ADDRESS": address}
        finally:
            _end(process)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        # All are held at once, so that none is given twice.
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    # Ray gives each idle worker its time; nothing here is worth it.
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
