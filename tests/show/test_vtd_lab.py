"""The VT-d lab: every state is drawn, what is stale shows, and nothing breaks it."""

import random
import re

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.iommu.layouts import CONTEXT, ROOT, SECOND_LEVEL
from virtlab.iommu.reasons import Reason
from virtlab.show.vtd_kept import kept
from virtlab.show.vtd_lab import ACCESSES, ACTIONS, ADDRESSES, SLOTS, SOURCES, STEPS, VtdLab
from virtlab.show.vtd_picture import vtd_picture
from virtlab.show.vtd_state import (
    BUFFER,
    DEEP,
    DISK,
    EDU,
    GONE,
    LARGE,
    NET,
    OLD,
    READ_ONLY,
    VtdState,
    aim,
    flip,
    forget_contexts,
    forget_pages,
    free_records,
    light,
    overflowed,
    request,
    start,
    unit_of,
    view_of,
)
from virtlab.show.vtd_words import bits_of, differs, explain, last_answer, said

R, W, P = 0, 1, 0
LAST = SLOTS


def answer(state):
    """What the unit does now: the reason, or where it leads."""
    done = request(state).answer
    return done.reason if done.reason is not None else done.gpa


# -- the small unit


@pytest.mark.parametrize(
    ("source", "iova", "write", "end"),
    [
        (EDU, BUFFER, True, 0x8_0000),
        (EDU, READ_ONLY + 8, False, 0x9_0008),
        (EDU, READ_ONLY, True, Reason.WRITE),
        (EDU, LARGE + 0x1234, True, 0x20_1234),
        (EDU, BUFFER + 0x5000, False, Reason.READ),
        (EDU, 1 << 58, False, Reason.BEYOND_WIDTH),
        (EDU, 0xFEE0_0000, True, Reason.INTERRUPT_REQUEST),
        (NET, BUFFER, True, 0xA_0000),
        (DISK, DEEP, True, 0xB_0000),
        (OLD, 0x1234, True, 0x1234),
        (GONE, BUFFER, True, Reason.ROOT_NOT_PRESENT),
    ],
)
def test_each_source_reaches_its_own(source, iova, write, end):
    state = VtdState(source, iova, write)
    view = view_of(state)
    assert answer(state) == (view.reason if view.reason is not None else view.gpa) == end
    assert not differs(request(state), view)


def test_the_beginning_has_a_stale_entry_that_was_used():
    """The tables refuse, and the unit has let it through."""
    state = start()
    assert view_of(state).reason is Reason.WRITE
    assert (state.answer.reason, state.answer.gpa, state.answer.reads) == (None, 0x8_0000, 0)
    assert [each.cache for each in kept(unit_of(state)) if each.stale] == ["IOTLB"]
    assert differs(state, view_of(state))
    assert "The two differ" in explain(state)


def test_only_the_right_invalidation_helps():
    """6.5.1: contexts and pages are dropped apart."""
    state = request(forget_contexts(start()))
    assert state.answer.reason is None
    state = request(forget_pages(state))
    assert (state.answer.reason, state.answer.reads) == (Reason.WRITE, 6)
    assert "The two differ" not in explain(state)
    assert state.held.records[0] >> 127


def test_a_request_reads_what_is_not_remembered():
    """6.2: root, context and four levels; then nothing; then a level-1 entry beside it."""
    state = request(VtdState())
    assert state.answer.reads == 6
    state = request(state)
    assert state.answer.reads == 0
    beside = request(aim(state, iova=READ_ONLY, write=False))
    assert beside.answer.reads == 1
    large = request(aim(state, iova=LARGE))
    assert large.answer.reads == 1


def test_a_third_source_overflows_the_records():
    """7.2.1: two records; a source that has one gets no second; software frees them."""
    state = VtdState(GONE)
    state = request(request(state))
    assert sum(record >> 127 for record in state.held.records) == 1
    state = request(aim(state, source_id=NET, iova=5))
    assert not overflowed(state)
    state = request(aim(state, source_id=EDU, iova=5))
    assert overflowed(state)
    state = free_records(state)
    assert not overflowed(state)
    assert not any(record >> 127 for record in state.held.records)
    assert request(state).held.records[0] >> 127


@pytest.mark.parametrize(
    ("source", "lit", "bits", "reason"),
    [
        (EDU, 0, (P,), Reason.ROOT_NOT_PRESENT),
        (EDU, 1, (P,), Reason.CONTEXT_NOT_PRESENT),
        (EDU, 1, (2, 3), Reason.CONTEXT_INVALID),
        (EDU, LAST, (W,), Reason.WRITE),
        (EDU, 3, (30,), Reason.PAGING_ACCESS),
        (EDU, LAST, (50,), Reason.PAGING_RESERVED),
        (EDU, 1, (90,), Reason.CONTEXT_RESERVED),
        (EDU, 0, (70,), Reason.ROOT_RESERVED),
    ],
)
def test_bits_lead_to_their_reasons(source, lit, bits, reason):
    """What the lesson asks the learner to find."""
    state = light(VtdState(source), lit)
    for bit in bits:
        state = flip(state, bit)
    assert view_of(state).reason is reason
    assert answer(state) is reason
    for bit in reversed(bits):
        state = flip(state, bit)
    assert state.turned == ()


def test_a_silent_context_leaves_no_record():
    """9.3: FPD counts even where P is 0."""
    state = flip(flip(light(VtdState(), 1), 1), 0)
    state = request(state)
    assert state.answer.reason is Reason.CONTEXT_NOT_PRESENT
    assert not any(state.held.records)


def test_states_are_not_changed_by_actions():
    state = start()
    before = repr(state)
    for act in (*ACTIONS.values(), *STEPS.values()):
        act(state)
    flip(state, 5)
    assert repr(state) == before
    assert start() is state


def test_a_flip_needs_a_bit_of_an_entry():
    state = light(VtdState(), LAST)
    assert flip(state, 64) is state
    assert flip(state, -1) is state
    nothing = aim(state, iova=0xFEE0_0000)
    assert flip(nothing, 0) is nothing


def test_the_lit_row_is_always_one_that_was_read():
    state = light(VtdState(DISK, DEEP), 99)
    assert state.lit == 6
    assert light(state, -3).lit == 0
    assert aim(state, source_id=EDU, iova=BUFFER).lit == 5
    assert aim(state, source_id=GONE).lit == 0
    assert flip(light(VtdState(), 0), 0).lit == 0


# -- words


def test_every_bit_has_a_name():
    rows = view_of(VtdState()).rows
    names = [dict(zip(range(128), [n for n, _ in bits_of(row)], strict=False)) for row in rows]
    assert [len(each) for each in names] == [128, 128, 64, 64, 64, 64]
    assert (names[0][0], names[0][1], names[0][12]) == (
        "bit 0: P",
        "bit 1: reserved",
        "bit 12: CTP",
    )
    assert (names[1][72], names[1][71], names[1][67]) == (
        "bit 72: DID",
        "bit 71: reserved",
        "bit 67: AVAIL",
    )
    assert (names[3][0], names[3][3], names[3][7]) == ("bit 0: R", "bit 3: ignored", "bit 7: PS")
    assert (names[3][11], names[5][11]) == ("bit 11: reserved", "bit 11: SNP")
    assert (names[5][12], names[5][50]) == ("bit 12: ADDRESS", "bit 50: reserved")
    assert [bit for _, bit in bits_of(rows[5])] == list(range(64))


def test_the_names_are_those_of_the_layouts():
    for row, layout in zip(
        view_of(VtdState()).rows[:3], (ROOT, CONTEXT, SECOND_LEVEL), strict=True
    ):
        named = {words.split(": ")[1] for words, _ in bits_of(row)} - {"reserved", "ignored"}
        assert named <= set(layout.fields)


def test_the_last_answer_in_words():
    assert last_answer(VtdState()) == "No device has asked yet."
    assert last_answer(request(VtdState())).endswith(
        "arrived at `0x80000`; the unit read 6 entries."
    )
    one = request(aim(request(VtdState()), iova=LARGE, write=False))
    assert "a read of 00:05.0" in last_answer(one)
    assert last_answer(one).endswith("the unit read 1 entry.")
    assert last_answer(request(request(VtdState()))).endswith("no entry, it remembered.")
    interrupt = last_answer(request(VtdState(iova=0xFEE0_0000)))
    assert "met fault 0x29" in interrupt
    assert interrupt.endswith("it was refused before any table.")


def test_the_unit_s_answer_in_a_few_words():
    state = start()
    assert said(state, view_of(state)) == ("arrived at 0x80000: the unit remembered", True)
    state = request(forget_pages(state))
    assert said(state, view_of(state)) == (
        "fault 0x5: the unit read 4 entries",
        False,
    )  # the context is remembered
    one = request(aim(request(VtdState()), iova=LARGE))
    assert said(one, view_of(one)) == ("arrived at 0x200000: the unit read 1 entry", False)
    other = aim(state, source_id=NET)
    assert said(other, view_of(other)) == ("this one was not asked last", False)
    assert said(VtdState(), view_of(VtdState())) == ("no device has asked yet", False)
    interrupt = request(VtdState(iova=0xFEE0_0000))
    assert said(interrupt, view_of(interrupt)) == ("fault 0x29, before any table", False)


def test_another_request_is_not_compared():
    state = start()
    other = aim(state, source_id=NET)
    assert not differs(other, view_of(other))
    assert "Lit: the context entry at" in explain(light(state, 1))


def test_a_remembered_refusal_says_so():
    """A right that was given after the walk is not seen either."""
    state = request(VtdState(iova=READ_ONLY, write=False))
    state = request(aim(state, write=True))
    assert (state.answer.reason, state.answer.reads) == (Reason.WRITE, 0)
    assert "it remembered" in last_answer(state)
    state = flip(light(state, LAST), W)
    assert differs(state, view_of(state))


# -- the widget


def says(widget):
    return re.sub("<[^>]+>", "", widget._says.value)


def test_it_begins_where_reset_leads_back_to():
    widget = VtdLab()
    values = [part.value for part in (widget._picture, widget._says, widget._kept, widget._records)]
    assert "STALE" in widget._kept.value
    assert "The two differ" in says(widget)
    assert repr(widget) == "VtdLab"
    for act in ACTIONS.values():
        widget._press(act)
    widget._source.value = DISK
    widget._named.value = DEEP
    widget._access.value = False
    assert widget.state.source_id == DISK
    assert widget.state.iova == DEEP
    assert not widget.state.write
    widget.reset()
    assert values == [
        part.value for part in (widget._picture, widget._says, widget._kept, widget._records)
    ]
    assert (widget._source.value, widget._named.value, widget._access.value) == (EDU, BUFFER, True)
    assert widget._typed.value == f"{BUFFER:#x}"


def test_steps_light_each_row_in_turn():
    widget = VtdLab()
    widget._press(STEPS["First"])
    seen = [widget.state.lit]
    for _ in range(7):
        widget._press(STEPS["Step"])
        seen.append(widget.state.lit)
    assert seen == [0, 1, 2, 3, 4, 5, 5, 5]
    widget._press(STEPS["Back"])
    assert widget.state.lit == 4
    widget._press(STEPS["Last"])
    assert widget.state.lit == 5


def test_the_bits_that_are_offered_are_those_of_the_lit_entry():
    widget = VtdLab()
    widget._press(STEPS["First"])
    assert len(widget._bit.options) == 128
    widget._bit.value = 100
    widget._press(STEPS["Last"])
    assert (len(widget._bit.options), widget._bit.value) == (64, 0)
    widget._bit.value = 1
    before = widget.state
    widget.flip()
    assert dict(widget.state.turned) != dict(before.turned)
    widget._press(STEPS["Back"])
    assert widget._bit.value == 1
    widget._named.value = 0xFEE0_0000
    assert widget._bit.options == (("no entry was read", 0),)
    state = widget.state
    widget.flip()
    assert widget.state == state


@pytest.mark.parametrize("typed", ["", "x", "-1", "0x1ffffffffffffffff", "`1`"])
def test_what_is_no_address_is_said_and_nothing_changes(typed):
    widget = VtdLab()
    state = widget.state
    widget._typed.value = typed
    assert "is no address" in says(widget)
    assert widget.state is state


def test_any_address_can_be_typed():
    widget = VtdLab()
    widget._typed.value = "0xffffffffffffffff"
    assert widget.state.iova == (1 << 64) - 1
    assert widget._named.value is None
    widget._typed.value = "4096"
    assert widget._typed.value == "0x1000"
    widget._press(ACTIONS["Request DMA"])
    assert "fault" in says(widget)


def test_each_control_has_words_and_a_class():
    for control in VtdLab().controls:
        assert control.description.strip()
        assert any(name.startswith("vl-") for name in control._dom_classes)


@pytest.mark.parametrize("source", [value for _, value in SOURCES])
@pytest.mark.parametrize("iova", [value for _, value in ADDRESSES])
@pytest.mark.parametrize("write", [value for _, value in ACCESSES])
def test_every_choice_has_a_picture_and_words(source, iova, write):
    state = aim(start(), source_id=source, iova=iova, write=write)
    view = view_of(state)
    drawn = vtd_picture(view, "", state.lit, SLOTS, said(state, view))
    check_picture(drawn)
    assert explain(state)
    assert explain(request(state))
    assert any(words in ("it arrives", "it is refused") for words in words_of(drawn))


@pytest.mark.parametrize("seed", range(4))
def test_nothing_breaks_it(seed):
    """Whatever is turned and asked, in any order: a picture, words, and tables."""
    dice, widget = random.Random(seed), VtdLab()
    for _ in range(25):
        match dice.randrange(5):
            case 0:
                widget._press(dice.choice([*ACTIONS.values()]))
            case 1:
                widget._press(dice.choice([*STEPS.values()]))
            case 2:
                widget._bit.value = dice.choice(widget._bit.options)[1]
                widget.flip()
            case 3:
                widget._source.value = dice.choice(SOURCES)[1]
            case 4:
                widget._typed.value = hex(dice.getrandbits(dice.choice((13, 31, 34, 49, 64))))
        state, view = widget.state, view_of(widget.state)
        check_picture(vtd_picture(view, "", state.lit, SLOTS, said(state, view)))
        assert widget._says.value
        assert "<table" in widget._kept.value
