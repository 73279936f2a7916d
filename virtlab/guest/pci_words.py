"""What an enumeration found, in words: a line for each function, those below a bridge indented.

    00:02.0  1234:11e8  class 00ff00  BAR 0 memory 0x100000 at 0xc0000000, INTA on line 9
    00:03.0  1b36:000c  class 060400  bridge to 01..01

The rule that keeps it simple: what the scan learned and the assignment gave, and no names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtlab.guest.pci import Found, FoundBar


def found_text(functions: Iterable[Found]) -> str:
    """The functions of a bus, and what is below them."""
    return "\n".join(line for found in functions for line in _lines(found, ""))


def _lines(found: Found, indent: str) -> Iterator[str]:
    facts = [_bar_words(bar) for bar in found.bars]
    if found.buses is not None:
        facts.insert(0, "bridge to {:02x}..{:02x}".format(*found.buses))
    if found.pin:
        line = "" if found.line is None else f" on line {found.line}"
        facts.append(f"INT{'?ABCD'[found.pin] if found.pin < 5 else '?'}{line}")
    who = f"{found.vendor:04x}:{found.device:04x}  class {found.class_code:06x}"
    yield f"{indent}{found.place}  {who}  {', '.join(facts)}".rstrip()
    for child in found.below:
        yield from _lines(child, indent + "  ")


def _bar_words(bar: FoundBar) -> str:
    where = "nowhere" if bar.address is None else f"at {bar.address:#x}"
    return f"BAR {bar.index} {bar.space} {bar.size:#x} {where}"
