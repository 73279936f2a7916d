"""Tasks 1 and 2 of problem set 5: their judges, held to the library and to the specification."""

from random import Random

import pytest

from tests.course.answers import solutions
from tests.course.refusals import refusal
from virtlab.bus import AddressSpace
from virtlab.course.answers import Answer
from virtlab.course.checks import check
from virtlab.course.ps4.machines import Stepped
from virtlab.course.ps5 import entropy_bench, negotiations
from virtlab.course.ps5.watched_mmio import Paper, R, Watched
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.guest.virtio_mmio import probe
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import WINDOW

BASE = 0xFEB0_0000


@pytest.mark.parametrize("number", range(1, 7))
def test_the_solution_passes(number):
    assert check(f"ps5.q{number}", seed=4, namespace=solutions()).ok


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 7))
def test_the_solution_passes_with_150_seeds(number):
    names = solutions()
    for seed in range(150):
        assert check(f"ps5.q{number}", seed=seed, namespace=names).ok


# -- the examples that the texts of the tasks give, and the figures of the explanations


def test_the_example_of_task_1_holds_and_all_eight_steps_cost_31_exits():
    device = Watched(Paper(features=(1, 7)))
    cpu = negotiations.machine(device, BASE)
    names = solutions()
    understood = 1 << 7 | 1 << 8 | 1 << 32
    assert names["negotiate"](cpu, BASE, understood, {7: 1 << 1}) == 1 << 32
    assert names["set_up"](cpu, BASE, [(8, 0x1000, 0x2000, 0x3000)]) is True
    assert device.wrong is None
    assert len(cpu.accesses) == 31


def test_the_example_of_task_2_holds():
    offers = []
    plan = entropy_bench.Plan(lambda number, room: (64, 6, 30)[number])
    bench = entropy_bench.Bench(Answer(solutions()), Random(1), 2, 64, plan)
    bench._offer = lambda offer: offers.append([chain.writable for chain in offer])
    assert bench.read(100) is None
    assert offers == [[64, 36], [30]]
    assert len(bench.due) == 100


# -- task 1: the device that watches


def test_a_watched_device_is_the_librarys():
    """The library's own driver finds nothing strange, and the watch finds nothing wrong."""
    device = Watched(Paper(features=(5,)))
    memory = AddressSpace("memory", 52)
    memory.map_ram(GuestMemory(1 << 16))
    memory.map(BASE, WINDOW, device, "virtio", width=4)
    cpu = Stepped(GuestMemory(4096))
    cpu.memory = memory
    driver = VirtioDriver(cpu, probe(cpu, BASE), Room(0x1000, 0x8000))
    driver.begin()
    assert driver.negotiate(frozenset({5, Feature.VERSION_1})) == {5, 32}
    driver.add_queue(0)
    driver.ready()
    assert device.wrong is None
    assert device.status == 0x0F


def watched(*accesses, paper=None):
    """The first thing wrong, as text, after accesses `(register, value or None)` of 4 bytes."""
    device = Watched(paper or Paper())
    for offset, value in accesses:
        if value is None:
            device.read(int(offset), 4)
        else:
            device.write(int(offset), 4, value)
    return device.wrong and f"{device.wrong.expected} / {device.wrong.yours}"


PROBED = [(0, None), (4, None), (8, None)]
RESET = [*PROBED, (0x70, 0), (0x70, None)]
DRIVER = [*RESET, (0x70, 1), (0x70, 3)]
AGREED = [*DRIVER, (0x24, 1), (0x20, 1), (0x70, 11), (0x70, None)]
ASKED = [*AGREED, (0x30, 0), (0x44, None), (0x34, None)]
PLACED = [(0x80, 0x1000), (0x90, 0x2000), (0xA0, 0x3000)]


@pytest.mark.parametrize(
    ("accesses", "wrong"),
    [
        ([], None),
        ([*ASKED, (0x38, 8), *PLACED, (0x44, 1), (0x70, 15), (0x70, None)], None),
        ([(0x70, None)], "a read of MAGIC_VALUE first / a read of STATUS"),
        ([(0, None), (8, None)], "a read of VERSION / a read of DEVICE_ID"),
        ([(0, 5)], "a read of MAGIC_VALUE / MAGIC_VALUE <- 0x5"),
        ([*PROBED, (0x70, 1)], "a reset first / STATUS <- 0x1"),
        ([*PROBED, (0x14, 0)], "a reset, until STATUS reads 0 / DEVICE_FEATURES_SEL <- 0x0"),
        ([*RESET, (0x70, 0)], "one reset / STATUS <- 0x0"),
        ([*RESET, (0x70, 3)], "ACKNOWLEDGE and no other new bit / STATUS <- 0x3"),
        ([*RESET, (0x70, 1), (0x70, 2)], "ACKNOWLEDGE and one more / STATUS <- 0x2"),
        ([*RESET, (0x14, 0)], "STATUS 0x3 at step 4 / DEVICE_FEATURES_SEL <- 0x0"),
        ([*DRIVER, (0x70, 7)], "FEATURES_OK and no other new bit / STATUS <- 0x7"),
        ([*DRIVER, (0x30, 0)], "STATUS 0xb at step 7 / QUEUE_SEL <- 0x0"),
        ([*AGREED[:-1], (0x30, 0)], "a read of STATUS / QUEUE_SEL <- 0x0"),
        ([*AGREED[:-1], (0x70, 15)], "a read of STATUS / STATUS <- 0xf"),
        ([*AGREED, (0x20, 1)], "STATUS 0x3 at step 4 / DRIVER_FEATURES <- 0x1"),
        ([*AGREED, (0x30, 0), (0x38, 8)],
         "QUEUE_READY and QUEUE_SIZE_MAX are read first / QUEUE_SIZE <- 0x8"),
        ([*ASKED, *PLACED, (0x44, 1)], "the size and three addresses first / QUEUE_READY <- 0x1"),
        ([*ASKED, (0x38, 8), *PLACED[:2], (0x44, 1)],
         "the size and three addresses first / QUEUE_READY <- 0x1"),
        ([*ASKED, (0x38, 8), *PLACED, (0x44, 1), (0x38, 4)],
         "no write: the queue is in use / QUEUE_SIZE <- 0x4"),
        ([*AGREED, (0x70, 15), (0x70, None), (0x70, 31)], "no further step / STATUS <- 0x1f"),
        ([*DRIVER, (0x70, 0x83), (0x70, None)], "no access after FAILED / a read of STATUS"),
        ([*DRIVER, (0x50, 0)], "a register of the table / 0x50 <- 0x0"),
    ],
)  # fmt: skip
def test_what_is_out_of_order_is_said(accesses, wrong):
    assert watched(*accesses) == wrong


def test_a_narrow_access_is_said():
    device = Watched(Paper())
    device.read(R.MAGIC_VALUE.offset, 2)
    assert device.wrong.yours == "a read of MAGIC_VALUE, 2 bytes"


def test_a_status_written_in_the_middle_of_a_reset_is_said():
    device = Watched(Paper(), slow=2)
    for offset in (0, 4, 8):
        device.read(offset, 4)
    device.write(R.STATUS.offset, 4, 0)
    device.write(R.STATUS.offset, 4, 1)
    assert device.wrong.expected == "a read of STATUS that gives 0"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def negotiate(*a): return None", "FAILS nothing but VERSION_1"),
        ("n = negotiate\ndef negotiate(*a): return (n(*a) or 0) | 1 << 9",
         "expected bits 32 yours bits 9, 32"),
        ("n = negotiate\ndef negotiate(*a): n(*a); return -1", "expected 0x100000000 yours -0x1"),
        ("n = negotiate\ndef negotiate(c, b, *a): n(c, b, *a); c.load(b + 0x50, 4)",
         "expected a register of the table yours a read of 0x50"),
        ("s = set_up\ndef set_up(*a): return s(*a) or 0", "FAILS a queue where none may lie"),
        ("s = set_up\ndef set_up(*a): return int(s(*a))", "expected True yours 1"),
        ("s = set_up\ndef set_up(c, b, q): return s(c, b, q[:1])", "queue 1 is in use"),
        ("s = set_up\ndef set_up(c, b, q): return s(c, b, q + q[:1])",
         "expected True yours 'queue'"),
    ],
)  # fmt: skip
def test_what_is_no_negotiation_is_said(source, said):
    assert said in refusal("ps5.q1", source)


# -- task 2


@pytest.mark.parametrize(("group", "waits"), [(1, 4), (2, 2), (0, 1)])
def test_a_wait_brings_as_many_buffers_as_the_plan_says(group, waits):
    plan = entropy_bench.Plan(at_once=False, group=group)
    bench = entropy_bench.Bench(Answer(solutions()), Random(1), 4, 64, plan)
    assert bench.read(256) is None
    assert bench.waits == waits


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def read(*a): return None", "FAILS one buffer"),
        ("def read(*a): return b'x' * a[4]", "expected a kick yours the device was not told"),
        ("r = read\ndef read(*a): return list(r(*a))", "expected b'"),
        ("r = read\ndef read(c, q, b, s, n): c.write(b[0] - 8, b'x'); return r(c, q, b, s, n)",
         "expected no other store"),
        ("def read(c, q, b, s, n):\n q.add_buf([], [(b[0], n - 1), (b[0], 1)], 0)\n q.kick()",
         "expected each buffer is one piece yours 1 with 2 pieces"),
        ("def read(c, q, b, s, n):\n while True: c.wait()", "it was stopped after 2,000 waits"),
        ("def read(c, q, b, s, n):\n while True: q.get_buf()", "it was stopped after"),
    ],
)  # fmt: skip
def test_what_is_no_front_end_is_said(source, said):
    assert said in refusal("ps5.q2", source)
