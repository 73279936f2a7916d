"""Our 82540EM against QEMU's, packet by packet: what goes out, what comes in, what is written back.

Both cards get the same rings, the same bytes and the same frames. Where QEMU is known to differ the
random packets stay away; `test_e1000_deviations.py` has those, one by one.
"""

import random

import pytest

from tests.devices.e1000.bench import DATA, EOP, RS, TSE, VLE
from tests.devices.e1000.packets import PEER, pseudo, tcp4, udp4
from tests.devices.e1000.sides import (
    GROUP,
    RING_SIZE,
    RX_AT,
    Side,
    both,
    context_bytes,
    read_rx,
    wait_for_qemu,
)
from tests.devices.e1000.worlds import OurWorld, QemuWorld
from tests.needs import needs_qemu
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.checksum import ones_sum
from virtlab.devices.e1000.filters import hash_of
from virtlab.devices.e1000.memories import tables
from virtlab.devices.e1000.registers import General
from virtlab.devices.e1000.rings import (
    RX_STATUS,
    TX_OPTIONS,
    ReceiveRing,
    TransmitRing,
)
from virtlab.devices.e1000.segmentation import Context

CTRL, RCTL, TCTL, MDIC = (
    General.CTRL,
    ReceiveRing.RCTL,
    TransmitRing.TCTL,
    General.MDIC,
)
TABLES = tables()


@pytest.fixture
def sides():
    """Our card and QEMU's."""
    theirs = QemuWorld()
    yield [Side(OurWorld()), Side(theirs)]
    theirs.close()


def cut(rng, data, most):
    """`data` in up to `most` pieces."""
    places = sorted(rng.sample(range(1, len(data)), min(rng.randrange(most), len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def random_frame(rng, least=14, most=3000):
    length = rng.choice([least, 60, 64, 127, 128, 1514, rng.randrange(least, most)])
    to = rng.choice([DEFAULT_MAC, PEER, GROUP, b"\xff" * 6])
    return (to + PEER + b"\x88\xb5" + rng.randbytes(length))[:length]


def pieces(side, parts, command, options=0, special=0, reports=()):
    """The descriptors of one packet."""
    for number, part in enumerate(parts):
        last = EOP if number == len(parts) - 1 else 0
        side.descriptor(part, command | last | (RS if number in reports else 0), options, special)


@needs_qemu
def test_random_packets_go_out_alike(sides):
    """Legacy descriptors, one to five a packet, tags, and reports where they are asked for."""
    rng = random.Random(3)
    both(sides, Side.transmit)
    vme = CTRL.VME.mask
    both(sides, lambda side: side.put(CTRL, side.get(CTRL) | vme))
    packets = 0
    for _ in range(150):
        for _ in range(rng.randrange(1, 5)):
            parts = cut(rng, random_frame(rng), 5)
            command = rng.choice([0, 0, VLE])
            special, reports = rng.getrandbits(16), set(rng.sample(range(5), 3))
            both(sides, lambda side: pieces(side, parts, command, 0, special, reports))  # noqa: B023
            packets += 1
        ours, theirs = both(sides, Side.kick)
        assert ours == theirs
    assert packets > 300


@needs_qemu
def test_random_checksums_agree(sides):
    """Data descriptors with contexts that point anywhere inside of the packet."""
    rng = random.Random(4)
    both(sides, Side.transmit)
    for _ in range(200):
        data = random_frame(rng, 64, 1500)
        ends = sorted(rng.sample(range(min(len(data), 255)), 3))
        more = sorted(rng.sample(range(min(len(data), 255)), 3))
        context = Context(
            ends[0], ends[1], rng.choice([0, ends[2]]), more[0], more[1], rng.choice([0, more[2]])
        )
        parts, options = cut(rng, data, 3), rng.randrange(4)
        both(sides, lambda side: side.raw(context_bytes(context)))  # noqa: B023
        both(sides, lambda side: pieces(side, parts, DATA, options, 0, {0, 2}))  # noqa: B023
        ours, theirs = both(sides, Side.kick)
        assert ours == theirs


def seeded(data, at):
    """A packet as a driver gives it to be cut: no IP checksum, a pseudo-header without length."""
    made = bytearray(data)
    made[16:18] = made[24:26] = bytes(2)
    made[at : at + 2] = ones_sum(pseudo(data[23], 0)).to_bytes(2, "big")
    return bytes(made)


@needs_qemu
def test_random_segmentation_agrees(sides):
    """TCP and UDP over IPv4, any MSS, any cut of the payload, tags."""
    rng = random.Random(5)
    both(sides, Side.transmit)
    both(sides, lambda side: side.put(CTRL, side.get(CTRL) | CTRL.VME.mask))
    segments = 0
    for _ in range(120):
        tcp, mss, size = rng.random() < 0.7, rng.randrange(16, 1461), rng.randrange(1, 9000)
        size += size % mss == 0  # see the deviation below
        payload, header = rng.randbytes(size), 54 if tcp else 42
        made = (
            tcp4(payload, flags=rng.getrandbits(8), sequence=rng.getrandbits(32))
            if tcp
            else udp4(payload)
        )
        data = seeded(made, 50 if tcp else 40)
        context = Context(
            14, 24, 33, 34, 50 if tcp else 40, 0, size, header, mss, tcp, ip=True, tse=True
        )
        parts, special = cut(rng, data, 5), rng.getrandbits(16)
        command = DATA | TSE | rng.choice([0, VLE])
        options = TX_OPTIONS.IXSM.mask | TX_OPTIONS.TXSM.mask
        both(sides, lambda side: side.raw(context_bytes(context)))  # noqa: B023
        both(
            sides,
            lambda side: pieces(side, parts, command, options, special, {4}),  # noqa: B023
        )
        ours, theirs = both(sides, Side.kick)
        assert ours == theirs
        segments += len(ours[0])
    assert segments > 500


WANTED = [
    {},
    {"UPE": 1, "SECRC": 1},
    {"MPE": 1, "BSIZE": 3},
    {"BAM": 0, "BSIZE": 2, "SECRC": 1, "MO": 1},
    {"VFE": 1, "UPE": 1, "BSIZE": 1, "MO": 2},
    {"LPE": 1, "MO": 3, "SECRC": 1},
]
"""Fields of RCTL: every filter, every way to cut."""


@needs_qemu
@pytest.mark.parametrize("number", range(len(WANTED)))
def test_random_frames_come_in_alike(sides, number):
    """Who is let in, how a frame is cut into buffers, what is written back, and the counters."""
    rng, rctl = random.Random(10 + number), WANTED[number]
    addresses = fill_tables(rng, sides, RCTL.MO.put(0, rctl.get("MO", 0)))
    vme = number % 2
    both(sides, lambda side: side.put(CTRL, CTRL.VME.put(side.get(CTRL), vme)))
    both(sides, lambda side: side.receive(**rctl))
    wait_for_qemu(sides)
    head = sides[0].get(ReceiveRing.RDH)
    let_in = 0
    for _ in range(120):
        frame = some_frame(rng, addresses, "LPE" in rctl)
        both(sides, lambda side: side.world.arrive(frame))  # noqa: B023
        heads = both(sides, lambda side: side.get(ReceiveRing.RDH))
        assert heads[0] == heads[1], f"{frame[:18].hex()} of {len(frame)} bytes"
        let_in += heads[0] != head
        while head != heads[0]:
            compare(sides, head, "SECRC" in rctl)
            both(sides, lambda side: side.give(head, RX_AT + 2048 * head))  # noqa: B023
            both(sides, lambda side: side.put(ReceiveRing.RDT, head))  # noqa: B023
            head = (head + 1) % RING_SIZE
    assert 20 < let_in < 120
    names = ("GPRC", "TPR")
    assert len({str(side.statistics(*names)) for side in sides}) == 1


def fill_tables(rng, sides, offset_bits):
    """The same exact addresses, groups and VLANs for both; addresses that are worth a try."""
    exact = [bytes([2]) + rng.randbytes(5) for _ in range(15)]
    groups = [bytes([1]) + rng.randbytes(5) for _ in range(8)]
    tables_ = [(TABLES["MTA"].offset, hash_of(each, RCTL.MO.get(offset_bits))) for each in groups]
    tables_ += [(TABLES["VFTA"].offset, vlan) for vlan in range(0, 40, 3)]
    for side in sides:
        side.clear_tables()
        side.set_address(0, DEFAULT_MAC)
        for index, address in enumerate(exact, 1):
            side.set_address(index, address)
        for table, bit in tables_:
            side._set_bit(table, bit)
    strangers = [bytes([first]) + rng.randbytes(5) for first in (2, 2, 3, 3)]
    return [DEFAULT_MAC, *exact, *groups, *strangers, PEER, GROUP, b"\xff" * 6]


def some_frame(rng, addresses, long):
    """A frame to one of `addresses`, one in three with a tag."""
    tag = b"\x81\x00" + rng.randrange(40).to_bytes(2, "big") if rng.random() < 0.3 else b""
    length = rng.choice(
        [20, 60, 64, 255, 256, 257, 1000, rng.randrange(14, 4000 if long else 1518)]
    )
    body = rng.choice(addresses) + PEER + tag + b"\x88\xb5"
    return (body + rng.randbytes(length))[: max(length, len(body))]


def compare(sides, index, stripped):
    """A descriptor that both cards have filled, and its buffer.

    QEMU computes no packet checksum, writes no CRC, never sets PIF, and says VP and the tag in
    every descriptor of a packet; all of these are in the list of deviations.
    """
    ours, theirs = both(sides, lambda side: read_rx(side, index))
    last = RX_STATUS.EOP.get(ours["status"])
    mask = 0xFF & ~RX_STATUS.PIF.mask if last else 0xFF & ~RX_STATUS.VP.mask
    assert ours["status"] & mask == theirs["status"] & mask
    assert (ours["address"], ours["length"]) == (theirs["address"], theirs["length"])
    assert ours["errors"] == theirs["errors"] == theirs["checksum"] == 0
    if last:
        assert ours["special"] == theirs["special"]
    known = max(0, ours["length"] - (0 if stripped else 4)) if last else ours["length"] - 4
    data = both(sides, lambda side: side.cpu.read(ours["address"], known))
    assert data[0] == data[1]
