"""Every attack, at both devices: ours loses nothing and says why, the naive one loses something."""

from pathlib import Path

import pytest

import virtlab.virtio
from virtlab.show.attack_hand import DATA, RINGS, UNWRITTEN, Hand
from virtlab.show.attack_list import ATTACKS
from virtlab.show.attack_memory import (
    DISK,
    HANDLERS,
    HEAP_REST,
    KEY,
    OTHER_DISK,
    OTHER_RAM,
    RAM,
    SECRETS,
    SETTINGS,
    Process,
)
from virtlab.show.attack_run import CHECKED, DEVICES, NAIVE, Checked, Naive, attack
from virtlab.show.attack_times import OWNER
from virtlab.virtio.blk_layouts import BlkStatus
from virtlab.virtio.status import Interrupt, Status

BROKEN = {
    "read": "2.7.5",
    "write": "2.7.5",
    "wrap": "2.7.5",
    "huge": "2.7.5.2",
    "own ring": "2.7",
    "order": "2.7.4.2",
    "loop": "2.7.5.2",
    "next": "2.7.5",
    "head": "2.7.6",
    "index": "2.7.6.1",
    "nested": "2.7.5.3.1",
    "odd table": "2.7.5.3",
    "huge table": "2.7.5.3.1",
}
"""What only a reset mends, and the clause of virtio 1.3."""

REFUSED = {"reset": "2.6", "bell": "2.9"}
"""What means nothing now: refused, and all goes on."""

ANSWERED = {"sector": BlkStatus.IOERR, "small": BlkStatus.IOERR, "type": BlkStatus.UNSUPP}
"""A request that has an answer."""

FINE = {"twice", "never", "config"}
"""What our device does not even notice."""

DIES = {
    "write": "jumps to 0x4141414141414141",
    "huge": "allocates 4,294,967,295 bytes",
    "own ring": "segmentation fault",
    "next": "segmentation fault",
    "head": "segmentation fault",
    "huge table": "allocates 4,294,967,280 bytes",
    "bell": "jumps to 0x4141414141414141",
}
LEAKS = {
    "read": (KEY, HANDLERS),
    "twice": (KEY, HANDLERS),
    "wrap": (OTHER_RAM,),
    "sector": (OTHER_DISK,),
    "config": (KEY,),
}
DAMAGES = dict.fromkeys(("write", "small"), (SETTINGS, KEY, HANDLERS, HEAP_REST))
HANGS = {"loop", "nested", "never"}


def test_every_attack_has_its_place_here():
    ours = [*BROKEN, *REFUSED, *ANSWERED, *FINE]
    assert sorted(ours) == sorted(ATTACKS)


# -- our device


@pytest.mark.parametrize("name", list(ATTACKS))
def test_ours_loses_nothing(name):
    found = attack(name, CHECKED)
    assert found.safe
    assert found.before[: RAM.start] == found.after[: RAM.start]
    assert found.before[RAM.end : DISK.start] == found.after[RAM.end : DISK.start]
    assert found.before[DISK.end :] == found.after[DISK.end :]


@pytest.mark.parametrize(("name", "clause"), BROKEN.items())
def test_what_cannot_be_right_breaks_the_device_with_a_clause(name, clause):
    found = attack(name, CHECKED)
    ((kind, note),) = found.events
    assert kind == "guest error"
    assert note.endswith(f"(virtio 1.3 {clause})")
    assert found.needs_reset
    assert found.interrupts == (Interrupt.CONFIG,)
    assert found.used == 0
    assert set(found.statuses) <= {UNWRITTEN}


def test_a_sum_past_the_last_address_is_refused_as_such_before_memory_is_asked():
    ((_, note),) = attack("wrap", CHECKED).events
    assert note.startswith("a buffer that passes the last address: 0xffffffffffffff00 + 0x200")


@pytest.mark.parametrize(("name", "clause"), REFUSED.items())
def test_what_means_nothing_now_is_refused_and_all_goes_on(name, clause):
    found = attack(name, CHECKED)
    ((kind, note),) = found.events
    assert kind == "refused"
    assert note.endswith(f"(virtio 1.3 {clause})")
    assert not found.needs_reset
    assert found.status & Status.DRIVER_OK


@pytest.mark.parametrize(("name", "status"), ANSWERED.items())
def test_a_wrong_request_has_an_answer(name, status):
    found = attack(name, CHECKED)
    assert found.statuses == (status,)
    assert found.events == ()
    assert (found.used, found.interrupts) == (1, (Interrupt.QUEUE,))


@pytest.mark.parametrize("name", sorted(FINE))
def test_what_it_does_not_even_notice(name):
    found = attack(name, CHECKED)
    assert found.events == ()
    assert set(found.statuses) <= {BlkStatus.OK}
    assert not found.needs_reset


def test_a_guest_that_never_stops_is_served_as_many_as_the_queue_has():
    assert attack("never", CHECKED).used == RINGS.size


def test_a_configuration_past_its_end_is_all_ones():
    after = attack("config", CHECKED).after
    at = RAM.start + DATA
    assert after[at : at + 32] == b"\xff" * 32


def followed(name):
    """The descriptors that our device reads, in order."""
    hand = Hand(Process())
    hand.side = device = Checked(hand.process, hand, watched=True)
    ATTACKS[name].make(hand)
    reads = device.core.queues[0].dma.reads
    return [(gpa - RINGS.desc) // 16 for gpa in reads if RINGS.desc <= gpa < RINGS.avail]


def test_each_descriptor_is_read_once_and_a_loop_no_longer_than_the_queue():
    assert followed("twice") == [0, 1, 2, 3, 4, 5]
    assert followed("loop") == [0, 1, 2, 1, 2, 1, 2, 1]


# -- the naive one


@pytest.mark.parametrize("name", list(ATTACKS))
def test_the_naive_device_never_says_no(name):
    found = attack(name, NAIVE)
    assert found.events == ()
    assert not found.needs_reset


@pytest.mark.parametrize("name", list(ATTACKS))
def test_what_the_naive_device_loses(name):
    found = attack(name, NAIVE)
    assert found.leaked == LEAKS.get(name, ())
    assert found.damaged == DAMAGES.get(name, ())
    assert bool(found.stuck) == (name in HANGS)
    assert bool(found.dead) == (name in DIES)
    assert DIES.get(name, "") in found.dead


@pytest.mark.parametrize("name", list(ATTACKS))
def test_whatever_does_not_harm_the_host_has_words_for_its_harm(name):
    found = attack(name, NAIVE)
    assert bool(found.attack.harm) == found.safe


def test_the_harm_that_is_told_has_happened():
    at = RAM.start + DATA
    assert attack("order", NAIVE).after[at : at + 16] == b"\0or reading only"
    assert attack("index", NAIVE).used == 1000
    assert attack("type", NAIVE).after[DISK.start :][:12] == b"from nowhere"
    taken = attack("reset", NAIVE)
    assert taken.status == 0
    assert taken.after[at : at + 16] == b"A" * 16


def test_after_a_reset_that_was_refused_a_guest_keeps_its_hands_off():
    """The status is not 0 yet, so the buffer is not its own again."""
    ours, naive = (attack("reset", device) for device in DEVICES)
    assert ours.status != 0
    assert OWNER not in ours.after
    assert OWNER in naive.after


def test_half_a_descriptor_is_the_hosts():
    assert attack("odd table", NAIVE).strayed == (("read", SETTINGS, 8),)
    assert attack("next", NAIVE).strayed == (("read", KEY, 16),)


@pytest.mark.parametrize("name", list(LEAKS))
def test_what_leaks_stands_in_guest_memory_afterwards(name):
    found = attack(name, NAIVE)
    for span in LEAKS[name]:
        assert SECRETS[span][:32] in found.after[RAM.start : RAM.end]
        assert SECRETS[span][:32] not in found.before[RAM.start : RAM.end]


# -- the list


@pytest.mark.parametrize("name", list(ATTACKS))
def test_the_line_that_makes_the_difference_stands_in_the_library(name):
    chosen = ATTACKS[name]
    source = Path(virtlab.virtio.__path__[0], chosen.file).read_text()
    assert chosen.line in [line.strip() for line in source.splitlines()]


def test_both_devices_get_the_same_attack():
    for name in ATTACKS:
        naive, ours = (attack(name, device) for device in DEVICES)
        assert naive.attack is ours.attack
        said = [[note.words for note in each.notes] for each in (naive, ours)]
        shorter = min(map(len, said))
        assert said[0][:shorter] == said[1][:shorter]


def test_an_attack_is_the_same_each_time_and_has_a_name():
    assert attack("loop", NAIVE) is attack("loop", NAIVE)
    with pytest.raises(ValueError, match="no attack is called 'luck'"):
        attack("luck", NAIVE)
    with pytest.raises(ValueError, match="no device is called 'both'"):
        attack("loop", "both")


def test_a_hand_reads_and_writes_through_either_device():
    for kind in (Checked, Naive):
        hand = Hand(Process())
        hand.side = kind(hand.process, hand)
        assert hand.side.config(0, 8) == 8
        assert hand.side.status() == 0xF
        hand.side.reset()
        assert hand.side.status() == 0


def test_watched_memory_is_the_memory():
    hand = Hand(Process())
    device = Checked(hand.process, hand, watched=True)
    dma = device.core.queues[0].dma
    dma.write(DATA, b"abc")
    assert dma.read(DATA, 3) == bytes(dma.view(DATA, 3)) == hand.ram.read(DATA, 3) == b"abc"
