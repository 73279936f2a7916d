"""The transmitter: descriptors, checksums, VLAN tags, segmentation (8254x SDM, 3.3 to 3.6)."""

import pytest

from tests.devices.e1000.bench import (
    DATA,
    EOP,
    IC,
    RING,
    RS,
    TSE,
    TX_RING,
    VLE,
    Bench,
    frame,
)
from tests.devices.e1000.packets import internet_checksum, pseudo, tcp4, udp4
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.phy import CONTROL
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import DESCRIPTOR, TX_OPTIONS, TransmitRing
from virtlab.devices.e1000.segmentation import MAX_SEGMENTS, Context, segments
from virtlab.devices.e1000.transmit import BURST, MAX_PACKET, PAUSE

BOTH = TX_OPTIONS.IXSM.mask | TX_OPTIONS.TXSM.mask
GROUP, BROADCAST = bytes.fromhex("01005e000001"), b"\xff" * 6


@pytest.fixture
def bench():
    made = Bench()
    made.transmit_from()
    return made


# -- packets and descriptors


def test_a_packet_is_sent_and_reported(bench):
    bench.describe(frame(100), EOP | RS)
    assert bench.kick() == [frame(100)]
    assert bench.done(0) == 1
    assert bench.get(TransmitRing.TDH) == 1
    assert bench.causes() == {"TXDW", "TXQE"}


def test_without_rs_nothing_is_reported(bench):
    bench.describe(frame(100), EOP)
    assert bench.kick() == [frame(100)]
    assert bench.done(0) == 0
    assert bench.causes() == {"TXQE"}


def test_nothing_to_send_is_no_event(bench):
    assert bench.kick() == []
    assert bench.causes() == set()


def test_a_packet_may_lie_in_many_pieces(bench):
    data = frame(90)
    for at in range(0, 90, 30):
        bench.describe(data[at : at + 30], RS | (EOP if at == 60 else 0))
    assert bench.kick() == [data]
    assert [bench.done(n) for n in range(3)] == [1, 1, 1]


def test_a_packet_may_be_given_by_several_doorbells(bench):
    bench.describe(frame(60)[:20], RS)
    assert bench.kick() == []
    bench.describe(frame(60)[20:], EOP)
    assert bench.kick() == [frame(60)]


def test_descriptors_without_address_or_length_take_no_data(bench):
    """3.3.3: a null address or a length of 0 transfers nothing; RS is honoured."""
    bench.put_tx(0, 50 | RS)
    bench.put_tx(bench.free, 0 | RS)
    bench.describe(frame(60), EOP)
    assert bench.kick() == [frame(60)]
    assert [bench.done(n) for n in range(3)] == [1, 1, 0]
    bench.put_tx(0, EOP | RS)
    assert bench.kick() == []
    assert bench.done(3) == 1


def test_other_descriptor_types_are_passed_over(bench):
    bench.put_tx(bench.free, RS | EOP | DATA | 0xF << 20 | 50)
    assert bench.kick() == []
    assert bench.done(0) == 1


def test_the_ring_wraps(bench):
    for number in range(RING + 2):
        bench.describe(frame(60, fill=number), EOP | RS)
        assert bench.kick() == [frame(60, fill=number)]
    assert bench.get(TransmitRing.TDH) == 2


def test_a_transmitter_that_is_off_sends_when_it_is_switched_on():
    bench = Bench()
    bench.transmit_from(on=False)
    bench.describe(frame(60), EOP)
    assert bench.kick() == []
    bench.put(TransmitRing.TCTL, TransmitRing.TCTL.EN.mask)
    assert bench.sent == [frame(60)]


def test_without_a_link_packets_wait(bench):
    """The transmitter goes on when the link comes."""
    bench.phy(CONTROL.offset, CONTROL.POWER_DOWN.mask)
    bench.describe(frame(60), EOP)
    assert bench.kick() == []
    bench.phy(CONTROL.offset, 0)
    assert bench.sent == [frame(60)]


def test_short_packets_are_padded_when_tctl_says_so():
    bench = Bench()
    bench.transmit_from(pad=True)
    bench.describe(frame(20), EOP)
    assert bench.kick() == [frame(20).ljust(60, b"\0")]


def test_a_packet_has_a_largest_size(bench):
    """3.3.3: 16288 bytes; a longer one is dropped, and the next is sent."""
    for extra in (0, 1):
        bench.describe(frame(MAX_PACKET - 100), 0)
        bench.describe(bytes(100 + extra), EOP | RS)
    bench.describe(frame(60), EOP)
    assert [len(each) for each in bench.kick()] == [MAX_PACKET, 60]
    assert bench.card.transmitter.dropped == 1
    assert bench.done(3) == 1


def test_a_descriptor_is_fetched_once():
    """The card sends what the descriptor said when it was read, whatever it says later."""

    class Spy:
        """Memory in which every descriptor is spoilt as soon as it was read."""

        def __init__(self):
            self.reads = []

        def read(self, iova, length):
            data = bench.ram.read(iova, length)
            if length == DESCRIPTOR:
                self.reads.append(iova)
                bench.ram.write(
                    iova, b"\xff" * 8 + (1 << 29 | 5).to_bytes(4, "little") + b"\xff" * 4
                )
            return data

        def write(self, iova, data):
            bench.ram.write(iova, data)

    spy = Spy()
    bench = Bench(dma=spy)
    bench.transmit_from()
    bench.describe(frame(100), EOP | RS)
    assert bench.kick() == [frame(100)]
    assert spy.reads == [TX_RING]


# -- the legacy checksum, VLAN


def test_the_legacy_checksum(bench):
    """3.3.3.1: IC inserts at CSO the sum of everything from CSS on; both are the first one's."""
    data = bytearray(tcp4(b"payload!"))
    data[50:52] = bytes(2)
    bench.describe(bytes(data[:40]), 50 << 16, options=34)
    bench.describe(bytes(data[40:]), EOP | IC | 3 << 16, options=9)
    (sent,) = bench.kick()
    assert sent[50:52] == internet_checksum(bytes(data[34:])).to_bytes(2, "big")
    assert sent[:50] + sent[52:] == bytes(data[:50] + data[52:])


def test_the_vlan_tag_is_put_in(bench):
    """9.2: with CTRL.VME and VLE, from the special field of the last descriptor."""
    bench.put(General.CTRL, General.CTRL.VME.mask)
    bench.describe(frame(60)[:30], 0, special=7)
    bench.describe(frame(60)[30:], EOP | VLE, special=0x6005)
    assert bench.kick() == [frame(60)[:12] + b"\x81\x00\x60\x05" + frame(60)[12:]]


@pytest.mark.parametrize(("vme", "vle"), [(0, VLE), (General.CTRL.VME.mask, 0)])
def test_without_both_bits_there_is_no_tag(bench, vme, vle):
    bench.put(General.CTRL, vme)
    bench.describe(frame(60), EOP | vle, special=5)
    assert bench.kick() == [frame(60)]


# -- context and data descriptors


def offsets(**changed):
    """Where the checksums of an IPv4 packet with TCP are."""
    return Context(ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50, tcp=True, ip=True)._replace(
        **changed
    )


def seeded(data, at, length):
    """`data` as a driver gives it: no IP checksum, the pseudo-header's sum at `at`."""
    made = bytearray(data)
    made[24:26] = bytes(2)
    made[at : at + 2] = (~internet_checksum(pseudo(data[23], length)) & 0xFFFF).to_bytes(2, "big")
    return bytes(made)


@pytest.mark.parametrize(
    ("data", "at"), [(tcp4(b"seven b"), 50), (udp4(b"eight by"), 40), (tcp4(bytes(1400)), 50)]
)
def test_checksums_by_context(bench, data, at):
    """3.6: the card adds to what the driver left in the fields."""
    bench.put_context(offsets(tucso=at))
    bench.describe(seeded(data, at, len(data) - 34), DATA | EOP | RS, BOTH)
    assert bench.kick() == [data]
    assert [bench.done(n) for n in (0, 1)] == [1, 1]


def test_options_are_the_first_descriptors(bench):
    """3.3.7: POPTS is ignored except on the first data descriptor of a packet."""
    data = tcp4(b"payload!")
    given = seeded(data, 50, len(data) - 34)
    bench.put_context(offsets())
    bench.describe(given[:20], DATA, BOTH)
    bench.describe(given[20:], DATA | EOP, 0)
    bench.describe(given[:20], DATA, 0)
    bench.describe(given[20:], DATA | EOP, BOTH)
    assert bench.kick() == [data, given]


def test_a_context_stays_until_the_next(bench):
    data = tcp4(b"payload!")
    bench.put_context(offsets())
    for _ in range(2):
        bench.describe(seeded(data, 50, len(data) - 34), DATA | EOP, BOTH)
    assert bench.kick() == [data, data]
    bench.put_context(offsets(tse=True, ipcso=0))
    bench.describe(seeded(data, 50, len(data) - 34), DATA | EOP, BOTH)
    assert bench.kick() == [data], "the context for cut packets is another one"


def test_a_checksum_may_end_before_the_packet(bench):
    data = bytes(range(64))
    bench.put_context(Context(tucss=10, tucso=2, tucse=19))
    bench.describe(data, DATA | EOP, TX_OPTIONS.TXSM.mask)
    (sent,) = bench.kick()
    assert sent[2:4] == internet_checksum(data[10:20]).to_bytes(2, "big")


def test_a_context_keeps_its_fields():
    context = Context(1, 2, 3, 4, 5, 6, 0xFFFFF, 8, 9, True, False, True)
    assert Context.decode(context.encode()) == context


# -- segmentation


def long_tcp(payload, flags=0x19):
    """A packet to cut, as a driver gives it, and its header's length."""
    data = tcp4(payload, flags=flags, identification=0xFFFF, sequence=0xFFFFFF00)
    return seeded(data, 50, 0)[:16] + bytes(2) + seeded(data, 50, 0)[18:], 54


def expected_tcp(payload, mss, flags=0x19):
    """The packets that RFC 793 and RFC 791 want on the wire."""
    pieces = [payload[at : at + mss] for at in range(0, max(1, len(payload)), mss)]
    return [
        tcp4(
            piece,
            flags=flags if n == len(pieces) - 1 else flags & ~0x09,
            identification=(0xFFFF + n) & 0xFFFF,
            sequence=0xFFFFFF00 + n * mss,
        )
        for n, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize(
    ("size", "mss", "cuts"),
    [
        (3000, 1460, [3054]),
        (2920, 1460, [54, 2920]),
        (5000, 1000, [10, 44, 2000, 3000]),
        (1, 1460, [55]),
        (0, 1460, [54]),
        (700, 1, [754]),
    ],
)
def test_a_tcp_packet_is_cut(bench, size, mss, cuts):
    """3.5: a header for each segment; sequence, identification, flags, lengths, sums."""
    payload = bytes(n % 251 for n in range(size))
    data, header = long_tcp(payload)
    bench.put_context(offsets(tse=True, paylen=size, hdrlen=header, mss=mss))
    at = 0
    for number, length in enumerate(cuts):
        last = EOP if number == len(cuts) - 1 else 0
        bench.describe(data[at : at + length], DATA | TSE | RS | last, BOTH)
        at += length
    assert bench.kick() == expected_tcp(payload, mss)
    assert bench.counter("TSCTC") == 1
    assert bench.counter("TPT") == max(1, -(-size // mss))


def test_a_udp_packet_is_cut(bench):
    """Every piece is a datagram: length and checksum are its own."""
    payload = bytes(range(100)) * 3
    data = bytearray(seeded(udp4(payload, identification=5), 40, 0))
    context = offsets(tucso=40, tcp=False, tse=True, paylen=300, hdrlen=42, mss=128)
    bench.put_context(context)
    bench.describe(bytes(data), DATA | TSE | EOP, BOTH)
    pieces = [payload[at : at + 128] for at in (0, 128, 256)]
    assert bench.kick() == [udp4(each, identification=5 + n) for n, each in enumerate(pieces)]


def test_ipv6_counts_its_payload_only():
    """RFC 8200, 3: Payload Length is without the header of 40 bytes."""
    data = bytes(14 + 40) + bytes(20) + bytes(100)
    context = Context(ipcss=14, tucss=54, tucso=70, paylen=100, hdrlen=74, mss=60, tcp=True)
    made = list(segments(data, context, 0))
    assert [int.from_bytes(each[18:20], "big") for each in made] == [80, 60]


def test_the_tag_of_a_cut_packet_is_the_first_descriptors(bench):
    """3.3.7.1: with TSE, VLE and the tag are valid in the first data descriptor."""
    bench.put(General.CTRL, General.CTRL.VME.mask)
    data, header = long_tcp(bytes(300))
    bench.put_context(offsets(tse=True, paylen=300, hdrlen=header, mss=200))
    bench.describe(data[:100], DATA | TSE | VLE, BOTH, special=9)
    bench.describe(data[100:], DATA | TSE | EOP, BOTH, special=1)
    sent = bench.kick()
    assert [each[12:16] for each in sent] == [b"\x81\x00\x00\x09"] * 2
    assert [each[:12] + each[16:] for each in sent] == expected_tcp(bytes(300), 200)


@pytest.mark.parametrize(
    "context",
    [
        offsets(tse=True, paylen=100, hdrlen=54, mss=0),
        offsets(tse=True, paylen=MAX_SEGMENTS + 1, hdrlen=54, mss=1),
        offsets(tse=True, paylen=10, hdrlen=255, mss=100),
    ],
)
def test_a_context_that_cannot_be_drops_its_packet(bench, context):
    """The failure is counted (13.7.54), and the ring goes on."""
    bench.put_context(context)
    bench.describe(frame(100), DATA | TSE | EOP | RS, BOTH)
    bench.describe(frame(60), EOP)
    assert bench.kick() == [frame(60)]
    assert bench.counter("TSCTFC") == 1
    assert bench.card.transmitter.dropped == 1
    assert bench.done(1) == 1


def test_segments_refuse_a_context_that_cannot_be():
    with pytest.raises(ValueError, match="no segments of 0 bytes"):
        list(segments(b"", Context(paylen=5), 0))


def test_a_payload_that_is_not_complete_counts_as_failed(bench):
    """3.3.7.1: the lengths should add up to PAYLEN."""
    data, header = long_tcp(bytes(100))
    bench.put_context(offsets(tse=True, paylen=150, hdrlen=header, mss=200))
    bench.describe(data, DATA | TSE | EOP, BOTH)
    assert len(bench.kick()) == 1
    assert bench.counter("TSCTFC") == 1


def test_more_than_paylen_is_not_sent(bench):
    data, header = long_tcp(bytes(100))
    bench.put_context(offsets(tse=True, paylen=80, hdrlen=header, mss=200))
    bench.describe(data, DATA | TSE | EOP, BOTH)
    (sent,) = bench.kick()
    assert len(sent) == header + 80


def test_a_segment_that_no_frame_can_hold_is_dropped(bench):
    bench.put_context(offsets(tse=True, paylen=40000, hdrlen=54, mss=20000))
    bench.put_tx(0x10000, DATA | TSE | EOP | 40054, BOTH)
    assert bench.kick() == []
    assert bench.card.transmitter.dropped == 2


def test_fields_outside_of_the_packet_are_left_out(bench):
    bench.put_context(Context(255, 255, 65535, 255, 255, 0, 10, 0, 5, tcp=True, ip=True, tse=True))
    bench.describe(bytes(range(20)), DATA | TSE | EOP, BOTH)
    assert bench.kick() == []
    assert bench.link.a.counts["dropped: size"] == 2


# -- counters


@pytest.mark.parametrize(
    ("to", "extra"), [(DEFAULT_MAC, {}), (GROUP, {"MPTC": 1}), (BROADCAST, {"BPTC": 1})]
)
def test_what_is_counted(bench, to, extra):
    bench.describe(frame(100, to=to), EOP)
    bench.kick()
    counted = {"GPTC": 1, "TPT": 1, "GOTC": 104, "TOT": 104, "PTC127": 1}
    assert bench.counters() == counted | extra


def test_a_packet_below_the_minimum_is_not_good(bench):
    bench.describe(frame(40), EOP)
    bench.kick()
    assert bench.counters() == {"TPT": 1, "TOT": 44}


# -- loopback


def test_a_phy_in_loopback_hears_itself_and_nobody_else(bench):
    bench.receive_into(UPE=1, SECRC=1)
    bench.phy(CONTROL.offset, CONTROL.LOOPBACK.mask)
    bench.describe(frame(80), EOP)
    assert bench.kick() == []
    bench.arrive(frame(70))
    assert [bench.rx(n)["length"] for n in (0, 1)] == [80, 0]


# -- bounds


def test_a_doorbell_goes_round_the_ring_once(bench):
    """A tail outside of the ring is never reached."""
    for number in range(RING):
        bench.describe(frame(60, fill=number), EOP)
    bench.sent.clear()
    bench.put(TransmitRing.TDT, 0xFFFF)
    assert len(bench.sent) == RING
    assert "TXQE" not in bench.causes()


def test_a_head_outside_of_the_ring_sends_nothing(bench):
    """Not even what looks like a descriptor there."""
    bench.tail = RING
    bench.describe(frame(60), EOP)
    bench.put(TransmitRing.TDH, RING)
    assert bench.kick() == []
    assert bench.get(TransmitRing.TDH) == RING
    bench.put(TransmitRing.TDLEN, 0)
    bench.put(TransmitRing.TDH, 5)
    assert bench.kick() == []


def test_a_doorbell_inside_of_a_doorbell_sends_nothing_twice(bench):
    """Whoever gets a packet may ring the bell again at once."""
    heard = []

    def ring(data):
        heard.append(data)
        bench.put(TransmitRing.TDT, bench.tail)

    bench.link.b.listener = ring
    for number in range(3):
        bench.describe(frame(60, fill=number), EOP)
    bench.kick()
    assert heard == [frame(60, fill=number) for number in range(3)]


def heavy(bench):
    """Packets of a mebibyte, each cut into pieces: more than `BURST` in one turn of the ring."""
    payload = 0x7FFFF
    assert (RING - 2) * payload > BURST
    bench.put_context(offsets(tse=True, paylen=payload, hdrlen=54, mss=9000))
    for _ in range(RING - 2):
        bench.put_tx(0x10000, DATA | TSE | EOP | payload + 54, BOTH)
    return (RING - 2) * -(-payload // 9000)


def test_a_long_burst_goes_on_a_moment_later(bench):
    expected = heavy(bench)
    sent = len(bench.kick())
    assert 0 < sent < expected
    assert bench.get(TransmitRing.TDH) != bench.get(TransmitRing.TDT)
    for _ in range(5):
        bench.put(TransmitRing.TDT, bench.tail)
    assert len(bench.clock._queue) == 1, "one call later, however often the bell is rung"
    bench.clock.advance(20 * PAUSE)
    assert len(bench.sent) == expected
    assert bench.get(TransmitRing.TDH) == bench.get(TransmitRing.TDT)


def test_a_reset_ends_the_burst(bench):
    heavy(bench)
    bench.kick()
    bench.put(General.CTRL, General.CTRL.RST.mask)
    assert bench.clock.next_event() is None
    sent = len(bench.sent)
    bench.clock.advance(20 * PAUSE)
    assert len(bench.sent) == sent


def test_what_is_only_read_counts_too(bench):
    """Packets that are read and then dropped take as long."""
    bench.put_context(offsets(tse=True, paylen=0x7FFFF, hdrlen=54, mss=0))
    for _ in range(RING - 2):
        bench.put_tx(0x10000, DATA | TSE | EOP | 0x7FFFF, BOTH)
    bench.kick()
    assert 0 < bench.card.transmitter.dropped < RING - 2


# -- memory that is not there


@pytest.mark.parametrize("where", ["ring", "data"])
def test_memory_that_is_not_there_turns_the_transmitter_off(bench, where):
    bench.describe(frame(60), EOP | RS)
    bench.put_tx(1 << 40, EOP | RS | 60)
    if where == "ring":
        bench.put(TransmitRing.TDBAH, 1)
    bench.put(Interrupts.IMS, CAUSES["TXDW"].mask)
    sent = bench.kick()
    assert len(sent) == (where == "data")
    assert bench.get(TransmitRing.TDH) == (where == "data")
    assert not TransmitRing.TCTL.EN.get(bench.get(TransmitRing.TCTL))
    assert bench.card.transmitter.faults == 1
    assert bench.irq.level == (where == "data")


def test_the_next_packet_after_a_fault_begins_anew(bench):
    bench.describe(b"rest of a packet", 0)
    bench.put_tx(1 << 40, EOP | 60)
    bench.kick()
    bench.put(TransmitRing.TDH, 2)
    bench.describe(frame(60), EOP)
    bench.put(TransmitRing.TDT, 3)
    bench.sent.clear()
    bench.put(TransmitRing.TCTL, TransmitRing.TCTL.EN.mask)
    assert bench.sent == [frame(60)]
