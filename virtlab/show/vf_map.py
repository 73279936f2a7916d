"""The card's registers, its functions on two buses, and the memory of its VFs, in one picture.

The idea: three registers in, three things out. NumVFs and ARI give the routing ids, and the page
size gives the aperture. All of it is read from the capability of `vf_state.card`.

The rule that keeps it simple: two buses are always drawn, so nothing jumps when VFs move to the
second one. Of the memory at most five VFs are drawn: the first two, the chosen one, the last two.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.pci.tlp import SOURCE_ID
from virtlab.show.maps import size_words
from virtlab.show.palette import (
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SKY_TINT,
    SMALL,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import hatch, legend
from virtlab.show.svg import TOP, Picture, breadth, picture, rect, write
from virtlab.show.vf_grid import PANEL, PF, VF, keys, lines, panels
from virtlab.show.vf_state import BAR_BYTES, BASE, PHYSICAL, TOTAL, VfState, explain

_BUS = SOURCE_ID.BUS.get(PHYSICAL)
BUSES = (_BUS, _BUS + 1)
"""The buses that are drawn: more than these no choice needs."""

_REGISTERS = TOP + 4
_GRID = _REGISTERS + 70
_MEMORY = _GRID + len(BUSES) * PANEL + 4
_HEIGHT = _MEMORY + 142
_BOX = 148


def vf_map(state: VfState, title: str = "One card, and the functions it shows") -> Picture:
    """The whole of a state."""
    marks = marks_of(state)
    narrow = () if state.ari else (_BUS,)
    chosen = state.place(state.chosen) if state.chosen <= state.count else None
    parts = _register_row(state)
    parts += panels(marks, BUSES, _GRID, narrow, chosen)
    parts += _memory(state)
    parts.append(legend(_HEIGHT - 12, keys(narrow=not state.ari)))
    said = explain(state).replace("`", "")
    registers = ", ".join(f"{name} {value}" for name, value in register_words(state))
    text = [title, registers, *lines(marks, BUSES), memory_text(state), said]
    return picture(title, _HEIGHT, parts, "\n".join(text), f"{title}. {said}")


def marks_of(state: VfState) -> dict[int, str]:
    """The kind of function at each routing id where there is one."""
    virtual = {state.place(n): VF for n in range(1, state.count + 1)}
    return {PHYSICAL: PF, **virtual}


def register_words(state: VfState) -> list[tuple[str, str]]:
    """The capability's registers, by the specification's names."""
    return [
        ("NumVFs", f"{state.wanted}"),
        ("TotalVFs", f"{TOTAL}"),
        ("ARI", f"{state.ari:d}"),
        ("First VF Offset", f"{state.offset}"),
        ("VF Stride", f"{state.stride}"),
        ("VF Enable", f"{state.enabled:d}"),
        ("VF MSE", f"{state.decodes:d}"),
        ("System Page Size", size_words(state.page)),
    ]


def _register_row(state: VfState) -> list[str]:
    """A box a register; those that software reads and cannot write are grey."""
    words = register_words(state)
    gap = 8
    spare = float(WIDTH - 2 * MARGIN - gap * (len(words) - 1))
    spare -= sum(breadth(name, SMALL) for name, _ in words)
    parts, x = [], float(MARGIN)
    for name, value in words:
        width = breadth(name, SMALL) + spare / len(words)
        fixed = name in ("TotalVFs", "First VF Offset", "VF Stride")
        parts.append(rect(x, _REGISTERS, width, 52, GREY_TINT if fixed else YELLOW_TINT))
        middle = x + width / 2
        parts.append(write(middle, _REGISTERS + 20, name, SMALL, MUTED, "middle"))
        parts.append(write(middle, _REGISTERS + 42, value, anchor="middle", bold=True))
        x += width + gap
    return parts


# -- memory


def shown_numbers(state: VfState) -> list[int]:
    """The VFs whose memory is drawn."""
    some = {1, 2, state.chosen, state.count - 1, state.count}
    return sorted(n for n in some if 1 <= n <= state.count)


def _memory(state: VfState) -> list[str]:
    aperture = f"{size_words(BAR_BYTES)} each, one every {size_words(state.aperture)}"
    parts = [
        write(MARGIN, _MEMORY + 16, "the memory of the VFs", bold=True),
        write(WIDTH - MARGIN, _MEMORY + 16, aperture, SMALL, MUTED, "end"),
    ]
    y = _MEMORY + 28
    x = float(MARGIN)
    for n, after in _with_next(shown_numbers(state)):
        parts += _slice(state, n, x, y)
        skipped = after is not None and after > n + 1
        if skipped:
            parts.append(write(x + _BOX + 14, y + 26, "…", anchor="middle", bold=True))
        x += _BOX + (28 if skipped else 0)
    if not state.count:
        parts.append(rect(x, y, WIDTH - 2 * MARGIN, 40, PAPER, MUTED, 0, 1.5, "5 4"))
        parts.append(hatch(x, y, WIDTH - 2 * MARGIN, 40))
        words = f"reserved for {TOTAL} VFs; nobody answers"
        parts.append(write(x + 12, y + 26, words, SMALL, halo=PAPER))
    return parts


def _with_next(numbers: Sequence[int]) -> list[tuple[int, int | None]]:
    return list(zip(numbers, [*numbers[1:], None], strict=False))


def _slice(state: VfState, n: int, x: float, y: float) -> list[str]:
    """One VF's aperture: what it uses, and the rest of the page."""
    used = max(6.0, _BOX * BAR_BYTES / state.aperture)
    fill, dash = (SKY_TINT, "") if state.decodes else (PAPER, "5 4")
    parts = [rect(x, y, _BOX, 40, PAPER, INK, 0)]
    if used < _BOX:
        parts.append(hatch(x + used, y, _BOX - used, 40))
    parts.append(rect(x, y, used, 40, fill, INK, 0, 1.5, dash))
    if n == state.chosen:
        parts.append(rect(x + 1, y + 1, _BOX - 2, 38, "none", INK, 0, 4))
    name = f"VF {n}" if state.decodes else f"VF {n}: no answer"
    inside = x + (used + 8 if used < _BOX else 12)
    parts.append(write(inside, y + 26, name, SMALL, bold=n == state.chosen, halo=PAPER))
    parts.append(write(x + 2, y + 58, f"{state.address(n):#x}", SMALL, MUTED, mono=True))
    return parts


def memory_text(state: VfState) -> str:
    """The memory in characters."""
    if not state.count:
        return f"memory: reserved at {BASE:#x}, nobody answers"
    sign = "" if state.decodes else " (no answer)"
    each = [f"VF {n} at {state.address(n):#x}{sign}" for n in shown_numbers(state)]
    return f"memory: {size_words(state.aperture)} each; {', '.join(each)}"
