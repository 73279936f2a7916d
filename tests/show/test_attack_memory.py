"""The process in one array: what lies where, what no check keeps apart, and where it ends."""

from itertools import pairwise

import numpy as np
import pytest

from virtlab.show.attack_memory import (
    DISK,
    HANDLERS,
    HEAP,
    KEY,
    OTHER_DISK,
    OTHER_RAM,
    RAM,
    SECRETS,
    SECTORS,
    SETTINGS,
    SIZE,
    SPANS,
    STEPS,
    Crash,
    Process,
    Stuck,
    damaged,
    leaked,
    pieces,
    settings,
    window,
)
from virtlab.virtio.blk_layouts import CONFIG


def test_the_spans_cover_the_array_without_a_gap():
    assert SPANS[0].start == 0
    assert all(one.end == next_.start for one, next_ in pairwise(SPANS))
    assert Process().bytes.shape == (SIZE,)
    assert SPANS[-1].end == SIZE
    assert [span for span in SPANS if span.mine] == [RAM, DISK]


def test_what_lies_around_the_guest_is_worth_stealing():
    process = Process()
    whole = process.bytes.tobytes()
    for span, secret in SECRETS.items():
        assert secret in whole[span.start : span.end]
        assert not span.mine
        assert window(span, whole) == secret[:16]
    assert not whole[RAM.start : RAM.end].strip(b"\0")
    assert window(SETTINGS, whole) == settings()[:16]
    assert settings()[0] == SECTORS == 8
    assert len(settings()) == CONFIG.itemsize <= SETTINGS.size


def test_the_guests_memory_is_the_same_bytes():
    process = Process()
    process.guest_memory().write(0x10, b"here")
    assert process.read(RAM.start + 0x10, 4) == b"here"
    process.write(RAM.start, b"there")
    assert process.guest_memory().read(0, 5) == b"there"
    assert process.guest_memory().size == RAM.size


@pytest.mark.parametrize("offset", [SIZE, SIZE - 3, 1 << 40, -4])
def test_beyond_the_array_the_process_dies(offset):
    process = Process()
    before = process.bytes.tobytes()
    with pytest.raises(Crash, match="segmentation fault: 4 bytes at"):
        process.read(offset, 4)
    with pytest.raises(Crash, match="segmentation fault"):
        process.write(offset, b"four")
    assert process.bytes.tobytes() == before


def test_an_address_starts_again_at_0_behind_the_last_one():
    process = Process()
    secret = SECRETS[OTHER_RAM]
    addr = 2**64 - len(secret)
    assert process.read(RAM.start + addr, len(secret)) == secret


def test_what_was_touched_is_counted_by_verb_and_span():
    process = Process()
    process.read(KEY.start - 8, 16)
    process.read(KEY.end - 1, 1)
    process.write(HANDLERS.start, b"12")
    process.read(OTHER_DISK.start, 3, own=True)
    process.read(RAM.start, 100)
    process.write(DISK.start, b"mine")
    assert process.touched == {
        ("read", SETTINGS): 8,
        ("read", KEY): 9,
        ("write", HANDLERS): 2,
    }


def test_the_heap_and_the_steps_end():
    process = Process()
    process.allocate(HEAP)
    with pytest.raises(Crash, match="allocates 16,777,217 bytes"):
        process.allocate(HEAP + 1)
    for _ in range(STEPS):
        process.step()
    with pytest.raises(Stuck, match="after 4,000 descriptors"):
        process.step()


@pytest.mark.parametrize("where", [RAM.start + 100, RAM.end - 8, DISK.start + 1])
@pytest.mark.parametrize("span", list(SECRETS))
def test_eight_bytes_of_a_secret_where_the_guest_can_read_are_a_leak(span, where):
    process = Process()
    assert leaked(process.bytes.tobytes()) == ()
    part = pieces(span)[-1]
    process.bytes[where : where + 8] = np.frombuffer(part, np.uint8)
    assert leaked(process.bytes.tobytes()) == (span,)


def test_the_secrets_pieces_are_each_others_neighbours():
    for span in SECRETS:
        assert b"".join(pieces(span)) in SECRETS[span]
        assert all(len(part) == 8 for part in pieces(span))


def test_no_secret_spans_the_border_of_two_parts():
    """Half a secret at the end of memory and half at the start of the disk is none."""
    process = Process()
    process.bytes[RAM.end - 4 : RAM.end] = np.frombuffer(b"DISK", np.uint8)
    process.bytes[DISK.start : DISK.start + 4] = np.frombuffer(b" KEY", np.uint8)
    assert leaked(process.bytes.tobytes()) == ()


def test_damage_is_what_changed_outside_of_the_guests_part():
    process = Process()
    before = process.bytes.tobytes()
    process.write(RAM.start, b"mine")
    process.write(DISK.end - 1, b"x")
    assert damaged(before, process.bytes.tobytes()) == ()
    process.write(KEY.end - 1, b"xy")
    assert damaged(before, process.bytes.tobytes()) == (KEY, HANDLERS)
