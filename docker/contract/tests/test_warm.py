"""The process that forks workloads: each is what a new interpreter would have been."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import refit_contract

CONTRACT = Path(refit_contract.__file__).parents[1]

SHOW = """
import atexit, json, os, random, sys, threading
import numpy
atexit.register(print, "at the end")
print(json.dumps({
    "argv": sys.argv, "name": __name__, "folder": os.getcwd(), "env": dict(os.environ),
    "random": [random.random(), float(numpy.random.random())], "leads": os.getsid(0) == os.getpid(),
    "kept": getattr(sys, "kept", None), "open": os.listdir("/proc/self/fd"),
}))
threading.Thread(target=lambda: print("in a thread")).start()
sys.kept = "of an earlier workload"
os.environ["LEFT"] = "behind"
os.chdir("/")
if len(sys.argv) > 2:
    sys.exit(int(sys.argv[2]) if sys.argv[2].isdigit() else sys.argv[2])
"""


class Warm:
    """A running warm process and what is asked of it."""

    def __init__(self, folder: Path, *modules: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "refit_contract.warm", str(folder), *modules]
        ours, theirs = socket.socketpair()
        with theirs, (folder / "warm.log").open("wb") as log:
            # Descriptor 3 is the control socket, as with the manager.
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", f'exec "$@" 3<&{theirs.fileno()}', "bash", *command],
                pass_fds=[theirs.fileno()],
                env={"PYTHONPATH": f"{CONTRACT}:{folder}", "OF_THE_WARM_PROCESS": "1", "PYTHONUNBUFFERED": "1"},
                cwd=folder,
                stderr=log,
            )
        self.control = ours

    def launch(self, module: str, *arguments: str, word: bytes = b"go", **environment: str) -> tuple[list[str], str]:
        """Have a workload run; return what was said of it, and its log."""
        log = self.folder / "job.log"
        log.write_text("")
        ours, theirs = socket.socketpair()
        with ours, ours.makefile("rw") as lines:
            with theirs:
                socket.send_fds(self.control, [b"\0"], [theirs.fileno()])
            request = {
                "module": module,
                "arguments": arguments,
                "environment": environment,
                "folder": str(self.folder),
                "log": str(log),
            }
            lines.write(json.dumps(request) + "\n")
            lines.flush()
            said = [lines.readline().strip()]
            if said[0].startswith("pid "):
                lines.write(word.decode())
                lines.flush()
            said.append(lines.readline().strip())
        return [said[0].split(" ")[0], *said[1:]], log.read_text()


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    """Start a warm process that has the module `show` and numpy imported."""
    (tmp_path / "show.py").write_text(f"IMPORTED = True\nif __name__ == '__main__':\n    exec({SHOW!r})\n")
    found = Warm(tmp_path, "numpy", "show", "--", "there_is_no_such_module")
    yield found
    found.control.close()
    # It may be importing still, and is ended then.
    assert found.process.wait(timeout=60) in (0, -signal.SIGKILL), (tmp_path / "warm.log").read_text()


def test_a_workload_is_what_a_new_interpreter_would_be(warm: Warm) -> None:
    """It has its own arguments, folder, environment, session, log and end."""
    said, log = warm.launch("show", "s3://a/spec.json", GIVEN="y")
    assert said[1] == "ended 0"
    shown, thread, end = log.splitlines()
    seen = json.loads(shown)
    assert seen["argv"] == [str(warm.folder / "show.py"), "s3://a/spec.json"]
    assert seen["name"] == "__main__"
    assert seen["folder"] == str(warm.folder)
    assert {k: v for k, v in seen["env"].items() if k != "LC_CTYPE"} == {"GIVEN": "y"}
    assert seen["leads"]
    assert (thread, end) == ("in a thread", "at the end")


def test_nothing_of_a_workload_reaches_the_next(warm: Warm) -> None:
    """Environment, folder, modules' state, random numbers and descriptors start anew each time."""
    first, second = (json.loads(warm.launch("show", "x", A="b")[1].splitlines()[0]) for _ in range(2))
    assert second["kept"] is None
    assert "LEFT" not in second["env"]
    assert second["folder"] == str(warm.folder)
    assert len(set(first["random"] + second["random"])) == 4
    assert len(second["open"]) == len(first["open"])


@pytest.mark.parametrize(
    ("argument", "status", "text"),
    [("0", 0, ""), ("3", 3 << 8, ""), ("no such column", 1 << 8, "no such column")],
)
def test_a_workload_ends_as_it_would(warm: Warm, argument: str, status: int, text: str) -> None:
    """Its status is that of sys.exit; a text goes to the log."""
    said, log = warm.launch("show", "x", argument)
    assert said[1] == f"ended {status}"
    assert text in log


def test_an_exception_is_in_the_log(warm: Warm) -> None:
    """What nobody caught ends the workload with status 1 and a traceback."""
    said, log = warm.launch("there_is_no_such_module")
    assert said[1] == f"ended {1 << 8}"
    assert "No module named there_is_no_such_module" in log


@pytest.mark.parametrize("word", [b"", b"no"])
def test_without_the_word_nothing_runs(warm: Warm, word: bytes) -> None:
    """A workload that is not admitted ends without having done anything."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            socket.send_fds(warm.control, [b"\0"], [theirs.fileno()])
        log = warm.folder / "silent.log"
        log.write_text("")
        request = {"module": "show", "arguments": [], "environment": {}, "folder": str(warm.folder), "log": str(log)}
        ours.sendall(json.dumps(request).encode() + b"\n")
        pid = int(ours.recv(100).split()[1])
        ours.sendall(word)
        ours.shutdown(socket.SHUT_WR)
        assert ours.recv(100) == b"ended 256\n"
    assert log.read_text() == ""
    assert not Path(f"/proc/{pid}").exists()


def test_what_cannot_be_asked_is_answered(warm: Warm) -> None:
    """A log that cannot be opened is said; the next workload runs."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            socket.send_fds(warm.control, [b"\0"], [theirs.fileno()])
        ours.sendall(b'{"module": "show", "arguments": [], "environment": {}, "folder": "/nowhere", "log": "x"}\n')
        assert ours.recv(1000).startswith(b"error FileNotFoundError")
    assert warm.launch("show", "x")[0][1] == "ended 0"


def test_a_damaged_request_harms_nobody(warm: Warm) -> None:
    """Its connection is closed; the next workload runs."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            socket.send_fds(warm.control, [b"\0"], [theirs.fileno()])
        ours.sendall(b"{\n")
        assert ours.recv(100) == b""
    assert warm.launch("show", "x")[0][1] == "ended 0"


def test_ray_names_things_differently_in_each_fork(tmp_path: Path) -> None:
    """Ray's generator, once used, would give every fork the same ids: importing must not use it."""
    (tmp_path / "ids.py").write_text("import ray, ray.train\nprint(ray.WorkerID.from_random().hex())\n")
    warm = Warm(tmp_path, "--", "refit_contract.preload:ray", "ray.train")
    log = tmp_path / "warm.log"
    while " warm: " not in log.read_text():
        assert warm.process.poll() is None
        time.sleep(0.05)
    with warm.control:
        ids = {warm.launch("ids")[1] for _ in range(2)}
    warm.process.wait(timeout=60)
    assert len(ids) == 2
    assert all(len(line.strip()) == 56 for line in ids), ids


def test_imports_keep_nobody_waiting(tmp_path: Path) -> None:
    """While modules are imported, what was imported before is served; such a workload stays known."""
    (tmp_path / "slow.py").write_text("import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n")
    (tmp_path / "show.py").write_text("import sys; print('numpy' in sys.modules, 'slow' in sys.modules)\n")
    (tmp_path / "long.py").write_text(
        "import pathlib; pathlib.Path('go').touch(); import slow, time; time.sleep(0.5)\n"
    )
    warm = Warm(tmp_path, "numpy", "--", "slow")
    with warm.control:
        assert warm.launch("show") == (["pid", "ended 0"], "True False\n")
        assert warm.launch("long")[0] == ["pid", "ended 0"]
        while warm.launch("show")[1] != "True True\n":
            assert warm.process.poll() is None
    assert warm.process.wait(timeout=60) == 0


def test_the_end_of_its_platform_ends_an_import(tmp_path: Path) -> None:
    """A process that is importing ends at once as well."""
    (tmp_path / "slow.py").write_text("import time\nwhile True: time.sleep(1)\n")
    (tmp_path / "show.py").write_text("")
    warm = Warm(tmp_path, "--", "slow")
    with warm.control:
        assert warm.launch("show")[0] == ["pid", "ended 0"]
    assert warm.process.wait(timeout=60) == -signal.SIGKILL
