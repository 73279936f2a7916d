"""The edu card through a mediator: as the emulated one to its guest, and never out of its RAM."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmm.remap_rig import Rig, apart, together
from virtlab import machine
from virtlab.devices.edu import BUFFER_BYTES, DMA_DONE, EduRegisters
from virtlab.errors import DmaFault
from virtlab.interrupts import IrqLine
from virtlab.memory import PAGE
from virtlab.pci.config import Header
from virtlab.trace import Trace
from virtlab.vmm.dma_remap import SoftwareRemapper, Untranslated
from virtlab.vmm.mediated_edu import MediatedEdu
from virtlab.vmm.mediator import bar_of, listen
from virtlab.vmm.pinning import Mover
from virtlab.vmm.virtual_machine import ScatteredRam

SOURCE, COUNT, COMMAND = 0x80, 0x90, 0x98


@cache
def rigs():
    """The same guest twice: its card mediated, and emulated."""
    return Rig(), Rig(mediated=False)


def test_the_driver_runs_unchanged():
    guest = Rig().guest
    assert guest.edu.detect()
    assert guest.edu.factorial(6) == 720
    assert guest.edu.factorial(7, interrupt=True) == 5040


starts = st.one_of(
    st.sampled_from([page - n for page in (PAGE, 0x9F000, 0x101000) for n in range(3)]),
    st.integers(0, 0x9F000),
    st.integers(0x100000, 0x13F000),
)


@given(starts, st.integers(0, BUFFER_BYTES), st.data(), st.booleans())
def test_the_guest_cannot_tell_it_from_an_emulated_card(gpa, length, data, inwards):
    at = data.draw(st.integers(0, BUFFER_BYTES - length))
    outcomes = []
    for rig in rigs():
        guest = rig.guest
        guest.fill(bytes(range(256)) * 16)
        rig.card.buffer[:] = bytes(n * 7 % 256 for n in range(BUFFER_BYTES))
        move = guest.edu.from_device if inwards else guest.edu.to_device
        exits = guest.asleep(move, gpa, length, at)
        registers = [guest.cpu.load(guest.edu.base + offset, 8) for offset in (0x80, 0x88, 0x90)]
        outcomes.append((exits, guest.memory(), bytes(rig.card.buffer), registers))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == 7
    assert not len(rigs()[0].pins)


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_card_makes_one_transfer_for_each_run_of_frames(pieces):
    """Exits do not grow with the pieces: the card's interrupts are the VMM's."""
    rig = Rig()
    guest, card = rig.guest, rig.board.cards.edu.name
    first = together(guest.vm) if pieces == 1 else apart(guest.vm.ram)
    gpa = first + PAGE - 100
    with rig.board.trace.recording() as events:
        assert guest.asleep(guest.edu.from_device, gpa, 200) == 7
    moved = [(e.address, e.size) for e in events if e.kind == "dma write" and e.who == card]
    assert moved == SoftwareRemapper(guest.vm.ram).pieces(gpa, 200)
    assert len(moved) == pieces


def test_it_polls_as_well():
    rig = Rig()
    guest = rig.guest
    guest.cpu.write(0x5FF0, b"polled, across a page")
    guest.edu.to_device(0x5FF0, 21)
    assert bytes(rig.card.buffer[:21]) == b"polled, across a page"
    assert not guest.cpu.load(guest.edu.base + 0x24)


def test_the_frames_are_pinned_while_the_card_has_them():
    rig = Rig()
    guest = rig.guest
    gpa = apart(guest.vm.ram) + PAGE - 8
    for offset, value in ((0x80, 0x40000), (0x88, gpa), (0x90, 16), (0x98, 3)):
        guest.cpu.store(guest.edu.base + offset, value, 8)
    frames = {guest.vm.ram.hpa(gpa) & -PAGE, guest.vm.ram.hpa(gpa + 8) & -PAGE}
    assert set(rig.pins.counts) == frames
    rig.clock.advance(150_000_000)
    assert set(rig.pins.counts) == frames
    rig.clock.advance(100_000_000)
    assert not len(rig.pins)


def test_the_guest_reads_its_own_numbers_back():
    rig = Rig()
    guest = rig.guest
    guest.asleep(guest.edu.to_device, 0x5000, 64)
    assert guest.cpu.load(guest.edu.base + SOURCE, 8) == 0x5000
    assert rig.card.values[SOURCE] == guest.vm.ram.hpa(0x5000) != 0x5000


@pytest.mark.parametrize("inwards", [True, False])
@pytest.mark.parametrize("gpa", [0x9FFFF, 0xA0000, 0x13FFC1, 0x200000, (1 << 28) - 64])
def test_what_the_vm_has_not_is_refused_and_over_at_once(gpa, inwards):
    rig, length = rigs()[0], 64
    guest, header = rig.guest, rig.guest.pc.cards.edu.header
    header.STATUS = 0
    before, buffer = rig.board.ram.bytes.copy(), bytes(rig.card.buffer)
    move = guest.edu.from_device if inwards else guest.edu.to_device
    with rig.board.trace.recording() as events:
        move(gpa, length)
    faults = [event for event in events if event.kind == "fault"]
    assert [(event.who, event.address) for event in faults] == [("edu", gpa)]
    assert "not the VM's memory" in faults[0].note
    assert (rig.board.ram.bytes == before).all()
    assert bytes(rig.card.buffer) == buffer
    assert Header.STATUS.RECEIVED_MASTER_ABORT.get(header.STATUS)
    assert not len(rig.pins)


def test_a_refused_transfer_interrupts_as_any_other():
    guest = Rig().guest
    assert guest.asleep(guest.edu.to_device, 0x200000, 64) == 7


def test_a_transfer_that_leaves_the_buffer_moves_nothing():
    rig = Rig()
    guest = rig.guest
    guest.cpu.write(0x5000, b"\xaa" * 64)
    for offset, value in ((0x80, 0x5000), (0x88, 0x40FF0), (0x90, 64), (0x98, 1)):
        guest.cpu.store(guest.edu.base + offset, value, 8)
    assert guest.cpu.load(guest.edu.base + COMMAND) == 0
    assert bytes(rig.card.buffer) == bytes(BUFFER_BYTES)
    assert not rig.card.moving


def test_without_bus_master_enable_nothing_moves():
    rig = Rig()
    guest = rig.guest
    rig.guest.pc.cards.edu.header.COMMAND &= ~Header.COMMAND.BUS_MASTER.mask
    guest.cpu.write(0x5000, b"\xaa" * 64)
    with rig.board.trace.recording() as events:
        guest.edu.to_device(0x5000, 64)
    assert bytes(rig.card.buffer) == bytes(BUFFER_BYTES)
    assert "Bus Master Enable" in next(e.note for e in events if e.kind == "fault")


def test_while_it_moves_its_registers_keep_what_they_have():
    rig = Rig()
    guest, base = rig.guest, rig.guest.edu.base
    for offset, value in ((0x80, 0x5000), (0x88, 0x40000), (0x90, 64), (0x98, 1)):
        guest.cpu.store(base + offset, value, 8)
    guest.cpu.store(base + SOURCE, 0x6000, 8)
    guest.cpu.store(base + COMMAND, 3, 8)
    assert guest.cpu.load(base + SOURCE, 8) == 0x5000
    assert guest.cpu.load(base + COMMAND, 8) == 1
    rig.clock.advance(100_000_000)
    assert guest.cpu.load(base + COMMAND, 8) == 0


def test_a_guest_that_raises_dma_done_does_not_end_the_transfer():
    """Else the frames would be unpinned while the card still has them."""
    rig = Rig()
    guest, base = rig.guest, rig.guest.edu.base
    gpa = apart(guest.vm.ram) + PAGE - 8
    rig.card.buffer[:16] = b"sixteen bytes..."
    for offset, value in ((0x80, 0x40000), (0x88, gpa), (0x90, 16), (0x98, 3)):
        guest.cpu.store(base + offset, value, 8)
    for _ in range(3):
        guest.edu.raise_interrupt(DMA_DONE)
    assert len(rig.pins) == 2
    assert guest.cpu.load(base + COMMAND, 8) == 3
    rig.clock.advance(200_000_000)
    assert guest.cpu.read(gpa, 16) == b"sixteen bytes..."
    assert not len(rig.pins)


def test_the_engine_makes_28_bits_of_an_address():
    rig = Rig()
    guest = rig.guest
    rig.card.buffer[:4] = b"28 b"
    for offset, value in ((0x80, 0x40000), (0x88, 1 << 28 | 0x5000), (0x90, 4), (0x98, 3)):
        guest.cpu.store(guest.edu.base + offset, value, 8)
    rig.clock.advance(100_000_000)
    assert guest.cpu.read(0x5000, 4) == b"28 b"


@pytest.mark.parametrize("size", [1, 2])
def test_a_part_of_an_address_register_is_no_register(size):
    guest = rigs()[0].guest
    at = guest.edu.base + SOURCE
    guest.cpu.store(at, 0x11223344, 8)
    guest.cpu.store(at, 0x55, size)
    assert guest.cpu.load(at, size) == (1 << 8 * size) - 1
    assert guest.cpu.load(at, 8) == 0x11223344


def test_the_guests_own_dma_done_is_not_the_cards():
    """The guest raises bit 8 by hand: the VMM does not take it for the card's."""
    rig = Rig()
    guest = rig.guest
    guest.edu.raise_interrupt(DMA_DONE | 2)
    assert guest.edu.get(EduRegisters.INTERRUPT_STATUS) == DMA_DONE | 2
    assert rig.card.values[0x24] == 2
    assert rig.guest.pc.cards.edu.irq.level
    guest.edu.put(EduRegisters.ACKNOWLEDGE, 2)
    assert guest.pc.cards.edu.irq.level
    guest.edu.put(EduRegisters.ACKNOWLEDGE, DMA_DONE)
    assert not guest.pc.cards.edu.irq.level


accesses = st.tuples(
    st.booleans(),
    st.one_of(
        st.sampled_from([0, 4, 8, 0x20, 0x24, 0x60, 0x64, 0x80, 0x84, 0x88, 0x90, 0x98, 0xA0]),
        st.integers(0, 0x100),
    ),
    st.sampled_from([1, 2, 4, 4, 8, 8]),
    st.one_of(
        st.sampled_from([0, 1, 3, 5, 7, 0x100, 0x40000, 0x5000, 0xA0000, 64, 1 << 28]),
        st.integers(0, (1 << 64) - 1),
    ),
)


@given(st.lists(accesses, max_size=12))
def test_any_access_answers_as_the_emulated_cards_and_stays_in_its_ram(done):
    """Time stands still, so that both are equally far. Then both finish, and agree again."""
    mediated, emulated = rigs()
    before = mediated.strangers()
    answers = []
    for rig in (mediated, emulated):
        base, cpu = rig.guest.edu.base, rig.guest.cpu
        for write, offset, size, value in done:
            if write:
                cpu.store(base + offset, value, size)
        rig.clock.advance(1_000_000_000)
        found = [cpu.load(base + offset, size) for write, offset, size, _ in done if not write]
        cpu.store(base + 0x64, 0xFFFFFFFF, 4)
        answers.append((found, cpu.load(base + 0x24), rig.guest.pc.cards.edu.irq.level))
        rig.card.reset()
    assert answers[0] == answers[1]
    assert not len(mediated.pins)
    assert (mediated.strangers() == before).all()
    mediated.edu.values = dict.fromkeys(mediated.edu.values, 0)


def test_the_mistake_writes_into_somebody_elses_frame():
    rig = Rig(remapper=Untranslated())
    guest, other = rig.guest, rig.other.vm.ram
    frames = set(other.frames.values())
    gpa = next(gpa for gpa in guest.vm.ram.frames if gpa in frames)
    victim = next(page for page, frame in other.frames.items() if frame == gpa)
    rig.card.buffer[:8] = b"overrun!"
    guest.asleep(guest.edu.from_device, gpa, 8)
    assert rig.other.cpu.read(victim, 8) == b"overrun!"
    assert guest.cpu.read(gpa, 8) == bytes(8)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_page_that_moves_under_the_card_takes_no_harm_only_if_it_is_pinned(pinned):
    """A page of the other VM moves into the frame, and the card still writes there."""
    rig = Rig(pins=pinned)
    guest, other = rig.guest, rig.other
    mover = Mover(rig.board.frames, rig.pins)
    rig.card.buffer[:8] = b"for five"
    other.cpu.write(0x7000, b"precious")
    for offset, value in ((0x80, 0x40000), (0x88, 0x5000), (0x90, 8), (0x98, 3)):
        guest.cpu.store(guest.edu.base + offset, value, 8)
    moved = mover.move(guest.vm, 0x5000)
    mover.move(other.vm, 0x7000)
    rig.clock.advance(100_000_000)
    assert (moved is None) == pinned
    assert guest.cpu.read(0x5000, 8) == (b"for five" if pinned else bytes(8))
    assert other.cpu.read(0x7000, 8) == (b"precious" if pinned else b"for five")
    assert mover.move(guest.vm, 0x5000)


def test_a_command_without_start_is_no_command():
    guest = Rig().guest
    guest.cpu.store(guest.edu.base + COMMAND, 6, 8)
    assert guest.cpu.load(guest.edu.base + COMMAND, 8) == 0


def test_who_listens_to_a_line_hears_every_change():
    heard = []
    line = IrqLine("line")
    listen(line, heard.append)
    listen(line, heard.append)
    line.pulse()
    assert heard == [True, True, False, False]


def test_a_frame_that_the_card_cannot_name_is_refused():
    rig = Rig()
    ram = ScatteredRam(rig.board.ram, [1 << 28], [(0, PAGE)])
    rig.edu.remapper = SoftwareRemapper(ram)
    with pytest.raises(DmaFault, match="cannot make the address"):
        rig.edu.pieces(0, 4)


def test_a_card_that_the_host_has_not_set_up_cannot_be_given():
    board = machine.lesson_pc()
    one = machine.lesson_vm(board)
    with pytest.raises(ValueError, match="enumerate the host's buses first"):
        MediatedEdu(one.vm, one.cards.edu, board.cards.edu)
    with pytest.raises(ValueError, match="has no BAR3"):
        bar_of(one.vm, board.cards.edu, "BAR3")


def test_faults_are_counted_without_anybody_looking():
    rig = Rig()
    assert isinstance(rig.board.trace, Trace)
    rig.guest.edu.to_device(0x200000, 4)
    assert rig.board.trace.counts["fault"] == 1
