"""Workloads that need not wait for imports: a process that has made them forks each workload.

`python -m refit_contract.warm FOLDER MODULE... -- MODULE...` imports the modules in their order,
and calls the function of a "module:function". From the two dashes on it serves file descriptor 3,
a Unix socket. Every byte that arrives there brings a connection, and every connection is one
workload; each message is one line:

    in    {"module", "arguments", "environment", "folder", "log"}
    out   "pid N", when the process leads a session of its own, or "error ..."
    in    "go"; without it, as when the other side is gone, the process ends and has done nothing
    out   "ended N", how the process ended, in waitpid's number

It ends when descriptor 3 does; workloads that run then go on. FOLDER, where their logs are, only
says in the process table whose process this is.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from refit_contract import cpus

CONTROL: Final = 3
"""The file descriptor that the process serves."""

_PATIENCE: Final = 5.0
"""Seconds that a request, once announced, may take to arrive."""


class Nursery:
    """Forks workloads for whoever holds the other end of `control` and tells how they ended."""

    def __init__(self, control: socket.socket) -> None:
        """Read `control`, from which a nursery that this process forks may read as well."""
        self._control = control
        self._children: dict[int, tuple[int, socket.socket | None]] = {}
        self._retire = -1
        self._parent = -1
        self._poll = select.poll()

    def serve(self) -> None:
        """Answer until the other end of `control` is closed, and then end the process."""
        self._poll.register(self._control, select.POLLIN)
        while self._control.fileno() >= 0 or self._children:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._retire:
                    self._close()
                elif descriptor == self._control.fileno():
                    self._accept()
                elif descriptor in self._children:
                    self._report(descriptor)

    def fork(self) -> int:
        """Let a fork of this process serve; return the descriptor whose end is the end of that.

        The fork stays as long as it has workloads. It has what this process has imported so far.
        """
        reader, writer = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            self._retire, self._parent = reader, parent
            self._poll.register(reader, select.POLLIN)
            self.serve()
            os._exit(0)
        os.close(reader)
        self._watch(pid, None)
        return writer

    def _close(self) -> None:
        """Answer no more."""
        for descriptor in (self._retire, self._control.fileno()):
            if descriptor >= 0:
                self._poll.unregister(descriptor)
        if self._retire >= 0:
            os.close(self._retire)
        self._retire = -1
        self._control.close()

    def _accept(self) -> None:
        try:
            announced, descriptors, _, _ = socket.recv_fds(self._control, 1, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # the other nursery was quicker
        if not announced:
            # An import may take its time before it lets the process look.
            if self._parent == os.getppid():
                os.kill(self._parent, signal.SIGKILL)
            os._exit(0)
        connection = socket.socket(fileno=descriptors[0])
        connection.set_inheritable(False)
        try:
            self._launch(connection)
        except (OSError, ValueError) as err:
            _say(f"a workload is not started: {err}")
            connection.close()

    def _watch(self, pid: int, connection: socket.socket | None) -> None:
        watch = os.pidfd_open(pid)
        self._children[watch] = (pid, connection)
        self._poll.register(watch, select.POLLIN)

    def _launch(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        with connection.makefile("rb") as lines:
            request = json.loads(lines.readline())
        connection.settimeout(None)
        pid = os.fork()
        if pid == 0:
            self._become(request, connection)
        self._watch(pid, connection)

    def _report(self, watch: int) -> None:
        pid, connection = self._children.pop(watch)
        self._poll.unregister(watch)
        os.close(watch)
        _, status = os.waitpid(pid, 0)
        if connection is None:
            return
        with connection:
            try:
                connection.sendall(f"ended {status}\n".encode())
            except OSError as err:
                _say(f"nobody wants to know how process {pid} ended: {err}")

    def _become(self, request: Mapping[str, Any], connection: socket.socket) -> NoReturn:
        """Turn this new process into the workload of `request`."""
        admitted = False
        try:
            # A copy kept here would hide from the other sides that this process's parent died.
            self._close()
            for watch, (_, sibling) in self._children.items():
                os.close(watch)
                if sibling:
                    sibling.close()
            with connection:
                admitted = _admitted(request, connection)
        finally:
            if not admitted:
                os._exit(1)
        _leave(_run(request["module"], request["arguments"]))


def _admitted(request: Mapping[str, Any], connection: socket.socket) -> bool:
    """Take the place that `request` gives this process; return whether it may go on."""
    try:
        os.setsid()
        os.chdir(request["folder"])
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
        os.environ.clear()
        os.environ.update(request["environment"])
    except Exception as err:  # noqa: BLE001 - whatever it is, the other side is to know
        connection.sendall(f"error {type(err).__name__}: {err}\n".encode())
        return False
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # random seeds itself anew in a fork, numpy does not
    connection.sendall(f"pid {os.getpid()}\n".encode())
    return connection.recv(2) == b"go"


def _run(module: str, arguments: Sequence[str]) -> int:
    """Do what `python -m module arguments` does, and return the exit code."""
    # The module's text runs again, as __main__; what it imports is there.
    sys.modules.pop(module, None)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as err:
        if err.code is None or isinstance(err.code, int):
            return err.code or 0
        sys.stderr.write(f"{err.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - what the interpreter does with whatever nobody caught
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    """End as the interpreter does, but for taking the modules apart, which takes long."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as at every end
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)


def _load(name: str) -> None:
    """Import a module, or call "module:function"; what fails is left to the workloads to say."""
    began = time.monotonic()
    module, _, function = name.partition(":")
    try:
        found = importlib.import_module(module)
        if function:
            getattr(found, function)()
    except Exception as err:  # noqa: BLE001 - a module may raise anything
        _say(f"cannot load {name}: {err}")
    else:
        _say(f"{name}: {time.monotonic() - began:.2f} s")


def _say(text: str) -> None:
    """Write to the log of this process; the loggers belong to the workloads."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> NoReturn:
    """Serve descriptor 3, having loaded what `arguments` name after the folder."""
    # Some libraries count their threads when they are loaded.
    cpus.limit_threads(env=os.environ)
    os.set_inheritable(CONTROL, False)
    nursery = Nursery(socket.socket(fileno=CONTROL))
    middle = arguments.index("--")
    for name in arguments[1:middle]:
        _load(name)
    meanwhile = nursery.fork()
    for name in arguments[middle + 1 :]:
        _load(name)
    # Nothing of it is garbage, and looking at it in a fork would copy it.
    gc.collect()
    gc.freeze()
    os.close(meanwhile)
    _say(f"warm: {len(sys.modules)} modules")
    nursery.serve()
    raise AssertionError("serve ends the process")


if __name__ == "__main__":
    main(sys.argv[1:])
