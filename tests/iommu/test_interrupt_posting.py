"""Posted interrupts: the descriptor, when a notification is due, and what the VMM takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.interrupts import Interrupt
from virtlab.iommu.layouts import POSTED_DESCRIPTOR as PD
from virtlab.iommu.posted import PostedDescriptor, PostError, post
from virtlab.memory import GuestMemory

AT = 0x1FC0


@pytest.fixture
def memory():
    return GuestMemory(0x2000)


@pytest.fixture
def descriptor(memory):
    made = PostedDescriptor(memory, AT)
    made.start(0xF2, 3)
    return made


@pytest.mark.parametrize(
    ("on", "sn", "urgent", "due"),
    [
        (0, 0, False, True),
        (0, 0, True, True),
        (0, 1, False, False),
        (0, 1, True, True),
        (1, 0, False, False),
        (1, 0, True, False),
        (1, 1, False, False),
        (1, 1, True, False),
    ],
)
def test_a_notification_is_due_if_none_is_out_and_none_suppressed(memory, on, sn, urgent, due):
    """5.2.3: ON is 0, and URG is 1 or SN is 0. The bit is set in any case."""
    memory.store(AT, 64, PD.pack(ON=on, SN=sn, NV=0xF2, NDST=0x300))
    assert post(memory, AT, 0x41, urgent) == (Interrupt(0xF2, 3) if due else None)
    after = PD.decode(memory.load(AT, 64))
    assert after == {"PIR": 1 << 0x41, "ON": on or due, "SN": sn, "NV": 0xF2, "NDST": 0x300}


def test_many_posts_one_notification(memory, descriptor):
    notices = [post(memory, AT, vector) for vector in (0x30, 0xFF, 0x30, 0)]
    assert notices == [Interrupt(0xF2, 3), None, None, None]
    assert descriptor.sync() == 1 << 0x30 | 1 << 0xFF | 1
    assert (descriptor.pending, descriptor.outstanding) == (0, False)
    assert post(memory, AT, 0x30) == Interrupt(0xF2, 3)


def test_x2apic_destinations_have_32_bits(memory, descriptor):
    descriptor.start(0xF2, 0x1234_5678, extended=True)
    assert post(memory, AT, 0x30, extended=True) == Interrupt(0xF2, 0x1234_5678)


@pytest.mark.parametrize("bit", [*range(258, 272), *range(280, 288), *range(320, 512)])
def test_28h_a_reserved_bit_posts_nothing(memory, bit):
    memory.store(AT, 64, 1 << bit)
    with pytest.raises(PostError) as caught:
        post(memory, AT, 0x30)
    assert (caught.value.reason, memory.load(AT, 64)) == (0x28, 1 << bit)


@pytest.mark.parametrize("bit", [*range(288, 296), *range(304, 320)])
def test_28h_in_xapic_mode_the_rest_of_the_destination(memory, bit):
    memory.store(AT, 64, 1 << bit)
    with pytest.raises(PostError):
        post(memory, AT, 0x30)
    assert post(memory, AT, 0x30, extended=True) is not None


@pytest.mark.parametrize("gpa", [0x2000, 0xFFFF_FFFF_FFFF_FFC0, 0x1FE0])
def test_27h_a_descriptor_that_is_not_in_memory(memory, gpa):
    before = memory.read(0, 0x2000)
    with pytest.raises(PostError) as caught:
        post(memory, gpa, 0x30)
    assert caught.value.reason == 0x27
    assert memory.read(0, 0x2000) == before


@given(st.lists(st.integers(0, 255)), st.lists(st.integers(0, 255)), st.booleans())
def test_no_vector_is_lost_and_none_comes_twice(before, after, suppressed):
    memory = GuestMemory(0x2000)
    descriptor = PostedDescriptor(memory, AT)
    descriptor.start(0xF2, 3)
    descriptor.suppress(suppressed)
    notices = [post(memory, AT, vector) for vector in before]
    assert sum(notice is not None for notice in notices) == (bool(before) and not suppressed)
    taken = descriptor.sync()
    assert taken == sum(1 << vector for vector in set(before))
    for vector in after:
        post(memory, AT, vector)
    assert descriptor.sync() == sum(1 << vector for vector in set(after))


def test_moving_to_another_processor_keeps_what_is_posted(memory, descriptor):
    post(memory, AT, 0x41)
    descriptor.move(0xF1, 7)
    assert (descriptor.pending, descriptor.outstanding) == (1 << 0x41, True)
    descriptor.sync()
    assert post(memory, AT, 0x42) == Interrupt(0xF1, 7)


def test_moving_leaves_nothing_of_the_old_destination(memory, descriptor):
    descriptor.start(0xF2, 0x1234_5678, extended=True)
    descriptor.move(0xF1, 7)
    assert PD.NDST.get(descriptor.value) == 0x700


def test_suppression_ends(memory, descriptor):
    descriptor.suppress(True)
    assert post(memory, AT, 0x41) is None
    descriptor.suppress(False)
    assert post(memory, AT, 0x41) == Interrupt(0xF2, 3)


def test_a_descriptor_is_aligned(memory):
    with pytest.raises(ValueError, match="multiple of 64"):
        PostedDescriptor(memory, 0x20)
