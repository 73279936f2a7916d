"""Every driver test runs in every world."""

import pytest

from tests.worlds import WORLDS


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.oracle] if name == "qemu" else []) for name in WORLDS
    ]
)
def world(request):
    """A machine that a test may drive; it ends with the test."""
    machine = WORLDS[request.param]()
    yield machine
    machine.close()
