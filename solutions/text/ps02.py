# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 2: find what is on the buses, and let it reach memory
#
# Seven tasks. The first five find devices and follow requests over PCI and PCI Express; the last two let a disk
# and a network card move data by DMA. Lessons 03, 04 and 05 are enough to solve them. Plan about two and three
# quarter hours; do them in order.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | the address of a register | 4 lines | 10 | ★ | 2 |
# | 2 | size a BAR | 20 lines | 20 | ★★★ | 4 |
# | 3 | scan the buses | 25 lines | 25 | ★★★ | 5 |
# | 4 | find the fault | 30 lines | 35 | ★★★★ | 6 |
# | 5 | who answers whom | 12 lines | 15 | ★★ | 4 |
# | 6 | read the disk without the processor | 30 lines | 35 | ★★★★ | 6 |
# | 7 | send through a network card | 17 lines | 25 | ★★★★ | 6 |
#
# Each task has a cell for your answer and a check below it. `hint("ps2.q1")` gives a first hint; call it again
# for the next. Change only the answer cells, and add cells of your own where you like. In grading, each task
# is asked some more, with other numbers; part of the cases gives part of the points.
#
# Tasks 2 to 4 give you `pci`, a way to configuration space. `pci.read(place, offset, size)` reads 1, 2 or 4 bytes
# of the function at `place`, a tuple `(bus, device, function)`; `pci.write(place, offset, size, value)` writes them.
# Where no function is, a read gives all ones. To try your code on a PC, make one:
# `pci = PortAccess(lesson_pc().cpu)`, or with `lesson_pc(pci="express")`.

# %% nbgrader={"grade": false, "grade_id": "ps2-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint
from virtlab.guest.pci import PortAccess
from virtlab.machine import lesson_pc

# %% [markdown] tags=["topic:S05"]
# ## 1. The address of a register
# *about 4 lines · 10 min · ★ · S05*
#
# A configuration register has four coordinates: bus, device, function, and its offset in bytes. There are two ways
# to name it. Write both: `config_address` gives the word for port `0xcf8`, `ecam_offset` the offset in the memory
# region ECAM.
#
# | bits of the word | | bits of the ECAM offset | |
# |---|---|---|---|
# | 31 | 1, enable | 27:20 | bus |
# | 23:16 | bus | 19:15 | device |
# | 15:11 | device | 14:12 | function |
# | 10:8 | function | 11:0 | offset |
# | 7:2 | offset, bits 7:2 | | |
#
# - **Given** `bus` 0 to 255, `device` 0 to 31, `function` 0 to 7, and `offset`: 0 to 255 for the word, 0 to 4095 for ECAM.
# - **Returns** an int. All bits that the table does not name are 0.
#
# The register at `0x10` of `02:03.1` has the word `0x80021910` and lies at `0x219010` in ECAM.

# %% nbgrader={"grade": false, "grade_id": "ps2-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def config_address(bus, device, function, offset):
    """The word for port 0xcf8 that names this register."""
    ### BEGIN SOLUTION
    place = bus << 16 | device << 11 | function << 8
    return 0x80000000 | place | offset & 0xFC
    ### END SOLUTION


def ecam_offset(bus, device, function, offset):
    """Where in ECAM this register is."""
    ### BEGIN SOLUTION
    return bus << 20 | device << 15 | function << 12 | offset
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q1")

# %% [markdown] tags=["solution"]
# **Explained.** The word names 4 bytes at once. Which of them an access means is said by the second port: byte 1 of
# the register is at port `0xcfd`. So the two low bits of the offset have no place in the word. With eight bits for
# the offset, a function has 256 bytes and no more.
#
# ECAM needs no second step: each register has an address of its own. That makes it faster (one instruction for two),
# safe (nobody can change the word between the two ports), and larger (4096 bytes). Its price is address space:
# 256 MiB for 256 buses. This is lesson 02's bargain once more, ports against memory.

# %% [markdown] tags=["topic:S05"]
# ## 2. Size a BAR
# *about 20 lines · 20 min · ★★★ · S05*
#
# Write `size_bar(pci, place, index)`, which finds out what base address register `index` asks for. BAR 0 is at
# offset `0x10`, the others follow, 4 bytes each. Write all ones: the address bits that the card compares keep the 1,
# those below its size read 0. The lowest address bit that kept the 1 is the size. If none did, there is no BAR.
#
# | low bits | the BAR is | address bits |
# |---|---|---|
# | bit 0 is 1 | ports | 31:2; a card may leave out 31:16 |
# | bit 0 is 0, bits 2:1 are 0 | memory, 32 bits | 31:4 |
# | bit 0 is 0, bits 2:1 are 2 | memory, 64 bits: the next register has bits 63:32 | 63:4 |
# | bit 3, for memory | 1: it can be prefetched | |
#
# A card that decodes would answer at the address of all ones. So before you touch a BAR, clear bits 1 and 0 of
# COMMAND (2 bytes at `0x04`). At the end every register must be as it was: BARs, COMMAND, and STATUS (2 bytes at
# `0x06`), where a written 1 clears a bit.
#
# - **Given** `pci`; `place`; `index` 0 to 5, never the upper half of a BAR of 64 bits.
# - **Returns** `(space, size, bits, prefetchable)`: `"memory"` or `"port"`, bytes, 32 or 64, a bool (False for
#   ports); or `None` where there is no BAR.
#
# If `0xfffe0008` comes back, the lowest address bit is bit 17: `("memory", 0x20000, 32, True)`.

# %% nbgrader={"grade": false, "grade_id": "ps2-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def size_bar(pci, place, index):
    """What BAR `index` of the function at `place` asks for."""
    ### BEGIN SOLUTION
    def answered(offset):
        before = pci.read(place, offset, 4)
        pci.write(place, offset, 4, 0xFFFFFFFF)
        answer = pci.read(place, offset, 4)
        pci.write(place, offset, 4, before)
        return answer

    command = pci.read(place, 0x04, 2)
    pci.write(place, 0x04, 2, command & ~0b11)
    low = answered(0x10 + 4 * index)
    space, bits, prefetchable = "memory", 32, bool(low & 0b1000)
    mask = low & ~0xF
    if low & 1:
        space, mask, prefetchable = "port", low & ~0b11, False
    elif low >> 1 & 0b11 == 2:
        bits, mask = 64, mask | answered(0x14 + 4 * index) << 32
    pci.write(place, 0x04, 2, command)
    return (space, mask & -mask, bits, prefetchable) if mask else None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q2", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q2")

# %% [markdown] tags=["solution"]
# **Explained.** The size is hidden in which bits can be written. Hardware gets this for nothing: a card with 128 KiB
# compares address bits 31:17, so it has flip-flops for these and none for the rest. `mask & -mask` is the lowest
# bit that is set. The usual formula, `~mask + 1`, gives the same only if all bits above are 1, and for ports they need
# not be. A BAR of 8 GiB has no address bit in its lower half at all: test `mask` only when it is whole.
#
# Two traps are about neighbours. COMMAND and STATUS share a dword: write 4 bytes, and you acknowledge events that
# nobody has seen. And a BAR full of ones is an address like any other. On a PC it lies where the interrupt
# controller and the ROM are, so a card that decodes meanwhile answers in their place.
#
# The library does the same in `virtlab/guest/pci.py`, `size_bars`. The other side, which bits a card lets be
# written, is one line of `Bar.place` in `virtlab/pci/bars.py`.

# %% [markdown] tags=["topic:S05", "topic:S06", "topic:S07"]
# ## 3. Scan the buses
# *about 25 lines · 25 min · ★★★ · S05 S06 S07*
#
# Write `scan(pci)`, which finds every function on every bus, and gives each bus its number. Begin on bus 0.
#
# - A device is there if Vendor ID (2 bytes at `0x00`) of its function 0 is not `0xffff`. Functions 1 to 7 are looked for
#   only if bit 7 of Header Type (1 byte at `0x0e`) of function 0 is 1. Some cards answer for all eight.
# - A function whose Header Type has 1 in bits 6:0 is a bridge. The bus below it gets the next free number *at once*,
#   and is scanned before you look at the next function of the bus above.
# - A bridge passes an access down if the bus is in the range from its secondary to its subordinate number. These are
#   single bytes: primary (the bus above) at `0x18`, secondary (the bus below) at `0x19`, subordinate (the highest
#   number below) at `0x1a`. You learn the last one only after the scan below; until then let it be 255.
#
# What firmware left in the bridges means nothing. PCI Express needs nothing more: a link is a bus with one device.
#
# - **Given** `pci`.
# - **Returns** a list with a tuple `(place, vendor, device_id)` for each function, in the order in which it was found.
#   `place` is a tuple, Device ID is at `0x02`. At the end each bridge has its three numbers.
#
# With a bridge at `00:03.0`, another one behind it at `01:00.0` and a card behind that, the places are `(0, 3, 0)`,
# `(1, 0, 0)`, `(2, 0, 0)`. The first bridge has the numbers 0, 1, 2, the second one 1, 2, 2.

# %% nbgrader={"grade": false, "grade_id": "ps2-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scan(pci):
    """Find every function, depth first, and give every bus its number."""
    ### BEGIN SOLUTION
    found, highest = [], 0

    def scan_bus(bus):
        for device in range(32):
            if pci.read((bus, device, 0), 0x00, 2) == 0xFFFF:
                continue
            several = pci.read((bus, device, 0), 0x0E, 1) & 0x80
            for function in range(8 if several else 1):
                scan_function((bus, device, function))

    def scan_function(place):
        nonlocal highest
        vendor = pci.read(place, 0x00, 2)
        if vendor == 0xFFFF:
            return
        found.append((place, vendor, pci.read(place, 0x02, 2)))
        if pci.read(place, 0x0E, 1) & 0x7F == 1:
            highest += 1
            secondary = highest
            for offset, number in ((0x18, place[0]), (0x19, secondary), (0x1A, 255)):
                pci.write(place, offset, 1, number)
            scan_bus(secondary)
            pci.write(place, 0x1A, 1, highest)

    scan_bus(0)
    return found
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q3", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q3")

# %% [markdown] tags=["solution"]
# **Explained.** The tree is discovered and made passable by the same walk. Before a bridge has numbers, nothing gets
# through it. So it is numbered on the way down with what is known, the bus above and the bus below, and with an open
# end, 255. On the way back the end is known: the highest number given out so far. `highest` is shared by all calls.
# A bus number that is computed from the parent's alone works for one bridge a level and fails for two.
#
# Depth first is what makes the ranges work. All buses below a bridge get numbers in a row, so one range says it all,
# and a bridge decides with two comparisons. The same trick comes back with the windows of task 4.
#
# A switch needed no code: to software its ports are bridges, and its inside is a bus. That was PCI Express's condition
# for success: the enumeration of 1995 had to find it all. `Scan` in `virtlab/guest/pci.py` is this walk, and sizes each
# BAR on the way.

# %% [markdown] tags=["topic:S05", "topic:S06", "topic:S07"]
# ## 4. Find the fault
# *about 30 lines · 35 min · ★★★★ · S05 S06 S07*
#
# The machine was enumerated, and every function is found. Still an access does not arrive: somebody has written a
# wrong value into one register on its way. Write `diagnose(pci, path, access)`, which reads the registers of the
# functions on the path and says where the access ends, and why. It may not write: the machine is running.
#
# | access | what it is | each bridge needs | the card needs |
# |---|---|---|---|
# | `("config", offset)` | the processor reads the card's configuration space | secondary ≤ bus of the card ≤ subordinate | |
# | `("memory", gpa)` | the processor reads the card's memory | COMMAND bit 1; the gpa inside one of its two memory windows | COMMAND bit 1 |
# | `("port", port)` | the processor reads a port of the card | COMMAND bit 0; the port inside its I/O window | COMMAND bit 0 |
# | `("dma", gpa)` | the card reads main memory | COMMAND bit 2; the gpa *outside* both memory windows | COMMAND bit 2 |
#
# A window goes from base to limit, both included. The lower bits, which the registers leave out, are 0 in the base and
# 1 in the limit. A base above the limit closes the window.
#
# | window | base, limit | bits 7:4 or 15:4 of it are | more |
# |---|---|---|---|
# | I/O | `0x1c`, `0x1d`, 1 byte each | port bits 15:12 | |
# | memory | `0x20`, `0x22`, 2 bytes each | address bits 31:20 | |
# | prefetchable memory | `0x24`, `0x26`, 2 bytes each | address bits 31:20 | bits 63:32 in `0x28` and `0x2c`, 4 bytes each |
#
# - **Given** `pci`; `path`, a list of places: the bridges from bus 0 on, then the card; `access`, a tuple. Every access
#   is of 4 bytes, aligned. Nothing but these registers can be wrong, and no access needs more than its row says.
# - **Returns** `(place, fault)`. `place` is the first function on the path, seen from bus 0, that lacks what it
#   needs; `fault` is `"bus numbers"`, `"command"` or `"window"`, and COMMAND is looked at before the windows. If the access
#   arrives: `None`.
#
# A bridge at `00:03.0` has COMMAND 7, memory base `0xc000` and limit `0xc010`: the window goes from `0xc0000000` to
# `0xc01fffff`. A read of `("memory", 0xc0200000)` gives `((0, 3, 0), "window")`, if the other window is closed.

# %% nbgrader={"grade": false, "grade_id": "ps2-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def diagnose(pci, path, access):
    """Where on its path an access ends, and why; None if it arrives."""
    ### BEGIN SOLUTION
    kind, address = access
    *bridges, card = path
    bit = {"config": 0, "port": 0b001, "memory": 0b010, "dma": 0b100}[kind]
    for place in bridges:
        if kind == "config":
            if not pci.read(place, 0x19, 1) <= card[0] <= pci.read(place, 0x1A, 1):
                return place, "bus numbers"
            continue
        if not pci.read(place, 0x04, 2) & bit:
            return place, "command"
        inside = any(first <= address <= last for first, last in windows(pci, place, kind))
        if inside == (kind == "dma"):
            return place, "window"
    if bit and not pci.read(card, 0x04, 2) & bit:
        return card, "command"
    return None


def windows(pci, place, kind):
    """The windows of a bridge that matter for a kind of access, as pairs (first, last)."""
    if kind == "port":
        base, limit = (pci.read(place, offset, 1) & 0xF0 for offset in (0x1C, 0x1D))
        return [(base << 8, limit << 8 | 0xFFF)]
    pairs = []
    for offset in (0x20, 0x24):
        base, limit = (pci.read(place, offset + half, 2) & 0xFFF0 for half in (0, 2))
        pairs.append((base << 16, limit << 16 | 0xFFFFF))
    above, beyond = (pci.read(place, offset, 4) << 32 for offset in (0x28, 0x2C))
    pairs[1] = pairs[1][0] | above, pairs[1][1] | beyond
    return pairs
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q4", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q4")

# %% [markdown] tags=["solution"]
# **Explained.** A bridge knows nothing of the cards below it. It has ranges, and asks one question: is this number in
# one of them? Downwards a request passes if it is inside, upwards if it is outside. So a memory window that covers main
# memory swallows DMA: the bridge takes the address for one of its own cards, and the request never goes up. Nothing in
# the card looks wrong. Nor does the bridge's own window, if you test only accesses of the processor.
#
# Each kind of access needs its own three or four bits. Configuration is routed by bus number and needs no bit of COMMAND:
# that is why all functions are found. Memory and ports are routed by address and need no bus number. Enumeration can
# be right in one and wrong in the other.
#
# The order matters for the last trap. Behind a bridge with wrong bus numbers every register reads as ones: COMMAND
# seems to allow everything. Go from bus 0 downwards and stop at the first fault; what lies behind it cannot be believed.
# `bridge.forwards` in `virtlab/pci/bridge.py` is the question, `route_up` in `virtlab/pci/bus.py` the other direction. A
# `Route` of the library carries its own diagnosis, `refusal`.

# %% [markdown] tags=["topic:S04", "topic:S07"]
# ## 5. Who answers whom
# *about 12 lines · 15 min · ★★ · S04 S07*
#
# On a PCI Express link there are only packets. Some are *posted*: memory writes (`"MWr"`) and messages (`"Msg"`, `"MsgD"`);
# nobody answers them. All other requests are *non-posted* (`"MRd"`, `"IORd"`, `"IOWr"`, `"CfgRd0"`, `"CfgWr1"`, ...): one or more
# completions (`"Cpl"` without data, `"CplD"` with) come back, perhaps much later, and in any order between
# different requests. Write `transactions(packets)`, which finds the completions of each request.
#
# - A completion has the requester and the tag of its request. Both together name a non-posted request while it waits. The
#   tag of a posted request means nothing.
# - A read may be answered in pieces. `byte_count` says how many bytes are still to come, this piece included: in the last
#   `CplD` it equals `length`. A `Cpl` is always the last. Then the tag is free for another request.
#
# A completion that no waiting request explains belongs to nobody.
#
# - **Given** `packets`, a list; each packet has `kind`, `requester`, `tag`, `length` and `byte_count`, the last two in bytes.
# - **Returns** a list with a tuple `(number, class, completions)` for each *request*, in order: its index in `packets`,
#   `"posted"` or `"non-posted"`, and a list of the indices of its completions, in order.
#
# `MRd` from `0x100` with tag 3, `MWr` from `0x100` with tag 3, `CplD` for `0x100` with tag 3 give
# `[(0, "non-posted", [2]), (1, "posted", [])]`.

# %% nbgrader={"grade": false, "grade_id": "ps2-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def transactions(packets):
    """Each request with its class and its completions."""
    ### BEGIN SOLUTION
    found, waiting = [], {}
    for number, packet in enumerate(packets):
        name = packet.requester, packet.tag
        if packet.kind in ("MWr", "Msg", "MsgD"):
            found.append((number, "posted", []))
        elif packet.kind not in ("Cpl", "CplD"):
            waiting[name] = []
            found.append((number, "non-posted", waiting[name]))
        elif name in waiting:
            waiting[name].append(number)
            if packet.kind == "Cpl" or packet.byte_count == packet.length:
                del waiting[name]
    return found
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q5", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q5")

# %% [markdown] tags=["solution"]
# **Explained.** A conventional bus has no such question: the answer comes while the master holds the bus. A packet leaves
# and the link is free, so somebody must remember what is under way. `waiting` is what a requester really has: a table with
# one row for each tag. With 32 tags it has 32 rows, and a 33rd read must wait. That bounds how much a card can
# read at once, and so its speed over a long way.
#
# The list that was put into `found` is the same object as the one in `waiting`, so it goes on growing there. And `del`
# makes the tag free: without it the next completion with that name, a stray one, would be taken for an answer.
#
# Posted is what makes writes cheap, and errors hard to find: a write that nobody takes disappears without a word. In
# the trace of a board you see both sides of DMA: what the card writes costs one packet for 128 bytes, what it reads costs
# a request and its completions.

# %% [markdown] tags=["topic:S04", "topic:S05"]
# ## 6. Read the disk without the processor
# *about 30 lines · 35 min · ★★★★ · S04 S05*
#
# A bus master moves sectors from the disk into memory by itself. It follows a table of *regions*, each 8 bytes,
# little-endian. They are 4 bytes base (a gpa), 2 bytes count in bytes (0 means 64 KiB), and 2 bytes flags: `0x8000`
# in the last entry, 0 in the others. A region may not cross a multiple of 64 KiB (`0x10000`). Write
# `prd_table(pieces)`, which makes such a table, and `read_disk(cpu, base, table, sector, pieces)`, which reads
# sectors into these pieces of memory:
#
# 1. Write the table to memory at `table`, and its address to port `base + 4` (4 bytes).
# 2. Write `0x08` to port `base`: the direction, to memory; not started. Write `0x06` to `base + 2`, the bus master's status:
#    a written 1 clears its bits ERROR (1) and INTERRUPT (2), which may be left from before.
# 3. Give the drive its command: to port `0x1f6` `0xe0` and bits 27:24 of the sector number; to `0x1f2` how many
#    sectors (0 means 256); to `0x1f3`, `0x1f4`, `0x1f5` bits 7:0, 15:8, 23:16 of the number; at last `0xc8`, READ DMA, to `0x1f7`.
# 4. Write `0x09` to port `base`: start.
# 5. Read `base + 2` until ERROR or INTERRUPT is 1. The disk takes its time.
# 6. Write `0x08` to port `base`: stop. Read the drive's status at `0x1f7`, which also acknowledges its interrupt.
#
# - **Given** `cpu`, with `inp(port)`, `out(port, value, size=1)` and `write(gpa, data)`; `base`, a port; `table`, a gpa; `sector`, an int of 28
#   bits; `pieces`, a list of pairs `(gpa, length)`, even numbers, together 1 to 256 whole sectors of 512 bytes.
# - **Returns**: `prd_table` the table as `bytes`; `read_disk` True, or False if the bus master's ERROR or bit 0, ERR, of the drive's
#   status is 1.
#
# `prd_table([(0x1ff00, 0x300)])` has two entries: `0x100` bytes at `0x1ff00`, and `0x200` at `0x20000`, marked as the last.

# %% nbgrader={"grade": false, "grade_id": "ps2-q6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def prd_table(pieces):
    """The bus master's table for `pieces` of memory, as bytes."""
    ### BEGIN SOLUTION
    regions = []
    for gpa, length in pieces:
        while length:
            n = min(length, 0x10000 - gpa % 0x10000)
            regions.append((gpa, n))
            gpa, length = gpa + n, length - n
    table = b""
    for number, (gpa, n) in enumerate(regions, 1):
        flags = 0x8000 if number == len(regions) else 0
        table += (gpa | (n & 0xFFFF) << 32 | flags << 48).to_bytes(8, "little")
    return table
    ### END SOLUTION


def read_disk(cpu, base, table, sector, pieces):
    """Read sectors from `sector` on into `pieces` of memory; whether it went well."""
    ### BEGIN SOLUTION
    cpu.write(table, prd_table(pieces))
    cpu.out(base + 4, table, 4)
    cpu.out(base, 0x08)
    cpu.out(base + 2, 0x06)
    sectors = sum(length for _, length in pieces) // 512
    cpu.out(0x1F6, 0xE0 | sector >> 24)
    cpu.out(0x1F2, sectors & 0xFF)
    for i in range(3):
        cpu.out(0x1F3 + i, sector >> 8 * i & 0xFF)
    cpu.out(0x1F7, 0xC8)
    cpu.out(base, 0x09)
    while not (state := cpu.inp(base + 2)) & 0b110:
        pass
    cpu.out(base, 0x08)
    status = cpu.inp(0x1F7)
    return not (state & 0b010 or status & 0b001)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q6", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q6")

# %% [markdown] tags=["solution"]
# **Explained.** Count what the processor does: a table, about a dozen port writes, and a wait in which it could do other
# work. By programmed I/O, 256 sectors are 65,536 reads of a port. The table is *scatter-gather*: the sectors are one
# stream, the pieces say where it goes, and neither has to know how the other is cut. Every device in this course has
# such a table; a virtqueue is one, too.
#
# The rule of 64 KiB is a counter of 16 bits in the chip: the upper half of the address does not count. A region across
# the border would go on at its own beginning. Our machine, like QEMU's, forgives it, so the check looks at the table.
# Never trust that a rule is kept because it works here.
#
# Three orders matter. Old status is cleared before the start, or the wait ends at once. The wait comes before the data is
# used; on a fast machine the version without it even works, sometimes. And status is read at the end, or the drive's
# interrupt line stays up. Two parties report errors: the drive if it has no such sector, the bus master if there is
# no such memory.

# %% [markdown] tags=["topic:S03", "topic:S04"]
# ## 7. Send through a network card
# *about 17 lines · 25 min · ★★★★ · S03 S04*
#
# The card, an Intel 82540EM, reads *descriptors* from a ring in memory: 16 bytes each, little-endian. It sends what lies
# between head and tail; the driver moves the tail, the card the head. Its registers are 4 bytes each, in memory from `base`:
#
# | offset | register | |
# |---|---|---|
# | `0x0400` | TCTL | transmit control: 0 is off, `0x4010a` is on, with short frames padded to 60 bytes |
# | `0x3800`, `0x3804` | TDBAL, TDBAH | address of the ring, bits 31:0 and 63:32 |
# | `0x3808` | TDLEN | length of the ring in bytes |
# | `0x3810`, `0x3818` | TDH, TDT | head and tail: numbers of descriptors |
#
# | bytes of a descriptor | |
# |---|---|
# | 0 to 7 | where the frame lies, a gpa |
# | 8 to 11 | bits 15:0 its length in bytes; bit 24 EOP, the frame ends here; bit 25 IFCS, add the checksum; bit 27 RS, report when done |
# | 12 | status: bit 0, DD, is set by the card when the frame is sent |
# | 13 to 15 | 0 |
#
# Write `open_ring(cpu, base, ring, count)`: transmitter off, ring in place and empty, transmitter on. And `send(cpu,
# base, ring, count, buffer, frame)`: put the frame into the buffer, and describe it in the descriptor that TDT names,
# with status 0 and all three bits. Then move TDT on by one, round the ring, and return when DD is 1. The card may
# begin as soon as TDT is written, and it may take a while.
#
# - **Given** `cpu`, with `load(gpa, size=4)`, `store(gpa, value, size=4)` and `write(gpa, data)`; `ring`, a gpa; `count`, the number of
#   descriptors, a multiple of 8; `buffer`, the gpa of 2048 bytes, used for every frame; `frame`, `bytes`.
# - **Returns** nothing. Each frame comes out of the cable once, in order; memory outside the ring and the buffer stays.
#
# With TDT 7 and `count` 8, a frame of 60 bytes in the buffer at `0x20000` is described by `00 00 02 00 00 00 00 00`,
# `3c 00 00 0b`, `00 00 00 00` at `ring + 112`; then TDT becomes 0.

# %% nbgrader={"grade": false, "grade_id": "ps2-q7-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def open_ring(cpu, base, ring, count):
    """Give the card an empty ring of `count` descriptors at `ring`."""
    ### BEGIN SOLUTION
    cpu.store(base + 0x0400, 0)
    cpu.store(base + 0x3800, ring & 0xFFFFFFFF)
    cpu.store(base + 0x3804, ring >> 32)
    cpu.store(base + 0x3808, 16 * count)
    cpu.store(base + 0x3810, 0)
    cpu.store(base + 0x3818, 0)
    cpu.store(base + 0x0400, 0x4010A)
    ### END SOLUTION


def send(cpu, base, ring, count, buffer, frame):
    """Send one frame; return when the card has sent it."""
    ### BEGIN SOLUTION
    cpu.write(buffer, frame)
    tail = cpu.load(base + 0x3818)
    descriptor = ring + 16 * tail
    command = len(frame) | 1 << 24 | 1 << 25 | 1 << 27
    cpu.write(descriptor, buffer.to_bytes(8, "little") + command.to_bytes(8, "little"))
    cpu.store(base + 0x3818, (tail + 1) % count)
    while not cpu.load(descriptor + 12, 1) & 1:
        pass
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps2-q7", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps2.q7")

# %% [markdown] tags=["solution"]
# **Explained.** The ring is shared without a lock, because at each moment every descriptor has one owner: the card
# from head to tail, the driver elsewhere. TDT hands a descriptor over, DD gives it back. So all of it must be written
# *before* the tail moves; here Python keeps the order, in C it takes a barrier. The status must be written as well:
# the second time round the ring there is an old DD. Who leaves it there takes the frame for sent while the card still
# reads the buffer.
#
# Head equal to tail means an empty ring. A driver that fills all descriptors makes a full ring look empty, so one
# always stays free. Here only one frame is under way at a time, which is safe and slow: each waits for the card. A
# real driver (`virtlab/guest/e1000/rings.py`) has a buffer for each descriptor, and looks at DD only when it needs
# room. It keeps its own copy of the tail, since reading TDT costs a round trip on the bus.
#
# Sending is DMA that the driver starts: *synchronous* in the lecture's words. Receiving uses the same ring the other way
# round, and nobody knows when: there the card interrupts. The virtqueue of lessons to come is this ring, made a
# standard, with the registers left out.
