"""Right answers to tasks 1 to 4 of problem set 5 that are not the solution."""

import pytest

from tests.course.answers import notebook, solutions, sources
from virtlab.course.checks import check


def slipped(task, right, wrong):
    """The solution of a task with one slip in it."""
    source = sources(notebook("solutions", "ps05"))[task]
    assert right in source
    return source.replace(right, wrong)


def other(source):
    """What the solutions define, and `source` on top: an answer of another style."""
    names = solutions()
    exec(source, names)
    return names


LIBRARY = """
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.guest.virtio_mmio import MmioTransport, probe
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.virtio.features import from_bits, to_bits

def negotiate(cpu, base, understood, needs):
    transport = probe(cpu, base)
    if type(transport) is not MmioTransport:
        return None
    driver = VirtioDriver(cpu, transport, Room(0x1000, 0x1000))
    try:
        driver.begin()
        needs = {bit: from_bits(more) for bit, more in needs.items()}
        return to_bits(driver.negotiate(from_bits(understood), needs))
    except VirtioFailed as failed:
        words = {"end": "dead", "agree": "refused", "VERSION_1": "legacy"}
        return next(word for part, word in words.items() if part in str(failed))

def set_up(cpu, base, queues):
    driver = VirtioDriver(cpu, MmioTransport(cpu, base), Room(0x1000, 0x1000))
    for number, (size, *areas) in enumerate(queues):
        if driver.transport.queue_max(number) < size:
            driver._tell(128)
            return "queue"
        driver.transport.set_queue(number, size, areas)
    driver._tell(4)
    return not driver.needs_reset
"""


def test_the_librarys_own_driver_passes_task_1():
    """Only its patience with a reset is greater, and a driver may read STATUS more often."""
    assert check("ps5.q1", namespace=other(LIBRARY)).ok


MANY = """
def read(cpu, queue, buffers, size, n):
    pieces, left = [], n
    while left > 0:
        offers = []
        for gpa in buffers[:queue.free]:
            if sum(offers) < left:
                offers.append(min(size, left - sum(offers)))
                queue.add_buf(in_=[(gpa, offers[-1])], out=(), token=len(offers) - 1)
        queue.kick()
        back = []
        while len(back) < len(offers):
            used = queue.get_buf()
            if used is not None:
                back.append(used)
            elif cpu.wait(10**9) is None:
                return "silent"
        for used in back:
            if not used.written:
                return "empty"
            pieces.append(cpu.read(buffers[used.token], used.written))
            left -= used.written
        for gpa in buffers:
            cpu.write(gpa, bytes(size))
    return b"".join(pieces)
"""

DECLARED = """
from virtlab.course.given.random_numbers import numbers

class RandomSource:
    seed = 1
    drawn = 0
    def read(self, offset, size):
        match offset, size:
            case 4, 4:
                self.drawn += 1
                return numbers(self.seed, self.drawn)[-1]
        return 0
    def write(self, offset, size, value):
        if offset == 0 and size == 4:
            self.seed, self.drawn = max(value, 1), 0

def fill(cpu, base, seed, length):
    cpu.store(base, seed, 4)
    data = bytearray()
    while len(data) < length:
        data += cpu.load(base + 4, 4).to_bytes(4, "little")
    return bytes(data[:length])
"""

SERVED = """
from math import ceil
from virtlab.virtio.device import RequestDevice
from virtlab.course.given.random_numbers import numbers, stream

class VirtioRandom(RequestDevice):
    device_id = 4
    def __init__(self, seed):
        super().__init__((64,))
        self.power_on = seed
        self.reset()
    def reset(self):
        self.write_config(0, self.power_on.to_bytes(4, "little"))
    def write_config(self, offset, data):
        whole = (offset, len(data)) == (0, 4)
        if whole:
            self.config = bytes(data)
            self.state = int.from_bytes(data, "little")
        return whole
    def serve(self, chain, queue):
        if chain.readable > 0:
            raise GuestError("readable", "5.4.6.1")
        data = stream(self.state, min(4096, chain.writable))
        self.state = numbers(self.state, ceil(len(data) / 4))[-1]
        return chain.write(queue.dma, data)

def exits_for(n, chunk, slots, polling):
    rounds = ceil(n / (chunk * slots))
    return 1 + ceil(n / 4), rounds if polling else 3 * rounds
"""


@pytest.mark.parametrize(
    ("task", "source"), [("ps5.q2", MANY), ("ps5.q3", DECLARED), ("ps5.q4", SERVED)]
)
@pytest.mark.parametrize("seed", range(3))
def test_an_answer_of_another_style_passes(task, source, seed):
    assert check(task, seed=seed, namespace=other(source)).ok


@pytest.mark.parametrize(
    ("task", "right", "wrong"),
    [
        ("ps5.q1", "    cpu.store(base + 0x70, 1 | 2, 4)",
         "    cpu.store(base + 0x70, cpu.load(base + 0x70, 4) | 2, 4)"),
        ("ps5.q1", "    offered = 0\n", "    offered = cpu.load(base + 0x70, 4) & 0\n"),
        ("ps5.q2", "    return data\n", "    queue.kick()\n    return data[:n]\n"),
        ("ps5.q2", "bytes(written))", "bytes(size))"),
        ("ps5.q2", "        queue.kick()\n", "        queue.kick()\n        queue.enable_cb()\n"),
        ("ps5.q4", "return data[:length]", "return data"),
        ("ps5.q4", "super().__init__([64])", "super().__init__((64,), ())"),
    ],
)  # fmt: skip
def test_what_makes_no_difference_is_no_mistake(task, right, wrong):
    assert check(task, namespace=other(slipped(task, right, wrong))).ok
