"""The state of the VF lab is what a real card does: places, addresses, and what is locked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.sriov_rig import SriovRig
from tests.show.vf_states import OFF, states
from virtlab.pci.tlp import bdf_text
from virtlab.show.vf_grid import VF
from virtlab.show.vf_map import marks_of
from virtlab.show.vf_state import (
    BAR_BYTES,
    BASE,
    MOST,
    PAGES,
    PHYSICAL,
    TOTAL,
    VfState,
    explain,
    look,
    more,
    put,
)

# -- the state is what a card does


@pytest.fixture(scope="module", params=[True, False], ids=["ARI", "no ARI"])
def rig(request):
    """A whole machine, with a card of as many VFs behind a root port."""
    made = SriovRig(TOTAL).start(ari=request.param)
    made.ari = request.param
    return made


@pytest.mark.parametrize("count", [1, 6, 7, 8, 9, 64, 255, 256])
def test_the_map_has_a_vf_wherever_a_real_machine_has_one(rig, count):
    """SR-IOV 1.1 2.1.2, through configuration space. The lab's card is on another bus."""
    shift = PHYSICAL - rig.pf.source_id
    places = [found.place for found in rig.sriov.enable(count)]
    rig.sriov.disable()
    state = VfState(count, rig.ari)
    mine = [bdf_text(rid - shift) for rid, kind in marks_of(state).items() if kind == VF]
    assert mine == [str(place) for place in places]


@given(states)
def test_where_the_next_vf_is_follows_from_two_additions(state):
    for number in range(2, state.count + 1):
        assert state.place(number) - state.place(number - 1) == state.stride
        assert state.address(number) - state.address(number - 1) == state.aperture
    assert state.place(1) == PHYSICAL + state.offset
    assert state.address(1) == BASE
    assert state.aperture == max(BAR_BYTES, state.page)


@given(states)
def test_no_two_functions_have_one_routing_id(state):
    assert len(marks_of(state)) == 1 + state.count
    assert state.count == (min(state.wanted, TOTAL) if state.enabled else 0)


@pytest.mark.parametrize(("field", "value"), [("wanted", 5), ("ari", False), ("page", PAGES[-1])])
def test_what_makes_the_vfs_is_locked_while_they_exist(field, value):
    """SR-IOV 1.1 3.3.3.5, 3.3.7, 3.3.13."""
    begin = VfState()
    after = put(begin, field, value)
    assert getattr(after, field) == getattr(begin, field) != value
    assert after.ignored == field
    assert "The card ignored the write" in explain(after)
    free = put(put(begin, "enabled", False), field, value)
    assert getattr(free, field) == value
    assert free.ignored == ""


@given(states, st.sampled_from(["enabled", "decodes"]), st.booleans())
def test_the_two_switches_always_obey(state, field, value):
    after = put(state, field, value)
    assert getattr(after, field) == value
    assert after.ignored == ""


@given(states)
def test_a_write_of_what_is_there_changes_nothing(state):
    for field in ("wanted", "ari", "page", "enabled", "decodes"):
        assert put(state, field, getattr(state, field)) == state


def test_steps_and_looks_stay_in_range():
    assert more(VfState(0, enabled=False), -1).wanted == 0
    assert more(VfState(MOST, enabled=False), 1).wanted == MOST
    assert more(OFF, 1).wanted == 13
    assert [look(OFF, n).chosen for n in (0, 7, 999)] == [1, 7, TOTAL]
    assert look(put(VfState(), "wanted", 5), 3).ignored == ""


@pytest.mark.parametrize("wrong", [{"wanted": MOST + 1}, {"chosen": 0}, {"page": 12345}])
def test_what_is_no_state_is_refused(wrong):
    with pytest.raises(ValueError, match="no such state"):
        VfState(**wrong)


def test_a_field_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'count' is no field"):
        put(OFF, "count", 3)


# -- the words


def test_the_words_compute_what_the_picture_shows():
    assert explain(VfState()) == (
        "12 VFs: `06:00.1` to `06:01.4`. VF 12 is at `06:00.0` + 1 + 11 x 1 = `06:01.4`. "
        "Its memory is at `0x800000000` + 11 x 16 KiB = `0x80002c000`."
    )
    assert explain(OFF) == (
        "VF Enable is 0: there is no VF. For 12 VFs the card would take offset 1."
    )
    assert "NumVFs is 0" in explain(VfState(0))
    assert explain(VfState(1, chosen=1)).startswith("1 VF: `06:00.1`.")
    assert explain(VfState(3)).endswith("There is no VF 12.")
    dark = explain(VfState(decodes=False))
    assert "Its memory would be at" in dark
    assert "VF MSE is 0: nobody answers there" in dark
    crossed = explain(VfState(8, ari=False, chosen=1))
    assert "all of them are on bus 07" in crossed
    assert "`06:00.0` + 256 + 0 x 1 = `07:00.0`" in crossed
    assert "bus 07" not in explain(VfState(7, ari=False, chosen=1))
    assert "That is undefined; this card makes 256." in explain(VfState(MOST))
