"""MSI-X: the table and its masks, the function that has it, and that no vector is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.rig import Card, Rig
from virtlab.interrupts import Msi as Message
from virtlab.pci.capabilities import Msi, Msix
from virtlab.pci.config import Header
from virtlab.pci.msix import ALIGN, ENTRY, MAX_VECTORS, MsixTable
from virtlab.wire import all_ones

BUS_MASTER = Header.COMMAND.BUS_MASTER.mask
ENABLE = Msi.CONTROL.ENABLE.mask


@pytest.fixture
def sent():
    return []


# -- the MSI-X table


def table(vectors=4, sent=None):
    """A table that is not masked as a whole; each vector n points at 0x1000 + n, unmasked."""
    made = MsixTable(vectors, (sent if sent is not None else []).append)
    made.set_mask(False)
    for n in range(vectors):
        made.write(ENTRY * n, 4, 0x1000 + 4 * n)
        made.write(ENTRY * n + 8, 4, 0x50 + n)
        made.write(ENTRY * n + 12, 4, 0)
    return made


def test_an_entry_is_masked_after_reset_and_reads_back():
    """6.8.2.9: after reset the mask bit is 1."""
    made = MsixTable(2, lambda message: None)
    assert [made.read(ENTRY * n + 12, 4) for n in range(2)] == [1, 1]
    made.write(16, 4, all_ones(4))
    made.write(20, 4, 0x12)
    made.write(24, 4, 0x3456)
    made.write(28, 4, 0xFFFF_FFFE)
    assert [made.read(at, 4) for at in (16, 20, 24, 28)] == [0xFFFF_FFFC, 0x12, 0x3456, 0]
    assert made.entries[1].message == Message(0x12_FFFF_FFFC, 0x3456)


def test_an_entry_is_read_and_written_by_4_or_8_bytes():
    """6.8.2: software must use aligned dword or qword transactions."""
    made = MsixTable(1, lambda message: None)
    made.write(0, 8, 0x1_FEE0_0000)
    assert (made.read(0, 8), made.read(4, 4)) == (0x1_FEE0_0000, 1)


def test_a_vector_sends_its_own_message(sent):
    made = table(sent=sent)
    made.notify(2)
    assert sent == [Message(0x1008, 0x52)]


@pytest.mark.parametrize("vector", [-1, 4, 1 << 40])
def test_a_vector_that_is_not_there_is_ignored(sent, vector):
    made = table(sent=sent)
    made.notify(vector)
    assert (sent, made.pending) == ([], 0)


def test_a_masked_vector_waits_in_the_pending_bits(sent):
    """6.8.3.5, 6.8.2.10: a bit in the PBA; it goes when the vector is unmasked."""
    made = table(sent=sent)
    made.write(ENTRY + 12, 4, 1)
    assert made.held(1)
    made.notify(1)
    made.notify(1)
    assert sent == []
    assert made.read(made.pba_offset, 8) == 0b10
    made.write(ENTRY + 12, 4, 0)
    assert sent == [Message(0x1004, 0x51)]
    assert made.read(made.pba_offset, 8) == 0


def test_the_function_mask_holds_all_of_them(sent):
    """6.8.2.3: if 1, all of the vectors are masked, regardless of their own bits."""
    made = table(sent=sent)
    made.set_mask(True)
    for vector in (3, 0):
        made.notify(vector)
    made.write(12, 4, 1)
    assert (sent, made.held(3)) == ([], True)
    made.set_mask(False)
    assert [m.data for m in sent] == [0x53]
    assert made.pending == 0b0001


def test_pending_bits_are_read_only():
    made = table()
    made.set_mask(True)
    made.notify(0)
    made.write(made.pba_offset, 8, all_ones(8))
    assert made.read(made.pba_offset, 4) == 1
    made.write(made.pba_offset, 8, 0)
    assert made.read(made.pba_offset, 4) == 1


def test_the_hole_between_table_and_pending_bits_reads_zero():
    made = table(4)
    assert made.read(4 * ENTRY, 8) == 0
    made.write(4 * ENTRY, 8, all_ones(8))
    assert made.read(4 * ENTRY, 8) == 0
    assert made.read(made.pba_offset + ALIGN, 4) == 0


@pytest.mark.parametrize(
    ("vectors", "pba", "length"),
    [(1, 0x800, 0x1000), (128, 0x800, 0x1000), (129, 0x1000, 0x2000), (2048, 0x8000, 0x10000)],
)
def test_table_and_pending_bits_have_parts_of_their_own(vectors, pba, length):
    made = MsixTable(vectors, lambda message: None)
    assert (made.pba_offset, made.length) == (pba, length)


@pytest.mark.parametrize("vectors", [0, MAX_VECTORS + 1])
def test_a_table_that_the_size_field_cannot_say_is_misuse(vectors):
    with pytest.raises(ValueError, match="1 to 2048 vectors"):
        MsixTable(vectors, lambda message: None)


def test_reset_masks_everything_and_forgets(sent):
    made = table(sent=sent)
    made.set_mask(True)
    made.notify(0)
    made.reset()
    made.set_mask(False)
    assert sent == []
    assert all(made.held(vector) for vector in range(4))
    assert made.read(0, 4) == 0


def test_a_message_that_rings_its_own_device_ends(sent):
    """Each vector goes at most twice in one access. What is rung once more stays pending."""
    made = table()
    made.send = lambda message: (sent.append(message), made.notify(0), made.notify(3))
    made.notify(0)
    assert len(sent) == 8
    assert made.pending


def test_a_message_that_masks_the_table_stops_the_rest(sent):
    """A message is a store, and may hit this very table."""
    made = table()
    made.set_mask(True)
    for vector in range(4):
        made.notify(vector)
    made.send = lambda message: (sent.append(message), made.write(ENTRY * 2 + 12, 4, 1))
    made.set_mask(False)
    assert [m.data for m in sent] == [0x50, 0x51, 0x53]
    assert made.pending == 0b0100


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "notify", "mask", "reset"]),
            st.integers(0, 0x1100) | st.sampled_from([0x0C, 0x1C, 0x2C, 0x3C]),
            st.sampled_from([1, 2, 4, 8]),
            st.integers(0, all_ones(8)) | st.integers(0, 1),
        ),
        max_size=60,
    )
)
def test_no_vector_is_lost_or_sent_while_it_is_held(steps):
    """A model: the set of vectors that wait. Whatever is rung is sent once, or waits."""
    sent = []
    made = MsixTable(4, lambda message: sent.append(message))
    waiting = set()
    for verb, at, size, value in steps:
        sent.clear()
        if verb == "read":
            assert 0 <= made.read(at, size) <= all_ones(size)
        elif verb == "write":
            made.write(at, size, value & all_ones(size))
        elif verb == "notify":
            made.notify(at % 4)
            waiting.add(at % 4)
        elif verb == "mask":
            made.set_mask(bool(value & 1))
        else:
            made.reset()
            waiting.clear()
        gone = {vector for vector in waiting if not made.held(vector)}
        assert sent == [made.entries[vector].message for vector in sorted(gone)]
        waiting -= gone
        assert made.pending == sum(1 << vector for vector in waiting)


# -- MSI-X in a function


@pytest.fixture
def card():
    """A card with four vectors behind BAR 1, bus master, on bus 0, with a way to memory."""
    rig = Rig()
    made = Card()
    made.table = made.msix_bar(1, 4, 0x40)
    made.config.add(Msi(), 0x60)
    rig.bus.plug(made, 4)
    made.config.write(Header.COMMAND.offset, 2, BUS_MASTER)
    made.table.write(0, 4, 0x2000)
    made.table.write(8, 4, 0x77)
    made.table.write(12, 4, 0)
    made.rig, made.msix = rig, made.config.find(Msix)
    return made


def test_the_capability_says_where_table_and_pending_bits_are(card):
    """6.8.2.3 to 6.8.2.5: the size is n - 1; BIR in the low three bits."""
    assert card.config.read(0x42, 2) == 3
    assert card.config.read(0x44, 4) == 0 | 1
    assert card.config.read(0x48, 4) == 0x800 | 1
    assert next(bar.size for bar in card.bars if bar.register == "BAR1") == card.table.length


@pytest.mark.parametrize(("bar", "at"), [(6, 0), (-1, 0), (0, 4)])
def test_a_table_that_the_capability_cannot_name_is_misuse(bar, at):
    with pytest.raises(ValueError, match="a table cannot be at"):
        Msix.for_table(MsixTable(1, lambda message: None), bar, at)


def test_msix_is_preferred_and_msi_is_next_and_the_pin_last(card):
    """6.8.2: while enabled, the function is prohibited from using INTx#."""
    card.irq.set(True)
    assert card.bus._asserted == {(4, 0, 1)}
    card.config.write(0x42, 2, 0x8000)
    assert card.messages
    assert card.bus._asserted == set()
    assert card.notify(0)
    assert card.rig.ram.load(0x2000, 4) == 0x77
    card.config.write(0x42, 2, 0)
    assert not card.notify(0)
    card.config.write(0x64, 4, 0x3000)
    card.config.write(0x6C, 2, 0x99)
    card.config.write(0x62, 2, ENABLE)
    assert card.notify(0)
    assert card.rig.ram.load(0x3000, 4) == 0x99


def test_the_function_mask_bit_is_the_tables(card):
    card.config.write(0x42, 2, 0xC000)
    card.notify(0)
    assert (card.table.pending, card.rig.ram.load(0x2000, 4)) == (1, 0)
    card.config.write(0x42, 2, 0x8000)
    assert (card.table.pending, card.rig.ram.load(0x2000, 4)) == (0, 0x77)


def test_while_msix_is_off_the_table_sends_nothing(card):
    card.table.notify(0)
    assert (card.table.masked, card.table.pending) == (True, 1)
    assert card.rig.ram.load(0x2000, 4) == 0


def test_a_reset_of_the_function_resets_the_table(card):
    card.config.write(0x42, 2, 0x8000)
    card.reset()
    assert not card.msix.enabled
    assert card.table.held(0)


def test_an_msix_capability_alone_has_one_vector():
    msix = Msix()
    assert Msix.CONTROL.TABLE_SIZE.get(msix.CONTROL) == 0
    msix.table.set_mask(False)
    msix.table.write(12, 4, 0)
    msix.table.notify(0)
    assert msix.table.pending == 0
