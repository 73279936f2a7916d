"""A real ring drawn: whose the descriptors are, how far both sides, and what is on its way."""

from types import SimpleNamespace

import pytest

from tests.show.looks import check_picture, words_of
from tests.show.real_tapes import PLAIN, TABLES, Ring, event, said
from virtlab.hosts import live
from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import Counts, Moment
from virtlab.show.real_chain import Owner
from virtlab.show.real_look import look
from virtlab.show.real_ring import RealRing, busiest, counted, frame_picture, frame_words, frames
from virtlab.show.real_ring import second_before as rate_of
from virtlab.show.real_ring_picture import columns_of, in_words, price, ring_picture
from virtlab.virtio.blk_layouts import BlkType
from virtlab.virtio.layouts import DESC, NEXT, packer
from virtlab.virtio.vhost_user.statistics import Event, Statistics

BOTH = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


def press(widget, words):
    next(each for each in widget.controls if each.description == words).click()


def owners(ring):
    signs = {Owner.DRIVER: ".", Owner.EXPOSED: "e", Owner.DEVICE: "D"}
    return "".join(signs[owner] for owner in look(ring.shot).owners)


# -- whose they are


@BOTH
def test_a_chain_is_the_drivers_then_exposed_then_the_devices_then_the_drivers(packed):
    ring = Ring(packed)
    ring.add(kick=False)
    seen = [owners(ring)]
    ring.driver.kick()
    seen.append(owners(ring))
    chain = ring.queue.pop()
    seen.append(owners(ring))
    ring.queue.push(chain, 513)
    seen.append(owners(ring))
    assert seen == ["........", "eee.....", "DDD.....", "........"]


@BOTH
def test_the_device_has_one_while_the_next_waits(packed):
    ring = Ring(packed)
    ring.add()
    ring.add(BlkType.OUT, 16)
    ring.queue.pop()
    assert owners(ring) == "DDDeee.."
    one, other = look(ring.shot).chains
    assert (one.owner, other.owner) == (Owner.DEVICE, Owner.EXPOSED)
    assert other.words == "write 1 sector at 16"
    assert (one.buffers, other.buffers) == ("16 r · 512 w · 1 w", "16 r · 512 r · 1 w")


@BOTH
def test_with_tables_a_chain_has_one_slot_and_all_its_pieces(packed):
    ring = Ring(packed, 8, TABLES)
    ring.add(sector=40)
    ring.queue.pop()
    (chain,) = look(ring.shot).chains
    assert chain.indirect
    assert len(chain.slots) == 1
    assert chain.words == "read 1 sector at 40"
    assert chain.buffers == "16 r · 512 w · 1 w"
    assert owners(ring).count("D") == 1


@BOTH
def test_a_full_ring_that_has_gone_round(packed):
    ring = Ring(packed, 8, TABLES)
    for lap in range(5):
        for _ in range(6):
            ring.add(sector=lap)
        for chain in [ring.queue.pop() for _ in range(6)][: 6 if lap < 4 else 0]:
            ring.queue.push(chain, 513)
        while ring.driver.get_buf():
            pass
    assert owners(ring).count("D") == 6
    found = look(ring.shot)
    assert (found.added, found.last_avail, found.used) == (30, 30, 24)
    assert [chain.position for chain in found.chains] == list(range(24, 30))
    check_picture(ring_picture(found))


def test_what_the_driver_wants_to_hear_of():
    ring = Ring(False, 8, TABLES)
    assert look(ring.shot).wish == "entry 0 (used_event)"
    assert look(ring.shot).ask == "entry 0 (avail_event)"
    plain = Ring()
    plain.driver.disable_cb()
    assert (look(plain.shot).wish, look(plain.shot).ask) == ("none", "every one")
    packed = Ring(True)
    assert (look(packed.shot).wish, look(packed.shot).ask) == ("every one", "every one")


def test_a_head_that_stands_in_the_ring_twice_is_shown_once():
    """Its descriptors are those of the later chain."""
    ring = Ring()
    for sector in (1, 2):
        ring.add(sector=sector)
        ring.queue.push(ring.queue.pop(), 513)
    entries = ring.queue.rings.avail_field("ring")
    ring.ram.write(entries, ring.ram.read(entries + 2, 2))
    assert [chain.position for chain in look(ring.shot).chains] == [1]


def test_a_ring_full_of_nonsense_is_drawn():
    """A chain in a circle, a head that is none: a shot is bounded, and so is a look."""
    ring = Ring()
    ring.add()
    rings = ring.queue.rings
    ring.ram.write(rings.desc, packer(DESC).pack(0x2_0000, 16, NEXT, 0))
    assert look(ring.shot).chains[0].slots == (0,)
    ring.ram.write(rings.avail_field("ring"), (77).to_bytes(2, "little"))
    (chain,) = look(ring.shot).chains
    assert (chain.slots, chain.words, chain.buffers) == ((), "no request", "")
    check_picture(ring_picture(look(ring.shot)))


def test_a_table_that_was_not_kept_whole_gives_what_there_is():
    ring = Ring(False, 8, TABLES)
    ring.add()
    shot = ring.shot
    table = next(gpa for gpa, data in shot.pieces if 0x1_0000 <= gpa < 0x1_1000)
    cut = tuple((gpa, data[:32] if gpa == table else data) for gpa, data in shot.pieces)
    (chain,) = look(shot._replace(pieces=cut)).chains
    assert chain.indirect
    assert len(chain.pieces) <= 2
    without = tuple(each for each in shot.pieces if each[0] != table)
    assert look(shot._replace(pieces=without)).chains[0].pieces == ()


# -- the picture


@BOTH
@pytest.mark.parametrize("size", [8, 16, 64, 128, 256])
def test_a_ring_of_any_size_fits_the_page(size, packed):
    ring = Ring(packed, size)
    before = look(ring.shot)
    ring.add()
    ring.queue.pop()
    ring.add(kick=False)
    drawn = ring_picture(look(ring.shot), "A ring", before, [("now", Counts(1, 1, 1))])
    root = check_picture(drawn)
    assert float(root.attrib["height"]) < 900
    assert all(str(slot) in words_of(drawn) for slot in (0, size - 1))
    assert "now: 1 request in 0 batches, 1 kicks and 1 calls: 0 of 2" in drawn.text


def test_columns_grow_with_the_ring():
    assert [columns_of(size) for size in (4, 8, 16, 64, 128, 256)] == [4, 8, 8, 16, 32, 32]


def test_it_is_said_in_words():
    ring = Ring()
    ring.add()
    assert in_words(look(ring.shot)) == (
        "Of 8 descriptors: 5 the driver's, 3 exposed, 0 the device's. "
        "Made available 1, taken 0, given back 0"
    )


# -- frames and rates


def tape():
    ring = Ring()
    shots = []

    def note(us, *moments):
        shots.extend([*moments, Moment(us * 1000, "ring", "disk", ring.shot)])

    note(1, event(1, "kick"))
    ring.add()
    note(2, event(2, "kick"))
    chain = ring.queue.pop()
    note(3, event(3, "pop", [chain.head], [529]))
    shots.append(said(4, "one"))
    ring.queue.push(chain, 513)
    note(2_000_000, event(1_999_999, "push", [0], [513]), event(2_000_000, "call"))
    note(2_000_001, event(2_000_001, "kick", ring=1), event(2_000_001, "quiet"))
    shots.append(said(2_000_002, "two"))
    shots.append(said(2_000_003, "three"))
    return Tape({}, shots)


def test_frames_have_what_was_counted_until_then():
    found, begin = frames(tape().moments)
    assert [frame.counts[:5] for frame in found] == [
        *((0, 1, 0, 0, 0), (0, 2, 0, 0, 0), (1, 2, 0, 0, 1)),
        *((1, 2, 1, 0, 1), (1, 2, 1, 1, 1)),
    ]
    assert begin == {"one": 0, "two": 3}
    assert found[2].event == "pop ring 0 0:529"
    assert frames(tape().moments, ring=1) == ([], {})


def test_a_rate_is_that_of_the_second_before():
    found, _ = frames(tape().moments)
    assert rate_of(found, 2)[:3] == (1, 2, 0)
    assert rate_of(found, 4)[:4] == (0, 0, 1, 1)


def test_a_price_is_what_was_saved():
    assert price(Counts(10, 4, 3, 0, 5)).endswith("13 of 20 notifications saved")
    assert price(Counts(1, 4, 3)).endswith("0 of 2 notifications saved")
    assert counted(Counts(), Event("stop", 0)) == Counts()


def test_the_busiest_frame_is_found():
    found, _ = frames(tape().moments)
    assert busiest(found) == 1
    with pytest.raises(ValueError, match="empty"):
        busiest([])


def test_no_ring_is_said_too():
    drawn = frame_picture([], 0)
    check_picture(drawn)
    assert "No ring runs" in drawn.text
    assert frame_words([], 0) == "No ring runs."


def test_a_ring_that_became_another_one_is_compared_with_nothing():
    small, large = Ring(size=8), Ring(size=16)
    moments = [Moment(n, "ring", "disk", ring.shot) for n, ring in enumerate((small, large))]
    found, _ = frames(moments)
    check_picture(frame_picture(found, 1))


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_every_shot_of_the_librarys_recordings_can_be_drawn(layout):
    recording = live.recorded(layout)
    found, begin = frames(recording.moments)
    assert list(begin) == list(live.WORKS)
    assert found[-1].shot.packed == (layout == "packed")
    for index in range(0, len(found), 7):
        check_picture(frame_picture(found, index))
        assert f"Frame {index + 1} of {len(found)}" in frame_words(found, index)
    busy = look(found[busiest(found)].shot)
    assert busy.added - busy.used >= 3
    assert len(busy.chains) >= 3


# -- the widget


def test_a_recording_is_stepped_through_by_commands():
    widget = RealRing(tape(), start=2)
    assert repr(widget) == "RealRing: ring 0 as Linux drives it"
    assert "<code>pop ring 0 0:529</code>" in widget._says.value
    assert "Follow" not in [control.description for control in widget.controls]
    widget._chapters.value = 3
    assert widget.state.index == 3
    press(widget, "Reset")
    assert widget.state.index == 2


def test_a_tape_without_shots_is_an_empty_player():
    widget = RealRing(Tape({}, []))
    for words in ("Step", "Last", "Reset"):
        press(widget, words)
    assert "No ring runs" in widget._says.value


class Living:
    """A session with a ring at work, until it is over."""

    def __init__(self):
        self.tier = SimpleNamespace(name="live")
        self.tape = Tape({}, [])
        self.statistics = Statistics()
        self.ring, self.over = Ring(features=PLAIN), False

    def shot(self, ring):
        if self.over:
            raise RuntimeError("the thread of the disk has ended")
        return self.ring.shot if ring == 0 else None


def test_a_living_ring_is_asked_at_each_tick():
    real = Living()
    widget = RealRing(real)
    assert "No ring runs" in widget._says.value
    widget._follow.value = True
    real.ring.add()
    real.statistics.kicks += 1
    widget._tick.value += 1
    assert "3 exposed" in widget._says.value
    assert widget.frames[-1].counts.kicks == 1
    assert widget.state.index == widget.state.length - 1 == 1
    real.over = True
    widget._tick.value += 1
    assert widget.state.length == 2


def test_a_living_session_without_that_ring_has_no_frames():
    widget = RealRing(Living(), ring=1)
    widget.refresh()
    assert widget.frames == []


def test_a_living_ring_is_kept_for_a_while_and_not_for_ever(monkeypatch):
    monkeypatch.setattr("virtlab.show.real_ring.MOST", 5)
    widget = RealRing(Living())
    for _ in range(9):
        widget.refresh()
    assert len(widget.frames) == 5
