"""The layers of the library, declared once: for the picture, and for the test that enforces them.

A module imports only from layers below its own, or from its own package. Inside a layer, packages
do not import each other; single modules may import those that are named before them.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.show.palette import (
    BODY,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, picture, rect, write


class Layer(NamedTuple):
    """One layer: its name, its members, and what it knows. A package ends in a slash."""

    name: str
    members: tuple[str, ...]
    knows: str


LAYERS = (
    Layer("ground", ("wire", "errors", "clock", "trace"), "numbers, time, events"),
    Layer("memory", ("memory", "interrupts", "backends/"), "bytes, wires, the outside world"),
    Layer(
        "bus",
        ("bus", "registers", "cpu", "recordings"),
        "who answers where; what a guest can do",
    ),
    Layer("fabric", ("pci/", "iommu/", "acpi/"), "how a device is found, what it reaches"),
    Layer("devices", ("devices/", "virtio/"), "their registers; no address, no other device"),
    Layer("guest", ("guest/",), "a Cpu's verbs, a device's registers"),
    Layer("VMM", ("vmm/",), "exits, tables, whose device is whose"),
    Layer("hosts", ("hosts/",), "where a guest really runs"),
    Layer(
        "boards",
        ("cards", "firmware", "machine", "server_board", "server"),
        "everything below: explicit wiring",
    ),
    Layer("eyes", ("show/",), "pictures and widgets of all of it"),
    Layer("course", ("course/",), "checks, hints, the command line"),
)
"""From the ground up."""

_TINTS = (GREY_TINT, SKY_TINT, GREEN_TINT, YELLOW_TINT, ORANGE_TINT, PURPLE_TINT)
_BAND = 50


def layers() -> Picture:
    """Draw the layers, the ground at the bottom."""
    parts, lines = [], ["course on top, ground at the bottom; a layer imports only from below"]
    for row, layer in enumerate(reversed(LAYERS)):
        y = TOP + 28 + row * _BAND
        parts.append(_band(layer, y, _TINTS[row % len(_TINTS)]))
        lines.append(f"{layer.name:<12}{' '.join(layer.members):<34}{layer.knows}")
    parts.append(caption(TOP + 10, "A layer imports only from those below it."))
    height = TOP + 28 + len(LAYERS) * _BAND + 16
    label = f"The layers of virtlab, from the ground up: {', '.join(each.name for each in LAYERS)}"
    return picture("The layers of virtlab", height, parts, "\n".join(lines), label)


def _band(layer: Layer, y: float, tint: str) -> str:
    """One layer: its name, a chip for each member, what it knows."""
    parts = [rect(MARGIN, y, WIDTH - 2 * MARGIN, _BAND - 8, tint)]
    parts.append(write(MARGIN + 14, y + 27, layer.name, BODY, bold=True))
    x = MARGIN + 130.0
    for member in layer.members:
        width = breadth(member, SMALL, mono=True) + 16
        parts.append(rect(x, y + 8, width, 26, WHITE, INK, 4, 1))
        parts.append(write(x + 8, y + 26, member, SMALL, mono=True))
        x += width + 8
    left = max(MARGIN + 500.0, x + 4)
    words = fit(layer.knows, WIDTH - MARGIN - left - 8, SMALL)
    return "".join([*parts, write(left, y + 26, words, SMALL, MUTED)])
