"""MSI: four layouts, who may send what, when; and that nothing that is masked is lost."""

import pytest

from tests.pci.rig import Card, Rig
from virtlab.interrupts import Msi as Message
from virtlab.pci.capabilities import Msi
from virtlab.pci.config import Header
from virtlab.pci.msi import Msi32, Msi32Masked, Msi64, Msi64Masked, msi_layout
from virtlab.wire import all_ones

BUS_MASTER = Header.COMMAND.BUS_MASTER.mask
ENABLE = Msi.CONTROL.ENABLE.mask


@pytest.fixture
def sent():
    return []


def programmed(**options):
    """An MSI capability that is on, with all the vectors it has, pointing at 0xFEE0_0000."""
    msi = Msi(**options)
    able = Msi.CONTROL.MULTIPLE_MESSAGE_CAPABLE.get(msi.CONTROL)
    msi.write(0x02, 2, Msi.CONTROL.MULTIPLE_MESSAGE_ENABLE.put(ENABLE, able))
    msi.write(0x04, 4, 0xFEE0_0000)
    msi.write(type(msi).DATA.offset, 2, 0x40)
    return msi


# -- MSI: layouts


@pytest.mark.parametrize(
    ("bits64", "maskable", "kind", "length"),
    [
        (False, False, Msi32, 12),
        (True, False, Msi64, 16),
        (False, True, Msi32Masked, 20),
        (True, True, Msi64Masked, 24),
    ],
)
def test_two_bits_of_message_control_say_which_layout_it_is(bits64, maskable, kind, length):
    """6.8.1: the four forms of the capability structure."""
    msi = Msi(bits64=bits64, maskable=maskable)
    assert (type(msi), msi.length) == (kind, length)
    assert msi_layout(msi.CONTROL) is kind
    assert Msi.CONTROL.ADDRESS_64.get(msi.CONTROL) == bits64
    assert Msi.CONTROL.PER_VECTOR_MASKING.get(msi.CONTROL) == maskable


def test_a_layout_made_by_its_own_name_says_the_same():
    assert Msi32Masked(4).CONTROL == Msi(4, bits64=False, maskable=True).CONTROL


@pytest.mark.parametrize("vectors", [0, 3, 64])
def test_a_number_of_vectors_that_the_field_cannot_say_is_misuse(vectors):
    with pytest.raises(ValueError, match="1, 2, 4, 8, 16 or 32 vectors"):
        Msi(vectors)


def test_software_writes_enable_and_the_number_of_vectors_and_no_more():
    """6.8.1.3: bits 0 and 6:4 are read/write."""
    msi = Msi(8, maskable=True)
    before = msi.CONTROL
    msi.write(0x02, 2, 0xFFFF)
    assert msi.CONTROL == before | 0x0071


def test_the_address_is_a_dword_address():
    """6.8.1.4: bits 1:0 are reserved."""
    msi = Msi()
    msi.write(0x04, 4, 0xFFFF_FFFF)
    assert msi.ADDRESS == 0xFFFF_FFFC


def test_a_mask_bit_for_each_vector_and_no_more():
    """6.8.1.7: bits above the last vector are reserved."""
    msi = Msi(4, maskable=True)
    msi.write(0x10, 4, all_ones(4))
    msi.write(0x14, 4, all_ones(4))
    assert (msi.values["MASK"], msi.pending) == (0xF, 0)


# -- MSI: messages


def test_the_vector_replaces_the_low_bits_of_the_datum():
    """6.8.1.6: the function may modify the low order bits of the message data."""
    msi = programmed(vectors=4)
    msi.write(0x0C, 2, 0x43)
    assert [msi.message(n).data for n in range(4)] == [0x40, 0x41, 0x42, 0x43]


def test_a_message_uses_64_bits_of_address_where_it_has_them():
    msi = programmed(bits64=True)
    msi.write(0x08, 4, 0x12)
    assert msi.message() == Message(0x12_FEE0_0000, 0x40)
    assert programmed(bits64=False).message() == Message(0xFEE0_0000, 0x40)


@pytest.mark.parametrize(("allowed", "vectors"), [(0, 1), (1, 2), (2, 4), (3, 4), (7, 4)])
def test_no_more_vectors_than_it_is_allowed_and_than_it_has(allowed, vectors):
    """6.8.1.3: system software writes this field to indicate the number of allocated vectors."""
    msi = Msi(4)
    msi.write(0x02, 2, Msi.CONTROL.MULTIPLE_MESSAGE_ENABLE.put(ENABLE, allowed))
    assert msi.vectors == vectors
    assert msi.message(7).data == 7 % vectors


def test_a_masked_vector_waits_and_goes_when_the_mask_does(sent):
    """6.8.3.5: while a vector is masked, the function must not send, and sets the pending bit."""
    msi = programmed(vectors=4, maskable=True)
    msi.write(0x10, 4, 0b0010)
    msi.notify(1, sent.append)
    msi.notify(2, sent.append)
    assert [m.data for m in sent] == [0x42]
    assert (msi.pending, msi.masked(1), msi.masked(2)) == (0b0010, True, False)
    msi.unmasked(sent.append)
    assert len(sent) == 1
    msi.write(0x10, 4, 0)
    msi.unmasked(sent.append)
    assert [m.data for m in sent] == [0x42, 0x41]
    assert msi.pending == 0


def test_what_is_pending_waits_while_msi_is_off(sent):
    msi = programmed(vectors=2, maskable=True)
    msi.write(0x10, 4, 0b11)
    msi.notify(0, sent.append)
    msi.write(0x02, 2, 0)
    msi.write(0x10, 4, 0)
    msi.unmasked(sent.append)
    assert (sent, msi.pending) == ([], 1)


def test_a_vector_that_is_no_longer_allowed_stays_pending(sent):
    """Software took three of four vectors away while the last one waited."""
    msi = programmed(vectors=4, maskable=True)
    msi.write(0x10, 4, 0xF)
    msi.notify(3, sent.append)
    msi.write(0x02, 2, ENABLE)
    msi.write(0x10, 4, 0)
    msi.unmasked(sent.append)
    assert (sent, msi.pending) == ([], 0b1000)


def test_without_masks_nothing_is_pending(sent):
    msi = programmed()
    msi.notify(0, sent.append)
    msi.unmasked(sent.append)
    assert len(sent) == 1
    assert msi.pending == 0


def test_masks_in_configuration_space_let_a_message_go_when_they_open():
    """The function looks at its registers after each write: 6.8.3.5."""
    rig, card = Rig(), Card()
    card.config.add(Msi(2, maskable=True), 0x40)
    rig.bus.plug(card, 4)
    card.config.write(Header.COMMAND.offset, 2, BUS_MASTER)
    card.config.write(0x44, 4, 0x2000)
    card.config.write(0x4C, 2, 0x10)
    card.config.write(0x50, 4, 0b01)
    card.config.write(0x42, 2, ENABLE)
    card.irq.set(True)
    assert (card.config.read(0x54, 4), rig.ram.load(0x2000, 4)) == (1, 0)
    card.config.write(0x50, 4, 0)
    assert (card.config.read(0x54, 4), rig.ram.load(0x2000, 4)) == (0, 0x10)
