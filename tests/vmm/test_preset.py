"""Numbers that stand ready, for a port and for a bus."""

from hypothesis import given
from hypothesis import strategies as st

from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.machine import lesson_pc, lesson_vm
from virtlab.pci.access import CONFIG_PORTS, ConfigPorts
from virtlab.pci.dump import dumped
from virtlab.vmm.preset import Photograph, Preset
from virtlab.vmm.virtual_machine import VirtualMachine


def photograph(kept):
    """A photograph of the lesson PC's bus, and what a guest finds on it and on the bus itself."""
    pc = lesson_vm()
    true = enumerate_pci(pc.cpu)
    shot = Photograph([dumped(each) for each in pc.cards.root.bus.walk()], kept)
    host = lesson_pc()
    vm = VirtualMachine(host, host.frames, 16 * 4096)
    vm.ports.map(CONFIG_PORTS, 8, ConfigPorts(shot), width=4)
    return shot, Scan(PortAccess(vm.cpu)).run(), true


def bars(functions):
    every = [found for top in functions for found in top.walk()]
    return {
        (found.place, bar.index): (bar.space, bar.size) for found in every for bar in found.bars
    }


def places(functions):
    return [(each.place, each.vendor, each.device) for top in functions for each in top.walk()]


def test_what_stands_there_is_read_and_nothing_changes_it():
    preset = Preset({0: 0x55, 2: 0xAA})
    preset.write(0, 1, 0x12)
    assert (preset.read(0, 1), preset.read(0, 4), preset.writes) == (0x55, 0xFFAA_FF55, 1)


def test_a_photograph_has_the_functions_and_not_their_sizes():
    _, found, true = photograph(kept=False)
    assert places(found) == places(true)
    wrong = {key for key, bar in bars(true).items() if bars(found).get(key) != bar}
    assert len(wrong) == 7  # of 8: one lies at a multiple of its size and of no more


def test_each_size_on_a_photograph_is_the_alignment_of_the_address():
    _, found, true = photograph(kept=False)
    addresses = {
        (each.place, bar.index): bar.address
        for top in true
        for each in top.walk()
        for bar in each.bars
    }
    for key, (_, size) in bars(found).items():
        assert size == addresses[key] & -addresses[key]


def test_memory_in_the_place_of_a_bus_makes_everything_a_port():
    _, found, true = photograph(kept=True)
    assert places(found) == places(true)
    assert set(bars(found).values()) == {("port", 4)}
    assert len(bars(found)) - len(bars(true)) == 44


@given(
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
    st.integers(0, 4200),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
)
def test_a_photograph_answers_everything(bus, device, number, offset, size, kept):
    shot = Photograph([dumped(each) for each in lesson_pc().cards.root.bus.walk()], kept)
    before = shot.config_read(bus, device, number, offset, size)
    shot.config_write(bus, device, number, offset, size, ~before)
    after = shot.config_read(bus, device, number, offset, size)
    inside = shot.functions.get(bus << 8 | device << 3 | number, b"")
    changed = kept and offset + size <= len(inside)
    assert after == (~before if changed else before) & ((1 << 8 * size) - 1)
