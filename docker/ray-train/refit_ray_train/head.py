"""A command beside a Ray head of its own: `python -m refit_ray_train.head COMMAND [ARGUMENT…]`.

A RayJob has its cluster from the operator. A step of a pipeline is one container, so the head runs
in it: on the loopback interface, with a token, its files in a folder that is removed at the end.
Where RAY_ADDRESS names a cluster already, the command uses that one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from refit_contract import RayUnavailableError, child, cpus
from refit_contract.run import EXIT_CRASHED
from refit_ray_train import cluster

_HOST = "127.0.0.1"
_START = timedelta(minutes=4)
_STARTED = "Ray runtime started"
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments are and return its exit code, EXIT_CRASHED without a head."""
    command = sys.argv[1:] if argv is None else list(argv)
    if os.environ.get("RAY_ADDRESS"):
        return child.run(command)
    try:
        with running(cpus=cpus.budget(env=os.environ)) as env:
            return child.run(command, env={**os.environ, **env})
    except RayUnavailableError as err:
        sys.stderr.write(f"{err}\n")
        return EXIT_CRASHED


@contextmanager
def running(*, cpus: int) -> Iterator[dict[str, str]]:
    """Run a head that hands out `cpus` CPUs; yield what the environment of its drivers needs.

    Raises RayUnavailableError, with the end of the head's log, when it does not start.
    """
    # Ray's sockets lie in this folder, and their paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    try:
        env = _environment(folder)
        address, command = _command(folder, cpus)
        with (folder / "head.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - every argument is made here
                command, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait(process, folder / "head.log")
            yield {**env, "RAY_ADDRESS": address}
        finally:
            _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return {
        # Ray's only switch for "this node alone": without it 127.0.0.1 is replaced by the
        # address of the network interface, and everything listens there.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        **cluster.worker_env(),
        cluster.INHERITED: "1",
    }


def _command(folder: Path, cpus: int) -> tuple[str, list[str]]:
    ports: Mapping[str, int] = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    return f"{_HOST}:{ports['port']}", [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *("--node-ip-address", _HOST, "--include-dashboard", "false", "--no-monitor"),
        *("--temp-dir", f"{folder}/ray", "--num-cpus", str(cpus), "--object-store-memory", str(256 << 20)),
        *("--min-worker-port", "0", "--max-worker-port", "0", "--disable-usage-stats", "--log-color", "false"),
        *(f"--{name}={port}" for name, port in ports.items()),
    ]


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the head is whole: its port answers before its node is there, and a driver waits only so long."""
    end, pause = time.monotonic() + _START.total_seconds(), threading.Event()
    while _STARTED not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            raise RayUnavailableError(f"the Ray head did not start: {log.read_text(errors='replace')[-2000:]}")
        pause.wait(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        # All are held at once, so that none is given twice.
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind((_HOST, 0))
        return [one.getsockname()[1] for one in held]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    # Ray gives each idle worker its time; nothing here is worth it.
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
