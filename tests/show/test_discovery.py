"""An enumeration as stages: numbers appear depth first, and the stages tell only what happened."""

import pytest

from tests.pci.rig import Rig
from tests.show.looks import check_picture
from virtlab import machine
from virtlab.guest.pci import FoundBar, Place, PortAccess, Scan
from virtlab.show import DiscoveryPlayer, closed_form, purposes
from virtlab.show.discovery import Asked, Watched, asks_for, discovery, nobody


def scanned(pci="conventional"):
    pc = machine.lesson_pc(pci=pci)
    return DiscoveryPlayer(pc.cpu, pc.cards.root)


def watched_rig():
    rig = Rig().plug_everything()
    watched = Watched(PortAccess(rig.cpu))
    return watched, Scan(watched).run()


@pytest.mark.parametrize("pci", ["conventional", "express"])
def test_the_last_stage_is_the_whole_tree(pci):
    player = scanned(pci)
    places = [str(each.place) for top in player.found for each in top.walk()]
    last = player.stages[-1]
    assert [each.place for node in last.nodes for each in node.walk()] == places
    assert last.asked == len(player.accesses)


@pytest.mark.parametrize("pci", ["conventional", "express"])
def test_stages_only_ever_learn(pci):
    stages = scanned(pci).stages
    assert stages[0].nodes == ()
    sizes = [sum(1 for node in stage.nodes for _ in node.walk()) for stage in stages]
    assert sizes == sorted(sizes)
    counts = [stage.asked for stage in stages]
    assert counts == sorted(counts)


def test_numbers_appear_depth_first_and_shrink_on_the_way_back():
    player = scanned("express")
    assert [stage.chapter for stage in player.stages if stage.chapter] == [
        f"bus {n:02x} gets its number" for n in range(1, 7)
    ]
    behind = [
        node.behind
        for stage in player.stages
        for top in stage.nodes
        for node in top.walk()
        if node.place == "00:02.0"
    ]
    assert list(dict.fromkeys(behind)) == ["no number yet", "bus 01 to ff", "bus 01 to 04"]


def test_a_function_answers_before_what_is_behind_it():
    stages = scanned().stages
    marked = [stage.place for stage in stages if stage.place]
    inner = marked.index("01:01.0") if "01:01.0" in marked else marked.index("01:00.0")
    assert inner < marked.index("02:00.0")


def test_empty_places_are_one_stage_a_run_and_all_are_counted():
    watched, found = watched_rig()
    stages = discovery(watched.log, found)
    empty = [stage.words for stage in stages if "nobody answers" in stage.words]
    assert (
        "On bus 00 nobody answers at functions 3 to 7 of device 03: 5 reads give `ffff`." in empty
    )
    told = sum(int(words.partition(": ")[2].split()[0]) for words in empty)
    assert told == sum(each.offset == 0 and each.value == 0xFFFF for each in watched.log)


def test_each_run_of_empty_places_is_told_where_it_was_met():
    watched, found = watched_rig()
    for stage in discovery(watched.log, found):
        if "nobody answers" in stage.words:
            many = int(stage.words.partition(": ")[2].split()[0])
            run = watched.log[stage.asked - many : stage.asked]
            assert {(each.offset, each.value) for each in run} == {(0, 0xFFFF)}


def test_a_function_is_told_once_its_bars_are_sized():
    """Command is written twice: decoding off, and as it was."""
    watched, found = watched_rig()
    for stage in discovery(watched.log, found):
        if " answers: " in stage.words:
            last = watched.log[stage.asked - 1]
            assert (str(last.place), last.offset, last.write) == (stage.place, 4, True)
            later = watched.log[stage.asked :]
            assert not [each for each in later if each.place == last.place and each.offset == 4]


def test_a_function_without_a_name_is_called_by_its_class():
    watched, found = watched_rig()
    names = {each.name for each in discovery(watched.log, found)[-1].nodes}
    assert "class ff0000" in names


def test_what_a_function_asks_for_in_words():
    ports = FoundBar(2, "port", 64, 32, False)
    memory = FoundBar(0, "memory", 1 << 20, 64, True)
    assert asks_for([]) == "It asks for no addresses."
    assert asks_for([memory, ports]) == ("It asks for 1 MiB by BAR 0, 64 ports by BAR 2.")


def test_a_run_of_one_is_said_as_one():
    assert nobody([Place(1, 2, 0)]) == (
        "On bus 01 nobody answers at device 02: 1 read gives `ffff`."
    )


def test_an_access_in_words():
    assert str(Asked(Place(0, 3, 0), 0x10, 4, 0xFF, True)) == "write 00:03.0 register 0x10: 0xff"
    assert str(Asked(Place(0, 3, 0), 0, 2, 0xFFFF, False)).startswith("read 00:03.0")


def test_the_player_draws_each_stage_at_one_height_and_jumps_to_the_numbers():
    player = scanned()
    heights = set()
    for index in range(len(player.stages)):
        drawn = player._render(index)
        check_picture(drawn)
        heights.add(drawn.svg.partition(' height="')[2].partition('"')[0])
    assert len(heights) == 1
    assert "gets the next number, 01" in player._says.value
    jumps = dict(player._chapters.options)
    player._chapters.value = jumps["bus 02 gets its number"]
    assert "gets the next number, 02" in player._says.value


def test_without_a_bridge_it_starts_at_the_beginning():
    rig = Rig()
    assert DiscoveryPlayer(rig.cpu, rig.root).state.index == 0


# -- what it costs


@pytest.mark.parametrize("pci", ["conventional", "express"])
def test_the_closed_form_is_what_was_counted(pci):
    player = scanned(pci)
    assert purposes(player.accesses, player.found) == closed_form(player.found)


def test_the_closed_form_holds_for_wide_bars_and_many_functions():
    watched, found = watched_rig()
    counts = purposes(watched.log, found)
    assert counts == closed_form(found)
    assert sum(counts.values()) == len(watched.log)
    assert counts["these are your buses"] == 4 * sum(
        each.is_bridge for top in found for each in top.walk()
    )
