"""The ring pictures: every frame is valid, says what the bytes say, and marks what has changed."""

import pytest

from tests.show.looks import SVG, check_picture, words_of
from virtlab.memory import GuestMemory
from virtlab.show.ring_cells import TINTS, flag_words, readable, stacked
from virtlab.show.ring_look import Counts, Owner, look_packed, look_split
from virtlab.show.ring_packed_picture import event_words, packed_ring_picture, place, wish
from virtlab.show.ring_picture import split_ring_picture
from virtlab.show.ring_play import look, play
from virtlab.show.ring_stepper import frame_picture, frame_words
from virtlab.show.ring_tape import (
    ADD,
    FIVE_CALLS,
    KICK,
    POP,
    STORY,
    Setting,
    broken,
    do,
    edit,
    mistakes,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE, SplitRings
from virtlab.virtio.packed_layouts import DISABLE, ENABLE, EVENT_DESC, PackedRings

SPLIT, PACKED = Setting(), Setting("packed", 5)
TABLES = SPLIT.features | {Feature.RING_INDIRECT_DESC}
ALL = [
    SPLIT,
    PACKED,
    Setting("split", 4),
    Setting("packed", 8),
    Setting("packed", 3),
    Setting("split", 8, TABLES),
    Setting("packed", 5, TABLES),
]


@pytest.mark.parametrize("setting", ALL, ids=lambda each: f"{each.layout}-{each.size}")
def test_every_frame_of_the_story_is_a_proper_picture(setting):
    frames = play(setting, STORY)
    for index in range(len(frames)):
        check_picture(frame_picture(setting, frames, index))


@pytest.mark.parametrize("setting", [SPLIT, PACKED], ids=["split", "packed"])
def test_every_mistake_is_a_proper_picture(setting):
    for edits in mistakes(setting).values():
        frames = play(setting, do(broken(edits), POP).tape)
        for index in (3, 4):
            drawn = frame_picture(setting, frames, index)
            check_picture(drawn)
        if frames[4].refused:
            assert frames[4].words in words_of(drawn)
            assert drawn.text.endswith(frames[4].words)


@pytest.mark.parametrize("setting", [SPLIT, PACKED], ids=["split", "packed"])
def test_values_as_large_as_they_get_do_not_run_over(setting):
    tape = [ADD, KICK]
    for field, size in setting.fields.items():
        tape += [edit(setting, slot, field, (1 << 8 * size) - 1) for slot in range(2)]
    frames = play(setting, tuple(tape))
    check_picture(frame_picture(setting, frames, len(tape)))


def test_rubbish_in_every_byte_is_drawn_too():
    memory = GuestMemory(0x1000)
    memory.bytes[:] = 0xFF
    counts = Counts(65535, 65534, 65533, 65532)
    check_picture(split_ring_picture(look_split(memory, SplitRings.placed(0, 8), counts)))
    check_picture(packed_ring_picture(look_packed(memory, PackedRings.placed(0, 8), counts)))


def bold(drawn):
    root = check_picture(drawn)
    return [each.text for each in root.iter(f"{SVG}text") if each.get("font-weight") == "bold"]


def thick(drawn):
    root = check_picture(drawn)
    return sum(each.get("stroke-width") == "3" for each in root.iter(f"{SVG}rect"))


def test_what_a_call_changed_is_bold_and_nothing_else():
    frames = play(SPLIT, FIVE_CALLS)
    kick = frame_picture(SPLIT, frames, 2)
    assert "avail.idx 1" in bold(kick)
    assert "driver: added 1" not in bold(kick)
    assert thick(kick) == 3 + 1 + 1  # three owners, avail.idx, the driver's box
    pop = frame_picture(SPLIT, frames, 3)
    assert "device: last_avail 1" in bold(pop)
    assert thick(pop) == 3 + 1  # pop changes no byte: three owners, the device's box
    push = frame_picture(SPLIT, frames, 4)
    assert thick(push) == 3 + 1 + 2 + 1 + 1  # owners, data, element, used.idx, the box


def tinted(drawn, colour):
    root = check_picture(drawn)
    return sum(each.get("fill") == colour for each in root.iter(f"{SVG}rect"))


def test_entries_of_the_rings_have_the_colour_of_their_descriptors():
    frames = play(SPLIT, FIVE_CALLS)
    seen = [
        tuple(
            tinted(frame_picture(SPLIT, frames, index), TINTS[owner])
            for owner in (Owner.ADDED, Owner.EXPOSED, Owner.DEVICE, Owner.USED)
        )
        for index in range(6)
    ]
    # Three descriptors and an entry; a used element is two cells. Yellow is the caller's box too.
    assert seen == [
        (0, 0, 0, 0),
        (4 + 1, 0, 0, 0),
        (1, 4, 0, 0),
        (1, 0, 3, 0),
        (1, 0, 0, 5),
        (1, 0, 0, 0),
    ]


def test_the_two_bits_stand_under_their_names():
    text = frame_picture(PACKED, play(PACKED, FIVE_CALLS), 2).text
    assert "id  AVAIL USED" in text
    assert "0   exposed  0x1400       16   0      1    0  NEXT" in text


def test_the_places_of_both_sides_are_there_in_every_lap():
    frames = play(PACKED, STORY * 2)
    for index in range(len(frames)):
        words = ", ".join(words_of(frame_picture(PACKED, frames, index))).split(", ")
        for name in ("adds", "gets", "takes", "gives"):
            assert words.count(name) == 2, "once at its slot, once in the side's box"


def test_in_a_packed_ring_kick_changes_one_bit_and_push_one_descriptor():
    frames = play(PACKED, FIVE_CALLS)
    kick = frame_picture(PACKED, frames, 2)
    assert thick(kick) == 3 + 1 + 1 + 1  # owners, AVAIL, NEXT with it, the box
    push = frame_picture(PACKED, frames, 4)
    assert thick(push) == 3 + 1 + 1 + 1 + 1 + 1  # owners, len, USED, other flags, data, the box


def test_the_text_says_what_the_picture_shows():
    frames = play(SPLIT, FIVE_CALLS)
    text = frame_picture(SPLIT, frames, 4).text
    assert text.startswith("4. push()")
    assert "* 1   used     0x1410       32  NEXT WRITE        2  data 0......" in text
    assert "used    flags 0  idx 1  ring 0:33" in text
    assert "device  last_avail 1, used 1" in text
    assert text.endswith("signal: interrupt")
    starred = frame_picture(SPLIT, frames, 1).text
    assert starred.count("* ") == 3
    assert frame_picture(SPLIT, frames, 0).text.startswith("0. before")
    assert frame_picture(SPLIT, frames, 0).text.endswith("no signal")


def test_the_packed_text_has_wrap_counters_and_wishes():
    frames = play(PACKED, STORY)
    text = frame_picture(PACKED, frames, 11).text
    assert "driver  adds at slot 2, wrap 0; gets at slot 3, wrap 1; tell me of every one" in text
    assert "* 3   used     0x1440       33   2      1    1  WRITE" in text
    label = check_picture(frame_picture(PACKED, frames, 11)).attrib["aria-label"]
    assert "the device takes at slot 2, wrap 0" in label


def test_links_are_drawn_for_chains_and_not_for_free_descriptors():
    def heads(frames, index):
        root = check_picture(frame_picture(SPLIT, frames, index))
        return sum(1 for each in root.iter(f"{SVG}path") if each.get("d", "").count("H") == 2)

    frames = play(SPLIT, FIVE_CALLS)
    assert [heads(frames, index) for index in range(6)] == [0, 2, 2, 2, 2, 0]
    loop = play(SPLIT, broken(mistakes(SPLIT)["a loop"]).tape)
    assert heads(loop, 3) == 3
    outside = play(SPLIT, broken(mistakes(SPLIT)["next outside of the table"]).tape)
    assert heads(outside, 3) == 0


def test_a_table_is_named_where_its_bytes_would_be():
    for setting in ALL[-2:]:
        assert "table of 3" in words_of(frame_picture(setting, play(setting, (ADD, KICK)), 2))


def test_the_doctor_speaks_only_where_a_rule_is_broken():
    spoilt = play(SPLIT, do(broken(mistakes(SPLIT)["a loop"]), POP).tape)
    assert "doctor already sees it: desc[1], a chain" in frame_words(SPLIT, spoilt, 3)
    assert "doctor" not in frame_words(SPLIT, spoilt, 2)
    refused = frame_words(SPLIT, spoilt, 4)
    assert refused == f"Call 4 of 4. {spoilt[4].words}"


@pytest.mark.parametrize("setting", [SPLIT, PACKED], ids=["split", "packed"])
def test_the_signal_is_drawn_from_who_gives_it_to_who_gets_it(setting):
    frames = play(setting, FIVE_CALLS)
    said = [" ".join(words_of(frame_picture(setting, frames, index))) for index in range(6)]
    assert ["the bell: one register write" in words for words in said] == [False, False, True] + [
        False
    ] * 3
    assert ["the interrupt:" in words for words in said] == [False] * 4 + [True, False]
    assert ["no signal" in words for words in said] == [True, True, False, True, False, True]


def test_new_cells_lie_on_top_of_their_neighbours():
    assert stacked([(True, "new"), (False, "old"), (False, "older")]) == "oldoldernew"


def test_small_words():
    assert flag_words(NEXT | WRITE | INDIRECT) == "0x0007"
    assert flag_words(INDIRECT | WRITE) == "WRITE INDIRECT"
    assert readable(b"\xffA\x7f") == "·A·"
    assert place(10, 5) == "slot 0, wrap 1"
    assert event_words((0x8004, EVENT_DESC)) == ("4, 1", "DESC")
    assert event_words((3, 3)) == ("3, 0", "reserved")
    assert wish((0, ENABLE)) == "tell me of every one"
    assert wish((0, DISABLE)) == "tell me of none"


def test_a_picture_is_the_same_every_time():
    frames = play(PACKED, STORY)
    again = play(PACKED, STORY)
    assert frame_picture(PACKED, frames, 9).svg == frame_picture(PACKED, again, 9).svg
    assert look(PACKED, frames[9]) == look(PACKED, again[9])
