"""The UART driver: one set of tests for every world that has a 16550 at COM1."""

import pytest

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import Recorder
from virtlab.devices.uart import (
    FE,
    IER,
    IIR,
    LCR,
    LSR,
    MCR,
    MSR,
    OE,
    PE,
    SCR,
    Cause,
    Spaced,
    Uart16550,
)
from virtlab.guest.uart import (
    COM1,
    MmioRegisters,
    PortRegisters,
    UartDriver,
    UartTimeout,
)
from virtlab.hosts.python import BareCpu


@pytest.fixture
def uart(world):
    driver = UartDriver(PortRegisters(world.cpu))
    driver.init()
    return driver


# -- in every world


def test_it_finds_a_16550a(world):
    assert UartDriver(PortRegisters(world.cpu)).detect() == "16550A"


def test_where_nothing_answers_it_finds_nothing(world):
    assert UartDriver(PortRegisters(world.cpu, 0x3A8)).detect() is None


def test_detecting_leaves_interrupts_and_fifos_off(world):
    registers = PortRegisters(world.cpu)
    registers.put(LCR, 0xFF)
    UartDriver(registers).detect()
    assert registers.get(LCR) == 0b11
    assert registers.get(IER) == 0
    assert registers.get(IIR) == 0x01


@pytest.mark.parametrize(
    ("baud", "divisor"), [(115_200, 1), (38_400, 3), (9600, 12), (300, 384), (134.5, 857)]
)
def test_init_sets_the_divisor_of_table_III(world, baud, divisor):
    UartDriver(PortRegisters(world.cpu)).init(baud)
    world.cpu.out(COM1 + 3, 0x83)
    assert world.cpu.inp(COM1) | world.cpu.inp(COM1 + 1) << 8 == divisor


def test_init_forgets_what_was_received_before(world):
    driver = UartDriver(PortRegisters(world.cpu))
    driver.init()
    world.type(b"x")
    assert driver.get() == ord("x")
    driver.init()
    assert driver.read_available() == b""
    assert driver.get_reg(MCR) == 0b01011


@pytest.mark.parametrize("baud", [0, -1, 1, 1_000_000])
def test_init_refuses_a_rate_that_no_divisor_gives(world, baud):
    with pytest.raises(ValueError, match="baud"):
        UartDriver(PortRegisters(world.cpu)).init(baud)


def test_init_refuses_a_trigger_that_does_not_exist(world):
    with pytest.raises(ValueError, match="trigger 2"):
        UartDriver(PortRegisters(world.cpu)).init(trigger=2)


def test_the_self_test_passes_and_nobody_hears_it(world, uart):
    assert uart.self_test()
    assert world.sent() == b""
    assert uart.get_reg(MCR) == 0b01011


def test_what_is_put_is_sent(world, uart):
    for byte in b"hello":
        uart.put(byte)
    uart.flush()
    assert world.sent() == b"hello"


def test_what_is_written_is_sent_in_order_and_whole(world, uart):
    data = bytes(range(256)) * 2
    uart.write(data)
    uart.flush()
    assert world.sent() == data


def test_what_is_typed_is_got(world, uart):
    world.type(b"world")
    assert bytes(uart.get() for _ in range(5)) == b"world"
    assert uart.read_available() == b""
    assert uart.errors == 0


def test_reading_takes_what_is_there_and_does_not_wait(world, uart):
    assert uart.read_available() == b""
    uart.put_reg(MCR, MCR.LOOP.mask)
    uart.write(b"loop")
    assert uart.read_available(limit=3) == b"loo"
    assert uart.read_available() == b"p"


def test_an_overrun_is_remembered(world, uart):
    uart.put_reg(MCR, MCR.LOOP.mask)
    for _ in range(2):
        uart.write(bytes(16))
    assert len(uart.read_available()) == 16
    assert uart.errors == OE


def test_it_gives_up_where_nothing_comes(world, uart):
    uart.polls = 50
    with pytest.raises(UartTimeout, match="nothing received after 50 polls"):
        uart.get()


ARRIVED = (Cause.DATA_AVAILABLE, Cause.CHARACTER_TIMEOUT)
"""QEMU's time is real: on a busy machine four character times pass between two accesses."""


def test_by_interrupt_it_receives(world):
    uart = UartDriver(PortRegisters(world.cpu))
    uart.init(trigger=1)
    uart.listen()
    assert uart.service() == []
    uart.put_reg(MCR, MCR.LOOP.mask)
    uart.write(b"ping")
    [cause] = uart.service()
    assert cause in (ARRIVED if world.name == "qemu" else ARRIVED[:1])
    assert uart.received == b"ping"


def test_by_interrupt_it_sends(world, uart):
    uart.queue(bytes(40))
    assert uart.service() == [Cause.THR_EMPTY] * 3
    uart.flush()
    assert world.sent() == bytes(40)
    assert uart.get_reg(IER) == 0
    assert uart.service() == []


def test_by_interrupt_errors_come_first(world):
    uart = UartDriver(PortRegisters(world.cpu))
    uart.init(trigger=8)
    uart.listen()
    uart.put_reg(MCR, MCR.LOOP.mask)
    uart.queue(b"0123456789abcdefX")
    causes = uart.service()
    assert causes[0] == Cause.THR_EMPTY
    assert causes[1] in ARRIVED
    uart.write(bytes(17))
    uart.errors = 0
    causes = uart.service()
    assert causes[0] == Cause.LINE_STATUS
    assert causes[1] in ARRIVED
    assert uart.errors == OE
    assert uart.received[:16] == b"0123456789abcdef"


def test_one_service_is_bounded(world, uart):
    uart.queue(bytes(100))
    assert uart.service(limit=2) == [Cause.THR_EMPTY] * 2
    assert uart.service() == [Cause.THR_EMPTY] * 5
    uart.flush()
    assert world.sent() == bytes(100)


# -- what only our own device can be made to do


def bare(**given):
    """A driver and its device."""
    clock = Clock()
    device = Uart16550(clock=clock, **given)
    ports = AddressSpace("port", 16, max_size=4)
    memory = AddressSpace("memory", 32)
    ports.map(COM1, 8, device)
    memory.map(0x1000, 32, Spaced(device, 2), width=4)
    return BareCpu(ports, memory, clock), device


def test_the_same_task_through_ports_and_through_memory():
    done = []
    in_memory = lambda cpu: UartDriver.in_memory(cpu, 0x1000, shift=2)  # noqa: E731
    for through in (UartDriver.at_ports, in_memory):
        cpu, device = bare()
        recorder = Recorder(cpu)
        driver = through(recorder)
        assert driver.detect() == "16550A"
        driver.init(9600)
        driver.write(b"either way")
        assert driver.self_test()
        assert device.terminal.output == b"either way"
        done.append([(access.write, access.value) for access in recorder.accesses])
    assert done[0] == done[1]
    assert {(access.region, access.size) for access in recorder.accesses} == {("memory", 4)}


def test_registers_in_memory_side_by_side():
    cpu, device = bare()
    cpu.memory.map(0x2000, 8, device)
    MmioRegisters(cpu, 0x2000).put(SCR, 0x77)
    assert MmioRegisters(cpu, 0x2000).get(SCR) == 0x77


def test_a_uart_that_never_empties_is_given_up():
    cpu, _ = bare(timed=True)
    driver = UartDriver(PortRegisters(cpu), polls=10)
    driver.init()
    driver.put(0)
    with pytest.raises(UartTimeout, match="THR still full after 10 polls"):
        driver.put(1)
    with pytest.raises(UartTimeout, match="XMIT FIFO not empty"):
        driver.write(b"x")
    with pytest.raises(UartTimeout, match="still sending"):
        driver.flush()
    assert not driver.self_test()


def polling(send):
    """Polls before `send(driver)` came back, and until all 32 bytes were out at 115,200 baud."""
    cpu, device = bare(timed=True)
    cpu.port_time = 720
    recorder = Recorder(cpu)
    driver = UartDriver(PortRegisters(recorder))
    driver.init()

    def polls():
        return sum(not a.write and a.address == COM1 + LSR.offset for a in recorder.accesses) - 1

    send(driver)
    back = polls()
    driver.flush()
    assert device.terminal.output == bytes(32)
    return back, polls()


def test_polling_costs_the_time_of_the_line_and_the_fifo_gives_half_of_it_back():
    one_by_one = polling(lambda driver: [driver.put(0) for _ in range(32)])
    by_fifo = polling(lambda driver: driver.write(bytes(32)))
    on_the_line = 32 * 86_805 // 720  # 32 characters of 10 bits, in polls of 720 ns
    for _, out in (one_by_one, by_fifo):
        assert on_the_line - 60 < out <= on_the_line
    assert one_by_one[0] > 0.95 * on_the_line
    assert by_fifo[0] < 0.5 * on_the_line


@pytest.mark.parametrize("fifos", [0b10, 0b00])
def test_older_models_are_told_apart(fifos):
    cpu, device = bare()

    class Older:
        read_iir = staticmethod(lambda: IIR.FIFOS.put(device.read(IIR.offset), fifos))

        def read(self, offset, size):
            return self.read_iir() if offset == IIR.offset else device.read(offset)

        write = staticmethod(device.write)

    cpu.ports.map(0x2F8, 8, Older())
    driver = UartDriver(PortRegisters(cpu, 0x2F8))
    assert driver.detect() == ("16550" if fifos else "16450")
    driver.init()
    assert driver.room == 1
    driver.write(b"one by one")
    assert device.terminal.output == b"one by one"


def test_without_a_scratch_register_it_is_an_8250():
    cpu, device = bare()

    class Oldest:
        def read(self, offset, size):
            return 0xFF if offset == SCR.offset else device.read(offset)

        write = staticmethod(device.write)

    cpu.ports.map(0x2F8, 8, Oldest())
    assert UartDriver(PortRegisters(cpu, 0x2F8)).detect() == "8250"


class Broken:
    """A UART with one answer of LSR, RBR or MSR changed."""

    def __init__(self, device, offset, flip):
        self.device, self.offset, self.flip = device, offset, flip
        self.write = device.write

    def read(self, offset, size):
        return self.device.read(offset) ^ (self.flip if offset == self.offset else 0)


@pytest.mark.parametrize(("offset", "flip"), [(0, 0x40), (MSR.offset, 0x10)])
def test_the_self_test_sees_a_broken_uart(offset, flip):
    cpu, device = bare()
    cpu.ports.map(0x2F8, 8, Broken(device, offset, flip))
    driver = UartDriver(PortRegisters(cpu, 0x2F8))
    driver.init()
    assert not driver.self_test()


def test_errors_on_the_line_are_remembered():
    cpu, device = bare()
    driver = UartDriver(PortRegisters(cpu))
    driver.init()
    device.receiver.put(0x41, PE)
    device.receiver.put(0x42, FE)
    assert driver.read_available() == b"AB"
    assert driver.errors == PE | FE


def test_by_interrupt_a_modem_change_and_the_last_characters_are_served():
    cpu, device = bare()
    driver = UartDriver(PortRegisters(cpu))
    driver.init(trigger=14)
    driver.put_reg(IER, 0x0F & ~IER.ETBEI.mask)
    device.terminal.set_modem(device.terminal.modem._replace(cts=False))
    device.terminal.type("few")
    assert driver.service() == [Cause.MODEM_STATUS]
    cpu.clock.advance(1_000_000)
    assert driver.service() == [Cause.CHARACTER_TIMEOUT]
    assert driver.received == b"few"


def test_an_empty_bus_needs_no_service():
    cpu, _ = bare()
    assert UartDriver(PortRegisters(cpu, 0x100)).service() == []
