"""Problems about ports: who answers, and whether an access exits.

    IN 4 bytes at 0x1f2      which comparison holds for all of them?    the port space
    OUT 1 byte at 0x3f8      which bit of which page?                   the I/O bitmap

The judge is `AddressSpace` and `IoBitmap`. Left out: devices that answer only some sizes, and the
time that an access takes.
"""

from __future__ import annotations

from virtlab.bus import AddressSpace, decoders
from virtlab.course.practice.board import Board, bits_of, hex_of
from virtlab.vmm.io_bitmap import HALF, IoBitmap

PLACES = (
    ("dma", 0x00, 16),
    ("pic", 0x20, 2),
    ("timer", 0x40, 4),
    ("keyboard", 0x60, 1),
    ("rtc", 0x70, 2),
    ("ide", 0x1F0, 8),
    ("com2", 0x2F8, 8),
    ("printer", 0x378, 4),
    ("vga", 0x3C0, 16),
    ("com1", 0x3F8, 8),
    ("pci", 0xCF8, 8),
)
"""Where a PC has these; all are one aligned power of two."""


class Recorder:
    """A device that remembers where it was reached first."""

    def __init__(self) -> None:
        self.offset = -1

    def read(self, offset: int, size: int) -> int:
        """Remember, and answer zero."""
        if self.offset < 0:
            self.offset = offset
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing is written in these problems."""


def port_decode(board: Board) -> None:
    """Which device answers an IN, and at which offset."""
    chosen = sorted(board.random.sample(PLACES, 5), key=lambda place: place[1])
    space = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
    for name, base, length in chosen:
        space.map(base, length, Recorder(), name, width=4)
    port, size = _access(board, chosen)
    with space.trace.recording() as events:
        space.read(port, size)
    event = events[-1]
    who = event.who if event.kind == "in" else "nobody"
    _show_devices(board, chosen)
    board.data |= {"devices": [list(place) for place in chosen], "port": port, "size": size}
    board.words = {name for name, _, _ in chosen} | {"nobody"}
    board.ask(
        f"A guest executes IN of {size} byte{'s' if size > 1 else ''} at port {hex_of(port)}. "
        "Who answers, at which offset of its own?",
        "the device and the offset, as “rtc 1”, or “nobody”",
    )
    _decode_steps(board, space, port, size, who)


def _access(board: Board, chosen: list[tuple[str, int, int]]) -> tuple[int, int]:
    """Port and size: inside a device; from level 2 on also beside one, or over its end."""
    _, base, length = board.random.choice(chosen)
    size = 1 if board.level == 1 else board.random.choice((1, 2, 4))
    how = board.random.randrange(4)
    if board.level == 3 and how < 2:
        return base + length - board.random.choice((1, 1, 2)), 4
    if how == 0:
        return base + length + board.random.randrange(2), size
    return base + board.random.randrange(max(1, length - size + 1)), size


def _show_devices(board: Board, chosen: list[tuple[str, int, int]]) -> None:
    if board.level == 1:
        rows = [(n, f"{hex_of(b, 4)}-{hex_of(b + k - 1, 4)}") for n, b, k in chosen]
        board.table("Devices of the port space", ("device", "ports"), rows)
        return
    board.say("A device answers if (port & mask) == value.")
    decoded = []
    for name, base, length in chosen:
        (one,) = decoders(base, length, 16)
        decoded.append((name, hex_of(one.mask, 4), hex_of(one.value, 4)))
    board.table("Decoders of the port space", ("device", "mask", "value"), decoded)


def _decode_steps(board: Board, space: AddressSpace, port: int, size: int, who: str) -> None:
    first, last = space.find(port), space.find(port + size - 1)
    ports = f"The access has the ports {hex_of(port)} to {hex_of(port + size - 1)}."
    board.step("first port", f"{ports} Compare the first.", first.name if first else "nobody")
    if size > 1:
        same = "One device must have all of them: an access belongs to one device as a whole."
        board.step("last port", f"{same} The last belongs to:", last.name if last else "nobody")
    answer = "nobody"
    if who != "nobody" and first is not None:
        assert isinstance(first.device, Recorder)
        answer = f"{who} {first.device.offset}"
        work = f"A device sees offsets: {hex_of(port)} - {hex_of(first.base)}."
        board.slip("offset", f"{who} {port}", "a device sees no address; take its base away.")
        board.slip("offset", f"{who} {port - first.base + 1}", "the first port is offset 0.")
    else:
        work = "Nobody answers, so the guest reads all ones."
    if first is not None and who == "nobody":
        why = "the access runs over the end of this device, so it does not answer."
        board.slip("last port", f"{first.name} {port - first.base}", why)
    board.slip("first port", "nobody", "a device has this port; look again at its range or mask.")
    if first is None:
        near = space.find(port - 1) or space.find(port - 2)
        if near is not None:
            why = "the port behind its last one is not its own."
            board.slip("first port", f"{near.name} {port - near.base}", why)
    board.step("offset", work, answer)
    board.answer(answer)


# -- the I/O bitmap


def io_bitmap(board: Board) -> None:
    """Which bit of which page decides, and whether the access exits."""
    bitmap = IoBitmap()
    size = 1 if board.level < 3 else board.random.choice((2, 4))
    port = board.random.randrange(0x10, HALF if board.level == 1 else 0x10000 - 8)
    for at in range(port - 8, port + 12):
        if board.random.randrange(3 if board.level < 3 else 5):
            bitmap.open(at % 0x10000)
    page, name = (bitmap.a, "a") if port < HALF else (bitmap.b, "b")
    index, bit = port % HALF // 8, port % 8
    exits = bitmap.exits(port, size)
    _show_bitmap(board, bitmap, port, size)
    board.data |= {"a": bitmap.a.hex(), "b": bitmap.b.hex(), "port": port, "size": size}
    board.words = {"a", "b", "exit", "open"}
    board.ask(
        f"A guest executes OUT of {size} byte{'s' if size > 1 else ''} at port {hex_of(port)}. "
        "Which bit has its first port, and does the access exit?",
        "page, byte offset in the page, bit, and “exit” or “open”, as “a 0x7f 0 exit”",
    )
    board.step("page", "Bitmap A has the ports below 0x8000, bitmap B the others.", name)
    work = f"({hex_of(port)} mod 0x8000) / 8, rounded down."
    board.step("byte", work, hex_of(index))
    board.step("bit", f"{hex_of(port)} mod 8. Bit 0 is the lowest.", str(bit))
    bits = " ".join(str(bitmap.bit(port + n)) for n in range(size))
    end = f"{name} {hex_of(index)} {bit} {'exit' if exits else 'open'}"
    work = f"The bits of the ports {hex_of(port)} and up are {bits}. One 1 is enough to exit."
    board.step("verdict", work if size > 1 else f"The bit is {bits}: 1 exits, 0 is open.", end)
    board.parts = ("page", "byte", "bit", "verdict")
    head = f"{name} {hex_of(index)}"
    other = "open" if exits else "exit"
    why = "in VT-x a bit of 1 exits, and every byte of the access counts."
    board.slip("verdict", f"{head} {bit} {other}", why)
    why = "bit 0 is the lowest bit of a byte, on the right."
    board.slip("bit", f"{head} {7 - bit} {'exit' if exits else 'open'}", why)
    whole = f"{name} {hex_of(port // 8)} {bit} {'exit' if exits else 'open'}"
    board.slip("byte", whole, "each page begins anew: B has port 0x8000 at byte 0.")
    board.answer(end)
    assert (page[index] >> bit & 1) == bitmap.bit(port)


def _show_bitmap(board: Board, bitmap: IoBitmap, port: int, size: int) -> None:
    rows = []
    for at in range(port // 8 * 8 - 8, port + size + 8, 8):
        page, name = (bitmap.a, "A") if at < HALF else (bitmap.b, "B")
        value = page[at % HALF // 8]
        rows.append((name, hex_of(at % HALF // 8), hex_of(value, 2), bits_of(value, 8)))
    board.table("A part of the I/O bitmaps", ("page", "byte", "value", "bits 7 to 0"), rows)
