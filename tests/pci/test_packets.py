"""What a watcher sees: one packet for each bus of the way, and its answer."""

from itertools import pairwise

import pytest

from tests.pci.rig import Card, Rig
from tests.pci.test_routing import bar
from virtlab.guest.pci import Place, PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci import packets
from virtlab.pci.capabilities import Express
from virtlab.pci.express import ENDPOINT_AT
from virtlab.pci.packets import PAYLOAD, READ_REQUEST, limits


@pytest.fixture
def rig():
    made = Rig().plug_everything()
    enumerate_pci(made.cpu)
    return made


def test_the_ends_of_each_crossing_have_names(rig):
    with rig.root.watching() as crossings:
        rig.cpu.load(bar(rig.end), 4)
    steps = [(c.source.split(" ", 1)[-1], c.target.split(" ", 1)[-1]) for c in crossings]
    assert steps == [
        ("processor", "root port 1"),
        ("root port 1", "end"),
        ("end", "root port 1"),
        ("root port 1", "processor"),
    ]
    assert str(crossings[0]).startswith("bus 00  processor -> 00:03.1 root port 1  MRd32 ")


def test_an_answer_comes_from_whoever_found_that_nobody_is_there(rig):
    """2.3.1: a request that nobody takes is completed as Unsupported Request."""
    with rig.root.watching() as crossings:
        rig.cpu.load(0xFDFF_F000, 4)
    answer = crossings[-1]
    assert (answer.source, answer.tlp.kind, answer.tlp.status) == ("nobody", "Cpl", 1)
    assert (answer.tlp.length, answer.tlp.data) == (0, b"")


def test_a_write_carries_its_bytes_and_a_read_brings_them(rig):
    with rig.root.watching() as crossings:
        rig.cpu.store(bar(rig.integrated) + 4, 0x1234, 2)
        rig.cpu.load(bar(rig.integrated) + 4, 2)
    write, read, answer = (c.tlp for c in crossings)
    assert (write.data, read.data, answer.data) == (b"\x34\x12", b"", b"\x34\x12")
    assert (answer.tag, answer.requester) == (read.tag, read.requester)
    assert answer.completer == rig.integrated.source_id


def test_tags_are_32_and_come_again(rig):
    """2.2.6.2: five bits without Extended Tag."""
    with rig.root.watching() as crossings:
        for _ in range(40):
            rig.cpu.load(bar(rig.integrated), 4)
    tags = [c.tlp.tag for c in crossings if c.tlp.kind == "MRd"]
    assert set(tags) == set(range(32))
    assert all(after == (before + 1) % 32 for before, after in pairwise(tags))


def test_the_limits_are_the_registers(rig):
    assert limits(Card()) == (PAYLOAD, READ_REQUEST)
    field = Express.DEVICE_CONTROL.MAX_READ_REQUEST
    rig.left.config.write(ENDPOINT_AT + Express.DEVICE_CONTROL.offset, 2, field.put(0, 0))
    assert limits(rig.left) == (128, 128)
    with rig.root.watching() as crossings:
        rig.left.dma.read(0x1000, 256)
    asked = [c.tlp for c in crossings if c.bus == rig.left.bus.number and c.tlp.kind == "MRd"]
    assert [(t.address, t.length) for t in asked] == [(0x1000, 128), (0x1080, 128)]


def test_a_function_reads_memory_and_a_peer_with_completions_back(rig):
    rig.right.scratch.FIRST = 0x0403_0201
    with rig.root.watching() as crossings:
        rig.left.dma.read(bar(rig.right), 4)
        rig.left.dma.read(0x1000, 4)
    from_peer = [c for c in crossings if c.tlp.completion][:3]
    assert {c.tlp.completer for c in from_peer} == {rig.right.source_id}
    assert from_peer[0].tlp.data == b"\x01\x02\x03\x04"
    assert [c.bus for c in from_peer] == [rig.right.bus.number, 2, rig.left.bus.number]
    assert crossings[-1].tlp.completer == 0
    assert crossings[-1].target == str(rig.left)


def test_a_watcher_is_given_a_bounded_number(rig, monkeypatch):
    monkeypatch.setattr(packets, "MAX_KEPT", 5)
    with rig.root.watching() as outer:
        rig.cpu.load(bar(rig.integrated), 4)
        with rig.root.watching() as inner:
            for _ in range(5):
                rig.cpu.load(bar(rig.integrated), 4)
    assert (len(inner), len(outer)) == (5, 5)
    assert rig.root.packets.dropped == 5


def test_the_trace_has_each_crossing_with_its_kind(rig):
    with rig.trace.recording() as events:
        PortAccess(rig.cpu).read(Place(0, 5, 0), 0, 4)
    (asked,) = [e for e in events if e.kind == "CfgRd0"]
    assert asked.who == "bus 00"
    assert asked.note.endswith("integrated, non-posted")
    assert [e.note.rsplit(", ", 1)[-1] for e in events if e.kind == "CplD"] == ["completion"]


def test_a_pin_on_a_link_is_a_message_and_on_a_conventional_bus_a_wire(rig):
    """2.2.8.1: Assert_INTx and Deassert_INTx, from each port to the next one up."""
    with rig.root.watching() as crossings:
        rig.left.irq.set(True)
        rig.left.irq.set(False)
        rig.integrated.irq.set(True)
    codes = [(c.bus, c.tlp.kind, c.tlp.code) for c in crossings]
    links = [rig.left.bus.number, 1]
    assert [code for code in codes if code[2] < 0x24] == [(n, "Msg", 0x20) for n in links]
    assert [code for code in codes if code[2] >= 0x24] == [(n, "Msg", 0x24) for n in links]
