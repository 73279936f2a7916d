"""INTx on links: a message where a wire would have changed (PCI Express 3.0, 2.2.8.1)."""

import pytest

from tests.pci.rig import Card, Rig
from virtlab.pci.express import Switch, make_express
from virtlab.pci.tlp import message_name


@pytest.fixture
def rig():
    return Rig().plug_everything()


def messages(rig, act):
    with rig.root.watching() as crossings:
        act()
    return [(each.source, message_name(each.tlp.code)) for each in crossings]


def set_all(wires, level):
    for wire in wires:
        wire.set(level)


def test_a_pin_is_a_message_on_each_link_of_the_way(rig):
    """The switch ends the message and sends its own; its internal bus carries none."""
    sent = messages(rig, lambda: rig.left.irq.pulse())
    names = [(source.split(" ", 1)[1], what) for source, what in sent]
    assert names == [
        ("left", "Assert_INTA"),
        ("switch, upstream", "Assert_INTA"),
        ("left", "Deassert_INTA"),
        ("switch, upstream", "Deassert_INTA"),
    ]


def test_the_pin_s_name_follows_the_swizzle(rig):
    """The card behind port 1 pulls INTA; the upstream port says INTB."""
    sent = messages(rig, lambda: rig.right.irq.set(True))
    assert [what for _, what in sent] == ["Assert_INTA", "Assert_INTB"]


def test_a_conventional_bus_has_wires_and_the_bridge_above_it_sends(rig):
    sent = messages(rig, lambda: rig.old.irq.set(True))
    assert len(sent) == 1
    assert "PCIe-PCI bridge" in sent[0][0]


def test_functions_that_share_a_pin_send_one_message(rig):
    """Assert when the first pulls, Deassert when the last lets go."""
    other = make_express(Card("other"))
    rig.end.bus.plug(other, 0, 1)
    both = rig.end.irq, other.irq
    assert [what for _, what in messages(rig, lambda: set_all(both, True))] == ["Assert_INTA"]
    assert [what for _, what in messages(rig, lambda: set_all(both, False))] == ["Deassert_INTA"]


def test_nobody_watches_nothing_is_made(rig):
    rig.left.irq.set(True)
    assert messages(rig, lambda: None) == []


def test_a_switch_on_the_bench_has_nobody_to_tell():
    switch, card = Switch(1), make_express(Card())
    switch.downstream[0].below.plug(card)
    card.irq.set(True)
    assert card.irq.level
