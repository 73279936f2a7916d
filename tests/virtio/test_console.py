"""The console's bytes, over every transport and layout: virtio 1.3 5.3, without messages."""

import random

import pytest

from tests.virtio.console_rig import Console
from tests.virtio.rig import DATA, RAM, ROOM, WORLDS, Rig
from virtlab.backends import Terminal
from virtlab.virtio import streams
from virtlab.virtio.console import MAX_PORTS, MOST, VirtioConsole
from virtlab.virtio.console_layouts import CONFIG, ConsoleFeature, config_field
from virtlab.virtio.console_port import MAX_WAITING, Port
from virtlab.virtio.features import Feature
from virtlab.virtio.status import DeviceId, Status

EMERG_WR = config_field("emerg_wr")[0]


def single(transport="mmio", layout="split", size=None, **how):
    """A console with one port, and its terminal."""
    terminal = Terminal()
    console = Console(transport, layout, [Port(terminal, size=size)], None, **how)
    return console, terminal


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_what_is_sent_is_shown_and_what_is_typed_arrives(transport, layout):
    console, terminal = single(transport, layout)
    rng, sent, typed = random.Random(1), b"", b""
    console.offer(0, [20] * 16)
    assert console.rig.transport.device_id == DeviceId.CONSOLE
    for _ in range(30):
        data = rng.randbytes(rng.randrange(1, 40))
        cuts = sorted(rng.sample(range(1, len(data)), min(2, len(data) - 1)))
        assert console.transmit(1, data, cuts=cuts) == ("sent", 0)
        sent += data
    for _ in range(10):
        data = rng.randbytes(rng.randrange(1, 30))
        terminal.type(data)
        typed += data
    assert terminal.output == sent
    found = b"".join(console.received(0))
    while console.device.ports[0].incoming:
        console.offer(0, [50])
        found += b"".join(console.received(0))
    assert found == typed
    assert not console.rig.broken


def test_a_terminal_keeps_of_a_buffer_what_it_keeps_of_bytes(monkeypatch):
    monkeypatch.setattr("virtlab.backends.terminal.MAX_CAPTURE", 10)
    rng = random.Random(2)
    for _ in range(50):
        many, each = Terminal(), Terminal()
        for _ in range(5):
            data = rng.randbytes(rng.randrange(25))
            many.receive_many(data)
            for byte in data:
                each.receive(byte)
            assert many.output == each.output


# -- to the guest


def test_typed_bytes_wait_for_a_buffer_and_fill_one_after_the_other():
    console, terminal = single()
    terminal.type("hello, ")
    terminal.type("world")
    assert console.received(0) == []
    console.offer(0, [5, 1, 2, 100, 7])
    assert console.received(0) == [b"hello", b",", b" w", b"orld"]
    terminal.type("again")
    assert console.received(0) == [b"again"]


def test_a_buffer_in_pieces_is_filled_across_them():
    console, terminal = single()
    console.queues[0].add_buf([], [(DATA, 3), (DATA + 100, 1), (DATA + 50, 9)], "it")
    console.queues[0].kick()
    terminal.type("hello")
    assert console.queues[0].get_buf() == ("it", 5)
    ram = console.rig.ram
    assert ram.read(DATA, 3) + ram.read(DATA + 100, 1) + ram.read(DATA + 50, 2) == b"hello\0"


def test_what_is_typed_to_nobody_is_kept_up_to_a_bound():
    console, terminal = single()
    data = random.Random(3).randbytes(MAX_WAITING + 1000)
    terminal.type(data[:1000])
    terminal.type(data[1000:])
    assert console.ports[0].lost == 1000
    assert bytes(console.ports[0].incoming) == data[:MAX_WAITING]


def test_typed_bytes_survive_a_reset():
    console, terminal = single()
    terminal.type("kept")
    console.rig.start(queues=2)
    console.queues = console.rig.guest.queues
    console.offer(0, [10])
    assert console.received(0) == [b"kept"]


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_readable_buffer_in_a_receiveq_is_a_mistake(layout):
    """5.3.6.1. What was typed is not lost with it."""
    console, terminal = single(layout=layout)
    console.queues[0].add_buf([(DATA, 1)], [(DATA + 8, 8)], "wrong")
    console.queues[0].kick()
    assert not console.rig.broken
    terminal.type("x")
    assert console.rig.broken
    assert "5.3.6.1" in console.rig.notes("guest error")[0]
    assert console.ports[0].incoming == b"x"


# -- from the guest


class OneByOne(VirtioConsole):
    """The reference: one chain after the other."""

    def _transmit(self, port, queue):
        self.transmit_each(port, queue)


def shown(kind, layout, chains, without=()):
    """What a terminal got of `chains` behind one doorbell, and what came back."""
    terminal = Terminal()
    rig = Rig(kind([Port(terminal)], queue_size=256))
    rig.start(layout, understood=set(ConsoleFeature), without=without, queues=2, entries=8)
    rig.ram.write(DATA, random.Random(4).randbytes(0x80000))
    queue = rig.guest.queues[1]
    for number, (out, in_) in enumerate(chains):
        queue.add_buf(out, in_, number)
    queue.kick()
    return terminal.output, list(iter(queue.get_buf, None)), rig.device.dropped, rig.broken


def random_chains(seed, count=40):
    """Chains of one to five pieces: of one length, side by side, or odd."""
    rng = random.Random(seed)
    sizes = rng.choice([[1, 7, 64, 300], [64], [5]])
    at, chains = DATA, []
    for _ in range(count):
        pieces = []
        for _ in range(rng.choice([1, 1, rng.randint(1, 5)])):
            pieces.append((at, rng.choice(sizes)))
            at += pieces[-1][1] + rng.choice([0, 0, 3])
        chains.append((pieces, []))
    return chains


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("without", [(), (Feature.IN_ORDER, Feature.RING_INDIRECT_DESC)])
def test_a_batch_is_shown_as_its_chains_are_one_by_one(layout, seed, without):
    chains = random_chains(seed)
    found = shown(VirtioConsole, layout, chains, without)
    assert found == shown(OneByOne, layout, chains, without)
    assert len(found[0]) == sum(size for out, _ in chains for _, size in out)
    assert len(found[1]) == len(chains)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("wrong", [0, 1, 30, 39])
def test_what_came_before_a_writable_buffer_is_shown(layout, wrong):
    """5.3.6.1: the driver must not put a device-writable buffer in a transmitq."""
    chains = random_chains(2)
    chains[wrong] = (chains[wrong][0], [(DATA, 4)])
    found = shown(VirtioConsole, layout, chains)
    assert found == shown(OneByOne, layout, chains)
    assert len(found[1]) == wrong
    assert found[3]


@pytest.mark.parametrize("kind", [VirtioConsole, OneByOne])
def test_what_is_sent_to_a_port_that_is_gone_comes_back(kind):
    rig = Rig(kind([Port(Terminal())], 1))
    rig.start(understood=set(ConsoleFeature), queues=4)
    rig.device.unplug(0)
    rig.guest.queues[1].add_buf([(DATA, 8)], [], "lost")
    rig.guest.queues[1].kick()
    assert rig.guest.queues[1].get_buf() == ("lost", 0)
    assert not rig.broken


@pytest.mark.parametrize("transport", ["mmio", "pci", "pci-transitional"])
def test_the_last_of_the_most_ports_works(transport):
    """511 ports have 1,024 queues: every transport has a doorbell for the last."""
    terminal = Terminal()
    rig = Rig(VirtioConsole([Port(Terminal())], MAX_PORTS, 2), transport)
    rig.start(understood=set(ConsoleFeature), queues=1)
    rig.device.plug(MAX_PORTS - 1, Port(terminal))
    last = len(rig.device.queue_sizes) - 1
    queue = rig.guest.add_queue(last)
    queue.add_buf([(DATA, 4)], [], "to the last")
    queue.kick()
    assert queue.get_buf() == ("to the last", 0)
    assert terminal.output == bytes(4)


def test_the_moves_are_bounded(monkeypatch):
    monkeypatch.setattr(streams, "SLAB", 100)
    chains = random_chains(3)
    assert shown(VirtioConsole, "split", chains) == shown(OneByOne, "split", chains)


@pytest.mark.parametrize("kind", [VirtioConsole, OneByOne])
def test_of_one_buffer_so_many_bytes_are_passed_on_and_no_more(kind):
    """A guest's number decides no work: the same piece many times over is a long buffer, too."""
    piece = (ROOM + 0x80000, MOST - 10)
    chains = [([piece, (DATA, 50)], []), ([piece] * 7, []), ([(DATA, 3)], [])]
    output, used, dropped, broken = shown(kind, "split", chains)
    assert len(used) == 3
    assert dropped == 40 + 7 * (MOST - 10) - MOST
    assert not broken
    assert bytes(output[-3:]) == random.Random(4).randbytes(4)[:3]


# -- what it is


def test_its_configuration_and_queues():
    """5.3.2, 5.3.4: two queues, or two more and two for each port."""
    plain = VirtioConsole([Port(Terminal())])
    assert plain.queue_sizes == (128, 128)
    assert plain.features == {ConsoleFeature.EMERG_WRITE, Feature.IN_ORDER}
    assert len(plain.config) == CONFIG.itemsize
    many = VirtioConsole([Port(Terminal(), size=(80, 25))], 31, 16)
    assert many.queue_sizes == (16,) * 64
    assert many.features == set(ConsoleFeature) | {Feature.IN_ORDER}
    assert many.config.hex() == "500019001f00000000000000"


def test_ports_that_cannot_be():
    port = Port(Terminal())
    for ports, most in (([], None), ([port] * 2, None), ([port] * 3, 2), ([], 0)):
        with pytest.raises(ValueError, match="ports, not"):
            VirtioConsole(ports, most)
    with pytest.raises(ValueError, match="0 to 511 ports, not 0 of 512"):
        VirtioConsole([], MAX_PORTS + 1)
    with pytest.raises(ValueError, match="at most 64 bytes, not 66"):
        Port(Terminal(), "ä" * 33)


@pytest.mark.parametrize("transport", sorted({transport for transport, _ in WORLDS}))
def test_a_character_without_any_queue(transport):
    """5.3.5.1: a write to emerg_wr is allowed even on an unconfigured device."""
    terminal = Terminal()
    rig = Rig(VirtioConsole([Port(terminal)]), transport)
    for character in b"boot\0":
        rig.transport.config_write(EMERG_WR, 4, 0x1234_5600 | character)
    assert terminal.output == b"boot\0"
    assert rig.status == 0
    rig.start(queues=2)
    rig.transport.config_write(EMERG_WR, 1, ord("!"))
    assert terminal.output == b"boot\0!"
    assert rig.transport.config_read(EMERG_WR, 4) == 0


def test_a_character_after_the_rings_are_broken():
    """5.3.5: it works for catastrophic failures, such as ring corruption."""
    console, terminal = single()
    console.queues[1].add_buf([], [(DATA, 1)], "wrong")
    console.queues[1].kick()
    assert console.rig.status & Status.DEVICE_NEEDS_RESET
    console.rig.transport.config_write(EMERG_WR, 4, ord("x"))
    assert terminal.text == "x"


def test_nothing_else_of_the_configuration_can_be_written():
    console, terminal = single(size=(80, 25))
    before = console.device.config
    for offset, size in ((0, 2), (2, 2), (4, 4), (9, 1), (10, 2)):
        console.rig.transport.config_write(offset, size, 0x41414141)
    assert console.device.config == before
    assert len(console.rig.notes("refused")) == 5
    assert terminal.text == ""


def test_without_port_0_an_emergency_character_goes_nowhere():
    console = Console()
    console.device.unplug(0)
    console.rig.transport.config_write(EMERG_WR, 4, ord("x"))
    assert not console.rig.notes("refused")


def test_another_size_changes_the_configuration():
    """5.3.6: with SIZE, a configuration change says that the size can be read again."""
    console, _ = single(size=(80, 25))
    console.rig.guest.causes()
    console.device.resize(132, 43)
    assert console.rig.guest.causes() == 2
    assert console.rig.guest.config([config_field("cols"), config_field("rows")]) == [132, 43]
    console.device.resize(132, 43)
    assert console.rig.guest.causes() == 0


def test_without_size_there_is_nothing_to_say():
    console, _ = single()
    console.device.resize(132, 43)
    assert console.rig.guest.causes() == 0
    assert console.rig.guest.config([config_field("cols")]) == [0]


def test_a_field_that_is_none():
    with pytest.raises(ValueError, match="no field 'colour'"):
        config_field("colour")


def test_the_room_of_the_tests_is_inside_of_memory():
    assert ROOM + 0x80000 + MOST <= RAM
