"""Tasks 3 and 4 of problem set 5: one source of numbers, two devices, and what they cost."""

from random import Random

import pytest

from tests.course.answers import solutions
from tests.course.refusals import refusal
from virtlab.course.answers import Answer, Trouble
from virtlab.course.given.random_numbers import numbers, stream, xorshift
from virtlab.course.ps3.machines import Host
from virtlab.course.ps5 import register_twins, virtio_random
from virtlab.course.ps5.carried import Carried, Machine
from virtlab.course.ps5.random_requests import Requests
from virtlab.guest.room import Room
from virtlab.guest.virtio_mmio import MmioTransport
from virtlab.guest.virtio_rng import RngDriver
from virtlab.interrupts import IrqLine
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.vmm.meter import Meter

BASE = 0xFEB0_0000


def other(source):
    """What the solutions define, and `source` on top: an answer of another style."""
    names = solutions()
    exec(source, names)
    return names


def test_the_examples_of_tasks_3_and_4_hold():
    names = solutions()
    device = names["RandomSource"]()
    assert device.read(4, 4) == 0x42021
    cpu = register_twins.guest(device, BASE)
    assert names["fill"](cpu, BASE, 1, 6) == bytes.fromhex("212004000106")
    assert [access.write for access in cpu.accesses] == [True, False, False]
    assert names["exits_for"](6, 256, 16, True) == (3, 1)
    assert stream(1, 6) == bytes.fromhex("212004000106")


def test_no_number_is_0_and_none_comes_back_soon():
    assert xorshift(0) == 0
    assert len({*numbers(1, 5000)} - {0}) == 5000


# -- exits, counted in a virtual machine


def counted_registers(n):
    """Exits of a VM whose guest fills `n` bytes from two registers."""
    vm = Host().vm()
    vm.memory.map(BASE, register_twins.LENGTH, solutions()["RandomSource"](), "random", width=4)
    with Meter(vm) as cost:
        assert solutions()["fill"](vm.cpu, BASE, 1, n) == stream(1, n)
    return cost.exits


def counted_virtio(n, chunk, slots, polling):
    """Exits of a VM whose guest reads `n` bytes from the virtio device."""
    vm = Host(256).vm(64)
    device = solutions()["VirtioRandom"](1)
    card = VirtioMmio(device, vm.ram, IrqLine("virtio", lambda level: None), ring=())
    vm.memory.map(BASE, WINDOW, card, "virtio", width=4)
    room = Room(0x1000, 60 * 4096)
    driver = RngDriver(vm.cpu, MmioTransport(vm.cpu, BASE), room, slots=slots, chunk=chunk)
    driver.start()
    if not polling:
        assert driver.virtio.queues[0].enable_cb()
    with Meter(vm) as cost:
        for _ in range(0, n, chunk * slots):
            part = min(n, chunk * slots)
            assert len(driver.read(part)) == part
            n -= part
            if not polling:
                assert driver.virtio.causes()
    return cost.exits


@pytest.mark.parametrize(
    ("n", "chunk", "slots", "polling", "registers", "virtio"),
    [
        (4096, 256, 16, True, 1025, 1),
        (4096, 256, 16, False, 1025, 3),
        (4096, 64, 1, False, 1025, 192),
        (4097, 256, 16, True, 1026, 2),
        (0, 256, 16, True, 1, 0),
        (1000, 64, 3, False, 251, 18),
    ],
)
def test_the_exits_are_those_that_a_vm_counts(n, chunk, slots, polling, registers, virtio):
    told = virtio_random.exits_of(n, chunk, slots, polling)
    assert told == (registers, virtio)
    assert counted_registers(n) == registers
    assert counted_virtio(n, chunk, slots, polling) == virtio


# -- task 3


def test_the_twin_is_what_the_solution_is():
    rng, twin, mine = Random(3), register_twins.Twin(), solutions()["RandomSource"]()
    for _ in range(500):
        offset, size = rng.randrange(12), rng.choice((1, 2, 4, 4, 8))
        if rng.random() < 0.5:
            assert twin.read(offset, size) == mine.read(offset, size)
        else:
            value = rng.getrandbits(rng.choice((1, 32)))
            twin.write(offset, size, value)
            mine.write(offset, size, value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class RandomSource:\n def read(self, o, s): return True", "yours True"),
        ("class RandomSource: pass", "has no attribute 'read'"),
        ("def fill(*a): return b''", "FAILS one number"),
        ("def fill(c, b, s, n):\n return [c.load(b + 4, 4) for _ in range(n)]",
         "yours [0x42021"),
        ("f = fill\ndef fill(c, b, s, n): return bytes(n) if n > 99 else f(c, b, s, n)",
         "yours 4096 bytes: 00 00"),
        ("f = fill\ndef fill(c, b, s, n): c.load(b, 1); return f(c, b, s, n)",
         "expected 1 store and 1 loads yours 1 store and 2 loads, not all of 4 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_source_is_said(source, said):
    assert said in refusal("ps5.q3", source)


def test_a_number_that_is_none_is_said_on_the_bus_too():
    mapped = register_twins.Mapped(Answer({"S": _Odd}).build("S"))
    assert (mapped.read(4, 4), mapped.odd) == (0, "seven")


class _Odd:
    def read(self, offset, size):
        return "seven"


# -- task 4


def test_the_trouble_of_a_device_passes_through_the_transport():
    names = other("class VirtioRandom(VirtioRandom):\n def handle(s, i, q): raise OSError('x')")
    machine = Machine(Answer(names), 1)
    with pytest.raises(Trouble, match="OSError: x"):
        machine.start()


def test_a_configuration_that_is_none_reads_as_zeros():
    names = other("class VirtioRandom(VirtioRandom):\n config = 7\n def begin_from(s, n): pass")
    names["VirtioRandom"].__setattr__ = lambda self, name, value: (
        None if name == "config" else object.__setattr__(self, name, value)
    )
    device = Carried(Answer(names), 1)
    assert (device.mine[2], device.config) == (7, bytes(4))


DEVICE = "class VirtioRandom(VirtioRandom):\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("VirtioRandom = dict", "FAILS what it is"),
        (DEVICE + " device_id = 3", "expected 4 yours 3"),
        (DEVICE + " device_id = 'four'", "yours 'four'"),
        (DEVICE + " def handle(s, i, q): pass", "expected request 0 comes back yours it does not"),
        (DEVICE + " def handle(s, i, q): raise GuestError('a', 'b')",
         "yours handle raises GuestError though nothing waits in the queue"),
        (DEVICE + " def handle(s, i, q):\n  for c in waiting(q): raise GuestError('a', 'b')",
         "expected the requests are answered yours GuestError"),
        (DEVICE + " def take(s, n): return super().take(n) + b'....'", "FAILS"),
        (DEVICE + " def handle(s, i, q):\n  for c in waiting(q):\n"
         "   q.dma.write(c.buffers[0].addr, s.take(20))\n   q.push(c, 16)",
         "expected nothing behind a buffer yours a byte behind 0x20000"),
        (DEVICE + " def write_config(s, o, d): return 1 if super().write_config(o, d) else 0",
         "expected write_config gives True yours 1"),
        ("e = exits_for\ndef exits_for(*a): return tuple(map(float, e(*a)))", "yours (1.0, 0.0)"),
    ],
)  # fmt: skip
def test_what_is_no_device_is_said(source, said):
    assert said in refusal("ps5.q4", source)


def test_a_device_that_never_answers_the_librarys_driver_is_said():
    names = other(DEVICE + " def handle(s, i, q): pass")
    found = Requests(Answer(names), 1, started=False).driven(10)
    assert found.yours == "the device does not answer"


def test_a_device_that_writes_and_pushes_nothing_is_ended():
    names = other(DEVICE + " def handle(s, i, q):\n  while c := q.pop(): c.write(q.dma, b'1234')")
    assert Requests(Answer(names), 1).flood() is None
