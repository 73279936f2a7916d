"""What a guest may do to the card, and what the card may never do: raise, or work without a bound.

Bounds of one access: each transmit descriptor is read once; what is read and sent is `BURST` bytes
and one packet more; the receiver moves no more than its packet buffer holds.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.e1000.bench import DATA, EOP, PEER, RING, RS, RX_DATA_AT, TSE, Bench, frame
from virtlab.backends.network import MAX_FRAME
from virtlab.clock import MILLISECOND
from virtlab.devices.e1000 import E1000
from virtlab.devices.e1000.device import PACKET_BUFFER
from virtlab.devices.e1000.phy import CONTROL
from virtlab.devices.e1000.registers import General
from virtlab.devices.e1000.rings import DESCRIPTOR, ReceiveRing, TransmitRing
from virtlab.devices.e1000.segmentation import Context
from virtlab.devices.e1000.transmit import BURST, MAX_PAYLOAD
from virtlab.errors import DmaFault
from virtlab.memory import GuestMemory
from virtlab.wire import all_ones

RAM = 1 << 16

KEY = [
    reg.offset
    for reg in (
        *(getattr(TransmitRing, name) for name in ("TCTL", "TDBAL", "TDLEN", "TDH", "TDT")),
        *(getattr(ReceiveRing, name) for name in ("RCTL", "RDBAL", "RDLEN", "RDH", "RDT")),
        General.CTRL,
        General.MDIC,
        General.PBA,
        ReceiveRing.RXCSUM,
    )
]
OFFSETS = (
    st.sampled_from(KEY)
    | st.sampled_from([reg.offset for reg in E1000.registers])
    | st.integers(0, E1000.length - 1)
)
VALUES = (
    st.sampled_from([0, 1, 2, 0x10, 0x80, 0x100, 0x1000, 0x0204_8002, 0xFFFF, 0x0600_4140])
    | st.integers(0, 300)
    | st.integers(0, all_ones(8))
)
DESCRIPTORS = st.binary(min_size=DESCRIPTOR, max_size=DESCRIPTOR) | st.builds(
    lambda address, command, rest: (
        address.to_bytes(8, "little") + command.to_bytes(4, "little") + rest
    ),
    st.integers(0, RAM + 100),
    st.builds(
        lambda length, flags: length | flags,
        st.integers(0, 0xFFFFF),
        st.sampled_from([EOP, RS, EOP | RS, DATA | EOP, DATA | TSE, DATA | TSE | EOP, 1 << 29]),
    ),
    st.binary(min_size=4, max_size=4),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), OFFSETS, st.sampled_from([1, 2, 4, 4, 4, 8]), VALUES),
        st.tuples(st.just("read"), OFFSETS, st.sampled_from([1, 2, 4, 8])),
        st.tuples(st.just("ring"), st.integers(0, 20), st.lists(DESCRIPTORS, max_size=12)),
        st.tuples(st.just("arrive"), st.binary(min_size=14, max_size=3000)),
        st.tuples(st.just("pass"), st.sampled_from([1, 1000, MILLISECOND])),
    ),
    max_size=40,
)


class Meter:
    """Memory that counts what a card moves in one access."""

    def __init__(self, ram):
        self.ram = ram
        self.clear()

    def clear(self):
        self.moved = 0
        self.fetched = Counter()

    def read(self, iova, length):
        self.moved += length
        if length == DESCRIPTOR:
            self.fetched[iova] += 1
        return self.ram.read(iova, length)

    def write(self, iova, data):
        self.moved += len(data)
        self.ram.write(iova, data)


def metered():
    """A card, switched on in both directions, with a meter for each."""
    bench = Bench()
    bench.ram = GuestMemory([(0, RAM // 2), (RAM // 2 + 4096, RAM // 2)])
    card = bench.card
    card.receiver.dma, card.transmitter.dma = (Meter(bench.ram) for _ in range(2))
    for reg, value in (
        (ReceiveRing.RDLEN, 0x80),
        (TransmitRing.TDLEN, 0x80),
        (ReceiveRing.RDT, 7),
        (ReceiveRing.RCTL, 0x8018 | 2),
        (TransmitRing.TCTL, 2),
    ):
        bench.put(reg, value)
    return bench


def do(bench, step):
    """One step of a guest, or of the world outside."""
    kind, *rest = step
    if kind == "write":
        offset, size, value = rest
        bench.card.write(offset, size, value & all_ones(size))
    elif kind == "read":
        offset, size = rest
        assert 0 <= bench.card.read(offset, size) <= all_ones(size)
    elif kind == "ring":
        at, descriptors = rest
        bench.ram.write(at * DESCRIPTOR, b"".join(descriptors))
    elif kind == "arrive":
        bench.link.b.send(rest[0])
    else:
        bench.clock.advance(rest[0])


@given(STEPS)
def test_no_guest_makes_the_card_raise_or_work_without_a_bound(steps):
    bench = metered()
    sending, receiving = bench.card.transmitter, bench.card.receiver
    for step in steps:
        sending.dma.clear()
        bench.sent.clear()
        do(bench, step)
        assert sending.dma.moved <= BURST + 2 * MAX_PAYLOAD
        assert step[0] == "pass" or max(sending.dma.fetched.values(), default=0) <= 1
        assert sum(map(len, bench.sent)) <= BURST + 2 * MAX_PAYLOAD
        assert all(len(each) <= MAX_FRAME for each in bench.sent)
        assert len(sending.packet) <= MAX_PAYLOAD + 255
        assert receiving.buffered <= General.PBA.RXA.mask << 10
        assert receiving.buffered == sum(len(packet.data) for packet in receiving.buffer)
        assert len(bench.clock._queue) <= 200


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, all_ones(4)),
    st.integers(0, all_ones(4)),
    st.lists(DESCRIPTORS, min_size=1, max_size=64),
)
def test_any_head_tail_length_and_base(head, tail, length, base, descriptors):
    """One doorbell, one turn of the ring."""
    bench = metered()
    bench.ram.write(0, b"".join(descriptors))
    for reg, value in (
        (TransmitRing.TDBAL, base % RAM),
        (TransmitRing.TDLEN, length),
        (TransmitRing.TDH, head % 80),
    ):
        bench.put(reg, value)
    meter = bench.card.transmitter.dma
    meter.clear()
    bench.put(TransmitRing.TDT, tail)
    assert sum(meter.fetched.values()) <= max(1, (length & 0xFFF80) // DESCRIPTOR)
    assert bench.get(TransmitRing.TDH) <= 0xFFFF


@pytest.mark.parametrize("size", [0, 1, 2, 64, 128])
def test_a_receive_ring_of_null_buffers_is_gone_round_once(size):
    """Descriptors that take no data do not let the card go on for ever."""
    bench = Bench()
    meter = bench.card.receiver.dma = Meter(bench.ram)
    bench.ram.write(0x2000, bytes(DESCRIPTOR * 128))
    bench.receive_into([], tail=0xFFFF)
    bench.put(ReceiveRing.RDLEN, DESCRIPTOR * size)
    bench.arrive(frame())
    assert sum(meter.fetched.values()) == (size // 8) * 8
    assert bench.card.receiver.buffered == 64


def test_the_packet_buffer_is_never_larger_than_the_cards():
    bench = Bench()
    bench.put(General.PBA, 0xFFFF_FFFF)
    bench.receive_into(tail=0, LPE=1)
    for _ in range(20):
        bench.arrive(frame(16000))
    assert bench.card.receiver.buffered <= (General.PBA.RXA.mask << 10)
    assert General.PBA.RXA.get(bench.get(General.PBA)) <= 2 * PACKET_BUFFER


def test_a_receive_descriptor_is_fetched_once():
    """The card fills the buffer that the descriptor named when it was read."""

    class Spoiler(Meter):
        """Memory in which a descriptor changes as soon as it was read."""

        def read(self, iova, length):
            data = super().read(iova, length)
            self.ram.write(iova, b"\xff" * length)
            return data

    bench = Bench()
    meter = bench.card.receiver.dma = Spoiler(bench.ram)
    bench.receive_into()
    bench.arrive(frame(100))
    assert bench.ram.read(RX_DATA_AT, 100) == frame(100)
    assert list(meter.fetched.values()) == [1]


@given(st.binary(max_size=300), st.binary(min_size=16, max_size=16), st.integers(0, 3))
def test_any_context_and_any_packet(data, raw, options):
    """Offsets that point anywhere, sizes that fit nothing."""
    context = Context.decode(raw)
    for tse in (False, True):
        bench = Bench()
        bench.transmit_from()
        bench.put_context(context._replace(tse=tse))
        bench.describe(data, DATA | EOP | (TSE if tse else 0), options)
        sent = bench.kick()
        assert all(len(each) <= 555 for each in sent)
        if not tse and len(data) >= 14:
            assert len(sent[0]) == len(data)


class Mirror:
    """Memory, and from 1 MiB on the card's own registers: what a peer-to-peer access can reach."""

    def __init__(self, bench):
        self.bench = bench
        self.depth = self.deepest = 0

    def read(self, iova, length):
        if iova < 1 << 20:
            return self.bench.ram.read(iova, length)
        return bytes(self.bench.card.read(iova + n & 0x1FFFF, 1) for n in range(length))

    def write(self, iova, data):
        if iova < 1 << 20:
            self.bench.ram.write(iova, data)
            return
        self.depth += 1
        self.deepest = max(self.depth, self.deepest)
        for at in range(0, len(data), 4):
            word = int.from_bytes(data[at : at + 4], "little")
            self.bench.card.write((iova + at) & 0x1FFFC, 4, word)
        self.depth -= 1


@pytest.mark.parametrize(
    "reg", [TransmitRing.TDT, ReceiveRing.RDT, General.CTRL, ReceiveRing.RCTL, TransmitRing.TCTL]
)
@pytest.mark.parametrize("word", [b"\xff\xff\xff\x04", b"\x05\0\0\0", b"\x02\0\0\0"])
def test_a_buffer_may_lie_in_the_cards_own_registers(reg, word):
    """The card writes to itself, and does not call itself deeper and deeper."""
    bench = Bench()
    mirror = Mirror(bench)
    bench.card.receiver.dma = bench.card.transmitter.dma = mirror
    bench.transmit_from()
    bench.phy(CONTROL.offset, CONTROL.LOOPBACK.mask)
    bench.receive_into([(1 << 20) + reg.offset] * RING, UPE=1, MPE=1)
    for _ in range(RING - 1):
        bench.describe(word + PEER + word * 14, EOP | RS)
    bench.kick()
    assert mirror.deepest == 1


def test_a_function_without_memory_refuses_everything():
    """Where no memory is, each engine stops once, and a guest can try for ever."""

    class Nothing:
        def read(self, iova, length):
            raise DmaFault("nothing is there", iova, length)

        def write(self, iova, data):
            raise DmaFault("nothing is there", iova, len(data))

    bench = Bench(dma=Nothing())
    for _ in range(3):
        bench.transmit_from()
        bench.receive_into()
        bench.put(TransmitRing.TDT, 3)
        bench.arrive(frame())
    assert bench.card.transmitter.faults == bench.card.receiver.faults == 3
