"""The address probe: it does what a guest does, and says what came of it."""

import pytest

from tests.show.looks import check_picture
from virtlab.bus import AddressSpace
from virtlab.machine import UART, lesson_pc
from virtlab.show import AddressProbe, address_map
from virtlab.show.probe import KEPT, Probe, ask, places


@pytest.fixture
def pc():
    return lesson_pc()


@pytest.fixture
def probe(pc):
    return AddressProbe(pc.ports, pc.memory)


def test_a_read_that_a_device_answers(pc):
    state = ask(pc.ports, Probe(), UART + 5, 1)
    assert state.words == (
        "A read of 1 byte at port `0x3fd` gives `0x60`. uart answers: this is its offset `0x5`."
    )
    check_picture(address_map(pc.ports, state.events))


def test_a_wide_access_to_a_narrow_device(pc):
    assert "Its data path is 1 byte wide, so the bus made 4 cycles" in (
        ask(pc.ports, Probe(), UART, 4).words
    )


def test_a_write_reaches_the_device(pc):
    state = ask(pc.ports, Probe(), UART + 7, 1, 0x155)
    assert "value `0x55`" in state.words
    assert pc.ports.read(UART + 7, 1) == 0x55


def test_a_gap_and_a_straddle_are_answered_by_nobody(pc):
    assert ask(pc.ports, Probe(), 0x300, 2).words == (
        "A read of 2 bytes at port `0x300` gives `0xffff`. Nobody answers here. All ones come back."
    )
    assert ask(pc.ports, Probe(), 0x300, 1, 7).words.endswith(
        "Nobody answers here. A write is lost."
    )
    assert (
        "because the access runs from uart past its end"
        in ask(pc.ports, Probe(), UART + 7, 2).words
    )


def test_a_device_that_unmaps_itself_is_survived():
    class Leaves:
        def read(self, offset, size):
            space.unmap(mapping)
            return 1

        def write(self, offset, size, value):
            pass

    space = AddressSpace("memory", 16)
    mapping = space.map(0, 4, Leaves())
    assert "its mapping is gone since" in ask(space, Probe(), 0, 1).words


def test_events_are_kept_up_to_a_bound(pc):
    state = Probe()
    for _ in range(KEPT + 5):
        state = ask(pc.ports, state, 0x300, 1)
    assert len(state.events) == KEPT


def test_places_are_where_something_begins_or_ends(pc):
    found = dict(places(pc.ports))
    assert found["0x3f8  uart, first"] == UART
    assert found["0x3ff  uart, last"] == UART + 7
    assert found["0x400  behind uart"] == UART + 8
    space = AddressSpace("memory", 4)
    space.map(0, 16, pc.uart, "all of it")
    assert [address for _, address in places(space)] == [0, 15]


def test_the_widget_asks_and_lights_the_map(probe):
    probe._address.value = "0x3f8"
    probe.read()
    probe.write()
    assert "2 hits" in probe._picture.value
    assert "value <code>0x41</code>" in probe._says.value


def test_a_place_fills_the_address_and_a_space_brings_its_own(probe):
    probe._space.value = "memory"
    assert tuple(probe._size.options) == (1, 2, 4, 8)
    probe._place.value = 0xB8000
    assert probe._address.value == "0xb8000"
    probe.read()
    assert "text screen answers" in probe._says.value
    probe._address.value = "0xb8001"
    assert probe._place.value == -1
    probe._address.value = "0xfffff"
    assert probe._place.value == 0xFFFFF


@pytest.mark.parametrize("typed", ["", "uart", "-1", "0x10000", "1e3"])
def test_what_is_no_address_is_said_and_nothing_is_asked(probe, typed):
    probe._address.value = typed
    probe.read()
    assert "is no address: give a number below <code>0x10000</code>" in probe._says.value
    assert probe.state == Probe()


def test_what_is_no_value_is_said(probe):
    probe._value.value = "A"
    probe.write()
    assert "is no value" in probe._says.value
    assert probe.state == Probe()


def test_reset_forgets_and_keeps_the_devices(probe, pc):
    before = probe._picture.value
    probe._address.value = "0x3ff"
    probe.write()
    probe.reset()
    assert probe._picture.value == before
    assert pc.ports.read(UART + 7, 1) == 0x41


def test_a_space_without_a_mapping_can_be_asked():
    empty = AddressProbe(AddressSpace("memory", 16))
    empty.read()
    assert "Nobody answers here" in empty._says.value


def test_no_space_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        AddressProbe()


def test_a_probe_can_start_with_something_to_see(pc):
    probe = AddressProbe(pc.ports, start=(UART + 5, 1))
    for _ in range(2):
        assert "gives <code>0x60</code>" in probe._says.value
        assert len(probe.state.events) == 1
        probe.write()
        probe.reset()
