"""What the tests of vfio-user share."""

from __future__ import annotations

import pytest

from tests.hosts.vfio_user.bench import Bench
from tests.hosts.vfio_user.world import Machine, elsewhere


@pytest.fixture
def path(tmp_path):
    """Where a function is found."""
    return str(tmp_path / "function.sock")


@pytest.fixture
def machine_with(path):
    """Makes a machine with a function that a thread of the test serves."""
    open_things = []

    def build(function, clock=None, **how):
        there = elsewhere(function, path, clock)
        thing = there.__enter__()
        open_things.append(lambda: there.__exit__(None, None, None))
        machine = Machine(path, **how)
        machine.there = thing
        open_things.append(machine.close)
        return machine

    yield build
    for close in reversed(open_things):
        close()


@pytest.fixture
def make():
    """Makes benches."""
    benches = []

    def build(*arguments, **options):
        benches.append(Bench(*arguments, **options))
        return benches[-1]

    yield build
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(make):
    """A plain one."""
    return make()
