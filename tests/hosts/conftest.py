"""What the tests of the vhost-user front-end share."""

from __future__ import annotations

import pytest


@pytest.fixture
def path(tmp_path):
    """Where a back-end listens."""
    return str(tmp_path / "device.sock")
