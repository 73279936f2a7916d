"""Frames through the switch of a card: the way is the library's, and the counts are right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.show.vf_switch import (
    EVERYBODY,
    GUESTS,
    MOST_SENT,
    PORTS,
    VLANS,
    Counts,
    Setting,
    SwitchState,
    Trip,
    choose,
    configure,
    explain,
    frame_of,
    mac,
    name_of,
    send,
    trip,
)
from virtlab.show.vf_switch_picture import counts_words, settings_words, switch_picture
from virtlab.virtio.embedded_switch import PHYSICAL, WIRE

ENDS = (*PORTS, WIRE)
settings_ = st.builds(Setting, st.sampled_from(VLANS), st.booleans())
states = st.builds(
    SwitchState,
    st.tuples(settings_, settings_, settings_, settings_),
    st.sampled_from(ENDS),
    st.sampled_from((*ENDS, EVERYBODY)),
    st.sampled_from(ENDS),
    st.sampled_from(VLANS),
    st.sampled_from(GUESTS),
)


def vlan_of(state, number):
    return state.settings[number - 1].vlan


# -- where frames go


@given(states)
def test_a_vf_speaks_under_its_own_address_and_without_a_tag_or_not_at_all(state):
    done = trip(state)
    setting = state.settings[state.sender - 1] if state.sender in GUESTS else None
    spoofed = setting is not None and setting.check and state.claims != state.sender
    tagged = setting is not None and state.tag
    assert bool(done.dropped) == bool(spoofed or tagged)
    assert not (done.dropped and done.arrived)


@given(states)
def test_a_vf_hears_only_its_own_vlan_and_never_a_tag(state):
    done = trip(state)
    inside = vlan_of(state, state.sender) if state.sender in GUESTS else state.tag
    for number, tag in done.arrived:
        if number in GUESTS:
            assert vlan_of(state, number) == inside
            assert tag == 0
        else:
            assert tag == inside
    assert state.sender not in dict(done.arrived)


@given(states)
def test_one_address_is_one_place_and_a_broadcast_is_all_of_the_vlan(state):
    done = trip(state)
    if done.dropped:
        return
    if state.target != EVERYBODY:
        assert len(done.arrived) <= 1
        return
    inside = vlan_of(state, state.sender) if state.sender in GUESTS else state.tag
    peers = {number for number in GUESTS if vlan_of(state, number) == inside}
    assert set(dict(done.arrived)) == (peers | {PHYSICAL, WIRE}) - {state.sender}


def test_another_vlan_is_another_network():
    """VF 1 asks for VF 3, which is not in its VLAN: the frame goes to the wire, with the tag."""
    assert trip(choose(SwitchState(), target=3)).arrived == ((WIRE, 5),)
    assert trip(choose(SwitchState(), target=2)).arrived == ((2, 0),)
    assert trip(choose(SwitchState(), sender=WIRE, target=2)).arrived == ((PHYSICAL, 0),)
    assert trip(choose(SwitchState(), sender=WIRE, target=2, tag=5)).arrived == ((2, 0),)


def test_the_frame_is_what_the_state_says():
    frame = frame_of(SwitchState(sender=0, target=2, claims=WIRE, tag=6))
    assert frame[:6] == mac(2) == bytes.fromhex("525400000002")
    assert frame[6:12] == bytes.fromhex("020000000099")
    assert frame[12:16] == b"\x81\x00\x00\x06"
    assert len(frame) == 60


# -- actions


def test_a_new_sender_speaks_under_its_own_address():
    state = choose(SwitchState(), claims=2)
    assert state.claims == 2
    assert choose(state, sender=3).claims == 3
    assert choose(state, sender=3, claims=4).claims == 4
    assert choose(state, port=4).claims == 2


def test_the_host_s_form_changes_one_port():
    state = configure(choose(SwitchState(), port=3), Setting(6, False))
    assert state.settings == (Setting(5), Setting(5), Setting(6, False), Setting())


def test_only_send_counts():
    state = SwitchState()
    assert choose(state, target=2).counts == state.counts
    once = send(state)
    received = (1, 0, 1, 0, 0)
    assert [each.received for each in once.counts] == list(received)
    assert once.counts[1] == Counts(sent=1)
    spoofed = send(choose(once, claims=2))
    assert spoofed.counts[1] == Counts(sent=1, dropped=1)
    assert spoofed.counts[2:] == once.counts[2:]
    wire = send(choose(state, sender=WIRE, target=PHYSICAL))
    assert wire.counts == (Counts(received=1), *state.counts[1:])


def test_the_counters_stop_at_the_end_of_their_room():
    full = (Counts(MOST_SENT, MOST_SENT, MOST_SENT),) * len(PORTS)
    assert send(SwitchState(counts=full)).counts == full


@pytest.mark.parametrize(
    "wrong",
    [{"sender": 5}, {"target": 5}, {"claims": EVERYBODY}, {"tag": 7}, {"port": 0}],
)
def test_what_is_no_state_is_refused(wrong):
    with pytest.raises(ValueError, match="no such state"):
        SwitchState(**wrong)


def test_a_vlan_that_is_none_is_refused():
    with pytest.raises(ValueError, match="a port is in one of"):
        configure(SwitchState(), Setting(4095))


# -- words


def test_the_words():
    state = SwitchState()
    assert explain(state) == (
        "VF 1 sends to everybody. It reaches VF 2 without a tag, the PF and the wire with tag 5. "
        "VF 3 and VF 4 hear nothing: another VLAN."
    )
    assert explain(choose(state, claims=2)) == (
        "VF 1 sends to everybody under the address of VF 2. "
        "Port 1 drops it: the source is not the address that the host gave to this port."
    )
    assert explain(choose(state, target=2, tag=5)) == (
        "VF 1 sends to VF 2, with tag 5. "
        "Port 1 drops it: tags are the host's, and a VF may not set one."
    )
    assert explain(choose(state, sender=WIRE, target=WIRE, claims=2)) == (
        "The wire sends to somebody outside under the address of VF 2. "
        "It reaches the PF without a tag."
    )
    assert explain(choose(state, sender=PHYSICAL, target=PHYSICAL)) == (
        "The PF sends to the PF. It reaches nobody."
    )
    assert "under the address of somebody outside" in explain(choose(state, claims=WIRE))
    together = SwitchState((Setting(),) * 4)
    assert "nothing" not in explain(together)
    assert explain(together).endswith("VF 2, VF 3, VF 4, the PF and the wire without a tag.")
    one = SwitchState((Setting(), Setting(), Setting(), Setting(5)))
    assert explain(one).endswith("VF 4 hears nothing: another VLAN.")
    assert [name_of(n) for n in (WIRE, 0, 3, EVERYBODY)] == [
        "the wire",
        "the PF",
        "VF 3",
        "everybody",
    ]


def test_a_trip_says_which_tag_arrives_where():
    done = Trip(((WIRE, 5), (2, 0)), "")
    assert [done.tag_at(number) for number in (WIRE, 2, 3)] == [5, 0, None]


# -- the picture


@given(states)
def test_every_picture_keeps_the_rules_and_says_who_gets_it(state):
    drawn = switch_picture(state)
    assert drawn == switch_picture(state)
    check_picture(drawn)
    words, done = words_of(drawn), trip(state)
    arrived = [number for number, _ in done.arrived if number != WIRE]
    assert sum(word.startswith("arrives") for word in words) == len(arrived)
    assert (f"dropped: {done.dropped}" in words) == bool(done.dropped)
    assert explain(state) in drawn.text
    for number in PORTS:
        assert counts_words(state, number) in words
        assert settings_words(state, number) in words


def test_the_settings_in_words():
    state = configure(SwitchState(), Setting(6, False))
    assert settings_words(state, 1) == "VLAN 6, spoof check off"
    assert settings_words(state, 3) == "untagged, spoof check on"
    assert settings_words(state, PHYSICAL) == "trunk: sees every tag"
    assert counts_words(send(state), 1) == "sent 1, received 0, dropped 0"
