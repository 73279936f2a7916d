"""Problems about PCI bridges: which of them passes an access down.

    an address      --> the bridge whose window has it
    a bus number    --> the bridges on the way down, and the kind of request on each bus

The judge is `pci.bridge.PciBridge`, its registers written as software writes them. Left out: VGA
ranges, ISA holes, prefetchable windows.
"""

from __future__ import annotations

from virtlab.course.practice.board import Board, hex_of
from virtlab.pci.bars import Space
from virtlab.pci.bridge import PciBridge, windows


def bridge_window(board: Board) -> None:
    """Which of three bridges on one bus passes an access down."""
    random = board.random
    port = board.level > 1 and bool(random.randrange(2))
    bridges = {name: PciBridge(name) for name in ("a", "b", "c")}
    start = random.randrange(1, 6) if port else random.randrange(0xC00, 0xD00)
    for name, bridge in bridges.items():
        _open(board, bridge, start, port, name)
        start += random.randrange(3, 5) if port else random.randrange(8, 20)
    address, size = _target(board, bridges, port)
    space: Space = "port" if port else "memory"
    takers = [name for name, bridge in bridges.items() if bridge.forwards(space, address, size)]
    answer = takers[0] if takers else "none"
    _show_bridges(board, bridges, port)
    board.words = {*bridges, "none"}
    board.data |= {"space": space, "address": address, "size": size}
    what = "port" if port else "address"
    board.ask(
        f"An access of {size} byte{'s' if size > 1 else ''} to {what} {hex_of(address)} comes to "
        "the bus above. Which bridge passes it down?",
        "a, b, c or none",
    )
    _bridge_steps(board, bridges, port, address, size, answer)


def _open(board: Board, bridge: PciBridge, start: int, port: bool, name: str) -> None:
    """Set the window's registers; at level 3 some are closed, or their space is not enabled."""
    random, header = board.random, bridge.config
    length = random.randrange(1, 3) if port else random.randrange(1, 8)
    closed = board.level == 3 and random.randrange(4) == 0
    base, limit = start, start + length - 1
    if closed:
        base, limit = limit + 1, base
    command = 3 if board.level < 3 or random.randrange(4) else random.choice((1, 2))
    header.write(0x04, 2, command)
    if port:
        header.write(0x1C, 2, limit << 12 | base << 4)
        header.write(0x20, 4, 0x0000_FFF0)
    else:
        header.write(0x20, 4, limit << 20 | base << 4)
        header.write(0x1C, 2, 0x00F0)
    header.write(0x24, 4, 0x0000_FFF0)


def _target(board: Board, bridges: dict[str, PciBridge], port: bool) -> tuple[int, int]:
    """An address in, beside or at the end of one of the windows."""
    random = board.random
    window = bridges[random.choice("abc")].windows[0 if port else 1]
    low, high = min(window.base, window.limit & -4096), max(window.limit, window.base | 4095)
    size = 1 if board.level == 1 else random.choice((1, 2, 4))
    how = random.randrange(6)
    if how == 0:
        return high + 1 + random.randrange(0x100), size
    if how == 1 and board.level > 1:
        return high - 1, 4
    if how == 2:
        return high - size + 1, size
    return low + random.randrange(high - low + 2 - size), size


def _show_bridges(board: Board, bridges: dict[str, PciBridge], port: bool) -> None:
    unit = (
        "4096 ports: its bits 7:4 are port bits 15:12"
        if port
        else "1 MiB: its bits 15:4 are address bits 31:20"
    )
    board.say(
        f"A window counts in units of {unit}. The limit's unit belongs to it. A base above the "
        "limit closes it. COMMAND: bit 0 enables ports, bit 1 memory. The prefetchable windows "
        "are closed."
    )
    rows = []
    for name, bridge in bridges.items():
        command, base = bridge.config.read(4, 2), 0x1C if port else 0x20
        size = 1 if port else 2
        words = [hex_of(bridge.config.read(base + n * size, size), 2 * size) for n in (0, 1)]
        rows.append((name, hex_of(command, 4), *words))
    kind = "IO" if port else "MEMORY"
    board.table("Bridges on one bus", ("bridge", "COMMAND", f"{kind}_BASE", f"{kind}_LIMIT"), rows)
    board.data |= {"bridges": [list(row) for row in rows]}


def _bridge_steps(
    board: Board, bridges: dict[str, PciBridge], port: bool, address: int, size: int, answer: str
) -> None:
    last = address + size - 1
    for name, bridge in bridges.items():
        window = windows(bridge.header.values)[0 if port else 1]
        enabled = bridge.config.read(4, 2) >> (0 if port else 1) & 1
        span = f"{hex_of(window.base)} to {hex_of(window.limit)}"
        state = "closed" if not window.open else "enabled" if enabled else "not enabled"
        inside = "is inside" if window.has(address, size) else "is not inside"
        board.step(f"bridge {name}", f"{span}: {state}; the access {inside}.")
    work = f"The access is {hex_of(address)} to {hex_of(last)}."
    board.step("who", f"{work} It goes where a window is open, enabled, and has all of it.", answer)
    for name, bridge in bridges.items():
        window = windows(bridge.header.values)[0 if port else 1]
        enabled = bridge.config.read(4, 2) >> (0 if port else 1) & 1
        why = "this window has not all of the access."
        if not window.open:
            why = "its base is above its limit, so the window is closed."
        elif not enabled:
            why = "COMMAND does not enable this space."
        board.slip(f"bridge {name}", name, why)
    if answer != "none":
        why = "its window has the access. The limit names the last unit, which belongs to it."
        board.slip(f"bridge {answer}", "none", why)
    board.answer(answer)


# -- bus numbers


def bus_number(board: Board) -> None:
    """Which bridges a configuration request passes, from the root bus down."""
    tree = _tree(board)
    root = [name for name in tree if len(name) == 1]
    numbers = [bridge.secondary for bridge in tree.values()]
    target = board.random.choice(numbers)
    if board.level == 3 and board.random.randrange(3) == 0:
        target = max(numbers) + 1 + board.random.randrange(4)
    way: list[str] = []
    candidates = root
    while candidates:
        taker = next((name for name in candidates if tree[name].forwards_bus(target)), "")
        if taker:
            way.append(taker)
        candidates = [name for name in tree if taker and name[:-1] == taker]
    arrives = bool(way) and tree[way[-1]].secondary == target
    _show_tree(board, tree, root)
    board.words = {*tree, "none"}
    board.data |= {"bus": target}
    board.ask(
        f"The root sends a configuration request for bus {hex_of(target)}. Which bridges pass it "
        "down, from the root on?",
        "the bridges in order, as “b bc”, or “none”",
    )
    _bus_steps(board, tree, root, target, way, arrives)


def _tree(board: Board) -> dict[str, PciBridge]:
    """Bridges a and b on bus 0, one level or two below them, numbered as firmware numbers them."""
    random = board.random
    names = ["a", "b"] if board.level == 1 else ["a", "aa", "ab", "b", "ba"]
    if board.level > 1:
        names += random.choice((["bb"], ["bba", "bb"], ["baa", "baaa"]))
    if board.level == 1:
        names += random.choice((["c"], ["aa"], ["ba"]))
    names.sort()
    tree, number = {name: PciBridge(name) for name in names}, 0
    for name in names:
        number += random.randrange(1, 8)
        above = tree[name[:-1]].secondary if len(name) > 1 else 0
        tree[name].config.write(0x18, 1, above)
        tree[name].config.write(0x19, 1, number)
        for upper in range(1, len(name) + 1):
            tree[name[:upper]].config.write(0x1A, 1, number)
    return tree


def _show_tree(board: Board, tree: dict[str, PciBridge], root: list[str]) -> None:
    rows = []
    for name, bridge in tree.items():
        words = [hex_of(bridge.config.read(at, 1), 2) for at in (0x18, 0x19, 0x1A)]
        rows.append((name, *words))
    headers = ("bridge", "primary", "secondary", "subordinate")
    board.table("Bridges; the root bus is number 0", headers, rows)
    board.say(
        "A bridge stands on its primary bus. It passes down what is for its secondary bus, and for "
        "every bus up to its subordinate one."
    )
    board.data |= {"bridges": [list(row) for row in rows], "root": root}


def _bus_steps(
    board: Board,
    tree: dict[str, PciBridge],
    root: list[str],
    target: int,
    way: list[str],
    arrives: bool,
) -> None:
    end = " ".join(way) or "none"
    for here in ("", *way):
        if here and tree[here].secondary == target:
            break
        below = [name for name in tree if name[:-1] == here]
        spans = ", ".join(
            f"{name} has {hex_of(tree[name].secondary)} to "
            f"{hex_of(tree[name].header.SUBORDINATE_BUS)}"
            for name in below
        )
        bus = tree[here].secondary if here else 0
        board.step(f"bus {hex_of(bus)}", f"{spans or 'No bridge stands here'}.")
    work = "It is the last one's secondary bus: the request becomes type 0 there."
    board.step("arrival", work if arrives else "No bridge has this bus below it.", end)
    first = "bus 0x0"
    for name in tree:
        chain = " ".join(name[:n] for n in range(1, len(name) + 1))
        why = "compare with secondary and subordinate, both included, from the root on."
        board.slip(first if name[0] not in way else "arrival", chain, why)
    if len(way) > 1:
        board.slip("arrival", way[-1], "name the bridges above it too: they pass the request down.")
        back = " ".join(reversed(way))
        board.slip("arrival", back, "from the root on: the bridge on bus 0 comes first.")
    board.slip(first, "none", "a bridge has this bus between secondary and subordinate.")
    board.answer(end)
