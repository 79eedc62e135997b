"""What the tests of the pipeline share: a Kubeflow to submit to."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipelinetest.kubeflow import FakeKubeflow


@pytest.fixture
def kubeflow() -> Iterator[FakeKubeflow]:
    """Return a running Kubeflow without experiments."""
    with FakeKubeflow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
