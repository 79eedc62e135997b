"""Become another program: `python -m become program arguments`."""

import os
import sys

if __name__ == "__main__":
    os.execve(sys.argv[1], sys.argv[1:], os.environ)  # noqa: S606 - tests say which
