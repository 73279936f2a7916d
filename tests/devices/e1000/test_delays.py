"""Delayed interrupts: RDTR and RADV for what comes in, TIDV and TADV for what goes out."""

import pytest

from tests.devices.e1000.bench import EOP, RS, Bench, frame
from virtlab.devices.e1000.delays import UNIT
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import TX_LEGACY, ReceiveRing, TransmitRing

IDE = TX_LEGACY.IDE.mask


@pytest.fixture
def bench():
    made = Bench()
    made.receive_into()
    made.transmit_from()
    return made


def passes(bench, units):
    """Let so many units pass; the causes there are then."""
    bench.clock.advance(units * UNIT)
    return bench.causes()


def test_rdtr_begins_anew_with_every_packet(bench):
    """13.4.30: the timer is restarted whenever another packet comes."""
    bench.put(ReceiveRing.RDTR, 10)
    for _ in range(5):
        bench.arrive(frame())
        assert passes(bench, 9) == set()
    assert passes(bench, 1) == {"RXT0"}
    assert passes(bench, 100) == set()


def test_radv_begins_with_the_first_packet(bench):
    """13.4.31: however many packets come, the interrupt is not later than this."""
    bench.put(ReceiveRing.RDTR, 10)
    bench.put(ReceiveRing.RADV, 25)
    for _ in range(2):
        for _ in range(2):
            bench.arrive(frame())
            assert passes(bench, 9) == set()
        bench.arrive(frame())
        assert passes(bench, 6) == set()
        assert passes(bench, 1) == {"RXT0"}
        assert passes(bench, 100) == set()


def test_radv_alone_delays_nothing(bench):
    bench.put(ReceiveRing.RADV, 25)
    bench.arrive(frame())
    assert bench.causes() == {"RXT0"}


def test_fpd_interrupts_now(bench):
    """13.4.30: FPD ends the timer at once, and reads as 0."""
    fpd = ReceiveRing.RDTR.FPD.mask
    bench.put(ReceiveRing.RDTR, 10)
    bench.arrive(frame())
    bench.put(ReceiveRing.RDTR, fpd | 10)
    assert bench.causes() == {"RXT0"}
    assert bench.get(ReceiveRing.RDTR) == 10
    assert passes(bench, 100) == set()


def test_few_descriptors_and_small_packets_do_not_wait(bench):
    """13.4.32: SRPD for a packet of RSRPD bytes at most, CRC included."""
    bench.put(ReceiveRing.RDTR, 10)
    bench.put(ReceiveRing.RSRPD, 100)
    for length in (97, 96):
        bench.arrive(frame(length))
    assert bench.causes() == {"SRPD"}
    bench.put(ReceiveRing.RSRPD, 0)
    for _ in range(5):
        bench.arrive(frame())
    assert bench.causes() == {"RXDMT0"}
    assert passes(bench, 10) == {"RXT0"}


def send(bench, command):
    bench.describe(frame(60), EOP | command)
    bench.kick()
    return bench.causes() - {"TXQE"}


def test_tidv_and_tadv(bench):
    """13.4.41, 13.4.44: for descriptors with both RS and IDE."""
    bench.put(TransmitRing.TIDV, 10)
    assert send(bench, RS | IDE) == set()
    assert passes(bench, 9) == set()
    assert send(bench, RS | IDE) == set()
    assert passes(bench, 10) == {"TXDW"}
    bench.put(TransmitRing.TADV, 15)
    assert send(bench, RS | IDE) == set()
    assert passes(bench, 9) == set()
    assert send(bench, RS | IDE) == set()
    assert passes(bench, 6) == {"TXDW"}
    assert passes(bench, 100) == set()


def test_a_report_without_ide_ends_the_wait(bench):
    bench.put(TransmitRing.TIDV, 10)
    assert send(bench, RS | IDE) == set()
    assert send(bench, IDE) == set()
    assert send(bench, RS) == {"TXDW"}
    assert passes(bench, 100) == set()


def test_without_a_delay_ide_means_nothing(bench):
    assert send(bench, RS | IDE) == {"TXDW"}


def test_a_reset_ends_the_wait(bench):
    bench.put(ReceiveRing.RDTR, 10)
    bench.put(TransmitRing.TIDV, 10)
    bench.arrive(frame())
    send(bench, RS | IDE)
    bench.put(General.CTRL, General.CTRL.RST.mask)
    assert bench.clock.next_event() is None


def test_a_fault_does_not_end_it(bench):
    """What was received before is still reported."""
    bench.put(ReceiveRing.RDTR, 10)
    bench.arrive(frame())
    bench.put_rx(1, 1 << 40)
    bench.arrive(frame())
    assert passes(bench, 10) == {"RXO", "RXT0"}


def test_timers_are_few(bench):
    """A guest that receives without end fills no list of timers."""
    bench.put(ReceiveRing.RDTR, 0xFFFF)
    bench.put(ReceiveRing.RADV, 0xFFFF)
    bench.put(Interrupts.IMS, CAUSES["RXT0"].mask)
    for number in range(2000):
        bench.arrive(frame())
        bench.put(ReceiveRing.RDT, number % 16)
    assert len(bench.clock._queue) < 200
