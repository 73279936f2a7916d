"""The bare machine: verbs straight on the buses, and a wait that lets virtual time pass."""

import pytest

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import MAX_MOVE
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory


class OneShot:
    """An interrupt controller with one request."""

    def __init__(self):
        self.pending = False

    def acknowledge(self):
        self.pending = False
        return 0x24


def bare(controller=None):
    memory, clock = AddressSpace("memory", 52), Clock()
    memory.map_ram(GuestMemory(8192))
    return BareCpu(AddressSpace("port", 16, max_size=4), memory, clock, controller), clock


def test_wait_ends_when_the_interrupt_comes():
    controller = OneShot()
    cpu, clock = bare(controller)
    clock.after(300, lambda: setattr(controller, "pending", True))
    clock.after(100, lambda: None)
    with cpu.memory.trace.recording() as events:
        assert cpu.wait() == 0x24
    assert [(event.kind, event.value) for event in events] == [("interrupt", 0x24)]
    assert clock.now == 300


def test_wait_gives_up_at_its_time_limit():
    cpu, clock = bare(OneShot())
    clock.after(2000, lambda: None)
    assert cpu.wait(1000) is None
    assert clock.now == 1000


def test_a_pending_interrupt_needs_no_wait():
    controller = OneShot()
    controller.pending = True
    cpu, clock = bare(controller)
    assert cpu.wait() == 0x24
    assert clock.now == 0


def test_string_moves_cross_from_ram_to_nothing():
    cpu, _ = bare()
    cpu.write(8190, b"abcd")
    assert cpu.read(8190, 4) == b"ab\xff\xff"


@pytest.mark.parametrize("length", [-1, MAX_MOVE + 1])
def test_a_string_move_is_bounded(length):
    with pytest.raises(ValueError, match="a string move has"):
        bare()[0].read(0, length)
