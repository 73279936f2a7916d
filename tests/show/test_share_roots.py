"""Two hosts and one card, as the lesson has them; and the picture of who has what."""

from itertools import pairwise

import pytest

from tests.show.looks import SVG, check_picture, words_of
from virtlab.interrupts import MESSAGE_BASE
from virtlab.show.palette import BLUE, VERMILLION
from virtlab.show.share_hosts import MACS, TwoHosts, two_hosts
from virtlab.show.share_roots import roots_picture


@pytest.fixture
def two():
    return two_hosts()


def test_both_have_found_a_card_at_the_same_place(two):
    places = [[str(each.place) for each in host.found] for host in two.hosts.values()]
    assert places[0] == places[1] == ["00:00.0", "00:01.0", "01:00.0", "02:00.0", "03:00.0"]
    assert [two.owner(endpoint) for endpoint in range(3)] == ["A", "B", ""]


def test_they_talk_through_the_card_and_each_has_its_own_memory(two):
    nets = {name: host.start_net() for name, host in two.hosts.items()}
    hello = MACS[2] + MACS[1] + b"\x88\xb5" + bytes(46)
    nets["A"].send(hello)
    assert [got.frame for got in nets["B"].receive()] == [hello]
    for endpoint, text in enumerate((b"into A", b"into B")):
        two.functions[endpoint].dma.write(0x4000, text)
    assert [host.ram.read(0x4000, 6) for host in two.hosts.values()] == [b"into A", b"into B"]


def test_a_message_goes_to_its_own_root(two):
    two.functions[1].dma.write(MESSAGE_BASE, (0x41).to_bytes(4, "little"))
    assert two.hosts["A"].messages == []
    assert [(source, each.data) for source, each in two.hosts["B"].messages] == [(0x0300, 0x41)]
    assert "messages: 1" in words_of(roots_picture(two))


def test_a_function_that_nobody_has_gets_no_frames(two):
    """Its address is nobody's here, so such a frame leaves by the wire."""
    out = []
    two.cable.b.listener = out.append
    net = two.hosts["A"].start_net()
    net.send(MACS[3] + MACS[1] + b"\x88\xb5" + bytes(46))
    assert len(out) == 1


def test_a_host_without_a_card_says_so():
    with pytest.raises(LookupError, match="host A has found no card"):
        TwoHosts().hosts["A"].start_net()
    two = two_hosts()
    two.give(0, "A")
    two.device.withdraw(0)
    two.hosts["A"].scan()
    with pytest.raises(LookupError, match="host A has found no card"):
        two.hosts["A"].start_net()


def test_the_picture_says_who_has_which_function(two):
    drawn = roots_picture(two)
    check_picture(drawn)
    words = words_of(drawn)
    assert "net 0: A's" in words
    assert "03:00.0 of host A" in words
    assert "03:00.0 of host B" in words
    assert "nobody's" in words
    assert "net 1 is 03:00.0 of host B, label 2" in drawn.text
    assert roots_picture(two_hosts()).svg == drawn.svg


@pytest.mark.parametrize("owners", ["AB", "BA", "B", "A"])
def test_each_line_goes_from_its_root_to_its_function_in_one_piece(owners):
    """Segments of one colour that meet at an x meet at the same y."""
    two = TwoHosts()
    for endpoint, name in enumerate(owners):
        two.give(endpoint, name)
    lines = {}
    for each in check_picture(roots_picture(two)).iter(f"{SVG}line"):
        ends = [float(each.attrib[name]) for name in ("x1", "y1", "x2", "y2")]
        lines.setdefault(each.attrib["stroke"], []).append(ends)
    for colour, name in ((BLUE, "A"), (VERMILLION, "B")):
        segments = sorted(lines[colour])
        assert len(segments) == (4 if name in owners else 2)
        joints = [(one, other) for one, other in pairwise(segments) if one[2] == other[0]]
        assert len(joints) == (2 if name in owners else 0)
        assert all(one[3] == other[1] for one, other in joints)


def test_it_follows_a_function_that_moves(two):
    two.device.withdraw(1)
    two.hosts["B"].scan()
    two.give(0, "B")
    two.hosts["B"].scan()
    drawn = roots_picture(two, "After the move")
    check_picture(drawn)
    assert "net 0 is 03:00.0 of host B, label 2" in drawn.text
    assert "net 1 is nobody's" in drawn.text
    assert "host A" in drawn.text


def test_before_anybody_scans_nothing_has_a_number():
    drawn = roots_picture(TwoHosts())
    check_picture(drawn)
    assert drawn.text.count("is nobody's") == 3
