"""Where our 82540EM differs from QEMU's on purpose, one test for each, with the clause.

The differences of single registers are in `test_e1000_differential.py`.
"""

import zlib

import pytest

from tests.devices.e1000.bench import DATA, EOP, IC, TSE
from tests.devices.e1000.packets import PEER
from tests.devices.e1000.sides import (
    GROUP,
    RING_SIZE,
    Side,
    both,
    context_bytes,
    read_rx,
    wait_for_qemu,
)
from tests.devices.e1000.worlds import OurWorld, QemuWorld
from tests.needs import needs_qemu
from virtlab.clock import MILLISECOND
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.checksum import ones_sum
from virtlab.devices.e1000.phy import CONTROL
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


@pytest.fixture
def sides():
    """Our card and QEMU's."""
    theirs = QemuWorld()
    yield [Side(OurWorld()), Side(theirs)]
    theirs.close()


@needs_qemu
def test_deviation_the_legacy_checksum(sides):
    """3.3.3.1: IC inserts it. QEMU sends the packet as it is."""
    data = DEFAULT_MAC + PEER + bytes(range(60))
    both(sides, Side.transmit)
    both(sides, lambda side: side.descriptor(data, EOP | IC | 20 << 16, options=14))
    (ours, _, _), (theirs, _, _) = both(sides, Side.kick)
    assert theirs == [data]
    assert ours[0][20:22] == (~ones_sum(data[14:]) & 0xFFFF).to_bytes(2, "big")


def segmented(sides, data, context):
    """What both cards send for one packet to cut."""
    both(sides, Side.transmit)
    both(sides, lambda side: side.raw(context_bytes(context)))
    both(sides, lambda side: side.descriptor(data, DATA | TSE | EOP, 0))
    return [sent for sent, _, _ in both(sides, Side.kick)]


@needs_qemu
def test_deviation_a_payload_of_whole_segments(sides):
    """3.5: the last segment ends the packet. QEMU sends one more, with a header only."""
    data = DEFAULT_MAC + PEER + bytes(242)
    context = Context(14, 24, 33, 34, 50, 0, 200, 54, 100, tcp=True, ip=True, tse=True)
    ours, theirs = segmented(sides, data, context)
    assert [len(each) for each in ours] == [154, 154]
    assert [len(each) for each in theirs] == [154, 154, 54]


@needs_qemu
def test_deviation_more_payload_than_paylen(sides):
    """3.3.6: PAYLEN bytes are sent. QEMU sends all that the descriptors have."""
    data = DEFAULT_MAC + PEER + bytes(332)
    context = Context(14, 24, 33, 34, 50, 0, 150, 54, 100, tcp=True, ip=True, tse=True)
    ours, theirs = segmented(sides, data, context)
    assert [len(each) for each in ours] == [154, 104]
    assert [len(each) for each in theirs] == [154, 154, 144]


@needs_qemu
def test_deviation_ipv6_payload_length(sides):
    """RFC 8200, 3: it does not count the header of 40 bytes. QEMU counts it."""
    data = DEFAULT_MAC + PEER + bytes(62) + bytes(150)
    context = Context(14, 0, 0, 54, 70, 0, 150, 74, 100, tcp=True, tse=True)
    lengths = [
        [int.from_bytes(each[18:20], "big") for each in sent]
        for sent in segmented(sides, data, context)
    ]
    assert lengths == [[120, 70], [160, 110]]


@needs_qemu
def test_deviation_a_checksum_beyond_its_own_range(sides):
    """3.3.6: the offset is anywhere in the packet. QEMU inserts nothing behind the last byte."""
    data = DEFAULT_MAC + PEER + bytes(range(60))
    context = Context(tucss=14, tucso=40, tucse=29)
    both(sides, Side.transmit)
    both(sides, lambda side: side.raw(context_bytes(context)))
    both(sides, lambda side: side.descriptor(data, DATA | EOP, TX_OPTIONS.TXSM.mask))
    (ours, _, _), (theirs, _, _) = both(sides, Side.kick)
    assert theirs == [data]
    assert ours[0][40:42] == (~ones_sum(data[14:30]) & 0xFFFF).to_bytes(2, "big")


@needs_qemu
def test_deviation_short_packets_are_padded(sides):
    """13.4.33: PSP pads to 64 bytes with the CRC. QEMU pads nothing."""
    both(sides, Side.transmit)
    both(sides, lambda side: side.put(TCTL, TCTL.EN.mask | TCTL.PSP.mask))
    both(sides, lambda side: side.descriptor(DEFAULT_MAC + PEER + b"\x88\xb5", EOP))
    assert [len(sent[0]) for sent, _, _ in both(sides, Side.kick)] == [60, 14]


@needs_qemu
def test_deviation_the_longest_packet(sides):
    """3.3.3: 16288 bytes in all; ours drops a longer one. QEMU takes 64 KiB."""
    both(sides, Side.transmit)
    both(sides, lambda side: side.descriptor(bytes(12000), 0))
    both(sides, lambda side: side.descriptor(bytes(4289), EOP))
    assert [[len(each) for each in sent] for sent, _, _ in both(sides, Side.kick)] == [[], [16289]]


@needs_qemu
def test_deviation_an_empty_queue(sides):
    """13.4.17: TXQE when the last descriptor has been used. QEMU sets it for any doorbell."""
    both(sides, Side.transmit)
    both(sides, Side.causes)
    both(sides, Side.kick)
    assert both(sides, Side.causes) == [[], ["TXQE"]]


@needs_qemu
def test_deviation_a_head_outside_of_the_ring(sides):
    """14.5: the head is inside of the ring; ours sends nothing. QEMU reads what lies behind it."""
    both(sides, Side.transmit)
    both(sides, lambda side: side.put(TransmitRing.TDH, RING_SIZE))
    both(sides, lambda side: side.put(TransmitRing.TDT, 1))
    assert [side.get(TransmitRing.TDH) for side in sides] == [RING_SIZE, 0]


@needs_qemu
def test_deviation_software_reset(sides):
    """13.4.1: RST resets all but the PHY. In QEMU it clears itself and does nothing."""
    both(sides, lambda side: side.put(General.VET, 0x1234))
    both(sides, lambda side: side.put(CTRL, CTRL.RST.mask))
    assert both(sides, lambda side: side.get(General.VET)) == [0x8100, 0x1234]


@needs_qemu
def test_deviation_reset_of_the_phy(sides):
    """802.3 22.2.4.1.1: RESET sets the registers to their initial values. QEMU keeps them."""
    both(sides, lambda side: side.phy_write(16, 0x1234))
    both(sides, lambda side: side.phy_write(0, CONTROL.RESET.mask))
    assert both(sides, lambda side: side.phy_read(16)) == [0x0360, 0x1234]


@needs_qemu
def test_deviation_eerd(sides):
    """13.4.4: DATA is read-only. QEMU takes what is written there as more bits of the address."""
    eerd = General.EERD
    word = eerd.DATA.put(eerd.ADDR.put(eerd.START.mask, 2), 0x1234)
    both(sides, lambda side: side.put(eerd, word))
    ours, theirs = both(sides, lambda side: eerd.decode(side.get(eerd)))
    assert ours["DATA"] == int.from_bytes(DEFAULT_MAC[4:], "little")
    assert theirs["DATA"] == 0x1234


@needs_qemu
def test_deviation_another_phy(sides):
    """13.4.7: MDIC has what was written, with E. QEMU keeps what was there before."""
    both(sides, lambda side: side.phy_read(2))
    word = MDIC.OP.put(MDIC.REGADD.put(MDIC.PHYADD.put(0, 2), 3), 2)
    both(sides, lambda side: side.put(MDIC, word))
    ours, theirs = both(sides, lambda side: MDIC.decode(side.get(MDIC)))
    assert (ours["E"], ours["PHYADD"], ours["REGADD"]) == (1, 2, 3)
    assert (theirs["E"], theirs["PHYADD"], theirs["REGADD"]) == (1, 1, 2)


@needs_qemu
def test_deviation_a_part_of_a_register(sides):
    """13.2: only dwords have a meaning. Ours reads the bytes; QEMU the low ones of the dword."""
    both(sides, lambda side: side.put(General.VET, 0x1234))
    assert both(sides, lambda side: side.cpu.load(side.base + 0x39, 1)) == [0x12, 0x34]


@needs_qemu
def test_deviation_the_ports(sides):
    """13.2.2: a window on the registers. QEMU's answer nothing."""
    ports = [side.world.ports for side in sides]
    for side, port in zip(sides, ports, strict=True):
        side.cpu.out(port, General.VET.offset, 4)
    assert [side.cpu.inp(port + 4, 4) for side, port in zip(sides, ports, strict=True)] == [
        0x8100,
        0,
    ]


def arrive(sides, frame, index):
    """One frame to both; descriptor `index`, and as many bytes of its buffer as it says."""
    both(sides, lambda side: side.world.arrive(frame))
    both(sides, lambda side: side.poll(ReceiveRing.RDH, index + 1))
    got = both(sides, lambda side: read_rx(side, index))
    return [
        (one, side.cpu.read(one["address"], one["length"]))
        for one, side in zip(got, sides, strict=True)
    ]


@needs_qemu
def test_deviation_what_is_written_for_a_frame(sides):
    """3.2.3: the CRC is stored, the checksum computed, PIF set for the inexact filter."""
    both(sides, lambda side: side.receive())
    both(sides, lambda side: side.add_group(GROUP))
    wait_for_qemu(sides)
    frame = GROUP + PEER + b"\x88\xb5" + bytes(range(50))
    (ours, our_bytes), (theirs, their_bytes) = arrive(sides, frame, 1)
    crc = zlib.crc32(frame).to_bytes(4, "little")
    assert (our_bytes, their_bytes) == (frame + crc, frame + bytes(4))
    assert (ours["checksum"], theirs["checksum"]) == (ones_sum(frame + crc), 0)
    pif = RX_STATUS.PIF
    assert (pif.get(ours["status"]), pif.get(theirs["status"])) == (1, 0)


@needs_qemu
def test_deviation_the_longest_frame(sides):
    """13.7.15: longer than 1522 bytes with the CRC is oversized. QEMU counts without it."""
    both(sides, lambda side: side.receive())
    wait_for_qemu(sides)
    both(sides, lambda side: side.world.arrive(DEFAULT_MAC + bytes(1520 - 6)))
    assert both(sides, lambda side: side.get(ReceiveRing.RDH)) == [1, 2]


@needs_qemu
def test_deviation_counters(sides):
    """13.7: every counter is cleared by a read, and a packet below 64 bytes is not good."""
    both(sides, Side.transmit)
    both(sides, lambda side: side.descriptor(DEFAULT_MAC + PEER + b"\x88\xb5" + bytes(10), EOP))
    both(sides, Side.kick)
    assert both(sides, lambda side: side.statistics("GPTC", "TPT")) == [
        {"GPTC": 0, "TPT": 1},
        {"GPTC": 1, "TPT": 1},
    ]


@needs_qemu
def test_deviation_delayed_interrupts(sides):
    """13.4.30: RXT0 is set when the timer is over. QEMU sets it at once, and holds back the pin."""
    both(sides, lambda side: side.receive())
    wait_for_qemu(sides)
    both(sides, Side.causes)
    both(sides, lambda side: side.put(ReceiveRing.RDTR, 0xFFFF))
    arrive(sides, DEFAULT_MAC + PEER + bytes(50), 1)
    assert both(sides, Side.causes) == [[], ["RXT0"]]
    sides[0].cpu.wait(100 * MILLISECOND)
    assert sides[0].causes() == ["RXT0"]


@needs_qemu
def test_deviation_fpd(sides):
    """13.4.30: FPD interrupts now. QEMU ignores it."""
    both(sides, lambda side: side.put(ReceiveRing.RDTR, ReceiveRing.RDTR.FPD.mask))
    assert both(sides, Side.causes) == [["RXT0"], []]
