"""What holds for every widget: named controls, a fixed line, silent callbacks, no slider."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import pytest

from virtlab.devices.uart import REGISTERS
from virtlab.machine import lesson_pc
from virtlab.pci.dump import example
from virtlab.show import (
    AddressProbe,
    BarLab,
    ConfigView,
    DiscoveryPlayer,
    PacketViewer,
    Player,
    Predict,
    Quiz,
    RegisterViewer,
    Request,
    RequestWalker,
    SplitLab,
    TracePlayer,
    bars,
    question,
)
from virtlab.show.palette import NARROWEST
from virtlab.show.shell import Shell, drawing, marked, quoted, said, whole
from virtlab.trace import Access

ROOT = Path(__file__).parents[2]


def a_quiz():
    return Quiz([question("1 + 1?", ("2", "So it is."), ("3", "One too many."))])


def a_viewer():
    uart = {"SCR": 0x55}
    return RegisterViewer(
        REGISTERS, lambda: uart, lambda reg, value: uart.update({reg.name: value})
    )


def a_trace_player():
    accesses = [Access(i, True, "serial", 0x3F8, 1, byte) for i, byte in enumerate(b"hi\nyou\n")]
    return TracePlayer(accesses, {0x3F8: REGISTERS})


def a_probe():
    pc = lesson_pc()
    return AddressProbe(pc.ports, pc.memory)


def a_player():
    return Player(3, lambda index: bars("Frame", {"index": index}), chapters={"the end": 2})


def a_walker():
    pc = lesson_pc()
    loads = [Request(f"load {n}", partial(pc.cpu.load, 0xE000_0000 + n)) for n in (0, 4)]
    return RequestWalker(pc.cards.root, loads)


def a_packet_viewer():
    pc = lesson_pc()
    with pc.cards.root.watching() as crossings:
        pc.cpu.load(0xE000_0000)
    return PacketViewer(crossings)


def a_discovery():
    pc = lesson_pc()
    return DiscoveryPlayer(pc.cpu, pc.cards.root)


WIDGETS = {
    "Quiz": a_quiz,
    "RegisterViewer": a_viewer,
    "TracePlayer": a_trace_player,
    "AddressProbe": a_probe,
    "Player": a_player,
    "RequestWalker": a_walker,
    "PacketViewer": a_packet_viewer,
    "DiscoveryPlayer": a_discovery,
    "BarLab": BarLab,
    "ConfigView": lambda: ConfigView(example()[:3]),
    "SplitLab": SplitLab,
    "Predict": lambda: Predict("How many?", 5, "It is five."),
    "Predict with options": lambda: Predict("Which?", "b", "Because.", ["a", "b"]),
}


@pytest.fixture(params=WIDGETS.values(), ids=WIDGETS)
def make(request):
    return request.param


def all_values(box):
    """Every text that the widget shows now."""
    return [item.value for item in leaves(box) if isinstance(item, widgets.HTML)]


def leaves(box):
    if isinstance(box, widgets.Box):
        return [leaf for child in box.children for leaf in leaves(child)]
    return [box]


def press_everything(widget):
    """Use each control once, as a browser test does; Reset comes last."""
    for control in sorted(widget.controls, key=lambda each: each.description == "Reset"):
        if isinstance(control, widgets.Button):
            control.click()
        elif isinstance(control, widgets.ToggleButton):
            control.value = True
        elif isinstance(control, widgets.BoundedIntText):
            control.value = control.max
        elif isinstance(control, widgets.Text):
            for words in ("nonsense", "-1", "0x41", "99999999999999999999"):
                control.value = words
        else:
            for index in range(len(control.options)):
                control.index = index


def test_every_control_has_words_on_it_and_a_class(make):
    for control in make().controls:
        assert control.description.strip(), control
        assert any(name.startswith("vl-") for name in control._dom_classes)


def test_the_names_of_controls_are_all_different(make):
    names = [control.description for control in make().controls]
    assert len(names) == len(set(names))


def test_no_control_is_one_that_has_no_accessible_name(make):
    widget = make()
    unnamed = (widgets.IntSlider, widgets.FloatSlider, widgets.SelectionSlider, widgets.Play)
    assert not [each for each in widget.controls if isinstance(each, unnamed)]
    plays = [each for each in leaves(widget) if isinstance(each, widgets.Play)]
    assert all(play.layout.display == "none" for play in plays)


def test_a_widget_prints_as_one_fixed_line(make):
    one, other = repr(make()), repr(make())
    assert one == other
    assert "\n" not in one
    assert " at 0x" not in one


def test_two_of_a_kind_show_the_same_bytes(make):
    assert all_values(make()) == all_values(make())


def test_pressing_everything_prints_nothing_and_reset_brings_the_start_back(make, capsys):
    widget = make()
    start = all_values(widget)
    press_everything(widget)
    if not isinstance(widget, (RegisterViewer, AddressProbe)):
        assert all_values(widget) == start
    assert capsys.readouterr() == ("", "")
    assert widget.add_class("twice") is widget


def test_a_picture_is_always_said_in_words_too(make):
    widget = make()
    if any("<svg" in value for value in all_values(widget)):
        assert any('role="status"' in value for value in all_values(widget))


def test_typed_text_becomes_a_number_or_nothing():
    typed = ("12", " 0x3F8 ", "0b11", "-1", "", "three")
    assert [whole(each) for each in typed] == [12, 0x3F8, 3, None, None, None]


def test_what_was_typed_cannot_break_the_sentence():
    assert quoted("a`b" * 30) == '"' + ("a'b" * 30)[:40] + '"'


def test_words_are_shown_as_they_are():
    assert marked("`<b>`\n& more") == "<code>&lt;b&gt;</code><br>&amp; more"
    assert said("x").startswith('<p role="status"')
    assert Shell("a line", []).controls == []


def test_a_narrow_window_shows_all_of_a_picture_be_it_a_widgets_or_not():
    """At 200 % zoom neither is cut: both shrink to the same width, and only then scroll."""
    extension = ROOT / "share/jupyter/labextensions/virtlab-accessible/static/accessible.js"
    assert drawing().layout.min_width == f"{NARROWEST}px"
    assert f"max-width: max(100%, {NARROWEST}px)" in extension.read_text(encoding="utf-8")


def test_pictures_do_not_import_ipywidgets_and_widgets_do():
    code = (
        "import sys, virtlab.show as show; assert 'ipywidgets' not in sys.modules;"
        "assert all(hasattr(show, name) for name in show.__all__);"
        "assert dir(show) == show.__all__;"
        "assert 'ipywidgets' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_there_is_an_error():
    import virtlab.show

    with pytest.raises(AttributeError, match="no 'Sldier'"):
        _ = virtlab.show.Sldier
