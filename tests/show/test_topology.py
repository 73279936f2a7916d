"""The tree of buses, and hops that light it."""

import pytest

from tests.show.boards import Board
from tests.show.looks import check_picture, words_of
from virtlab.guest.pci import Place
from virtlab.pci.decode import decode
from virtlab.pci.dump import example
from virtlab.pci.packets import Crossing
from virtlab.pci.tlp import Tlp
from virtlab.show import Request, RequestWalker, nodes_of, nodes_of_dump, topology
from virtlab.show.palette import VERMILLION
from virtlab.show.topology import ROW, explain_crossing


@pytest.fixture(scope="module")
def express():
    return Board("express")


def test_every_function_has_a_row_and_every_bridge_says_its_bus(express):
    drawn = topology(nodes_of(express.root.bus))
    check_picture(drawn)
    for function in express.root.bus.walk():
        assert str(function).partition(" ")[0] in words_of(drawn)
    assert "link 01" in words_of(drawn)
    assert "    01:00.0 switch, upstream -> internal bus 02" in drawn.text


def test_the_dump_of_a_real_machine_fits_too():
    drawn = topology(nodes_of_dump(map(decode, example())), title="A dump")
    check_picture(drawn)
    assert drawn.text.count("\n") == 21


def test_the_hops_of_a_request_light_one_after_the_other(express):
    crossings = express.recorded(lambda: express.cpu.load(express.edus[0].bar(0)))
    nodes = nodes_of(express.root.bus)
    for at, crossing in enumerate(crossings):
        drawn = topology(nodes, crossings, at)
        check_picture(drawn)
        assert f"Hop {at + 1} of 8" in words_of(drawn)[1]
        assert drawn.text.endswith(explain_crossing(crossing))
    assert topology(nodes, crossings).svg == topology(nodes, crossings, 7).svg


def test_a_request_that_nobody_takes_ends_in_another_colour(express):
    crossings = express.recorded(lambda: express.cpu.load(0xFD00_0000))
    for at, end in enumerate(("to nobody", "from nobody")):
        drawn = topology(nodes_of(express.root.bus), crossings, at)
        assert VERMILLION in drawn.svg
        assert end in drawn.text


def test_a_place_can_be_marked_and_room_be_kept(express):
    nodes = nodes_of(express.root.bus)
    few = topology(nodes[:1], marked="00:00.0", says="the beginning", room=12)
    check_picture(few)
    assert "the beginning" in words_of(few)
    height = float(few.svg.partition('height="')[2].partition('"')[0])
    assert height > 12 * ROW
    assert few.svg != topology(nodes[:1], says="the beginning", room=12).svg


@pytest.mark.parametrize(
    ("tlp", "says"),
    [
        (Tlp("MRd"), "a memory read goes from a to b. It is non-posted: an answer must come."),
        (Tlp("MWr"), "a memory write goes from a to b. It is posted: no answer comes."),
        (Tlp("CplD"), "a completion with data goes from a to b. It answers the request."),
        (Tlp("Cpl", status=1), "goes from a to b. It says: unsupported request."),
    ],
)
def test_a_hop_in_a_sentence(tlp, says):
    words = explain_crossing(Crossing(3, "link", "a", "b", tlp))
    assert words.startswith("On bus 03, ")
    assert words.endswith(says)


# -- the walker


def press(widget, words):
    next(each for each in widget.controls if each.description == words).click()


@pytest.fixture
def walker(express):
    first = express.edus[0]
    return RequestWalker(
        express.root,
        [
            Request("load", lambda: express.cpu.load(first.bar(0))),
            Request("configuration", lambda: express.config.read(Place(3, 0, 0), 0, 4)),
            Request("refused", lambda: express.cards.edu.dma.write(0x0F00_0000, bytes(4))),
            Request("nothing", lambda: None),
        ],
    )


def test_choosing_a_request_makes_it_and_stands_at_its_first_hop(walker):
    assert "Hop 1 of 8. On bus 00, a memory read" in walker._says.value
    walker._request.value = 1
    assert "a configuration read of type 1" in walker._says.value
    press(walker, "Last")
    assert "Hop 8 of 8" in walker._says.value


def test_stepping_leaves_the_machine_alone(walker, express):
    crossings = express.recorded(lambda: [press(walker, words) for words in ("Step", "Back")])
    assert crossings == []


def test_a_refused_request_says_why_at_its_last_hop(walker):
    walker._request.value = 2
    press(walker, "Last")
    assert "The request was refused: no memory there" in walker._says.value


def test_a_request_without_packets_is_said(walker):
    walker._request.value = 3
    assert "crossed no bus" in walker._says.value


def test_reset_makes_the_first_request_again(walker):
    before = walker._picture.value
    walker._request.value = 1
    walker.reset()
    assert walker._picture.value.count("Hop 1 of 8") == before.count("Hop 1 of 8") == 1
    press(walker, "Last")
    walker.reset()
    assert "Hop 1 of 8" in walker._says.value


def test_no_request_is_refused(express):
    with pytest.raises(ValueError, match="at least one request"):
        RequestWalker(express.root, [])
