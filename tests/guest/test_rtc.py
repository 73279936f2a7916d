"""The driver of the real-time clock, on our chip and on QEMU's."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import require
from virtlab.bus import AddressSpace
from virtlab.clock import MICROSECOND, SECOND, Clock
from virtlab.devices.pic import PicPair
from virtlab.devices.rtc import A, B, Mc146818
from virtlab.guest.pic import MASTER, SLAVE, Pics
from virtlab.guest.rtc import RTC, RTC_IRQ, RtcDriver, RtcTimeout
from virtlab.hosts.python import BareCpu
from virtlab.hosts.remote import QtestMachine

START = datetime(2026, 1, 1)
MOMENT = timedelta(seconds=60)
"""What a busy machine may need for a test, on a clock that runs."""


class Ours:
    """Our clock at 70h, on IRQ 8 of two 8259As. With `port_time`, each access takes so many ns."""

    def __init__(self, start=START, port_time=0):
        self.clock, pic = Clock(), PicPair(latched=True)
        self.rtc = Mc146818(pic.line(RTC_IRQ), self.clock, start)
        ports = AddressSpace("port", 16, max_size=4)
        ports.map(MASTER, 2, pic.master)
        ports.map(SLAVE, 2, pic.slave)
        ports.map(RTC, 2, self.rtc)
        self.cpu = BareCpu(ports, AddressSpace("memory", 52), self.clock, pic)
        self.cpu.port_time = port_time


@pytest.fixture
def ours():
    return Ours()


@pytest.fixture(params=["ours", pytest.param("qemu", marks=pytest.mark.oracle)])
def cpu(request):
    if request.param == "ours":
        yield Ours().cpu
        return
    require("QEMU")
    with QtestMachine("pc", ["-rtc", f"base={START.isoformat()},clock=vm"]) as machine:
        yield machine


# -- on both


def test_it_reads_the_time_at_power_on(cpu):
    driver = RtcDriver(cpu)
    assert driver.battery
    assert START <= driver.now() < START + MOMENT


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("hours_24", [False, True])
@pytest.mark.parametrize("hour", [0, 11, 12, 23])
def test_it_sets_the_time_in_every_format(cpu, binary, hours_24, hour):
    driver = RtcDriver(cpu)
    driver.set_format(binary, hours_24)
    when = datetime(2031, 10, 29, hour, 38, 0)
    driver.set_time(when)
    assert when <= driver.now() < when + MOMENT
    assert B.decode(driver.get(B))["DM"] == binary


def test_a_change_of_format_keeps_the_time(cpu):
    driver = RtcDriver(cpu)
    when = datetime(2024, 2, 28, 22, 10)
    driver.set_time(when)
    for binary, hours_24 in [(True, True), (False, False), (True, False), (False, True)]:
        driver.set_format(binary, hours_24)
        assert when <= driver.now() < when + MOMENT


def test_ram_keeps_what_it_was_given(cpu):
    driver = RtcDriver(cpu)
    driver.put_byte(0x40, 0x5A)
    driver.put_byte(0x7F, 0xA5)
    ram = driver.ram()
    assert (len(ram), ram[0x40 - 0x0E], ram[-1]) == (114, 0x5A, 0xA5)


def test_periodic_interrupts_come_until_they_are_stopped(cpu):
    driver, pics = RtcDriver(cpu), Pics(cpu)
    pics.remap()
    pics.unmask(RTC_IRQ)
    driver.start_periodic(1024)
    for _ in range(3):
        assert pics.next_irq() == RTC_IRQ
        flags = driver.acknowledge()
        assert (flags["IRQF"], flags["PF"]) == (1, 1)
        pics.eoi(RTC_IRQ)
    driver.stop_periodic()
    driver.acknowledge()
    if pics.next_irq(20_000_000) is not None:  # one that came before it was stopped
        pics.eoi(RTC_IRQ)
    assert pics.next_irq(20_000_000) is None


def test_the_alarm_comes_at_its_time_and_no_more_once_cancelled(cpu):
    driver, pics = RtcDriver(cpu), Pics(cpu)
    pics.remap()
    pics.unmask(RTC_IRQ)
    driver.set_alarm(hour=12, minute=0, second=0)
    driver.set_time(datetime(2026, 3, 1, 11, 59, 59))
    assert pics.next_irq(3 * SECOND) == RTC_IRQ
    flags = driver.acknowledge()
    assert (flags["IRQF"], flags["AF"]) == (1, 1)
    assert driver.now() >= datetime(2026, 3, 1, 12)
    pics.eoi(RTC_IRQ)
    driver.cancel_alarm()
    assert not B.AIE.get(driver.get(B))


def test_every_update_can_interrupt(cpu):
    driver, pics = RtcDriver(cpu), Pics(cpu)
    pics.remap()
    pics.unmask(RTC_IRQ)
    driver.set_time(START)
    driver.acknowledge()
    driver.tell_updates()
    assert pics.next_irq(3 * SECOND) == RTC_IRQ
    assert driver.acknowledge()["UF"] == 1
    assert driver.now() == START + timedelta(seconds=1)
    driver.tell_updates(False)
    assert not B.UIE.get(driver.get(B))


# -- on ours


@given(
    st.integers(0, 4000),
    st.sampled_from([720, 20 * MICROSECOND, 100 * MICROSECOND, 400 * MICROSECOND]),
)
def test_no_reading_is_torn(before, port_time):
    """Also where the guest is so slow that the 244 us are over before it has read all bytes."""
    ours = Ours(datetime(1999, 12, 31, 23, 59, 59), port_time)
    ours.clock.advance(SECOND - before * MICROSECOND)
    seen = RtcDriver(ours.cpu).now()
    second = timedelta(seconds=ours.clock.now // SECOND)
    assert seen in (datetime(1999, 12, 31, 23, 59, 59), datetime(2000, 1, 1))
    assert seen <= datetime(1999, 12, 31, 23, 59, 59) + second


def test_it_waits_for_the_end_of_an_update(ours):
    ours.cpu.port_time = 720
    ours.clock.advance(SECOND - 1000 * MICROSECOND)
    assert RtcDriver(ours.cpu).now() == START + timedelta(seconds=1)


def test_it_reads_the_time_where_no_time_passes_while_it_polls(ours):
    ours.clock.advance(SECOND - 1)
    assert A.UIP.get(RtcDriver(ours.cpu).get(A))
    assert RtcDriver(ours.cpu).now() == START


def test_a_clock_that_never_stands_still_is_given_up():
    ours = Ours(port_time=SECOND // 8)
    with pytest.raises(RtcTimeout, match="agree"):
        RtcDriver(ours.cpu).now()


def test_the_next_second_begins_half_a_second_after_the_time_is_set(ours):
    driver = RtcDriver(ours.cpu)
    ours.clock.advance(SECOND * 9 // 10)
    driver.set_time(START)
    ours.clock.advance(SECOND // 2 - 1)
    assert driver.now() == START
    ours.clock.advance(1)
    assert driver.now() == START + timedelta(seconds=1)


def test_flags_can_be_polled(ours):
    ours.cpu.port_time = 720
    driver = RtcDriver(ours.cpu)
    driver.start_periodic(8192)
    assert driver.await_flag("PF")
    assert not driver.await_flag("UF", polls=100)


@pytest.mark.parametrize("hertz", [8192, 256, 128, 2])
def test_rates(ours, hertz):
    driver, rose = RtcDriver(ours.cpu), 0
    driver.start_periodic(hertz)
    for _ in range(8):
        ours.clock.advance(SECOND // 8)
        rose += driver.acknowledge()["PF"]
    assert rose == min(hertz, 8)
    assert ours.clock.next_event() <= SECOND + SECOND // hertz + 1


@pytest.mark.parametrize("hertz", [0, 1, 1000, 16384])
def test_it_refuses_other_rates(ours, hertz):
    with pytest.raises(ValueError, match="power of two"):
        RtcDriver(ours.cpu).start_periodic(hertz)


def test_an_alarm_can_come_every_minute(ours):
    driver = RtcDriver(ours.cpu)
    driver.set_alarm(second=30)
    assert ours.clock.next_event() == 30 * SECOND
    driver.set_alarm(minute=5, second=30)
    assert ours.clock.next_event() == 330 * SECOND
    driver.set_alarm()
    assert ours.clock.next_event() == SECOND


@pytest.mark.parametrize("wrong", [{"hour": 24}, {"minute": 60}, {"second": -1}])
def test_it_refuses_an_alarm_that_is_no_time(ours, wrong):
    with pytest.raises(ValueError):
        RtcDriver(ours.cpu).set_alarm(**wrong)


@pytest.mark.parametrize("index", [-1, 128])
def test_it_refuses_a_byte_that_is_not_there(ours, index):
    with pytest.raises(ValueError, match="bytes 0 to 127"):
        RtcDriver(ours.cpu).get_byte(index)


def test_it_can_keep_the_nmi_masked(ours):
    RtcDriver(ours.cpu, mask_nmi=True).now()
    assert ours.rtc.nmi_masked
