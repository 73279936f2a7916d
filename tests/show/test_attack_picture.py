"""The picture and the words: every outcome can be drawn and told, and is the same again."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show.attack_hand import Note
from virtlab.show.attack_list import ATTACKS, Attack
from virtlab.show.attack_memory import KEY, OTHER_DISK, RAM, SETTINGS
from virtlab.show.attack_picture import (
    COPIED,
    LOOKED,
    MINE,
    OVER,
    UNTOUCHED,
    attack_picture,
    rows,
    told,
)
from virtlab.show.attack_run import CHECKED, DEVICES, NAIVE, attack, both, meet
from virtlab.show.attack_words import attack_table, device_did, guest_sees, host_lost, story
from virtlab.virtio.blk_layouts import SECTOR, BlkType

EVERY = [(name, device) for name in ATTACKS for device in DEVICES]


@pytest.mark.parametrize(("name", "device"), EVERY)
def test_every_outcome_can_be_drawn_and_is_the_same_again(name, device):
    outcome = attack(name, device)
    drawn = attack_picture(outcome)
    check_picture(drawn)
    assert attack_picture(meet(ATTACKS[name], device)) == drawn
    words = words_of(drawn)
    for row in rows(outcome):
        assert row.name in words
        assert row.words in words
    for who, says in told(outcome):
        assert f"{who}: {says}" in drawn.text
    assert not any(word.endswith("…") for word in words), "nothing is cut"


def states(name, device):
    """What became of each part, by its name."""
    return {row.name.partition(",")[0]: row.state for row in rows(attack(name, device))}


@pytest.mark.parametrize("name", list(ATTACKS))
def test_with_our_device_all_of_the_others_is_untouched(name):
    found = states(name, CHECKED)
    assert list(found.values()).count(MINE) == 2
    assert set(found.values()) == {MINE, UNTOUCHED}


def test_with_the_naive_one_each_row_says_what_became_of_it():
    assert states("read", NAIVE) == {
        "another VM's memory": UNTOUCHED,
        "guest memory": MINE,
        "the device's configuration": LOOKED,
        "the key of the disks": COPIED,
        "the doorbell's handlers": COPIED,
        "this guest's disk": MINE,
        "another VM's disk": UNTOUCHED,
    }
    assert states("write", NAIVE)["the key of the disks"] == OVER
    assert states("sector", NAIVE)["another VM's disk"] == COPIED


def test_a_row_shows_the_bytes_before_and_after():
    by_name = {row.name: row for row in rows(attack("write", NAIVE))}
    key = by_name[KEY.name]
    assert (key.before, key.after, key.offset) == ("DISK KEY 6f1c9a0", "A" * 16, KEY.start)
    assert by_name[SETTINGS.name].before == "0800000000000000"
    stolen = next(row for row in rows(attack("read", NAIVE)) if row.name.startswith("guest"))
    assert stolen.name == "guest memory, gpa 0x3080"
    assert stolen.offset == RAM.start + 0x3080
    assert stolen.after == "DISK KEY 6f1c9a0"
    assert stolen.words == "its own, changed"
    kept = next(row for row in rows(attack("read", CHECKED)) if row.name.startswith("guest"))
    assert (kept.name, kept.words) == ("guest memory, gpa 0x3000", "its own")
    drawn = attack_picture(attack("write", NAIVE))
    assert "0x9080  DISK KEY 6f1c9a0 → AAAAAAAAAAAAAAAA" in words_of(drawn)


def test_a_descriptor_is_shown_field_by_field():
    words = words_of(attack_picture(attack("wrap", NAIVE)))
    assert "0x1010 desc 1: 0xffffffffffffff00 len 0x200 NEXT 2" in words
    assert "       00ffffffffffffff 00020000 0100 0200" in words


def test_long_attacks_are_cut_and_say_so():
    words = words_of(attack_picture(attack("huge table", NAIVE)))
    assert sum("desc" in word for word in words) == 9
    assert "and 6 lines more" in words


def test_nothing_in_memory_has_no_address():
    words = words_of(attack_picture(attack("bell", NAIVE)))
    assert "rings the doorbell of queue 492" in words
    assert Note(-1, "x").data == b""


# -- words


def test_the_three_sides_of_a_theft():
    found = attack("read", NAIVE)
    assert device_did(found) == "It obeys."
    assert guest_sees(found) == "2 chains come back. Status of the requests: OK, OK."
    assert host_lost(found) == (
        "Copied to where the guest can read it: the key of the disks, the doorbell's handlers."
    )


def test_the_three_sides_of_a_refusal():
    found = attack("loop", CHECKED)
    assert device_did(found) == (
        "It refuses: a chain that comes back to itself (virtio 1.3 2.7.5.2)."
    )
    assert guest_sees(found) == (
        "DEVICE_NEEDS_RESET in the status and an interrupt. 0 chains come back."
    )
    assert "every byte is as it was" in host_lost(found)


@pytest.mark.parametrize(
    ("name", "device", "says"),
    [
        ("write", NAIVE, "until its process dies: it jumps to 0x4141414141414141"),
        ("write", NAIVE, "The VM is gone. 1 chain comes back."),
        ("write", NAIVE, "With the process die all VMs"),
        ("loop", NAIVE, "and hangs: after 4,000 descriptors"),
        ("loop", NAIVE, "nobody whom it serves gets an answer"),
        ("twice", NAIVE, "It checks, and then it obeys."),
        ("twice", CHECKED, "It serves 2 chains, and is done."),
        ("sector", CHECKED, "answers the request with an error, and goes on. 1 chain comes back."),
        ("sector", CHECKED, "Status of the requests: IOERR."),
        ("config", CHECKED, "It answers all ones, and goes on."),
        ("next", NAIVE, "Taken for a descriptor: the key of the disks."),
        ("order", NAIVE, "Status of the requests: not written."),
        ("order", NAIVE, "into a buffer that is for reading only. Outside of the guest's own"),
        ("bell", CHECKED, "It refuses: a doorbell for queue 492"),
        ("head", CHECKED, "`if head >= self.size:` in `virtlab/virtio/split.py`."),
    ],
)
def test_a_story_says(name, device, says):
    assert says in story(attack(name, device))


def test_our_device_is_never_blamed_for_the_harm_of_the_other():
    for name, chosen in ATTACKS.items():
        assert not chosen.harm or chosen.harm not in story(attack(name, CHECKED))


def test_an_attack_of_your_own_has_no_line():
    def steal(hand):
        hand.request(BlkType.IN, 8, 0x3000, SECTOR)
        hand.offer(0)
        hand.ring()

    naive, ours = both(steal, "mine")
    assert naive.leaked == (OTHER_DISK,)
    assert story(naive).startswith("Mine, at the naive device. It obeys.")
    assert "line" not in story(naive)
    assert ours.safe
    assert Attack("mine", steal).line == ""


def test_the_table_has_a_row_an_attack_and_no_empty_cell():
    table = attack_table(*ATTACKS)
    assert len(table.rows) == len(ATTACKS)
    assert all(all(row) for row in table.rows)
    short = {row[0]: row[1:] for row in table.rows}
    assert short["a chain that comes back to itself"][0].startswith("hangs: after 4,000")
    assert short["a sector behind the disk's end"] == (
        "gives away: another VM's disk",
        "status IOERR, and it goes on",
    )
    assert short["a buffer smaller than what comes"][0].startswith("overwrites: the device's")
    assert short["a request of no known type"][1] == "status UNSUPP, and it goes on"
    assert short["a guest that never stops adding"][1] == "It serves 8 chains, and is done."


@pytest.mark.parametrize("name", list(ATTACKS))
def test_a_row_shows_the_bytes_at_the_offset_that_it_names(name):
    """Also where the secret of another VM stands at the end of its memory."""
    outcome = attack(name, NAIVE)
    for row in rows(outcome):
        there = outcome.before[row.offset : row.offset + 16]
        assert row.before in (there.hex()[:16], there.decode("latin-1").rstrip("\0"))
