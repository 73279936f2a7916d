"""Problems about functions of SR-IOV: where they are, and which bus numbers they need.

    routing id = physical function + First VF Offset + (n - 1) * VF Stride       16 bits

The judge is `pci.routing_ids`, and for ARI the root's own reading of an id. Left out: VF migration,
function dependency links.
"""

from __future__ import annotations

from virtlab.course.practice.board import Board, hex_of
from virtlab.pci.routing_ids import Placement, Spread
from virtlab.pci.tlp import bdf_text, parse_bdf, source_id


def routing_id(board: Board) -> None:
    """The routing id of one VF; at level 3 also the last bus that all of them need."""
    random = board.random
    bus, device = random.randrange(1, 0x40), random.randrange(0 if board.level == 1 else 8, 16)
    physical = source_id(bus, device, random.randrange(2))
    top = {1: 8, 2: 0x80, 3: 0x180}[board.level]
    placement = Placement(random.randrange(1, top), random.choice((1, 2, 4)))
    count = random.randrange(4, {1: 16, 2: 32, 3: 64}[board.level])
    number = random.randrange(2, count + 1)
    found = placement.routing_id(physical, number - 1)
    name = bdf_text(physical)
    board.data |= {"physical": name, "offset": placement.offset, "stride": placement.stride}
    board.data |= {"count": count, "number": number}
    board.table(
        "SR-IOV capability",
        ("register", "value"),
        [
            ("NumVFs", str(count)),
            ("First VF Offset", hex_of(placement.offset, 4)),
            ("VF Stride", hex_of(placement.stride, 4)),
        ],
    )
    board.say(f"The physical function is {name}. The first VF is number 1.")
    ask = f"What is the routing id of VF {number}, as bus:device.function?"
    if board.level == 3:
        ask += " Which is the highest bus number that all VFs together need?"
    form = "it as “03:02.4”" + (", and a bus number, as “03:02.4 0x4”" if board.level == 3 else "")
    board.ask(ask, form)
    _routing_steps(board, physical, placement, number, count, found)


def _routing_steps(
    board: Board, physical: int, placement: Placement, number: int, count: int, found: int
) -> None:
    last = placement.last_bus(physical, count)
    board.step("physical function", f"{bdf_text(physical)} in 16 bits", hex_of(physical, 4))
    work = f"{hex_of(physical, 4)} + {hex_of(placement.offset)}"
    board.step("first VF", work, hex_of(physical + placement.offset, 4))
    work = f"+ ({number} - 1) * {placement.stride}"
    board.step("this VF", work, hex_of(found, 4))
    text = bdf_text(found)
    end = f"{text} {hex_of(last)}" if board.level == 3 else text

    def ends(rid: int) -> str:
        return (
            f"{bdf_text(rid & 0xFFFF)} {hex_of(last)}"
            if board.level == 3
            else bdf_text(rid & 0xFFFF)
        )

    cut = "Cut: bits 15:8 bus, 7:3 device, 2:0 function."
    if board.level == 3:
        board.step("bus, device, function", cut, text)
        highest = placement.routing_id(physical, count - 1)
        work = f"VF {count} is the last: {hex_of(highest, 4)}. Its bus is the highest."
        board.step("last bus", work, end)
        board.parts = ("bus, device, function", "last bus")
        board.slip("last bus", (text, found >> 8), "the last VF counts, not this one.")
    else:
        board.step("bus, device, function", cut, end)
    board.slip("this VF", ends(found + placement.stride), "the first VF is number 1: use n - 1.")
    why = "First VF Offset is from the physical function, and not from the bus."
    board.slip("first VF", ends((physical & 0xFF00) + found - physical), why)
    flat = physical + placement.offset + number - 1
    board.slip("this VF", ends(flat), "multiply by VF Stride.")
    board.slip("first VF", ends(found - placement.offset), "add First VF Offset.")
    alone = physical & 0xFF00 | found & 0xFF
    board.slip("bus, device, function", ends(alone), "the sum carries into the bus number.")
    board.answer(end)


def ari(board: Board) -> None:
    """How a device with several physical functions spreads its VFs, with and without ARI."""
    random = board.random
    functions = random.choice((1, 2, 4)) if board.level > 1 else 1
    few = board.level == 1 or not random.randrange(3)
    count = (
        random.randrange(1, 8 // functions) if few and functions < 4 else random.randrange(9, 60)
    )
    with_ari = bool(random.randrange(2)) if board.level == 3 else board.level == 1
    if board.level == 1:
        count = random.randrange(9, 200)
    bus, owner = random.randrange(1, 0x40), random.randrange(functions)
    number = random.randrange(1, count + 1)
    placement = Spread(functions).place(count, with_ari)
    found = placement.routing_id(source_id(bus, 0, owner), number - 1)
    board.data |= {"bus": bus, "functions": functions, "owner": owner, "count": count}
    board.data |= {"ari": with_ari, "number": number}
    board.say(
        f"A device has {functions} physical function{'s' if functions > 1 else ''}, "
        f"{bdf_text(source_id(bus, 0, 0))} and up, each with {count} VFs. Physical functions take "
        "turns: their VFs lie one by one between each other, and none is left out."
    )
    state = "ARI Capable Hierarchy is set." if with_ari else "ARI Capable Hierarchy is clear."
    board.say(
        f"{state} With it a device has 256 functions on its bus. Without it a device has 8, and "
        "if all VFs do not fit there, they begin at the first multiple of the number of physical "
        "functions on the next bus."
    )
    board.ask(
        f"Where is VF {number} of physical function {owner}, counted from 1?",
        "First VF Offset, VF Stride and the routing id, as “1 1 03:00.4”",
    )
    _ari_steps(board, placement, bus, owner, number, functions, count, with_ari)
    assert parse_bdf(bdf_text(found)) == found


def _ari_steps(
    board: Board,
    placement: Placement,
    bus: int,
    owner: int,
    number: int,
    functions: int,
    count: int,
    with_ari: bool,
) -> None:
    room = 256 if with_ari else 8
    fits = placement.offset < 256
    work = f"{functions} physical and {functions} * {count} virtual functions, in {room}."
    board.step("room", work, "they fit" if fits else "they do not fit")
    begin = "behind the physical functions" if fits else "on the next bus, 256 ids away"
    board.step("offset", f"VFs begin {begin}.", hex_of(placement.offset))
    board.step("stride", "One turn goes round all physical functions.", str(placement.stride))
    physical = source_id(bus, 0, owner)
    found = placement.routing_id(physical, number - 1)
    work = f"{hex_of(physical, 4)} + {placement.offset} + {number - 1} * {placement.stride}"
    head = f"{hex_of(placement.offset)} {placement.stride}"
    end = f"{head} {bdf_text(found)}"
    board.step("routing id", f"{work} = {hex_of(found, 4)}", end)
    board.parts = ("offset", "stride", "routing id")
    other = Spread(functions).place(count, not with_ari)
    wrong = other.routing_id(physical, number - 1)
    why = "without ARI a device has 8 functions, with ARI 256."
    board.slip("room", f"{other.offset} {other.stride} {bdf_text(wrong)}", why)
    late = placement.routing_id(physical, number)
    board.slip("routing id", f"{head} {bdf_text(late)}", "VF 1 is the first: use n - 1.")
    first = placement.routing_id(source_id(bus, 0, 0), number - 1)
    why = "the offset is from the VF's own physical function."
    board.slip("routing id", f"{head} {bdf_text(first)}", why)
    one = physical + placement.offset + number - 1
    why = "physical functions take turns, so a stride is their number."
    board.slip("stride", f"{placement.offset} 1 {bdf_text(one & 0xFFFF)}", why)
    board.answer(end)
