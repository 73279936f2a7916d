"""The 82540EM's driver, on our card, in a VM, and on QEMU's. The same tests, the same frames."""

import pytest

from tests.devices.e1000.packets import tcp4, udp4
from tests.devices.e1000.worlds import WORLDS, OurWorld
from tests.needs import needs_qemu
from virtlab.clock import MILLISECOND, SECOND
from virtlab.cpu import Recorder
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.checksum import ones_sum
from virtlab.devices.e1000.eeprom import image
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import RX_STATUS, TransmitRing
from virtlab.guest.e1000 import (
    BUFFER,
    Card,
    E1000Driver,
    checksums,
    memory_needed,
    segmentation,
)
from virtlab.guest.e1000.card import MTA, VFTA
from virtlab.guest.pic import Pics

MEMORY = 0x1_0000
PEER = bytes.fromhex("02aabbccddee")
GROUP = bytes.fromhex("01005e000001")
SOON = 20 * SECOND
"""Long enough for QEMU, which lets nothing in for a second after RCTL was written."""


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.oracle] if name == "qemu" else []) for name in WORLDS
    ]
)
def world(request):
    made = WORLDS[request.param]()
    yield made
    made.close()


@pytest.fixture
def driver(world):
    made = E1000Driver(world.cpu, world.base, MEMORY)
    made.start()
    return made


def frame(length=60, to=PEER, source=DEFAULT_MAC, fill=0):
    """A frame of `length` bytes."""
    return (to + source + b"\x88\xb5").ljust(length, bytes([fill]))


# -- the other two chips


def test_who_it_is(driver):
    assert driver.address == DEFAULT_MAC
    assert driver.eeprom_valid()
    assert driver.link


def test_a_reset_leaves_no_cause(driver):
    """Not even where RST does nothing, as in QEMU."""
    driver.put(Interrupts.ICS, CAUSES["RXT0"].mask)
    driver.reset()
    assert driver.causes() == []


def test_a_start_forgets_groups_and_vlans(driver):
    driver.add_group(GROUP)
    driver.add_vlan(5)
    driver.start()
    for table in (MTA, VFTA):
        assert not any(driver.cpu.load(driver.base + table + at, 4) for at in range(0, 512, 4))


def test_both_ways_to_the_eeprom_agree(driver):
    for word in (0, 2, 11, 63):
        assert driver.eeprom(word) == driver.eeprom_by_wires(word) == image(DEFAULT_MAC)[word]


def test_the_phy(driver):
    assert (driver.phy_read(2), driver.phy_read(3)) == (0x0141, 0x0C20)
    driver.phy_write(16, 0x1234)
    assert driver.phy_read(16) == 0x1234
    with pytest.raises(LookupError, match="no such register 7"):
        driver.phy_read(7)


def test_the_link_comes_after_a_negotiation(driver):
    driver.causes()
    driver.phy_write(0, 0x1340)
    assert not driver.link
    driver.link_up()
    assert driver.link
    assert "LSC" in driver.causes()


def test_a_pulled_cable_is_seen(world, driver):
    driver.causes()
    world.pull(False)
    assert not driver.link
    assert "LSC" in driver.causes()


# -- sending


def test_frames_go_out_in_order(world, driver):
    frames = [frame(60 + n, fill=n) for n in range(200)]
    driver.send(*frames)
    assert world.sent() == frames


@pytest.mark.parametrize("length", [BUFFER, BUFFER + 1, 9000, 16288])
def test_a_long_frame_takes_several_buffers(world, driver, length):
    data = bytes(n % 253 for n in range(length))
    driver.send(frame(), data, frame())
    assert world.sent() == [frame(), data, frame()]


def test_pieces_are_sent_from_where_they_are(world, driver):
    data = frame(100, fill=7)
    at = MEMORY + memory_needed()
    world.cpu.write(at, data)
    driver.send_pieces([(at, 14), (at + 14, 50), (at + 64, 36)], [(at, 60)])
    assert world.sent() == [data, data[:60]]


@pytest.mark.parametrize("data", [tcp4(b"hello"), udp4(b"hello, world"), tcp4(bytes(1400))])
def test_the_card_inserts_checksums(world, driver, data):
    """What goes out is the packet as it would be with checksums made by hand."""
    spoilt = bytearray(data)
    spoilt[24:26] = b"\xaa\xaa"
    driver.send_with_checksums(bytes(spoilt))
    assert world.sent() == [data.ljust(60, b"\0") if world.name != "qemu" else data]


def test_the_card_cuts_a_tcp_packet(world, driver):
    payload = bytes(n % 251 for n in range(10_000))
    driver.send_segmented(tcp4(payload, flags=0x19, sequence=7, identification=9), 1460)
    pieces = [payload[at : at + 1460] for at in range(0, 10_000, 1460)]
    assert world.sent() == [
        tcp4(
            piece,
            flags=0x19 if n == len(pieces) - 1 else 0x10,
            sequence=7 + 1460 * n,
            identification=9 + n,
        )
        for n, piece in enumerate(pieces)
    ]


def test_the_card_cuts_a_udp_packet(world, driver):
    payload = bytes(range(100)) * 3
    driver.send_segmented(udp4(payload, identification=1), 128)
    assert world.sent() == [
        udp4(payload[at : at + 128], identification=1 + at // 128) for at in (0, 128, 256)
    ]


# -- receiving


def test_a_frame_comes_in_without_its_crc(world, driver):
    world.arrive(frame(80, DEFAULT_MAC, PEER, 5))
    got = driver.receive(SOON)
    assert got.frame == frame(80, DEFAULT_MAC, PEER, 5)
    assert got.status & RX_STATUS.EOP.mask
    assert (got.errors, got.vlan) == (0, None)
    assert driver.receive() is None


def test_three_turns_of_the_ring(world, driver):
    size = driver.receiving.size
    for number in range(3 * size):
        world.arrive(frame(64 + number % 32, DEFAULT_MAC, PEER, number % 256))
        got = driver.receive(SOON)
        assert got.frame == frame(64 + number % 32, DEFAULT_MAC, PEER, number % 256)
        assert driver.receive() is None


def test_a_long_frame_comes_in_several_buffers(world):
    driver = E1000Driver(world.cpu, world.base, MEMORY)
    driver.start(LPE=1)
    data = DEFAULT_MAC + bytes(n % 249 for n in range(9000))
    world.arrive(data)
    got = driver.receive(SOON)
    assert got.frame == data
    assert got.checksum == (0 if world.name == "qemu" else ones_sum(data))


def test_filters(world, driver):
    """Exact addresses and groups; others stay out."""
    driver.set_address(3, b"\x02\1\2\3\4\5")
    driver.add_group(GROUP)
    wanted = [
        frame(60, to, PEER)
        for to in (DEFAULT_MAC, b"\x02\1\2\3\4\5", GROUP, b"\xff" * 6, DEFAULT_MAC)
    ]
    for each in [wanted[0], frame(60, PEER, PEER), *wanted[1:3], frame(60, b"\x03" * 6, PEER)]:
        world.arrive(each)
    for each in wanted[3:]:
        world.arrive(each)
    assert [driver.receive(SOON).frame for _ in wanted] == wanted
    driver.set_address(3, None)
    world.arrive(frame(60, b"\x02\1\2\3\4\5", PEER))
    assert driver.receive(20 * MILLISECOND) is None


def test_vlans(world):
    """CTRL.VME takes the tag out; the filter lets one VLAN in."""
    driver = E1000Driver(world.cpu, world.base, MEMORY)
    driver.start(VFE=1)
    driver.add_vlan(5)
    driver.add_vlan(7)
    driver.put(General.CTRL, driver.get(General.CTRL) | General.CTRL.VME.mask)
    for vlan in (6, 5):
        tag = b"\x81\x00" + vlan.to_bytes(2, "big")
        world.arrive(DEFAULT_MAC + PEER + tag + b"\x88\xb5" + bytes([vlan] * 60))
    got = driver.receive(SOON)
    assert got.vlan == 5
    assert got.frame == DEFAULT_MAC + PEER + b"\x88\xb5" + bytes([5] * 60)


# -- interrupts


def test_a_frame_interrupts(world, driver):
    """Through the card's pin and the 8259As. `receive_asleep` reads no register before it."""
    world.arrive(frame(60, DEFAULT_MAC, PEER))
    assert driver.receive(SOON) is not None
    driver.causes()
    pics = Pics(world.cpu)
    pics.remap()
    pics.unmask(world.irq)
    driver.unmask("RXT0")
    world.arrive(frame(60, DEFAULT_MAC, PEER, 3))
    assert pics.next_irq() == world.irq
    assert "RXT0" in driver.causes()
    pics.eoi(world.irq)
    assert driver.receive().frame == frame(60, DEFAULT_MAC, PEER, 3)
    driver.mask("RXT0")
    world.arrive(frame(60, DEFAULT_MAC, PEER, 4))
    assert pics.next_irq(20 * MILLISECOND) is None


def test_asleep_until_a_frame_comes(world, driver):
    driver.unmask("RXT0")
    assert driver.receive_asleep(MILLISECOND) is None
    world.arrive(frame(60, DEFAULT_MAC, PEER))
    assert driver.receive(SOON).frame == frame(60, DEFAULT_MAC, PEER)
    world.arrive(frame(60, DEFAULT_MAC, PEER, 1))
    assert driver.receive_asleep().frame == frame(60, DEFAULT_MAC, PEER, 1)


# -- counters


def test_statistics(world, driver):
    driver.send(frame(100), frame(100, GROUP))
    world.arrive(frame(200, b"\xff" * 6, PEER))
    assert driver.receive(SOON) is not None
    names = ("GPTC", "TOT", "MPTC", "GPRC", "TOR", "BPRC", "MPRC")
    assert driver.statistics(*names) == {
        "GPTC": 2,
        "TOT": 208,
        "MPTC": 1,
        "GPRC": 1,
        "TOR": 204,
        "BPRC": 1,
        "MPRC": 0,
    }
    assert driver.statistics("GPTC", "TOR") == {"GPTC": 0, "TOR": 0} or world.name == "qemu"
    assert len(driver.statistics()) > 50


# -- both at once


def test_two_cards_on_one_wire():
    """Ours to ours: what one driver sends, the other receives."""
    worlds = [OurWorld() for _ in range(2)]
    drivers = [E1000Driver(each.cpu, each.base, MEMORY) for each in worlds]
    worlds[0].link.b.listener = lambda data: worlds[1].link.b.send(data)
    worlds[1].link.b.listener = lambda data: worlds[0].link.b.send(data)
    for driver in drivers:
        driver.start(UPE=1)
    for number in range(100):
        drivers[number % 2].send(frame(60 + number, fill=number))
        assert drivers[1 - number % 2].receive().frame == frame(60 + number, fill=number)


@needs_qemu
@pytest.mark.oracle
def test_our_card_talks_to_qemus():
    ours, theirs = OurWorld(), WORLDS["qemu"]()
    try:
        drivers = [E1000Driver(each.cpu, each.base, MEMORY) for each in (ours, theirs)]
        for driver in drivers:
            driver.start(UPE=1)
        for number in range(50):
            for sender, receiver, to, at in (
                (*drivers, theirs, ours),
                (*drivers[::-1], ours, theirs),
            ):
                sender.send(frame(60 + number, fill=number))
                for each in at.sent():
                    to.arrive(each)
                assert receiver.receive(SOON).frame == frame(60 + number, fill=number)
    finally:
        theirs.close()


# -- on our card only: what goes wrong


@pytest.fixture
def ours():
    made = OurWorld()
    made.driver = E1000Driver(made.cpu, made.base, MEMORY, 8)
    return made


def test_without_a_cable_there_is_no_link(ours):
    ours.link.set_up(False)
    with pytest.raises(TimeoutError, match="STATUS stayed"):
        ours.driver.start()


def test_a_transmitter_that_stops_is_noticed(ours):
    ours.driver.start()
    ours.driver.put(TransmitRing.TCTL, 0)
    with pytest.raises(TimeoutError, match="descriptor 0 was not sent"):
        ours.driver.send(frame())


def test_a_send_is_a_few_accesses(ours):
    """One buffer, one descriptor, one doorbell, one look: what lesson and task count."""
    ours.driver.start()
    recorder = Recorder(ours.cpu)
    ours.driver.cpu = ours.driver.transmit.cpu = recorder
    ours.driver.send(frame())
    verbs = [(each.write, each.size) for each in recorder.accesses]
    assert verbs == [(True, 60), (True, 16), (True, 4), (False, 1)]


def test_descriptor_i_has_buffer_i(ours):
    """A context has no data, and its buffer is left alone."""
    ours.driver.start()
    ours.driver.send_with_checksums(tcp4(b"hello"))
    queue = ours.driver.transmit
    assert ours.cpu.load(queue.descriptor(1), 8) == queue.buffer(1)
    assert ours.cpu.read(queue.buffer(0), 60) == bytes(60)


@pytest.mark.parametrize("ring", [7, 4104, 0])
def test_a_ring_has_a_multiple_of_eight_descriptors(ours, ring):
    with pytest.raises(ValueError, match="multiple of 8"):
        E1000Driver(ours.cpu, ours.base, MEMORY, ring)


def test_a_ring_is_aligned(ours):
    with pytest.raises(ValueError, match="multiple of 16"):
        E1000Driver(ours.cpu, ours.base, MEMORY + 8)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda d: d.send(bytes(13)), "header of 14"),
        (lambda d: d.send(bytes(16289)), "up to 16288"),
        (lambda d: d.send_pieces([]), "pieces"),
        (lambda d: d.send_pieces([(0, 1)] * 7), "pieces"),
        (lambda d: d.eeprom(64), "words 0 to 63"),
        (lambda d: d.eeprom_by_wires(-1), "words 0 to 63"),
        (lambda d: d.set_address(16, DEFAULT_MAC), "16 exact"),
        (lambda d: d.set_address(0, b"short"), "6 bytes"),
        (lambda d: d.add_group(b"short"), "6 bytes"),
        (lambda d: d.add_vlan(4096), "12 bits"),
        (lambda d: d.send_segmented(tcp4(b""), 0), "1 to 65535"),
        (lambda d: d.send_with_checksums(frame()), "IPv4 only"),
        (lambda d: d.send_with_checksums(tcp4(b"")[:50]), "ends inside"),
        (lambda d: d.send_with_checksums(tcp4(b"", protocol=1)), "IPv4 only"),
    ],
)
def test_misuse_is_refused(ours, call, what):
    ours.driver.start()
    with pytest.raises(ValueError, match=what):
        call(ours.driver)


def test_an_unknown_cause_is_refused(ours):
    with pytest.raises(KeyError):
        ours.driver.unmask("NOSUCH")


def test_a_card_that_reports_more_than_a_buffer_holds_is_not_believed(ours):
    """Length is the card's word; the driver reads no other memory for it."""
    ours.driver.start()
    at = ours.driver.receiving.descriptor(0)
    ours.cpu.write(at + 8, (0xFFFF).to_bytes(2, "little") + bytes([0, 0, 3]))
    assert len(ours.driver.receive().frame) == BUFFER


def test_a_ring_without_an_end_of_packet_is_looked_at_once(ours):
    ours.driver.start()
    queue = ours.driver.receiving
    for index in range(queue.size):
        ours.cpu.write(queue.descriptor(index) + 8, b"\x01\0\0\0\x01")
    queue.card = Card(ours.cpu, ours.base)
    assert queue.receive() is None
    assert len(queue.parts) == queue.size


def test_offloads_know_the_packet():
    plain, cut = checksums(udp4(b"x" * 30)), segmentation(tcp4(b"y" * 30, options=b"\1" * 4), 10)
    assert (plain.context.tucso, plain.context.tse, plain.context.hdrlen) == (40, False, 0)
    assert (cut.context.hdrlen, cut.context.paylen, cut.context.ipcse) == (58, 30, 37)
