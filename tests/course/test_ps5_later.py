"""Task 5 of problem set 5: its judge, and its solution as a back-end of the library's drivers."""

from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from tests.virtio.rig import MODERN_WORLDS, RAM, ROOM, Rig
from virtlab.backends import Disk
from virtlab.course.answers import Answer
from virtlab.course.checks import check
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps5 import block_machine
from virtlab.course.ps5.block_request import Medium, Request, lengths, placed
from virtlab.errors import GuestError
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_device import Room
from virtlab.memory import GuestMemory
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature
from virtlab.virtio.device import RequestDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.status import Status

# -- the example that the text of the task gives

EXAMPLE = [(0x4000, 4, False), (0x5000, 12, False), (0x6000, 512, True), (0x7000, 1, True)]


def test_the_example_of_the_text_holds():
    names = right()
    assert names["spans"](EXAMPLE, False, 2, 5) == [(0x4002, 2), (0x5000, 3)]
    disk = Disk.of(bytes(range(256)) * 32)
    for sector, status, written in ((3, 0, 513), (99, 1, 0)):
        ram = GuestMemory(0x8000)
        ram.store(0x7000, 1, 0xEE)
        ram.store(0x5004, 8, sector)
        assert names["answer"](EXAMPLE, ram, disk, b"virtlab") == written
        assert ram.load(0x7000, 1) == status
        assert ram.read(0x6000, 512) == (disk.read(3) if written else bytes(512))


# -- the answer as a real back-end


class Learner(VirtioBlk):
    """The library's block device, served by the answer: all that a capstone has to add."""

    handle = RequestDevice.handle

    def serve(self, chain, queue):
        """One request, by the answer."""
        written = right()["answer"](chain.buffers, queue.dma, self.disk, self.name)
        if written == "broken":
            raise GuestError("no request", "virtio 1.3 5.2.6")
        return written


LATER = {BlkFeature.CONFIG_WCE, BlkFeature.DISCARD, BlkFeature.WRITE_ZEROES}


def learner(disk, world):
    """It, behind a transport: the rig."""
    return Rig(Learner(disk, "a learner's", without=LATER), world)


@pytest.mark.parametrize(("world", "ring"), MODERN_WORLDS)
def test_the_answer_serves_the_librarys_driver(world, ring):
    rng = Random(5)
    model = bytearray(rng.randbytes(64 * SECTOR))
    rig = learner(Disk.of(bytes(model)), world)
    without = {Feature.RING_PACKED} if ring == "split" else set()
    room = Room(ROOM, RAM - ROOM)
    features = frozenset(Feature) | frozenset(BlkFeature)
    driver = BlkDriver(rig.cpu, rig.transport, room, understood=features - without)
    driver.start()
    for _ in range(12):
        count = rng.randrange(1, 5)
        sector = rng.randrange(64 - count)
        here = slice(sector * SECTOR, (sector + count) * SECTOR)
        if rng.random() < 0.5:
            model[here] = rng.randbytes(count * SECTOR)
            driver.write(sector, bytes(model[here]))
        assert driver.read(sector, count) == model[here]
    driver.flush()
    assert rig.device.disk.read(0, 64) == model
    assert rig.contained


def test_what_the_answer_calls_broken_breaks_the_device():
    rig = learner(Disk(16 * SECTOR), "mmio")
    queue = rig.start()
    queue.add_buf([(0x1000, 15)], [(0x2000, 1)], "too short a head")
    queue.kick()
    assert rig.status & Status.DEVICE_NEEDS_RESET


# -- spans, requests, the medium


def test_spans_are_those_bytes_one_by_one():
    """Against a list of all bytes, in order."""
    spans, rng = right()["spans"], Random(6)
    for _ in range(200):
        sizes = [(rng.randrange(1, 6), rng.random() < 0.5) for _ in range(rng.randrange(6))]
        buffers = placed(sizes)
        for write in (False, True):
            every = [gpa + n for gpa, size, kind in buffers if kind == write for n in range(size)]
            start, length = rng.randrange(12), rng.randrange(12)
            found = spans(buffers, write, start, length)
            assert [gpa + n for gpa, size in found for n in range(size)] == every[start:][:length]
            assert all(size > 0 for _, size in found)


SPANS = "def spans(*a):\n    r = right_spans(*a)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def spans(*a): pass", "yours None: is there a return?"),
        (SPANS + "    return r[1:]", "expected 16 @0x1221 yours no spans: []"),
        (SPANS + "    return [(gpa, 1) for gpa, n in r]", "expected 16 @0x1221 yours 1 @0x1221"),
        (SPANS + "    return [list(r[0])]", "yours [[0x1221, 0x10]]"),
        (SPANS + "    return [*r, (0, 0)] if r[1:] else r", "yours 16 @0x1259, 40 @0x1221, 0 @0x0"),
        (SPANS + "    return r or None", "FAILS no bytes"),
    ],
)
def test_what_is_wrong_with_spans_is_said(source, said):
    names = "right_spans = spans\n"
    assert said in refusal("ps5.q5", names + source)


def test_a_guest_that_repeats_itself_is_not_read():
    source = "def answer(b, m, d, n):\n    [m.read(*p[:2]) for p in b if not p[2]]\n"
    said = refusal("ps5.q5", "mine = answer\n" + source + "    return mine(b, m, d, n)")
    assert "FAILS the same page again and again" in said
    assert "expected no data is read yours 5,406,752 bytes are read" in said


def test_the_pieces_of_a_request_are_apart_and_in_no_order():
    ram = GuestMemory(0x1_0000)
    request = Request(1, 7, b"d" * 512, cut_out=range(1, 528), room=3, cut_in=(1, 2))
    buffers = request.lay(ram)
    assert b"".join(ram.read(gpa, n) for gpa, n, write in buffers if not write) == (
        request.readable()
    )
    starts = [gpa for gpa, _, _ in buffers]
    assert starts == sorted(starts, reverse=True)
    assert len(buffers) == 528 + 3
    assert all(low + size < high for (low, size, _), high in zip(buffers[1:], starts, strict=False))
    assert lengths(0, (1, 2)) == []
    assert str(request) == "OUT, sector 7, 512 bytes of data"
    assert str(Request(99, 1 << 40)) == "type 0x63, sector 0x10000000000"


def test_a_medium_fails_where_it_is_asked_for_something():
    medium = Medium(bytes(1024), fails=("read", "write", "flush"))
    assert medium.read(0, 0) == b""
    for verb, what in (("read", (0, 1)), ("write", (0, bytes(512))), ("flush", ())):
        with pytest.raises(OSError, match=f"in {verb}"):
            getattr(medium, verb)(*what)
    with pytest.raises(TypeError):
        Medium(bytes(1024)).read(0.5)


def asked(source, request, strike=False, **disk):
    """What is wrong with an answer to one request."""
    names = right()
    names["right"] = names["answer"]
    exec(source, names)
    return block_machine.Backend(Answer(names), **disk).ask(request, strike)


ONE = Request(0, 3, room=SECTOR)
AFTER = "def answer(b, m, d, n):\n    r = right(b, m, d, n)\n"


@pytest.mark.parametrize(
    ("source", "expected", "yours"),
    [
        ("def answer(*a): pass", "513 written", "None: is there a return?"),
        ("def answer(*a): return 'broken'", "513 written", "'broken'"),
        ("def answer(*a): return 513", "status 0 (OK)", "status 0xee, as it was"),
        (AFTER + "    m.write(b[-1][0], b'\\x07'); return r", "status 0 (OK)", "status 0x7"),
        (AFTER + "    m.write(b[-1][0], b'\\1'); return r", "status 0 (OK)", "status 1 (IOERR)"),
        (AFTER + "    m.write(b[1][0] + 9, b'!'); return r", "0x04 in writable byte 9", "0x21"),
        (AFTER + "    m.write(b[1][0] - 1, b'!'); return r", "nothing else is", "0x21 at 0x1010"),
        (AFTER + "    m.write(b[0][0], b'!'); return r", "nothing else is", "0x21 at 0x1221"),
        (AFTER + "    d.write(5, bytes(512)); return r", "0x06 in byte 0 of sector 5", "0x00"),
        (AFTER + "    return r - 1", "513 written", "512 written"),
        (AFTER + "    return r == 513", "513 written", "True"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(source, expected, yours):
    found = asked(source, ONE)
    assert found.expected.startswith(expected)
    assert found.yours == yours


def test_a_word_for_what_is_no_request():
    request = Request(0, bytes_in=0)
    found = asked("def answer(*a): return 0", request)
    assert (found.expected, found.yours) == ("'broken'", "0")
    assert asked("def answer(*a): return 'broken'", request) is None
    found = asked("def answer(b, m, d, n):\n    m.write(64, b'x'); return 'broken'", request)
    assert found.look == block_machine.LOOK_OUTSIDE


def test_a_second_look_at_the_head_is_named():
    source = "import struct\n" + AFTER.replace("    r =", "    m.read(b[0][0], 16)\n    r =")
    found = asked(source + "    return r", ONE, strike=True)
    assert found.look == block_machine.LOOK_ONCE
    assert asked(source + "    return r", ONE) is None


def test_a_driver_that_is_looked_at_is_served_as_by_the_library():
    """Each status says its clause; a flush that is none is seen on the medium."""
    assert "5.2.6.2" in asked("def answer(b, m, d, n):\n    m.write(b[-1][0], b'\\0'); return 0",
                              Request(0, 99, room=512)).look  # fmt: skip
    names = right()
    names["right"] = names["answer"]
    backend = block_machine.Backend(Answer(names))
    assert backend.ask(Request(1, 3, bytes(512))) is None
    exec("def answer(b, m, d, n):\n    m.write(b[-1][0], b'\\0'); return 1", names)
    assert backend.ask(Request(4)).look == block_machine.LOOK_FLUSH


# -- right answers in another style

BY_BYTES = """
from itertools import islice
def spans(buffers, write, start, length):
    every = ((gpa, n) for gpa, size, kind in buffers if kind is write for n in range(size))
    found = {}
    for gpa, n in islice(every, start, start + min(length, 1 << 20)):
        found.setdefault((gpa), []).append(n)
    return [(gpa + which[0], len(which)) for gpa, which in found.items()]
"""

OTHERWISE = """
class Refused(Exception):
    pass

def answer(buffers, memory, disk, name):
    out = sum(n for _, n, w in buffers if not w)
    into = sum(n for _, n, w in buffers if w)
    if out < 16 or not into:
        return "broken"
    raw = b"".join(memory.read(gpa, n) for gpa, n in spans(buffers, False, 0, 16))
    kind = int.from_bytes(raw[:4], "little")
    sector = int.from_bytes(raw[8:], "little")

    def checked(length):
        if length % 512 or (sector * 512 + length) > disk.sectors * 512:
            raise Refused
        return length // 512

    def do():
        match kind:
            case 0:
                return disk.read(sector, checked(into - 1))
            case 1:
                checked(out - 16)
                if disk.read_only:
                    raise Refused
                parts = spans(buffers, False, 16, out)
                disk.write(sector, b"".join(memory.read(*part) for part in parts))
            case 4:
                disk.flush()
            case 8:
                return (name + bytes(20))[:20][:into - 1]
            case _:
                raise KeyError
        return b""

    status, done = 0, b""
    try:
        done = do()
    except (Refused, OSError):
        status = 1
    except KeyError:
        status = 2
    at = 0
    for gpa, n in spans(buffers, True, 0, len(done)):
        memory.write(gpa, done[at:at + n])
        at += n
    [(last, _)] = spans(buffers, True, into - 1, 1)
    memory.write(last, status.to_bytes(1, "little"))
    return into if len(done) == into - 1 else len(done)
"""

FORGIVEN = """
import struct
def answer(buffers, memory, disk, name):
    '''It asks the disk, and takes its ValueError for a refusal.'''
    parts = [(gpa, n) for gpa, n, w in buffers if w]
    room, out = sum(n for _, n in parts), sum(n for _, n, w in buffers if not w)
    if out < 16 or room < 1:
        return "broken"
    head = b""
    for gpa, n in spans(buffers, False, 0, 16):
        head += memory.read(gpa, n)
    kind, sector = struct.unpack("<I4xQ", head)
    result = bytearray()
    try:
        if kind == 0:
            count, rest = divmod(room - 1, 512)
            status = 1 if rest else 0
            result += b"" if rest or sector + count > disk.sectors else disk.read(sector, count)
            status |= sector + count > disk.sectors
        elif kind == 1:
            if (out - 16) // 512 > disk.sectors:
                raise OSError
            disk.write(sector, b"".join(memory.read(*s) for s in spans(buffers, False, 16, out)))
            status = 0
        elif kind == 4:
            status = 0
            disk.flush()
        elif kind == 8:
            result += name.ljust(20, bytes(1))[:room - 1]
            status = 0
        else:
            status = 2
    except (OSError, ValueError):
        status = 1
        result.clear()
    whole = bytes(result)
    contiguous = len(whole) == room - 1
    if contiguous:
        whole += bytes([status])
    else:
        gpa, n = parts[-1]
        memory.write(gpa + n - 1, bytes([status]))
    for gpa, n in spans(buffers, True, 0, len(whole)):
        memory.write(gpa, whole[:n])
        whole = whole[n:]
    return len(result) + contiguous
"""


@pytest.mark.parametrize("source", [BY_BYTES, OTHERWISE, FORGIVEN])
def test_another_right_back_end_passes(source):
    names = right()
    exec(source, names)
    for seed in (1, 2, 3):
        assert check("ps5.q5", seed=seed, namespace=names).ok


def test_memory_of_a_task_is_a_dma_for_the_answer():
    """The capstone hands over whatever the library calls memory."""
    ram = GuestMemory(0x1_0000)
    buffers = Request(8, room=20).lay(ram)
    assert right()["answer"](buffers, Memory(ram), Disk(SECTOR), b"x") == 21
