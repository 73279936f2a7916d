"""Who claims an address, which way a request goes, and what is said where nobody takes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pci.rig import RAM, Card, Rig, Scratch
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place, PortAccess, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.interrupts import Msi as Message
from virtlab.pci.access import CONFIG_PORTS, config_address
from virtlab.pci.bridge import PciBridge
from virtlab.pci.bus import Bus
from virtlab.pci.capabilities import Msi
from virtlab.pci.config import Header, Type1
from virtlab.pci.express import ACS_AT, Switch, make_express
from virtlab.pci.extended import Acs
from virtlab.wire import all_ones

ECAM = 0xB000_0000


@pytest.fixture
def rig():
    made = Rig().plug_everything()
    made.found = enumerate_pci(made.cpu)
    return made


def bar(function, index=0):
    return next(b for b in function.bars if b.register == f"BAR{index}").address(function.header)


def place_of(function):
    return Place(function.bus.number, function.device, function.number)


# -- configuration requests


def test_both_ways_reach_the_same_register(rig):
    ecam = open_ecam(rig.cpu, ECAM)
    ports = PortAccess(rig.cpu)
    for function in rig.bus.walk():
        place = place_of(function)
        for offset in range(0, 64, 4):
            assert ports.read(place, offset, 4) == ecam.read(place, offset, 4)


def test_the_address_register_takes_four_bytes_at_once_or_nothing(rig):
    rig.cpu.out(CONFIG_PORTS, config_address(0, 0x1F, 0, 0), 4)
    rig.cpu.out(CONFIG_PORTS, 0x12, 1)
    rig.cpu.out(CONFIG_PORTS + 2, 0x1234, 2)
    assert rig.cpu.inp(CONFIG_PORTS, 4) == config_address(0, 0x1F, 0, 0)
    assert rig.cpu.inp(CONFIG_PORTS, 1) == 0xFF
    assert rig.cpu.inp(CONFIG_PORTS + 6, 2) == 0x2918


def test_without_the_enable_bit_nothing_is_configured(rig):
    rig.cpu.out(CONFIG_PORTS, config_address(0, 0x1F, 0, 0x3C) & ~(1 << 31), 4)
    rig.cpu.out(CONFIG_PORTS + 4, 0x55, 1)
    assert rig.cpu.inp(CONFIG_PORTS + 4, 4) == 0xFFFF_FFFF
    assert rig.isa.header.INTERRUPT_LINE == 0


def test_a_function_that_is_not_there_reads_all_ones(rig):
    ports = PortAccess(rig.cpu)
    for place in (Place(0, 9, 0), Place(1, 1, 0), Place(200, 0, 0), Place(0, 3, 7)):
        assert ports.read(place, 0, 4) == 0xFFFF_FFFF
        ports.write(place, 4, 2, 7)


def test_a_request_is_of_type_1_until_it_is_on_its_bus(rig):
    """PCI bridge 1.2, 3.1.2.1: type 1 becomes type 0 on the secondary bus."""
    place = Place(rig.left.bus.number, 0, 0)
    with rig.root.watching() as crossings:
        PortAccess(rig.cpu).read(place, 0, 4)
    down = [(c.bus, c.tlp.kind) for c in crossings if not c.tlp.completion]
    assert down == [(0, "CfgRd1"), (1, "CfgRd1"), (2, "CfgRd1"), (3, "CfgRd0")]
    back = [(c.bus, c.tlp.kind) for c in crossings if c.tlp.completion]
    assert back == [(3, "CplD"), (2, "CplD"), (1, "CplD"), (0, "CplD")]


def test_on_the_way_to_no_bus_it_stays_type_1(rig):
    with rig.root.watching() as crossings:
        PortAccess(rig.cpu).read(Place(99, 0, 0), 0, 4)
    assert [c.tlp.kind for c in crossings] == ["CfgRd1", "Cpl"]
    assert crossings[-1].tlp.status == 1


def test_ecam_goes_where_pciexbar_says(rig):
    assert rig.cpu.load(ECAM, 4) == 0xFFFF_FFFF
    open_ecam(rig.cpu, ECAM)
    assert rig.cpu.load(ECAM, 4) == 0x29C0_8086
    open_ecam(rig.cpu, 0x4000_0000)
    assert rig.cpu.load(ECAM, 4) == 0xFFFF_FFFF
    assert rig.cpu.load(0x4000_0000, 4) == 0x29C0_8086


@pytest.mark.parametrize("base", [0, 0xC000_0000, 0xB800_0000])
def test_ecam_over_something_else_is_not_shown(rig, base):
    """A hostile base changes nothing but the register."""
    open_ecam(rig.cpu, base)
    assert rig.cpu.load(bar(rig.left), 4) == 0
    rig.cpu.store(0x500, 0x1234, 4)
    assert rig.cpu.load(0x500, 4) == 0x1234


def test_smaller_ecam_shows_fewer_buses(rig):
    access = PortAccess(rig.cpu)
    access.write(Place(0, 0, 0), 0x60, 4, ECAM | 2 << 1 | 1)
    assert rig.cpu.load(ECAM, 4) == 0x29C0_8086
    assert rig.cpu.load(ECAM + (64 << 20), 4) == 0xFFFF_FFFF
    assert rig.trace.counts["unclaimed"]


# -- memory and ports


def test_an_access_finds_its_function_behind_every_bridge(rig):
    for function in (rig.left, rig.right, rig.end, rig.old, rig.deepest, rig.integrated):
        rig.cpu.store(bar(function), 0xABCD_0000 + function.source_id, 4)
    for function in (rig.left, rig.right, rig.end, rig.old, rig.deepest, rig.integrated):
        assert function.scratch.FIRST == 0xABCD_0000 + function.source_id


def test_ports_find_theirs_too(rig):
    for function in (rig.end, rig.old, rig.deepest):
        rig.cpu.out(bar(function, 2) + 4, function.source_id, 4)
        assert function.scratch.SECOND == function.source_id
        assert rig.cpu.inp(bar(function, 2) + 4, 2) == function.source_id


def test_a_closed_window_is_a_master_abort(rig):
    """The bridge above the last bus notes it: Received Master Abort."""
    port = rig.ports_[1]
    port.config.write(Type1.MEMORY_LIMIT.offset, 2, 0)
    assert rig.cpu.load(bar(rig.end), 4) == 0xFFFF_FFFF
    host = rig.bus.functions[0, 0]
    assert Header.STATUS.RECEIVED_MASTER_ABORT.get(host.header.STATUS)


def test_decoding_off_is_said_by_name(rig):
    rig.end.config.write(Header.COMMAND.offset, 2, 0)
    with rig.trace.recording() as events:
        assert rig.cpu.load(bar(rig.end), 4) == 0xFFFF_FFFF
    lost = next(event for event in events if event.kind == "unclaimed")
    assert "BAR0 has it, but memory decoding is off" in lost.note
    assert Type1.SECONDARY_STATUS.RECEIVED_MASTER_ABORT.get(rig.ports_[1].header.SECONDARY_STATUS)


def test_a_bridge_whose_memory_space_is_off_passes_nothing(rig):
    rig.ports_[0].config.write(Header.COMMAND.offset, 2, Header.COMMAND.BUS_MASTER.mask)
    assert rig.cpu.load(bar(rig.left), 4) == 0xFFFF_FFFF


def test_memory_reads_are_answered_and_writes_are_posted(rig):
    with rig.root.watching() as crossings:
        rig.cpu.store(bar(rig.left), 1, 4)
        rig.cpu.load(bar(rig.left), 4)
    kinds = [c.tlp.kind for c in crossings]
    assert kinds == ["MWr"] * 4 + ["MRd"] * 4 + ["CplD"] * 4
    assert [c.bus for c in crossings] == [0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0]
    assert crossings[0].tlp.posted
    assert crossings[4].tlp.non_posted


def test_a_port_write_is_answered_too(rig):
    with rig.root.watching() as crossings:
        rig.cpu.out(bar(rig.end, 2), 1, 1)
    assert [c.tlp.kind for c in crossings] == ["IOWr", "IOWr", "Cpl", "Cpl"]


def test_vga_enable_sends_the_legacy_addresses_down():
    rig = Rig()
    bridge = rig.bus.plug(PciBridge(), 1)
    bridge.config.write(Header.COMMAND.offset, 2, 3)
    bridge.config.write(Type1.MEMORY_BASE.offset, 4, 0x0000_FFF0)
    bridge.config.write(Type1.PREFETCHABLE_BASE.offset, 4, 0x0000_FFF0)
    bridge.config.write(Type1.IO_BASE.offset, 2, 0x00F0)
    assert not bridge.forwards("memory", 0xB8000, 2)
    bridge.config.write(Type1.BRIDGE_CONTROL.offset, 2, Type1.BRIDGE_CONTROL.VGA_ENABLE.mask)
    assert bridge.forwards("memory", 0xB8000, 2)
    assert bridge.forwards("port", 0x3C0, 1)
    assert not bridge.forwards("port", 0x3BC, 1)
    assert not bridge.forwards("memory", 0xBFFFF, 2)


def test_isa_enable_keeps_768_of_1024_ports_above():
    rig = Rig()
    bridge = rig.bus.plug(PciBridge(), 1)
    bridge.config.write(Header.COMMAND.offset, 2, 1)
    bridge.config.write(Type1.IO_BASE.offset, 2, 0x2020)
    bridge.config.write(Type1.BRIDGE_CONTROL.offset, 2, Type1.BRIDGE_CONTROL.ISA_ENABLE.mask)
    down = [at for at in range(0, 0x800, 0x80) if bridge.forwards("port", 0x2000 + at, 1)]
    assert down == [0, 0x80, 0x400, 0x480]


# -- requests of devices


def test_a_function_that_is_no_master_reaches_nothing(rig):
    rig.left.config.write(Header.COMMAND.offset, 2, Header.COMMAND.MEMORY_SPACE.mask)
    with pytest.raises(DmaFault, match="Bus Master Enable is 0"):
        rig.left.dma.write(0x1000, b"abcd")


def test_a_bridge_that_is_no_master_passes_nothing_up(rig):
    rig.switch.upstream.config.write(Header.COMMAND.offset, 2, 3)
    with pytest.raises(DmaFault, match="upstream: Bus Master Enable is 0"):
        rig.left.dma.read(0x1000, 4)
    assert Header.STATUS.RECEIVED_MASTER_ABORT.get(rig.left.header.STATUS)


def test_memory_is_reached_from_everywhere(rig):
    functions = (rig.left, rig.right, rig.end, rig.old, rig.deepest, rig.integrated)
    for index, function in enumerate(functions):
        function.dma.write(0x1000 * index, function.name.encode())
        assert function.dma.read(0x1000 * index, 3) == function.name.encode()[:3]
    assert rig.ram.read(0x1000, 5) == b"right"
    assert bytes(rig.left.dma.view(0x1000, 5)) == b"right"


def test_a_request_outside_memory_is_a_fault(rig):
    with pytest.raises(DmaFault):
        rig.left.dma.read(RAM, 4)


def test_a_function_on_no_bus_reaches_nothing():
    card = Card()
    card.config.write(Header.COMMAND.offset, 2, 4)
    with pytest.raises(DmaFault, match="is on no bus"):
        card.dma.read(0, 4)


def test_source_ids_as_the_root_sees_them(rig):
    """An endpoint has its own; behind a bridge to conventional PCI the bridge answers for all."""
    seen = []
    rig.root.memory = lambda source: seen.append(source) or rig.ram
    for function in (rig.left, rig.end, rig.old, rig.deepest, rig.integrated):
        function.dma.read(0, 4)
    below = rig.to_pci.below.number << 8
    assert seen == [
        rig.left.source_id,
        rig.end.source_id,
        below,
        below,
        rig.integrated.source_id,
    ]


def test_a_peer_behind_the_same_switch_is_reached_without_the_root(rig):
    with rig.root.watching() as crossings:
        rig.left.dma.write(bar(rig.right), b"\x01\x02\x03\x04")
    assert rig.right.scratch.FIRST == 0x0403_0201
    numbers = [rig.left.bus.number, rig.switch.upstream.below.number, rig.right.bus.number]
    assert [c.bus for c in crossings] == numbers
    assert rig.left.dma.read(bar(rig.right), 4) == b"\x01\x02\x03\x04"


def test_acs_redirect_sends_a_peer_request_up_to_the_root(rig):
    """PCI Express 3.0, 6.12.1.1: ACS P2P Request Redirect."""
    port = rig.switch.downstream[0]
    redirect = Acs.CONTROL.P2P_REQUEST_REDIRECT.mask
    port.config.write(ACS_AT + Acs.CONTROL.offset, 2, redirect)
    with rig.root.watching() as crossings, pytest.raises(DmaFault, match="no memory there"):
        rig.left.dma.write(bar(rig.right), b"\x01\x02\x03\x04")
    assert [c.bus for c in crossings] == [3, 2, 1, 0]
    assert rig.right.scratch.FIRST == 0


def test_a_write_to_memory_is_cut_by_the_payload_and_a_read_by_its_request(rig):
    with rig.root.watching() as crossings:
        rig.left.dma.write(0x1000, bytes(512))
        rig.left.dma.read(0x1000, 512)
    per_bus = [c.tlp for c in crossings if c.bus == rig.left.bus.number]
    assert [(t.kind, t.length) for t in per_bus] == [
        *[("MWr", 128)] * 4,
        ("MRd", 512),
        *[("CplD", 128)] * 4,
    ]


def test_no_packet_is_made_while_nobody_watches(rig):
    before = dict(rig.trace.counts)
    rig.cpu.load(bar(rig.left), 4)
    assert rig.trace.counts["MRd"] == before.get("MRd", 0)


def test_a_recording_inside_a_recording_keeps_both(rig):
    with rig.root.watching() as outer:
        rig.cpu.load(bar(rig.left), 4)
        with rig.root.watching() as inner:
            rig.cpu.load(bar(rig.left), 4)
    assert (len(inner), len(outer)) == (8, 16)


class Doorbell(Scratch):
    """Rings its peer whenever it is rung."""

    def write(self, offset, size, value):
        try:
            self.function.dma.write(self.peer, b"ring")
        except DmaFault as fault:
            self.faults.append(str(fault))


def test_devices_that_ring_each_other_come_to_an_end():
    """A guest can point two devices at each other; the nesting is bounded."""
    rig, faults = Rig(), []
    cards = []
    for device in (1, 2):
        card = Card(str(device))
        bell = Doorbell()
        bell.function, bell.faults = card, faults
        card.bars[0] = card.bars[0]._replace(device=bell)
        rig.bus.plug(card, device)
        cards.append((card, bell))
    enumerate_pci(rig.cpu)
    for index, (_, bell) in enumerate(cards):
        bell.peer = bar(cards[1 - index][0])
    rig.cpu.store(bar(cards[0][0]), 1, 4)
    assert len(faults) == 1
    assert "without end" in faults[0]


# -- interrupts


def test_a_pin_becomes_the_interrupt_that_firmware_noted(rig):
    for found in (f for top in rig.found for f in top.walk() if f.line):
        function = next(
            f for f in rig.bus.walk() if (f.bus.number, f.device, f.number) == found.place
        )
        function.irq.set(True)
        assert [n for n, line in rig.lines.items() if line.level] == [found.line]
        function.irq.set(False)
        assert not any(line.level for line in rig.lines.values())


def test_interrupt_disable_and_status(rig):
    card = rig.end
    card.irq.set(True)
    assert Header.STATUS.INTERRUPT_STATUS.get(card.config.read(Header.STATUS.offset, 2))
    card.config.write(Header.COMMAND.offset, 2, 7 | Header.COMMAND.INTERRUPT_DISABLE.mask)
    assert not any(line.level for line in rig.lines.values())
    assert Header.STATUS.INTERRUPT_STATUS.get(card.config.read(Header.STATUS.offset, 2))


def test_shared_pins_stay_up_until_the_last_lets_go(rig):
    """Two functions of one interrupt: a level-triggered line is shared."""
    lined = [f for top in rig.found for f in top.walk() if f.line]
    line = next(n for n in {f.line for f in lined} if sum(f.line == n for f in lined) > 1)
    places = [f.place for f in lined if f.line == line][:2]
    both = [f for f in rig.bus.walk() if place_of(f) in places]
    for function in both:
        function.irq.set(True)
    both[0].irq.set(False)
    assert rig.lines[line].level
    both[1].irq.set(False)
    assert not rig.lines[line].level


def test_msi_is_a_write_to_the_interrupt_addresses():
    rig = Rig()
    card = Card()
    msi = card.config.add(Msi(), 0x40)
    rig.bus.plug(card, 4)
    enumerate_pci(rig.cpu)
    access, place = PortAccess(rig.cpu), Place(0, 4, 0)
    access.write(place, 0x44, 4, 0xFEE0_1000)
    access.write(place, 0x48, 4, 0)
    access.write(place, 0x4C, 2, 0x4041)
    access.write(place, 0x42, 2, 1)
    assert msi.enabled
    card.irq.set(True)
    assert rig.messages == [(card.source_id, Message(0xFEE0_1000, 0x4041))]
    assert not any(line.level for line in rig.lines.values())
    card.irq.set(False)
    card.irq.set(True)
    assert len(rig.messages) == 2


def test_a_message_that_cannot_be_sent_is_seen_in_the_trace():
    rig = Rig()
    card = Card()
    card.config.add(Msi(), 0x40)
    rig.bus.plug(card, 4)
    PortAccess(rig.cpu).write(Place(0, 4, 0), 0x42, 2, 1)
    card.irq.set(True)
    assert rig.trace.counts["lost"] == 1
    assert rig.messages == []


def test_msi_can_point_at_memory(rig):
    """How a test without an interrupt controller sees a message: it is only a write."""
    card = Card()
    card.config.add(Msi(), 0x40)
    rig.bus.plug(card, 9)
    access, place = PortAccess(rig.cpu), Place(0, 9, 0)
    access.write(place, 4, 2, 6)
    access.write(place, 0x44, 4, 0x2000)
    access.write(place, 0x4C, 2, 0x77)
    access.write(place, 0x42, 2, 1)
    card.irq.set(True)
    assert rig.ram.load(0x2000, 4) == 0x77


# -- plugging, reset


def test_a_link_has_one_device(rig):
    with pytest.raises(ValueError, match=r"a link bus has no place 01\.0"):
        rig.ports_[0].below.plug(Card(), 1)


def test_a_place_is_taken_once(rig):
    with pytest.raises(ValueError, match=r"05\.0 is taken"):
        rig.bus.plug(Card(), 5)
    with pytest.raises(ValueError, match="is plugged in already"):
        rig.bus.plug(rig.integrated, 6)
    with pytest.raises(ValueError, match="needs a function 0 first"):
        rig.bus.plug(Card(), 8, 1)


def test_a_second_function_sets_the_multi_function_bit(rig):
    assert PortAccess(rig.cpu).read(Place(0, 3, 0), Header.HEADER_TYPE.offset, 1) == 0x81


def test_a_bus_on_its_own_has_no_root():
    with pytest.raises(ValueError, match="hangs from no root complex"):
        _ = Bus("conventional").root


def test_a_switch_has_1_to_32_ports():
    with pytest.raises(ValueError, match="1 to 32 downstream ports, not 33"):
        Switch(33)


def test_what_is_plugged_in_is_not_changed_any_more(rig):
    with pytest.raises(ValueError, match="plugged in already"):
        make_express(rig.old)


def test_secondary_bus_reset_resets_what_is_below(rig):
    bridge = rig.ports_[0]
    reset = Type1.BRIDGE_CONTROL.SECONDARY_BUS_RESET.mask
    bridge.config.write(Type1.BRIDGE_CONTROL.offset, 2, reset)
    assert rig.left.header.COMMAND == 0
    assert bar(rig.left) == 0
    assert rig.switch.upstream.secondary == 0
    assert bridge.secondary == 1


# -- a hostile guest


@settings(max_examples=40)
@given(st.data())
def test_no_configuration_write_makes_anything_raise(data):
    """Any registers, any values, in any function: then any access, and any request."""
    rig = Rig().plug_everything()
    enumerate_pci(rig.cpu)
    open_ecam(rig.cpu, ECAM)
    functions = list(rig.bus.walk())
    for _ in range(data.draw(st.integers(1, 25))):
        function = data.draw(st.sampled_from(functions))
        offset = data.draw(st.integers(0, 0x3F) | st.integers(0, 0xFFF))
        size = data.draw(st.sampled_from([1, 2, 4]))
        value = data.draw(st.integers(0, all_ones(size)) | st.just(all_ones(size)))
        number = function.bus.number
        gpa = ECAM + (number << 20 | function.device << 15 | function.number << 12 | offset)
        rig.cpu.store(gpa, value, size)
        PortAccess(rig.cpu).write(
            Place(number, function.device, function.number), offset & 0xFC, 4, value
        )
        function.irq.set(not function.irq.level)
    for base in (0, 0x1000, 0xC000_0000, 0xC010_0FFC, 0x8_0000_0000, 0xFDFF_FFF8):
        rig.cpu.load(base, 8)
        rig.cpu.store(base, 1, 8)
        for function in functions:
            try:
                function.dma.write(base, b"12345678")
                function.dma.read(base, 64)
            except DmaFault:
                pass
    for port in range(0x1000, 0x10000, 0x777):
        rig.cpu.out(port, 1, 4)
        rig.cpu.inp(port, 2)
