# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 3: write the pieces of a VMM
#
# Nine tasks. Now you stand on the other side: the guest asks, and your code answers. Task 1 goes with lesson 06, task
# 2 with 07, task 3 with 08, tasks 4 to 6 with 09, task 7 with 10, and tasks 8 and 9 with 11. Plan about four hours
# and forty minutes; do them in order.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | one request at three layers | 30 lines | 30 | ★★ | 5 |
# | 2 | a model in another process | 12 lines | 20 | ★★ | 4 |
# | 3 | a machine to be found | 35 lines | 35 | ★★★ | 6 |
# | 4 | which ports exit | 15 lines | 15 | ★★ | 4 |
# | 5 | an extended page table | 35 lines | 40 | ★★★★ | 7 |
# | 6 | do what the instruction would | 35 lines | 40 | ★★★★ | 7 |
# | 7 | move the DMA to the right frames | 35 lines | 40 | ★★★★ | 6 |
# | 8 | one disk, many disks | 30 lines | 30 | ★★★ | 5 |
# | 9 | one card for all, and a cable that is none | 30 lines | 30 | ★★★ | 5 |
#
# Each task has a cell for your answer and a check below it. `hint("ps3.q1")` gives a first hint; call it again for
# the next. Change only the answer cells, and add cells of your own where you like. In grading, each task is asked
# some more, with other numbers; part of the cases gives part of the points.
#
# Two rules hold in every task. Numbers that come from a guest may be anything: *nothing may raise*, and nothing may be made
# as large as a guest says. And what the guest may not do is refused as a whole: no part of it happens.

# %% nbgrader={"grade": false, "grade_id": "ps3-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint

# %% [markdown] tags=["topic:S08", "topic:S09", "topic:S10"]
# ## 1. One request at three layers
# *about 30 lines · 30 min · ★★ · S08 S09 S10*
#
# A guest writes `length` bytes to a file. A VMM can cut in at three layers. First say what each costs: write
# `count_exits(layer, length, polls)`. A sector has 512 bytes; a part of one is written as a whole one.
#
# | layer | what exits |
# |---|---|
# | `"system call"` | the call itself; one call moves at most 4096 bytes |
# | `"driver call"` | a hypercall; one moves at most 16 sectors |
# | `"I/O operation"` | each access to a port. A disk command takes at most 256 sectors. Each command: 6 `OUT`s; for each of its sectors `polls` reads of the status, then 256 `OUT`s of 2 bytes; at its end `polls` more reads |
#
# Then serve the first two. Both handlers ask the questions of their row from left to right, and the first that is not met
# gives the answer:
#
# | handler | | | | | else |
# |---|---|---|---|---|---|
# | `shadow_write` | file `number` is open: `-9` | the bytes to be moved all lie in memory: `-14` | | | how many bytes were moved |
# | `hypercall` | `number` is 0, read the disk, or 1, write it: `-38` | `count` is 1 to 16: `-22` | the sectors are all on the disk: `-5` | their bytes in memory all exist: `-14` | `count` |
#
# - **Given** `memory`, the guest's, with `size` in bytes, `read(gpa, length)` and `write(gpa, data)`; `files`, a dict of open
#   files, number to `bytearray`; `disk` with `sectors`, `read(sector, count)` and `write(sector, data)`; `buffer`, `gpa`, and
#   the other numbers, ints from 0 to 2³² - 1.
# - **Returns** an int. `shadow_write` adds the bytes to the end of the file; it moves the first 4096 of a longer request. The
#   application calls again for the rest.
#
# 1000 bytes are 2 sectors. With `polls` 1 that makes 1, 1, and 6 + 2·257 + 1 = 521 exits.

# %% nbgrader={"grade": false, "grade_id": "ps3-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_exits(layer, length, polls):
    """How many exits a write of `length` bytes costs."""
    ### BEGIN SOLUTION
    sectors = -(-length // 512)
    if layer == "system call":
        return -(-length // 4096)
    if layer == "driver call":
        return -(-sectors // 16)
    commands = -(-sectors // 256)
    return commands * (6 + polls) + sectors * (polls + 256)
    ### END SOLUTION


def shadow_write(memory, files, number, buffer, length):
    """The VMM's own write(): append guest bytes to a file; how many, or a negative error."""
    ### BEGIN SOLUTION
    length = min(length, 4096)
    if number not in files:
        return -9
    if buffer + length > memory.size:
        return -14
    files[number] += memory.read(buffer, length)
    return length
    ### END SOLUTION


def hypercall(memory, disk, number, sector, count, gpa):
    """Move sectors for the guest's driver; how many, or a negative error."""
    ### BEGIN SOLUTION
    if number not in (0, 1):
        return -38
    if not 1 <= count <= 16:
        return -22
    if sector + count > disk.sectors:
        return -5
    if gpa + 512 * count > memory.size:
        return -14
    if number == 0:
        memory.write(gpa, disk.read(sector, count))
    else:
        disk.write(sector, memory.read(gpa, 512 * count))
    return count
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q1", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q1")

# %% [markdown] tags=["solution"]
# **Explained.** The same 4 KiB cost 1 exit, 1 exit, or about 2,000. The higher the cut, the more one exit carries: a system
# call says *write these bytes*, a port write says *here are two of them*. A string instruction, `REP OUTSW`, would save
# instructions; whether it saves exits is up to the VMM.
#
# What the higher cuts cost is not seen in the count. At the system call the VMM must know what a file is, for each guest
# operating system; at the driver call somebody must write a driver for each. At the I/O operation any guest works as it
# stands, because the interface is the hardware's.
#
# The handlers are short because they ask first and move last. `min` comes before the question about memory: 4 GiB from near
# the end of memory is a short write if 4096 bytes are there. Python's numbers do not overflow; in C the sum `sector + count`
# does, and then a huge sector looks small. Many real holes are exactly this line.

# %% [markdown] tags=["topic:S12", "topic:S13"]
# ## 2. A model in another process
# *about 12 lines · 20 min · ★★ · S12 S13*
#
# The device model lives in a user-space process, the service. What the VMM intercepts it must pass on, and each time
# the processor changes to the service and back. So a VMM makes a bargain for *quiet* registers, whose writes do
# nothing at once. It collects those writes and sends them together with the next access that matters. Write `Proxy`,
# the VMM's end of it.
#
# - A quiet write waits. Any other access, a read of any register or a write of one that is not quiet, is sent at once,
#   *behind all that waits*, in one call. So the model sees every access, in the guest's order.
# - A call carries at most `room` accesses. As soon as `room` accesses have come together, they are sent.
# - `flush()`, called when the guest halts, sends what waits. Nothing waits: no call.
#
# And write `cost(exits, calls)`. An exit is 2 world switches (out of the guest, and back), together 230 ns. A call adds 2: to
# the service, and back, 3800 ns each. (`COSTS` in `virtlab/clock.py` says where these figures come from.)
#
# - **Given** `service`, with `service.call(batch)`: `batch` is a list of tuples `("write", offset, size, value)` or
#   `("read", offset, size)`; only the last may be a read, and its value is what `call` returns (0, where it is a write).
#   `quiet`, a set of offsets; `room`, 1 or more.
# - **Returns**: `read` the value; `write` and `flush` nothing; `cost` a tuple: world switches, and ns, an int.
#
# With `quiet={0x10}` and `room=8`: two writes to `0x10`, then a read of `0x4`, make one call of three accesses. That is
# `cost(3, 1)`, `(8, 8290)`, where three calls would be `cost(3, 3)`, `(12, 23490)`.

# %% nbgrader={"grade": false, "grade_id": "ps3-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Proxy:
    """The VMM's end of a device model in another process."""

    def __init__(self, service, quiet, room):
        """Nothing waits."""
        ### BEGIN SOLUTION
        self.service, self.quiet, self.room = service, quiet, room
        self.waiting = []
        ### END SOLUTION

    def read(self, offset, size):
        """A load from the device: its value."""
        ### BEGIN SOLUTION
        self.waiting.append(("read", offset, size))
        return self.flush()
        ### END SOLUTION

    def write(self, offset, size, value):
        """A store to the device."""
        ### BEGIN SOLUTION
        self.waiting.append(("write", offset, size, value))
        if offset not in self.quiet or len(self.waiting) == self.room:
            self.flush()
        ### END SOLUTION

    def flush(self):
        """Send what waits."""
        ### BEGIN SOLUTION
        batch, self.waiting = self.waiting, []
        return self.service.call(batch) if batch else None
        ### END SOLUTION


def cost(exits, calls):
    """World switches and ns of so many exits and calls of the service."""
    ### BEGIN SOLUTION
    return 2 * exits + 2 * calls, 230 * exits + 2 * 3800 * calls
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q2", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q2")

# %% [markdown] tags=["solution"]
# **Explained.** The exits stay: the guest still stops at each access. What is saved is the way to the other process,
# and that is where the time is. Linux KVM has this bargain under the name *coalesced MMIO*: a page shared with the
# VMM's process, with a ring of about 170 entries. QEMU uses it for the memory of VGA cards, where one picture is
# thousands of writes.
#
# All the care is for order. A read goes behind the waiting writes, or the model answers from its past. A write that is not
# quiet does too: it may start what the quiet ones have set up. Note that a batch always has room for one more, as a full one
# has been sent. And the list is replaced, not emptied: it is the service's now.
#
# Which registers are quiet, only the model's author knows. A register that raises an interrupt is not; nor is one whose write
# another device can see.

# %% [markdown] tags=["topic:S15", "topic:S16", "topic:S17"]
# ## 3. A machine to be found
# *about 35 lines · 35 min · ★★★ · S15 S16 S17*
#
# A guest starts and looks around. There is no device behind this task, only answers. Write `Board`, the VMM's virtual
# ports: the guest finds a keyboard controller, a PCI bus, and a device that was never built.
#
# **The keyboard controller**, hard-coded at two ports, with the status preset as a BIOS would leave it.
#
# | 1 byte at | read | write |
# |---|---|---|
# | `0x64` | `0x14`; `0x15` while bytes wait at `0x60` | a command. `0xaa`: `0x55` waits. `0xab`: `0x00` waits. `0x20`: the command byte waits, at first `0x05`. `0x60`: the next byte written to `0x60` is the command byte, unless another command comes first; nothing follows from its bits here. Others: nothing |
# | `0x60` | takes the first byte that waits; 0 if none does | a byte for the keyboard: `0xfa` waits, and behind it, after `0xff`, `0xaa`, after `0xf2`, `0xab` and `0x83` |
#
# At most 16 bytes wait; what comes then is lost.
#
# **The PCI bus.** Writing 4 bytes to `0xcf8` chooses a register by bits as in problem set 2: 31 enable, 23:16 bus, 15:11
# device, 10:8 function, 7:2 offset. Reading 4 bytes there gives the word back. A read of 1, 2 or 4 bytes that lies in `0xcfc`
# to `0xcff` gives those bytes of the register. Nothing can be written. Without enable, and where no function is, all ones.
#
# **The invented one** tells a guest about its machine. Writing 2 bytes to `0x510` chooses an item, from its first byte; at
# power-on it is item 0. Each read of 1 byte at `0x511` gives the next byte; 0 behind the end, and where there is no such item.
#
# Any other port, and any other size: a read gives all ones, a write is lost.
#
# - **Given** `functions`, a dict: `(bus, device, function)` to 256 `bytes`; `items`, a dict: number to `bytes`; `port` 0 to
#   `0xffff`; `size` 1, 2 or 4; `value` of that size.
# - **Returns**, for `inp`, an int of `size` bytes.
#
# After `out(0x64, 0xaa, 1)`: `inp(0x64, 1)` is `0x15`, `inp(0x60, 1)` is `0x55`, `inp(0x64, 1)` is `0x14`. `inp(0xcfe, 2)`
# gives bytes 2 and 3 of the register, little-endian; `inp(0xcfe, 4)` is `0xffffffff`.

# %% nbgrader={"grade": false, "grade_id": "ps3-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Board:
    """The ports of a virtual machine, as a guest finds them."""

    def __init__(self, functions, items):
        """The machine at power-on."""
        ### BEGIN SOLUTION
        self.functions, self.items = functions, items
        self.waiting, self.command_byte, self.awaited = [], 0x05, False
        self.word = 0
        self.item, self.at = items.get(0, b""), 0
        ### END SOLUTION

    def inp(self, port, size):
        """`IN`: the value of `size` bytes."""
        ### BEGIN SOLUTION
        if (port, size) == (0x64, 1):
            return 0x15 if self.waiting else 0x14
        if (port, size) == (0x60, 1):
            return self.waiting.pop(0) if self.waiting else 0
        if (port, size) == (0xCF8, 4):
            return self.word
        if 0xCFC <= port <= 0xD00 - size and self.word >> 31:
            place = self.word >> 16 & 0xFF, self.word >> 11 & 0x1F, self.word >> 8 & 7
            offset = (self.word & 0xFC) + port - 0xCFC
            if place in self.functions:
                return int.from_bytes(self.functions[place][offset : offset + size], "little")
        if (port, size) == (0x511, 1):
            self.at += 1
            return self.item[self.at - 1] if self.at <= len(self.item) else 0
        return (1 << 8 * size) - 1
        ### END SOLUTION

    def out(self, port, value, size):
        """`OUT` of `size` bytes."""
        ### BEGIN SOLUTION
        if (port, size) == (0x64, 1):
            answers = {0xAA: [0x55], 0xAB: [0x00], 0x20: [self.command_byte]}
            self.wait(answers.get(value, []))
            self.awaited = value == 0x60
        elif (port, size) == (0x60, 1) and self.awaited:
            self.command_byte, self.awaited = value, False
        elif (port, size) == (0x60, 1):
            self.wait([0xFA, *{0xFF: [0xAA], 0xF2: [0xAB, 0x83]}.get(value, [])])
        elif (port, size) == (0xCF8, 4):
            self.word = value
        elif (port, size) == (0x510, 2):
            self.item, self.at = self.items.get(value, b""), 0

    def wait(self, answers):
        """Let bytes wait at port 0x60, as far as there is room."""
        self.waiting = (self.waiting + answers)[:16]
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q3", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q3")

# %% [markdown] tags=["solution"]
# **Explained.** Three devices, three ways to be found. The first cannot be enumerated: the guest *knows* the ports,
# and asks whether somebody lives there. A wrong status bit, and it waits for ever or gives up. The second is found by
# a method that belongs to the bus. So the VMM must emulate the bus even where nothing is. All ones for an absent
# function is part of the protocol; without it a scan finds 256 × 32 copies of the same card.
#
# The third has no hardware to be true to. It was invented by a VMM's author, and QEMU has it: this is `fw_cfg`, at these very
# ports, with item 0 holding the letters QEMU. No guest finds it unless it brings the driver; SeaBIOS, UEFI and Linux do.
#
# The branches stand in a table's order on purpose. A size belongs to a port as much as its number: two bytes at `0x60` are
# not the data port, and one byte at `0xcf8` is not the address register. Linux tests that before it believes that there is a
# PCI bus. The bound of 16 is for a guest that writes and never reads.

# %% [markdown] tags=["topic:S11", "topic:S18", "topic:S22"]
# ## 4. Which ports exit
# *about 15 lines · 15 min · ★★ · S11 S18 S22*
#
# Port instructions are privileged; the I/O bitmap says which of them a guest may execute all the same. There are two bitmaps
# of 4096 bytes, one bit a port: port `p` below `0x8000` is bit `p % 8` of byte `p // 8` in A, port `0x8000 + p` the same in
# B. In VT-x *a bit of 1 means exit*, 0 lets the access through to the hardware. (The lecture's "bitmap ON" means a port that
# is *open*: a 0.)
#
# Write `bitmaps(direct, kept)`. The ports in `direct` belong to a device that the VM has for itself: open. All others exit.
# So do the ports in `kept`, even if `direct` has them too: even a dedicated device may have a register that a VMM does not
# let go of.
#
# And write `exits(a, b, port, size)`, the processor's question: an access exits if the bit of *any* of its bytes is 1, and
# always if it goes past port `0xffff`.
#
# - **Given** `direct` and `kept`, lists of pairs `(first port, how many)`, all within 0 to `0xffff`, possibly overlapping;
#   `a`, `b`, `bytes`; `port` 0 to `0xffff`; `size` 1, 2 or 4.
# - **Returns** `bitmaps` two `bytes` of 4096 each; `exits` a bool.
#
# `bitmaps([(0x3f8, 8)], [(0x3fc, 1)])` has byte `0x7f` of A equal `0x10`, every other byte `0xff`. With these,
# `exits(a, b, 0x3fa, 2)` is False, `exits(a, b, 0x3fa, 4)` True.

# %% nbgrader={"grade": false, "grade_id": "ps3-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bitmaps(direct, kept):
    """I/O bitmaps A and B that open `direct`, but not `kept`."""
    ### BEGIN SOLUTION
    bits = bytearray(b"\xff" * 8192)
    for pieces, trapped in ((direct, False), (kept, True)):
        for first, count in pieces:
            for port in range(first, first + count):
                if trapped:
                    bits[port // 8] |= 1 << port % 8
                else:
                    bits[port // 8] &= ~(1 << port % 8)
    return bytes(bits[:4096]), bytes(bits[4096:])
    ### END SOLUTION


def exits(a, b, port, size):
    """Whether an access of `size` bytes at `port` exits."""
    ### BEGIN SOLUTION
    if port + size > 0x10000:
        return True
    return any((a + b)[at // 8] >> at % 8 & 1 for at in range(port, port + size))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q4", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q4")

# %% [markdown] tags=["solution"]
# **Explained.** A and B one behind the other are one map of 65,536 bits, in the ports' order: `a + b`. The two pages are an
# accident of the VMCS's format.
#
# The map starts with ones: what nobody thought of exits. A VMM that starts with zeros works as well, until the first
# port that was forgotten. And who mixes up the lecture's ON with VT-x's 1 opens exactly what should be guarded. The
# check finds that at once. A guest would not tell you: with everything open it runs, and faster.
#
# An access is as safe as its worst byte. Were one open byte enough, a guest could read a kept port by a wide access from its
# neighbour. `kept` comes second for the same reason: where two rules meet, the careful one wins. An IDE controller has such a
# register: its other ports may be the VM's, but the address of its DMA table may not. Task 7 says why.

# %% [markdown] tags=["topic:S19", "topic:S26"]
# ## 5. An extended page table
# *about 35 lines · 40 min · ★★★★ · S19 S26*
#
# EPT turns guest-physical into host-physical addresses, in hardware. Tables have 512 entries of 8 bytes. At level 4, bits
# 47:39 of the gpa choose the entry, at level 3 bits 38:30, at level 2 bits 29:21, at level 1 bits 20:12. Bits 51:12 of EPTP
# are the table of level 4.
#
# | bits of an entry | |
# |---|---|
# | 2:0 | rights X, W, R; all three 0: not present |
# | 7 | at levels 3 and 2, 1: the entry maps a page of 1 GiB or 2 MiB. At level 1 every entry maps a page, of 4 KiB; its bit 7 is ignored |
# | 5:3 | for a page, its memory type: 0, 1, 4, 5 or 6 |
# | 51:12 | the next table, or the page, where the bits below the page's size must be 0 |
#
# Write `lookup(memory, eptp, gpa, write)`, the processor's walk. Entry by entry, from level 4:
#
# 1. Not present, or a gpa of more than 48 bits: an EPT *violation*, the walk ends.
# 2. A present entry is *misconfigured* if it may be written but not read; if its only right is X; if any of bits 51:46 is 1
#    (this processor's addresses have 46 bits); if a reserved bit is 1: for a table, bits 6:3, at level 4 also bit 7; for a
#    page, those below its size, 29:12 or 20:12; if a page's memory type is not one of the five. The walk ends.
#
# An access is allowed what *all* entries on its way allow. Without R a read, without W a write is a violation; this is asked
# at the end of the walk. No entry may be read twice: a table is shared with others, who may change it.
#
# And write `map_page(memory, take_frame, eptp, gpa, hpa, size, rights, memory_type)`: one page, with these rights and this
# type. Missing tables are made, with all rights; what else is mapped stays. A page of 4 KiB never lies in a larger one that
# is there, nor the other way round.
#
# - **Given** `memory`, the host's, with `load(hpa, 8)` and `store(hpa, 8, value)`; where there is no memory a load gives all
#   ones. `take_frame()` gives the hpa of a free frame, full of zeros. `size` is `0x1000`, `0x200000` or `0x40000000`; `gpa`,
#   `hpa` multiples of it.
# - **Returns** `lookup` a tuple: `("mapped", hpa)`, `("violation", None)` or `("misconfiguration", None)`; `map_page`
#   nothing.
#
# Where level 2 has the entry `0x4000b7` for it, `gpa = 0x212345` gives `("mapped", 0x412345)`.

# %% nbgrader={"grade": false, "grade_id": "ps3-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lookup(memory, eptp, gpa, write):
    """Walk the tables for an access, as the processor does."""
    ### BEGIN SOLUTION
    table, rights = eptp & FRAME, 0b111
    if gpa >> 48:
        return "violation", None
    for level in (4, 3, 2, 1):
        size = 1 << 3 + 9 * level
        entry = memory.load(table + 8 * (gpa // size % 512), 8)
        page = level == 1 or (level < 4 and entry >> 7 & 1 == 1)
        if not entry & 0b111:
            return "violation", None
        if misconfigured(entry, level, page, size):
            return "misconfiguration", None
        rights &= entry
        if page:
            break
        table = entry & FRAME
    if not rights & (0b010 if write else 0b001):
        return "violation", None
    return "mapped", (entry & FRAME) + gpa % size


FRAME = 0xFFFFFFFFFF000


def misconfigured(entry, level, page, size):
    """Whether no processor accepts this present entry."""
    if entry & 0b011 == 0b010 or entry & 0b111 == 0b100 or entry >> 46 & 0x3F:
        return True
    if page:
        return bool(entry & FRAME & (size - 1)) or entry >> 3 & 0b111 in (2, 3, 7)
    return bool(entry & (0xF8 if level == 4 else 0x78))
    ### END SOLUTION


def map_page(memory, take_frame, eptp, gpa, hpa, size, rights, memory_type):
    """Map one page of `size` bytes, making the tables that are missing."""
    ### BEGIN SOLUTION
    table, level = eptp & FRAME, 4
    while size < 1 << 3 + 9 * level:
        at = table + 8 * (gpa >> 3 + 9 * level & 0x1FF)
        if not memory.load(at, 8) & 0b111:
            memory.store(at, 8, take_frame() | 0b111)
        table, level = memory.load(at, 8) & FRAME, level - 1
    large = 0x80 if level > 1 else 0
    at = table + 8 * (gpa >> 3 + 9 * level & 0x1FF)
    memory.store(at, 8, hpa | large | memory_type << 3 | rights)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q5", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q5")

# %% [markdown] tags=["solution"]
# **Explained.** Both functions go down the same tree, and one number says all of a level: an entry of level `n` covers
# `1 << 3 + 9*n` bytes. If that is the size of the page, this is the level where the page's entry goes.
#
# A violation is the VMM's daily bread: a device is emulated by leaving its page out, so that each access exits. A
# misconfiguration is a broken table, whatever the access; that is why it comes before the question of rights. (KVM makes use
# of the difference: it marks pages of emulated devices by a misconfigured entry, as that exit needs no look at the guest's
# memory map.) Reserved bits look like pedantry, until a later processor gives one a meaning.
#
# With the page of a device *mapped*, the guest's loads and stores reach it with no exit at all, and no software: this is the
# lecture's direct access to I/O addresses. The page is the unit of what can be given away. A large page saves a table, and a
# step of the walk.

# %% [markdown] tags=["topic:S12", "topic:S14", "topic:S19"]
# ## 6. Do what the instruction would
# *about 35 lines · 40 min · ★★★★ · S12 S14 S19*
#
# A guest of machine code touches a page that is not mapped. The exit gives the gpa, but not the value: what was to be
# written, and how far to go on, stands in the instruction. Write `emulate`: decode it, do its access on the device, and say
# where the guest goes on.
#
# | bytes | a move of | between |
# |---|---|---|
# | `88` M, `89` M | 1 byte, 4 bytes | register → memory |
# | `8a` M, `8b` M | 1 byte, 4 bytes | memory → register |
# | `c6` M, `c7` M | 1 byte, 4 bytes | a constant → memory; it is at the end, 1 or 4 bytes; `reg` must be 0 |
# | `0f b6` M | 1 byte | memory → register of 4 bytes, the upper ones become 0 |
#
# A byte `66` in front, at most one, makes all 4 above a 2, the constant too. M is a byte: bits 7:6 `mod`, 5:3 `reg`, 2:0
# `rm`. What follows it says how the address was computed. You need only its length:
#
# | | bytes after M |
# |---|---|
# | `rm` is 4 | one more, S; from here on take bits 2:0 of S for `rm` |
# | then: `mod` 0 | none; 4 if `rm` is 5 |
# | `mod` 1, `mod` 2 | 1, 4 |
#
# `mod` 3 names no memory. `reg` is the number of a register: eax, ecx, edx, ebx, esp, ebp, esi, edi. Of 1 byte: al, cl, dl,
# bl, ah, ch, dh, bh; the last four are bits 15:8 of the first four. What a move of 1 or 2 bytes does not cover in a register
# stays.
#
# - **Given** `code`, at most 15 `bytes` from `eip` on, perhaps too few; `registers`, a list of eight ints; `eip`; `gpa`;
#   `space`, the devices: `read(gpa, size)` and `write(gpa, size, value)`.
# - **Returns** `(registers, eip)`, a list of eight and where the next instruction is; or `None`, with no access made, if the
#   bytes are not one of these instructions or not all of it.
#
# `89 43 0c` with eax 7 writes 7, 4 bytes, and goes on at `eip + 3`. So does `c7 05 00 00 b0 fe 07 00 00 00`, at `eip + 10`.

# %% nbgrader={"grade": false, "grade_id": "ps3-q6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def emulate(code, registers, eip, gpa, space):
    """Do one move for the guest; its registers and its next instruction, or None."""
    ### BEGIN SOLUTION
    prefix = code[:1] == b"\x66"
    wide = 2 if prefix else 4
    rest = code[prefix:]
    extend = rest[:2] == b"\x0f\xb6"
    rest = rest[extend:]
    if len(rest) < 2 or not extend and rest[0] not in (0x88, 0x89, 0x8A, 0x8B, 0xC6, 0xC7):
        return None
    opcode, mod, reg, rm = rest[0], rest[1] >> 6, rest[1] >> 3 & 7, rest[1] & 7
    size = wide if opcode in (0x89, 0x8B, 0xC7) else 1
    constant = opcode in (0xC6, 0xC7)
    length = 2
    if rm == 4:
        length, rm = 3, rest[2] & 7 if len(rest) > 2 else 0
    if mod == 1:
        length += 1
    elif mod == 2 or rm == 5:
        length += 4
    if constant:
        length += size
    if mod == 3 or constant and reg or len(rest) < length:
        return None
    registers = list(registers)
    if constant:
        space.write(gpa, size, int.from_bytes(rest[length - size : length], "little"))
    elif opcode in (0x88, 0x89):
        number, shift = (reg % 4, reg // 4 * 8) if size == 1 else (reg, 0)
        space.write(gpa, size, registers[number] >> shift & (1 << 8 * size) - 1)
    else:
        value = space.read(gpa, size)
        if extend:
            size = wide
        number, shift = (reg % 4, reg // 4 * 8) if size == 1 else (reg, 0)
        mask = (1 << 8 * size) - 1 << shift
        registers[number] = registers[number] & ~mask | value << shift
    return registers, eip + prefix + extend + length
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q6", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q6")

# %% [markdown] tags=["solution"]
# **Explained.** This is the price of the trap at the I/O operation: hardware knew all of it a moment ago, and a VMM finds it
# out again. VT-x helps with ports, where size, direction and value stand in the exit and in EAX. For memory it gives the
# address, and whether it was a read or a write.
#
# Decode all, then act. An access to a device cannot be taken back: who reads the device and then finds that the last
# byte is missing, has perhaps taken a character out of a UART. The bytes come from the guest, so `len(rest) < length`
# is no formality. An instruction may end on a page that is not there. A guest with two processors may change it after
# it was executed. KVM's decoder, with all prefixes and modes, has several thousand lines, and has had its holes.
#
# Two rules are easy to get half right. A write to `al` leaves the other three bytes of eax; a zero extension clears them, and
# with `66` only the second. And the numbers 4 to 7 mean `ah` to `bh` for one byte, but esp to edi for more.

# %% [markdown] tags=["topic:S20", "topic:S27"]
# ## 7. Move the DMA to the right frames
# *about 35 lines · 40 min · ★★★★ · S20 S27*
#
# A guest's driver gives a disk controller a table of regions, as you did in problem set 2. But its addresses are
# guest-physical, and the controller is real: it would write into whatever lies there in the host. So the VMM intercepts the
# table's address and gives the controller a table of its own. A frame can be taken away from a VM, but not while it is
# *pinned*: what a device is given must be pinned first.
#
# `remap(vm, pieces)` turns guest pieces into host pieces, in their order. A page of 4096 bytes lies in one frame;
# neighbouring pages need not. What touches in the host, one behind the other, becomes one piece. If a single byte is not the
# VM's RAM, the whole request is refused, and everything that was pinned for it is let go.
#
# `shadow_prd(vm, table)` reads the guest's table from its gpa `table` on: 8 bytes an entry, little-endian: 4 bytes base (a
# gpa), 2 bytes count (0 means 64 KiB), both even; 2 bytes flags, `0x8000` in the last entry. It gives the controller's: the
# same bytes of memory in the same order, in host-physical addresses; no region crosses a multiple of 64 KiB; flags `0x8000`
# in the last entry, 0 in all others. A table that is not in RAM to its last entry, or has no last one among 64, is refused.
# Read each entry once: the guest is running.
#
# - **Given** `vm`: `vm.pin(page)`, `page` a gpa that is a multiple of 4096, pins its frame and gives its hpa, or None if
#   there is no RAM of the VM; pins are counted, and `vm.unpin(page)` takes one back. `vm.read(gpa, length)` gives bytes of
#   guest RAM, or None if not all of them are. `pieces`, pairs `(gpa, length)`, any numbers from 0 up. All frames lie below 4
#   GiB.
# - **Returns** `remap` a list of pairs `(hpa, length)`; `shadow_prd` `bytes`; both `None` for what is refused.
#
# With pages `0x1000`, `0x2000`, `0x3000` in frames `0x9000`, `0x5000`, `0x6000`: `remap(vm, [(0x1ff0, 0x1020)])` gives
# `[(0x9ff0, 0x10), (0x5000, 0x1010)]`.

# %% nbgrader={"grade": false, "grade_id": "ps3-q7-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def remap(vm, pieces):
    """The same bytes in the host's frames, pinned; None if they are not all the VM's."""
    ### BEGIN SOLUTION
    found, pinned = [], []
    for gpa, length in pieces:
        while length:
            page, offset = gpa - gpa % 4096, gpa % 4096
            n = min(length, 4096 - offset)
            frame = vm.pin(page)
            if frame is None:
                for page in pinned:
                    vm.unpin(page)
                return None
            pinned.append(page)
            if found and sum(found[-1]) == frame + offset:
                found[-1] = found[-1][0], found[-1][1] + n
            else:
                found.append((frame + offset, n))
            gpa, length = gpa + n, length - n
    return found
    ### END SOLUTION


def shadow_prd(vm, table):
    """The controller's table for the guest's, as bytes; None if it is refused."""
    ### BEGIN SOLUTION
    pieces, flags = [], 0
    while not flags & 0x8000:
        entry = vm.read(table + 8 * len(pieces), 8)
        if entry is None or len(pieces) == 64:
            return None
        base, count, flags = (
            int.from_bytes(entry[a:b], "little") for a, b in ((0, 4), (4, 6), (6, 8)))
        pieces.append((base, count or 0x10000))
    regions = []
    host = remap(vm, pieces)
    if host is None:
        return None
    for hpa, length in host:
        while length:
            n = min(length, 0x10000 - hpa % 0x10000)
            regions.append(hpa | (n & 0xFFFF) << 32)
            hpa, length = hpa + n, length - n
    regions[-1] |= 0x8000 << 48
    return b"".join(region.to_bytes(8, "little") for region in regions)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q7", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q7")

# %% [markdown] tags=["solution"]
# **Explained.** One gpa range becomes many host ranges, as frames are scattered; that is why every controller worth its name
# has a table. And the rule of 64 KiB holds for *host* addresses: the guest kept it, with its own, and that is worth nothing.
# Two small pieces of the guest may touch in the host and become one; a piece that was fine may now cross a border.
#
# The table is copied, entry by entry, and only the copy counts. A VMM that checks the guest's table in place and then lets
# the controller read it has checked nothing: between the two the guest changes an address. Reading an entry twice is the same
# hole, only smaller.
#
# The guest chooses all numbers here. A length of 2⁶⁰ ends at the first page that is not there; without an end mark the table
# ends at 64.
#
# This is *synchronous* DMA: the guest starts it, so the VMM is there and can translate. A network card receives when it
# likes. There the addresses must be translated when the guest *posts* the buffers, and stay pinned until the card has used
# them: memory that nobody can take away from the VM. An IOMMU, some lessons on, does the translating in hardware, and the
# pinning remains.

# %% [markdown] tags=["topic:S21", "topic:S23"]
# ## 8. One disk, many disks
# *about 30 lines · 30 min · ★★★ · S21 S23*
#
# A disk is *partitioned*: each VM gets a part of its sectors, and takes that for a whole disk. A part may be in several
# pieces, pairs `(first sector, how many)`: the virtual disk is these pieces one behind the other, in the list's order.
#
# Write `may_take(sectors, taken, pieces)`: whether a VM may have `pieces` of a disk with so many `sectors`. Each piece has a
# sector at least; all lie on the disk; no sector is in two pieces, or in one of `taken`, the pieces of other VMs.
#
# And write `VirtualDisk`:
#
# | | |
# |---|---|
# | `capacity()` | how many sectors the VM sees |
# | `read(sector, count)` | their bytes. For each piece that they touch, one read of the disk |
# | `write(sector, data)` | puts whole sectors there: True. For each piece one write |
# | `flush()` | what was written is on the medium when this returns: one flush of the disk. True |
#
# A read of less than one sector or of sectors that are not all there gives `None`. A write gives False if it has no
# whole sectors, or none, or some that are not there, or if the disk is `read_only`. Then the disk is not touched at
# all.
#
# - **Given** `disk`: `read(sector, count)` gives bytes, `write(sector, data)`, `flush()`; 512 bytes a sector. `taken` and
#   `pieces`, lists; what `VirtualDisk` gets has passed `may_take`. All numbers of a guest are ints from 0 up, `data` is
#   `bytes`.
# - **Returns** as the table says; `may_take` a bool.
#
# With pieces `[(100, 4), (50, 6)]`, sector 3 is 103 and sector 4 is 50: `read(3, 2)` reads `(103, 1)` and `(50, 1)` of the
# disk.

# %% nbgrader={"grade": false, "grade_id": "ps3-q8-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def may_take(sectors, taken, pieces):
    """Whether these pieces of the disk are free for a VM."""
    ### BEGIN SOLUTION
    end = 0
    for first, count in sorted(pieces):
        if count < 1 or first < end:
            return False
        end = first + count
        if any(first < a + n and a < end for a, n in taken):
            return False
    return end <= sectors
    ### END SOLUTION


class VirtualDisk:
    """Pieces of a disk, as a disk of its own."""

    def __init__(self, disk, pieces, read_only):
        """A virtual disk of `pieces`; if `read_only`, every write is refused."""
        ### BEGIN SOLUTION
        self.disk, self.pieces, self.read_only = disk, list(pieces), read_only
        ### END SOLUTION

    def capacity(self):
        """How many sectors the VM sees."""
        ### BEGIN SOLUTION
        return sum(count for _, count in self.pieces)
        ### END SOLUTION

    def read(self, sector, count):
        """The bytes of `count` sectors from `sector`, or None."""
        ### BEGIN SOLUTION
        if count < 1 or sector + count > self.capacity():
            return None
        return b"".join(self.disk.read(*part) for part in self.parts(sector, count))
        ### END SOLUTION

    def write(self, sector, data):
        """Put `data` from `sector` on; whether that was done."""
        ### BEGIN SOLUTION
        count, rest = divmod(len(data), 512)
        if self.read_only or rest or count < 1 or sector + count > self.capacity():
            return False
        for first, n in self.parts(sector, count):
            self.disk.write(first, data[: 512 * n])
            data = data[512 * n :]
        return True
        ### END SOLUTION

    def flush(self):
        """Return True when all that was written is on the medium."""
        ### BEGIN SOLUTION
        self.disk.flush()
        return True

    def parts(self, sector, count):
        """Where these sectors are: pairs (sector of the disk, how many)."""
        found = []
        for first, size in self.pieces:
            n = min(count, size - sector)
            if n > 0:
                found.append((first + sector, n))
                sector, count = sector + n, count - n
            sector -= size
        return found
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q8", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q8")

# %% [markdown] tags=["solution"]
# **Explained.** Of the four kinds of device this one is the easiest to make safe, and the price is flexibility: once divided,
# each part is dedicated to one VM. No state is shared, nothing is scheduled; the VMM translates an address and compares it
# with a bound. That is what LVM does for a host, and an NVMe namespace or an SR-IOV function does in hardware.
#
# Isolation is in two places. `may_take` is asked once, when the parts are given out: two sorted lists without overlap. Then
# each request is compared with `capacity`, before the first sector moves, and nothing in `parts` can leave the pieces. One
# that was found too long *after* half of it was written would have told the guest a lie.
#
# What is still shared is time, and the cache: a flush by one VM writes what all have written. It is slower, never wrong.
# Leaving it out would be wrong: a guest that saw its flush return relies on it, and so does its file system after a crash.

# %% [markdown] tags=["topic:S24", "topic:S25"]
# ## 9. One card for all, and a cable that is none
# *about 30 lines · 30 min · ★★★ · S24 S25*
#
# A network card cannot be divided; it is *shared*. Each VM has the state of a card of its own, and the VMM puts the frames of
# all on the one wire. Write `SharedCard`:
#
# | | |
# |---|---|
# | `send(vm, frame)` | the frame waits: True. If `room` frames of this VM wait already it is lost: False |
# | `step()` | the wire is free: put one frame on it, `wire(frame)`, and return the number of its VM; None if nothing waits. VMs take turns: the next after the one that was last served, 0 after the highest, comes first; who has nothing is passed over. VM 0 begins. Of one VM the oldest frame goes first |
# | `sent(vm)` | how many frames of this VM were put on the wire since its reset |
# | `reset(vm)` | this VM's card as at power-on. The others do not notice, and the turn stays |
#
# A link between two VMs needs no wire at all. It is a *non-existent* device: the VMM takes a request of one, buffers it, and
# interrupts the other. Write `VirtualLink` with the ends 0 and 1:
#
# | | |
# |---|---|
# | `send(end, message)` | the message waits at the *other* end: True; or False, if `room` messages wait there already, and it is lost. If it is the only one that waits there, `interrupt(other)` is called, once |
# | `receive(end)` | the oldest message that waits at this end, or None |
#
# The receiver reads until it gets None, so one interrupt is enough for all that wait. A sender uses its buffer again: what
# waits must be a copy.
#
# - **Given** `wire`, `interrupt`, functions; `vms`, how many; `room`, 1 or more; `frame`, `message`, a `bytearray` or
#   `bytes`.
# - **Returns** as the tables say; frames and messages come out as `bytes`.
#
# With three VMs and frames `a0`, `b0` of VM 0 and `c2` of VM 2 waiting, four steps put `a0`, `c2`, `b0` on the wire and
# return 0, 2, 0, None.

# %% nbgrader={"grade": false, "grade_id": "ps3-q9-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class SharedCard:
    """One card on one wire, and a card's state for each VM."""

    def __init__(self, wire, vms, room):
        """Nothing waits."""
        ### BEGIN SOLUTION
        self.wire, self.room = wire, room
        self.waiting = [[] for _ in range(vms)]
        self.counts = [0] * vms
        self.turn = 0
        ### END SOLUTION

    def send(self, vm, frame):
        """A frame of a VM; whether it waits now."""
        ### BEGIN SOLUTION
        if len(self.waiting[vm]) == self.room:
            return False
        self.waiting[vm].append(bytes(frame))
        return True
        ### END SOLUTION

    def step(self):
        """Put one frame on the wire: whose it was, or None."""
        ### BEGIN SOLUTION
        vms = len(self.waiting)
        for i in range(vms):
            vm = (self.turn + i) % vms
            if self.waiting[vm]:
                self.turn = (vm + 1) % vms
                self.counts[vm] += 1
                self.wire(self.waiting[vm].pop(0))
                return vm
        return None
        ### END SOLUTION

    def sent(self, vm):
        """Frames of this VM that were put on the wire since its reset."""
        ### BEGIN SOLUTION
        return self.counts[vm]
        ### END SOLUTION

    def reset(self, vm):
        """This VM's card, as at power-on."""
        ### BEGIN SOLUTION
        self.waiting[vm], self.counts[vm] = [], 0
        ### END SOLUTION


class VirtualLink:
    """A cable between two VMs that is none."""

    def __init__(self, interrupt, room):
        """Nothing waits at either end."""
        ### BEGIN SOLUTION
        self.interrupt, self.room = interrupt, room
        self.waiting = [], []
        ### END SOLUTION

    def send(self, end, message):
        """A message from this end; whether it waits at the other now."""
        ### BEGIN SOLUTION
        there = self.waiting[1 - end]
        if len(there) == self.room:
            return False
        there.append(bytes(message))
        if len(there) == 1:
            self.interrupt(1 - end)
        return True
        ### END SOLUTION

    def receive(self, end):
        """The oldest message that waits at this end, or None."""
        ### BEGIN SOLUTION
        return self.waiting[end].pop(0) if self.waiting[end] else None
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps3-q9", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps3.q9")

# %% [markdown] tags=["solution"]
# **Explained.** What makes sharing work is that each VM's state is its own: a queue, a counter, a reset. Everything that a VM
# can change is found by its number. A reset that touched the physical card would be the end of everybody's traffic; here it
# is an assignment.
#
# Taking turns gives each VM its share of the wire, whatever the others do. One queue for all would be shorter, and a VM that
# sends without pause would have it. Bounds are for the same reason: what a VM may let wait is memory of the host. (Turns by
# *frame* are not quite fair when one VM's are longer; switches count bytes.)
#
# The link is the same without hardware. The copy is where the isolation is: the receiver gets the sender's bytes of that
# moment, and none of its memory. It is also the cost: one copy in, one out. And an interrupt for each message would be two
# world switches for each; *only when the queue was empty* makes it one for a burst. Between the receiver's last look and the
# next interrupt nothing is lost here, since looking and queueing happen one after the other. With two processors that takes
# care; virtio's rules for it are a lesson of their own.
