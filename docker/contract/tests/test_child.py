from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from refit_contract import child

PARENT = "import sys; from refit_contract import child; sys.exit(child.run([sys.executable, '-c', sys.argv[1]]))"
CHILD = "import signal, sys; signal.signal({0}, lambda *_: sys.exit(9)); print('up', flush=True); signal.pause()"


def test_the_exit_code_is_the_childs() -> None:
    """Whatever the child ends with is the answer; a signal is 128 and its number."""
    assert child.run([sys.executable, "-c", "raise SystemExit(5)"]) == 5
    assert child.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 128 + signal.SIGKILL


def test_no_shell_is_between() -> None:
    """Arguments arrive as they are."""
    code = "import sys; sys.exit(sys.argv[1] != '$(exit 1); \"*')"
    assert child.run([sys.executable, "-c", code, '$(exit 1); "*']) == 0


def test_a_request_to_end_reaches_the_child() -> None:
    """SIGTERM to the parent lets the child end in its own way, and the parent with it."""
    env = {**os.environ, "PYTHONPATH": str(Path(child.__file__).parents[1])}
    command = [sys.executable, "-c", PARENT, CHILD.format(int(signal.SIGTERM))]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        parent.terminate()
        assert parent.wait(timeout=60) == 9
