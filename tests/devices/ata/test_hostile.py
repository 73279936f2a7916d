"""A guest that does anything at all: nothing raises, nothing runs for ever, nothing grows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.devices.ata.rig import AtaRig, Bench, image
from virtlab.backends.disk import SECTOR, Disk
from virtlab.bus import AddressSpace
from virtlab.devices.ata import DMA_BLOCK, Command
from virtlab.devices.ata.registers import ERROR, EXTENDED, IDNF
from virtlab.guest.ata import PRIMARY, SECONDARY
from virtlab.wire import all_ones

SECTORS = 40
IMAGE = image(SECTORS)
CODES = st.sampled_from(list(Command)) | st.integers(0, 255)
BYTES = st.integers(0, 255)
MEMORY = st.sampled_from([0, 2, 0x8000, 0xFFFC, 0xF_FFF8, 0xFFFF_FFF8])
PORTS = st.sampled_from([PRIMARY.command, PRIMARY.control, SECONDARY.command, SECONDARY.control])


class Watched(AtaRig):
    """A machine whose drives are looked at: what they hold, and what they were asked for."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(Disk.of(IMAGE), Disk.of(IMAGE, read_only=True), latency=1000)
        for at in (0, 0x8000, 0xFFF8, 0xF_FFF0):
            self.ram.write(at, seed[: self.ram.size - at])

    def check(self) -> None:
        for drive in self.ide.drives[0]:
            block = drive.transfer.block if drive.transfer else b""
            assert len(block) <= DMA_BLOCK * SECTOR
            assert (
                not (drive.transfer and drive.transfer.way.dma) or drive.transfer.remaining <= 65536
            )
        assert self.ide.drives[0][1].disk.read(0, SECTORS) == IMAGE


steps = st.one_of(
    st.tuples(st.just("out"), PORTS, st.integers(0, 7), st.sampled_from([1, 2, 4]), BYTES),
    st.tuples(st.just("in"), PORTS, st.integers(0, 7), st.sampled_from([1, 2, 4]), BYTES),
    st.tuples(st.just("command"), PORTS, BYTES, CODES, BYTES),
    st.tuples(st.just("master"), st.integers(0, 15), st.sampled_from([1, 2, 4]), BYTES, MEMORY),
    st.tuples(st.just("start"), MEMORY, st.sampled_from([1, 9]), st.integers(0, 1), BYTES),
    st.tuples(st.just("time"), st.integers(0, 3000), BYTES, BYTES, BYTES),
)


def do(rig, step):
    match step:
        case ("out", base, offset, size, value):
            rig.cpu.out(base + offset, value * 0x0101_0101 & all_ones(size), size)
        case ("in", base, offset, size, _):
            assert 0 <= rig.cpu.inp(base + offset, size) <= all_ones(size)
        case ("command", base, low, code, device):
            rig.cpu.out(base + 6, device)
            rig.cpu.out(base + 3, low)
            rig.cpu.out(base + 7, code)
        case ("master", offset, size, _, value):
            rig.cpu.out(rig.bar + offset, value & all_ones(size), size)
            assert 0 <= rig.cpu.inp(rig.bar + offset, size) <= all_ones(size)
        case ("start", table, command, channel, _):
            rig.cpu.out(rig.bar + 8 * channel + 4, table, 4)
            rig.cpu.out(rig.bar + 8 * channel, 0)
            rig.cpu.out(rig.bar + 8 * channel, command)
        case ("time", ns, *_):
            rig.cpu.clock.advance(ns)


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=50), st.binary(min_size=8, max_size=64))
def test_no_access_raises_and_nothing_grows(sequence, seed):
    rig = Watched(seed)
    for step in sequence:
        do(rig, step)
        rig.check()
    rig.cpu.clock.advance(1_000_000)
    assert rig.cpu.clock.next_event() is None


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([code for code in Command if "DMA" in code.name]),
    st.binary(min_size=8, max_size=80),
    MEMORY,
    st.integers(0, 65535),
    st.integers(0, SECTORS + 2) | st.integers(0, (1 << 48) - 1),
)
def test_any_table_any_count_and_any_address_come_to_an_end(code, entries, at, count, sector):
    bench = Bench(Disk.of(IMAGE))
    drive = bench.channel.drives[0]
    if at + len(entries) <= bench.ram.size:
        bench.ram.write(at, entries)
    bench.command(code, sector, count)
    bench.master.write(4, 4, at)
    bench.master.write(0, 1, 0x09)
    assert bench.master.entry - (at & ~3) <= 0x1_0000 + 8
    assert not drive.transfer or len(drive.transfer.block) <= DMA_BLOCK * SECTOR
    extended = code in EXTENDED
    wanted = (count or 65536) if extended else (count & 0xFF or 256)
    first = sector if extended else sector & 0xFFF_FFFF
    found = first + wanted <= SECTORS
    assert (bench.get(ERROR) == IDNF) == (not found)
    assert found or drive.transfer is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.sampled_from([1, 2, 4, 8]), st.integers(0, all_ones(8)), CODES
        ),
        max_size=40,
    ),
    st.integers(0, 2),
)
def test_any_size_at_any_offset_of_a_bus_of_64_bits(accesses, drives):
    bench = Bench(*(Disk.of(IMAGE) for _ in range(drives)))
    space = AddressSpace("memory", 8)
    space.map(0, 8, bench.channel.commands, width=8)
    space.map(8, 1, bench.channel.control)
    for address, size, value, code in accesses:
        space.write(address, size, value & all_ones(size))
        assert 0 <= space.read(address, size) <= all_ones(size)
        space.write(7, 1, code)


@pytest.mark.parametrize("count", [0, 1])
def test_the_largest_command_holds_64_kib_at_most(count):
    bench = Bench(Disk(SECTOR))
    drive = bench.channel.drives[0]
    drive.disk.sectors = 1 << 40
    bench.command(Command.WRITE_DMA_EXT, 0, count)
    assert drive.transfer.remaining == (count or 65536)
    assert len(drive.transfer.block) == min(drive.transfer.remaining, DMA_BLOCK) * SECTOR
