"""The receiver: filters, the packet buffer, descriptors, checksums (8254x SDM, 3.2)."""

import zlib

import pytest

from tests.devices.e1000.bench import BUFFER, PEER, RING, RX_DATA_AT, Bench, frame
from tests.devices.e1000.packets import tcp4, udp4
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.checksum import insert, ones_sum, verify
from virtlab.devices.e1000.filters import address_words, hash_of
from virtlab.devices.e1000.phy import CONTROL
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import RX_ERRORS, RX_STATUS, ReceiveRing

GROUP = bytes.fromhex("01005e000001")
BROADCAST = b"\xff" * 6
DD, END, IXSM, VP, TCPCS, IPCS, PIF = (bits.mask for bits in RX_STATUS.fields.values())
DROPPED = None


@pytest.fixture
def bench():
    return Bench()


def tagged(tag, to=DEFAULT_MAC, length=64):
    """A frame with a VLAN tag."""
    return (to + PEER + b"\x81\x00" + tag.to_bytes(2, "big") + b"\x88\xb5").ljust(length, b"v")


# -- one frame


def test_a_frame_ends_in_memory_with_its_crc(bench):
    bench.receive_into()
    bench.arrive(frame(100))
    got = bench.rx(0)
    crc = zlib.crc32(frame(100)).to_bytes(4, "little")
    assert bench.ram.read(RX_DATA_AT, 104) == frame(100) + crc
    assert got == {
        "address": RX_DATA_AT,
        "length": 104,
        "checksum": ones_sum(frame(100) + crc),
        "status": DD | END | IXSM,
        "errors": 0,
        "special": 0,
    }
    assert bench.get(ReceiveRing.RDH) == 1
    assert bench.causes() == {"RXT0"}


def test_secrc_strips_the_crc(bench):
    bench.receive_into(SECRC=1)
    bench.arrive(frame(100))
    assert bench.rx(0)["length"] == 100
    assert bench.ram.read(RX_DATA_AT, 104) == frame(100) + bytes(4)


def test_a_short_frame_is_padded(bench):
    bench.receive_into(SECRC=1)
    bench.arrive(frame(20))
    assert bench.rx(0)["length"] == 60
    assert bench.ram.read(RX_DATA_AT, 60) == frame(20) + bytes(40)


def test_a_long_frame_takes_several_buffers(bench):
    """3.2.3.1: status, errors and special are in the last, the checksum in the first."""
    bench.receive_into(BSIZE=3, SECRC=1)
    data = frame(600, kind=b"\x12\x34")
    bench.arrive(data)
    assert [bench.rx(n)["length"] for n in range(4)] == [256, 256, 88, 0]
    assert [bench.rx(n)["status"] for n in range(4)] == [DD, DD, DD | END | IXSM, 0]
    assert [bench.rx(n)["checksum"] for n in range(3)] == [ones_sum(data), 0, 0]
    got = b"".join(bench.ram.read(RX_DATA_AT + BUFFER * n, bench.rx(n)["length"]) for n in range(3))
    assert got == data


def test_a_descriptor_without_a_buffer_takes_no_data(bench):
    """3.2.5: a null address: the descriptor is done, and nothing else of it changes."""
    bench.receive_into([0, RX_DATA_AT, 0, 0])
    bench.put_rx(0, 0, status=0x80)
    bench.arrive(frame())
    assert bench.rx(0) == bench.rx(0) | {"status": 0x81, "length": 0}
    assert bench.rx(1)["status"] == DD | END | IXSM


def test_the_ring_wraps(bench):
    bench.receive_into()
    for number in range(RING + 3):
        bench.arrive(frame(fill=number))
        bench.put(ReceiveRing.RDT, number % RING)
    assert bench.get(ReceiveRing.RDH) == 3
    assert bench.ram.read(RX_DATA_AT + 59, 1) == bytes([RING])


@pytest.mark.parametrize(("choice", "threshold"), [(0, 8), (1, 4), (2, 2)])
def test_few_descriptors_left(bench, choice, threshold):
    """RXDMT0 at a half, a quarter, an eighth of the ring (13.4.22, RDMTS)."""
    bench.receive_into(RDMTS=choice)
    seen = []
    for left in reversed(range(RING - 1)):
        bench.arrive(frame())
        if "RXDMT0" in bench.causes():
            seen.append(left)
    assert seen == list(range(threshold, -1, -1))


# -- the packet buffer


def test_frames_wait_for_descriptors(bench):
    bench.receive_into(tail=0)
    for number in range(3):
        bench.arrive(frame(fill=number))
    assert bench.causes() == set()
    assert bench.counters() == bench.counters() | {"RNBC": 3, "GPRC": 3}
    bench.put(ReceiveRing.RDT, 2)
    assert bench.get(ReceiveRing.RDH) == 2
    bench.put(ReceiveRing.RDT, 5)
    assert bench.get(ReceiveRing.RDH) == 3
    assert [bench.ram.load(RX_DATA_AT + BUFFER * n + 59, 1) for n in range(3)] == [0, 1, 2]


def test_a_full_packet_buffer_misses_frames(bench):
    """13.7.5: MPC counts what did not fit, and RXO says so."""
    bench.put(General.PBA, 8)
    bench.receive_into(tail=0, LPE=1)
    for _ in range(10):
        bench.arrive(frame(1000))
    assert bench.counter("MPC") == 2
    assert bench.causes() == {"RXO"}
    assert bench.counter("GPRC") == 8
    assert bench.card.receiver.buffered == 8 * 1004


def test_a_disabled_receiver_keeps_nothing(bench):
    bench.arrive(frame())
    bench.receive_into()
    assert bench.get(ReceiveRing.RDH) == 0
    assert bench.counters() == {}


def test_a_receiver_without_link_hears_nothing(bench):
    bench.receive_into()
    bench.phy(CONTROL.offset, CONTROL.POWER_DOWN.mask)
    bench.arrive(frame())
    assert bench.get(ReceiveRing.RDH) == 0


@pytest.mark.parametrize(
    ("length", "rctl", "arrives"),
    [
        (1518, {}, True),
        (1519, {}, False),
        (1519, {"SBP": 1}, True),
        (1519, {"LPE": 1}, True),
        (16380, {"LPE": 1}, True),
        (16381, {"LPE": 1}, False),
    ],
)
def test_the_longest_packet(bench, length, rctl, arrives):
    """1522 bytes with the CRC, 16384 with LPE; SBP lets bad packets in (13.4.22)."""
    bench.receive_into(SECRC=1, **rctl)
    bench.arrive(frame(length))
    assert (bench.get(ReceiveRing.RDH) > 0) == arrives
    assert bench.counter("ROC") == (not arrives or "SBP" in rctl)


# -- filters


@pytest.mark.parametrize(
    ("to", "rctl", "status"),
    [
        (DEFAULT_MAC, {}, 0),
        (PEER, {}, DROPPED),
        (PEER, {"UPE": 1}, 0),
        (PEER, {"MPE": 1}, DROPPED),
        (GROUP, {}, DROPPED),
        (GROUP, {"MPE": 1}, 0),
        (GROUP, {"UPE": 1}, DROPPED),
        (BROADCAST, {"BAM": 1}, 0),
        (BROADCAST, {"BAM": 0}, DROPPED),
        (BROADCAST, {"BAM": 0, "MPE": 1}, 0),
    ],
)
def test_who_may_come_in(bench, to, rctl, status):
    """3.2.1: exact, promiscuous for stations, promiscuous for groups, broadcast."""
    bench.receive_into(**rctl)
    bench.arrive(frame(to=to))
    assert bench.get(ReceiveRing.RDH) == (status is not DROPPED)
    assert bench.rx(0)["status"] & PIF == 0


@pytest.mark.parametrize("offset", range(4))
def test_the_inexact_filter_says_that_it_is(bench, offset):
    """13.5.1: 12 bits of the address pick a bit of MTA. PIF: software must look (3.2.3.1)."""
    bit = hash_of(GROUP, offset)
    bench.receive_into(MO=offset)
    bench.arrive(frame(to=GROUP))
    assert bench.get(ReceiveRing.RDH) == 0
    bench.card.write(0x5200 + 4 * (bit >> 5), 4, 1 << (bit & 31))
    bench.arrive(frame(to=GROUP))
    assert bench.rx(0)["status"] == DD | END | IXSM | PIF


def test_which_bits_of_the_address_pick():
    """13.4.22: bits 47:36, 46:35, 45:34 or 43:32 of the address as it is stored."""
    address = bytes.fromhex("123456789abc")
    assert [hash_of(address, offset) for offset in range(4)] == [0xBC9, 0x793, 0xF26, 0xC9A]


def test_sixteen_exact_addresses(bench):
    low, high = address_words(PEER)
    bench.card.write(0x5478, 4, low)
    bench.card.write(0x547C, 4, high & 0xFFFF)
    bench.receive_into()
    bench.arrive(frame(to=PEER))
    assert bench.get(ReceiveRing.RDH) == 0, "Address Valid is clear"
    bench.card.write(0x547C, 4, high)
    bench.arrive(frame(to=PEER))
    assert bench.get(ReceiveRing.RDH) == 1


def test_the_vlan_filter(bench):
    """13.5.4: a tagged frame needs its bit in VFTA; others pass."""
    bench.card.write(0x5600 + 4 * (100 >> 5), 4, 1 << (100 & 31))
    bench.receive_into(VFE=1)
    bench.arrive(tagged(101))
    assert bench.get(ReceiveRing.RDH) == 0
    bench.arrive(tagged(0xE000 | 100))
    bench.arrive(frame())
    assert bench.get(ReceiveRing.RDH) == 2


def test_the_tag_is_taken_out_when_ctrl_says_so(bench):
    """9.3: the tag goes to the descriptor; the CRC is that of the wire."""
    bench.put(General.CTRL, General.CTRL.VME.mask)
    bench.receive_into()
    data = tagged(0x6123, length=80)
    bench.arrive(data)
    got = bench.rx(0)
    assert (got["length"], got["special"]) == (80, 0x6123)
    assert got["status"] == DD | END | IXSM | VP
    crc = zlib.crc32(data).to_bytes(4, "little")
    assert bench.ram.read(RX_DATA_AT, 80) == data[:12] + data[16:] + crc
    assert bench.counter("GORC") == 84


def test_without_vme_the_tag_stays(bench):
    bench.receive_into(SECRC=1)
    bench.arrive(tagged(5))
    assert bench.ram.read(RX_DATA_AT, 64) == tagged(5)
    assert bench.rx(0)["special"] == 0


def test_another_type_can_mean_vlan(bench):
    bench.put(General.VET, 0x88A8)
    bench.put(General.CTRL, General.CTRL.VME.mask)
    bench.receive_into(SECRC=1)
    bench.arrive(tagged(5))
    assert bench.rx(0)["status"] & VP == 0


# -- checksums


def checked(bench, data, rxcsum=0x300, **rctl):
    """Status bits and errors of the card's verdict on `data`."""
    bench.put(ReceiveRing.RXCSUM, rxcsum)
    bench.receive_into(SECRC=1, **rctl)
    bench.arrive(data)
    got = bench.rx(0)
    return got["status"] & (IXSM | TCPCS | IPCS), got["errors"]


def broken(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


IPE, TCPE = RX_ERRORS.IPE.mask, RX_ERRORS.TCPE.mask


@pytest.mark.parametrize(
    ("data", "rxcsum", "verdict"),
    [
        (tcp4(b"hello"), 0x300, (TCPCS | IPCS, 0)),
        (udp4(b"hello"), 0x300, (TCPCS | IPCS, 0)),
        (broken(tcp4(b"hello"), 18), 0x300, (TCPCS | IPCS, IPE)),
        (broken(tcp4(b"hello"), 54), 0x300, (TCPCS | IPCS, TCPE)),
        (broken(udp4(b"hello"), 43), 0x300, (TCPCS | IPCS, TCPE)),
        (tcp4(b"hello"), 0x100, (IPCS, 0)),
        (tcp4(b"hello"), 0x200, (TCPCS, 0)),
        (tcp4(b"hello"), 0, (IXSM, 0)),
        (udp4(b"hello", checksum=0), 0x300, (IPCS, 0)),
        (tcp4(b"hello", fragment=0x2000), 0x300, (IPCS, 0)),
        (tcp4(b"hello", protocol=1), 0x300, (IPCS, 0)),
        (tcp4(b"hello", tag=7), 0x300, (TCPCS | IPCS, 0)),
        (tcp4(b"hello", options=b"\1\1\1\0"), 0x300, (TCPCS | IPCS, 0)),
        (frame(), 0x300, (IXSM, 0)),
    ],
)
def test_the_card_checks_sums(bench, data, rxcsum, verdict):
    """3.2.9: which sums were looked at, and which of them are wrong."""
    assert checked(bench, data, rxcsum) == verdict


@pytest.mark.parametrize(
    "header",
    [
        b"\x65" + bytes(19),
        b"\x44" + bytes(19),
        b"\x45\0\xff\xff" + bytes(16),
        b"\x46\0\0\x14" + bytes(16),
        b"\x45",
    ],
)
def test_what_is_no_ipv4_packet_is_not_checked(header):
    assert verify(bytes(12) + b"\x08\x00" + header) == (None, None)


def test_the_packet_checksum_begins_at_pcss(bench):
    """13.4.47: bytes before PCSS are not in the sum."""
    bench.put(ReceiveRing.RXCSUM, 14)
    bench.receive_into(SECRC=1)
    bench.arrive(frame(100))
    assert bench.rx(0)["checksum"] == ones_sum(frame(100)[14:])


def test_insert_stays_inside_the_packet():
    packet = bytearray(range(20))
    for start, offset in ((20, 0), (0, 19), (25, 30)):
        insert(packet, start, offset)
        assert packet == bytearray(range(20))
    packet = bytearray(b"\xff\xff\0\0")
    insert(packet, 0, 2)
    assert packet[2:] == b"\xff\xff", "a sum of 0 is sent as all ones"


# -- counters


@pytest.mark.parametrize(
    ("to", "extra"), [(DEFAULT_MAC, {}), (GROUP, {"MPRC": 1}), (BROADCAST, {"BPRC": 1})]
)
def test_what_is_counted(bench, to, extra):
    """13.7.31: octets from the destination address to the CRC."""
    bench.receive_into(MPE=1, SECRC=1)
    bench.arrive(frame(100, to=to))
    counted = {"GPRC": 1, "TPR": 1, "GORC": 104, "TOR": 104, "PRC127": 1}
    assert bench.counters() == counted | extra


def test_what_is_filtered_is_not_counted(bench):
    bench.receive_into()
    bench.arrive(frame(to=PEER))
    assert bench.counters() == {}


# -- memory that is not there


def test_a_buffer_that_is_not_there_turns_the_receiver_off(bench):
    bench.receive_into([RX_DATA_AT, 1 << 40, RX_DATA_AT, 0])
    bench.put(Interrupts.IMS, CAUSES["RXO"].mask)
    for _ in range(2):
        bench.arrive(frame())
    assert bench.get(ReceiveRing.RDH) == 1
    assert not ReceiveRing.RCTL.EN.get(bench.get(ReceiveRing.RCTL))
    assert bench.card.receiver.faults == 1
    assert bench.counter("MPC") == 1
    assert bench.irq.level
    bench.arrive(frame())
    assert bench.get(ReceiveRing.RDH) == 1


def test_a_ring_that_is_not_there_turns_the_receiver_off(bench):
    bench.receive_into()
    bench.put(ReceiveRing.RDBAH, 1)
    bench.arrive(frame())
    assert bench.card.receiver.faults == 1


def test_a_head_outside_of_the_ring_takes_nothing(bench):
    bench.receive_into()
    bench.put(ReceiveRing.RDH, RING)
    bench.arrive(frame())
    assert bench.card.receiver.buffered == 64
    bench.put(ReceiveRing.RDLEN, 0)
    bench.put(ReceiveRing.RDT, 3)
    assert bench.card.receiver.buffered == 64
