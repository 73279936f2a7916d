# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 1: who answers, and how to talk to it
#
# Seven tasks, from four lines to a device of your own. Lessons 00, 01 and 02 are enough to solve
# them. Plan about two hours; do them in order.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | who answers at an address | 4 lines | 10 | ★ | 2 |
# | 2 | print through a port | 4 lines | 10 | ★ | 2 |
# | 3 | set the line | 8 lines | 15 | ★★ | 3 |
# | 4 | read a recorded boot | 8 lines | 15 | ★★ | 3 |
# | 5 | the same job through memory | 4 lines | 15 | ★★ | 3 |
# | 6 | the write rule | 5 lines | 20 | ★★★ | 4 |
# | 7 | a device of your own | 25 lines | 45 | ★★★★ | 7 |
#
# Each task has a cell for your answer and a check below it. The check runs at once and says what it gave your
# code, what should have happened, and what did. `hint("ps1.q1")` gives a first hint; call it again for the
# next. Change only the answer cells, and add cells of your own where you like. In grading, each task is asked
# some more, with other numbers; part of the cases gives part of the points.

# %% nbgrader={"grade": false, "grade_id": "ps1-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint

# %% [markdown] tags=["topic:S02", "topic:S03"]
# ## 1. Who answers at an address
# *about 4 lines · 10 min · ★ · S02 S03*
#
# Write the decision that a bus makes for every access: `who_answers(mappings, address, size)`. An access
# has `size` bytes from `address`; it belongs to a device only if *all* of its bytes do. Nobody answers an
# access that no device holds, or that runs over an edge.
#
# - **Given** `mappings`, a list of `(base, length, name)` in no particular order, never overlapping: the
#   device `name` has `length` addresses from `base`. `address` and `size` (1, 2 or 4) are ints, in bytes.
# - **Returns** the name, a `str`, or `None` if nobody answers.
#
# With `mappings = [(0x3f8, 8, "uart"), (0x60, 1, "keyboard")]`, one byte at `0x3fd` is the `"uart"`. Four
# bytes at `0x3fd` would end at `0x400`, one past the UART: `None`.

# %% nbgrader={"grade": false, "grade_id": "ps1-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def who_answers(mappings, address, size):
    """The name of the device that holds all `size` bytes from `address`, or None."""
    ### BEGIN SOLUTION
    for base, length, name in mappings:
        if base <= address and address + size <= base + length:
            return name
    return None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q1")

# %% [markdown] tags=["solution"]
# **Explained.** Work with half-open intervals: the access is `[address, address + size)`, the device
# `[base, base + length)`. One interval lies in the other if it starts no earlier and ends no later. These
# are two comparisons, and neither has a `- 1`. The version with last bytes is right too, and it is where
# most of the off-by-one errors come from.
#
# The order of the list does not matter, because mappings never overlap: at most one can match. A real bus
# keeps them sorted and finds the one candidate by bisection (`AddressSpace.find`). Hardware does not search
# at all. Every device compares the address at the same moment, each with its own comparator.

# %% [markdown] tags=["topic:S02"]
# ## 2. Print through a port
# *about 4 lines · 10 min · ★ · S02*
#
# Write `put(cpu, text)`, which prints a text through the UART at port `0x3f8`. The line is slow: at 115,200
# baud a character takes 87 µs, which is the time of 120 port accesses. (The check has a slower bus, and there
# it is that of 30.) So before each character ask the line status register, LSR, at port `0x3fd`: bit 5, THRE, is 1
# when the UART can take a character.
#
# - **Given** `cpu`, with `cpu.inp(port)` and `cpu.out(port, value)` for one byte, and `text`, a `str` of ASCII
#   characters. The UART may still be busy with earlier characters when you start.
# - **Returns** nothing. What counts is what arrives at the terminal.
#
# `put(cpu, "Hi")` on an idle UART does `in 0x3fd` (gives `0x60`), `out 0x3f8 0x48`, `in 0x3fd`, `out 0x3f8
# 0x69`. A third character would wait: LSR reads `0x00` many times first.

# %% nbgrader={"grade": false, "grade_id": "ps1-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def put(cpu, text):
    """Print `text` through the UART at 0x3f8, waiting for LSR.THRE before each character."""
    ### BEGIN SOLUTION
    for character in text:
        while not cpu.inp(0x3FD) & 0x20:
            pass
        cpu.out(0x3F8, ord(character))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q2")

# %% [markdown] tags=["solution"]
# **Explained.** The loop asks *before* each write. To ask after it works for your own text and fails for the
# first character, when somebody else left the UART busy. To compare with `== 0x60` works until a character
# comes in: then bit 0 is set too, and the loop never ends. Test one bit, as the data sheet names one.
#
# Two characters can be under way at once: one in the shift register, one in THR. So the first two go
# out without a wait, and a test with a short text finds no error in a driver that never asks. The
# cost is plain: about 120 accesses for each byte. Interrupts and FIFOs exist to get rid of them.

# %% [markdown] tags=["topic:S02"]
# ## 3. Set the line
# *about 8 lines · 15 min · ★★ · S02*
#
# Write `set_line(cpu, baud, bits, parity, stop)`, which sets speed and format of the UART at `0x3f8`. The speed
# is a divisor, `115200 // baud`. Its low byte goes to port `0x3f8` and its high byte to `0x3f9`, but only while
# DLAB is 1. DLAB is bit 7 of LCR, port `0x3fb`. The format goes to LCR too, and at the end DLAB is 0, so that
# the ports mean THR and IER again.
#
# | LCR bits | field | value |
# |---|---|---|
# | 1:0 | WLS | `bits` - 5 |
# | 2 | STB | 1 for two stop bits |
# | 4:3 | EPS, PEN | `"N"` none: 00, `"O"` odd: 01, `"E"` even: 11 |
# | 6:5 | | 0 |
# | 7 | DLAB | divisor latch access |
#
# - **Given** `cpu` as in task 2; `baud`, an int from 50 to 115,200; `bits` 5 to 8; `parity` `"N"`, `"O"` or `"E"`;
#   `stop` 1 or 2.
# - **Returns** nothing. The UART must send nothing, and no other register may change.
#
# `set_line(cpu, 300, 7, "E", 1)`: the divisor is 384, `0x180`. So DLL gets `0x80`, DLM `0x01`, and LCR ends as
# `0b00011010`, `0x1a`.

# %% nbgrader={"grade": false, "grade_id": "ps1-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def set_line(cpu, baud, bits=8, parity="N", stop=1):
    """Set divisor and format of the UART at 0x3f8; DLAB is 0 at the end."""
    ### BEGIN SOLUTION
    divisor = 115200 // baud
    lcr = (bits - 5) | (stop - 1) << 2 | {"N": 0b00, "O": 0b01, "E": 0b11}[parity] << 3
    cpu.out(0x3FB, 0x80)
    cpu.out(0x3F8, divisor & 0xFF)
    cpu.out(0x3F9, divisor >> 8)
    cpu.out(0x3FB, lcr)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q3", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q3")

# %% [markdown] tags=["solution"]
# **Explained.** Four writes. The first opens the divisor latch, the last closes it *and* sets the format: LCR is
# one register, so one write does both. Forget the first, and the divisor's low byte goes out on the line as
# a character, its high byte becomes the interrupt enable. Forget to close, and the next character that is
# printed changes the speed.
#
# DLAB exists because a 16550 has three address lines: eight ports for twelve registers. Memory-mapped devices
# have room, and their registers seldom share an address. In the recorded boot you will see Linux write `0xbf`
# to LCR as well. It looks for chips with yet more registers behind the same eight ports.

# %% [markdown] tags=["topic:S02"]
# ## 4. Read a recorded boot
# *about 8 lines · 15 min · ★★ · S02*
#
# A boot of Linux was recorded, in QEMU: every access that firmware and kernel made to the UART. Write
# `console(accesses)`, which finds in such a record the text that appeared on the terminal. A character is a write
# to port `0x3f8` while DLAB, bit 7 of the last value written to LCR (port `0x3fb`), is 0.
#
# - **Given** `accesses`, a list of `virtlab.trace.Access`: `access.write` is True for an OUT and False for an IN,
#   `access.address` the port, `access.value` the byte, written or read. All are of one byte. DLAB starts as 0.
# - **Returns** the characters as `bytes`.
#
# From `out 0x3fb 0x83`, `out 0x3f8 0x0c`, `out 0x3fb 0x03`, `out 0x3f8 0x41`, `in 0x3f8 0x42` comes `b"A"`: the
# first write to `0x3f8` was a divisor, and an IN prints nothing.

# %% nbgrader={"grade": false, "grade_id": "ps1-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def console(accesses):
    """The bytes that the recorded accesses printed."""
    ### BEGIN SOLUTION
    printed, dlab = bytearray(), 0
    for access in accesses:
        if access.write and access.address == 0x3FB:
            dlab = access.value & 0x80
        elif access.write and access.address == 0x3F8 and not dlab:
            printed.append(access.value)
    return bytes(printed)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q4")

# %% [markdown] tags=["solution"]
# **Explained.** Most of the UART can be left out here; one bit of it cannot. What an address means depends on
# what was written before, so whoever watches the bus must keep that state too. That is the seed of a device
# model: it watches accesses and keeps the state which gives them their meaning.
#
# Take DLAB from *writes* to LCR only, and look at bit 7 alone: Linux writes `0x93`, not `0x80`. Without DLAB the
# output of the boot starts with a form feed or two, `0x0c`. That is 12, the divisor of 9600 baud.

# %% [markdown] tags=["topic:S03"]
# ## 5. The same job through memory
# *about 4 lines · 15 min · ★★ · S03*
#
# Write `show(cpu, row, column, text, attribute)`, which puts a text on the PC's text screen. The screen has 25 rows
# of 80 cells and lies in memory from `0xb8000`, row after row. Each cell has 2 bytes: the character at the lower
# address, its attribute (the colours) at the higher. Use one 2-byte store a cell and no other access; cut the text
# where the row ends.
#
# - **Given** `cpu`, with `cpu.store(gpa, value, size)`, little-endian; `row` 0 to 24; `column` 0 to 79; `text`, a
#   `str` of ASCII characters; `attribute`, an int of one byte.
# - **Returns** nothing. The picture counts, and so does its price: n cells cost n accesses.
#
# `show(cpu, 1, 0, "Hi", 0x1f)` stores `0x1f48` at `0xb80a0` and `0x1f69` at `0xb80a2`.

# %% nbgrader={"grade": false, "grade_id": "ps1-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def show(cpu, row, column, text, attribute):
    """Put `text` on the screen at 0xb8000, one 2-byte store a cell, cut at the end of the row."""
    ### BEGIN SOLUTION
    first = 0xB8000 + 2 * (80 * row + column)
    for i, character in enumerate(text[: 80 - column]):
        cpu.store(first + 2 * i, ord(character) | attribute << 8, 2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q5", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q5")

# %% [markdown] tags=["solution"]
# **Explained.** Compare with task 2. There a character cost two accesses at least, and about 120 once the line was
# busy; here it costs one. There is no status to ask for, because memory is always ready, and no port that all
# characters must pass, because each cell has an address. The price is the address space: this screen takes 32
# KiB of it, the UART took 8 ports.
#
# The processor's `mov` stores 2 bytes at once, and the low byte lands at the lower address. So the character is the
# low byte of the value. With a store of 4 bytes, the default of `cpu.store`, each cell would also wipe out the next.

# %% [markdown] tags=["topic:S03"]
# ## 6. The write rule
# *about 5 lines · 20 min · ★★★ · S03*
#
# Write `written(old, new, offset, size, rw, w1c)`: what a 32-bit register holds after a write that may cover only
# some of its bytes. In the bytes that are written, a bit of `rw` takes the new value. A bit of `w1c` becomes 0 if a 1
# is written to it. Every other bit keeps its value. The bytes that are not written do not change at all.
#
# - **Given** `old`, the register's value; `new`, the value of the access, of which the low `size` bytes count;
#   `offset`, where in the register the access starts; `offset + size` is at most 4. `rw` and `w1c` are masks of 32
#   bits with no bit in common. Little-endian: offset 0 is the lowest byte.
# - **Returns** the new value, an int of 32 bits.
#
# One byte `0x81` to offset 1 of `0x0000ff00`, with `rw = 0x00000f00` and `w1c = 0x0000f000`: bits 11:8 become 1, bit 15
# is cleared, bits 14:12 stay. The result is `0x00007100`.

# %% nbgrader={"grade": false, "grade_id": "ps1-q6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def written(old, new, offset, size, rw, w1c):
    """The value of a 32-bit register after `size` bytes of `new` were written at `offset`."""
    ### BEGIN SOLUTION
    lanes = ((1 << 8 * size) - 1) << 8 * offset
    new = new << 8 * offset & lanes
    rw = rw & lanes
    return ((old & ~rw) | (new & rw)) & ~(new & w1c)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q6", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q6")

# %% [markdown] tags=["solution"]
# **Explained.** Hardware has *byte lanes*: the bus carries four bytes and four wires that say which of them count.
# `lanes` is those wires as a mask. Once `new` and `rw` are cut with it, the rule for the whole register does the
# rest. A bit outside the lanes is neither writable nor written with a 1, so it keeps its value. `w1c` needs no cut of
# its own, because `new` has no 1 outside the lanes.
#
# *Write 1 to clear* looks odd until two parties share a register. The device sets bits while the driver clears them.
# A driver that writes back what it read clears exactly the events that it saw, and loses none that came in between.

# %% [markdown] tags=["topic:S01", "topic:S03"]
# ## 7. A device of your own
# *about 25 lines · 45 min · ★★★★ · S01 S03*
#
# Create a device that no hardware has: write `Counter`, memory-mapped, with four little-endian registers of 32 bits. A
# device has two verbs, `read(offset, size)` and `write(offset, size, value)`, and learns nothing but the offset from its
# base. A guest may be hostile: any offset from 0 upwards with a size of 1, 2 or 4 must be answered, aligned or not, and
# nothing may raise.
#
# | offset | register | after reset | reads | writes |
# |---|---|---|---|---|
# | `0x00` | ID | `0x544e4356` | always the same | nothing changes, but see STATUS |
# | `0x04` | SCRATCH | 0 | what was written | any bits; each write access that touches it adds 1 to COUNT and sets WRITTEN |
# | `0x08` | COUNT | 0 | writes to SCRATCH so far, modulo 2³² | nothing changes, but see STATUS |
# | `0x0c` | STATUS | 0 | bit 0 WRITTEN, bit 1 REFUSED: set by a write access that touches ID or COUNT; other bits 0 | a written 1 clears its bit |
#
# An access covers the bytes from `offset` to `offset + size - 1`. It may cover a part of a register, or parts of two:
# then it acts on the lower register first. Bytes from offset `0x10` on read as zero and ignore writes.
#
# - **Given** `offset`, `size` and, for a write, `value`, an int of `size` bytes.
# - **Returns**, for a read, an int of `size` bytes. A new `Counter()` is a device after reset.
#
# After `write(0x4, 4, 0x11223344)` and `write(0x5, 1, 0x99)`: `read(0x4, 4)` gives `0x11229944`, `read(0x8, 4)` gives
# 2, `read(0xc, 1)` gives 1. `write(0xc, 1, 1)` makes the last one 0.

# %% nbgrader={"grade": false, "grade_id": "ps1-q7-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Counter:
    """A device with the registers ID, SCRATCH, COUNT and STATUS."""

    def __init__(self):
        """The device after reset."""
        ### BEGIN SOLUTION
        self.values = [0x544E4356, 0, 0, 0]         # ID, SCRATCH, COUNT, STATUS
        self.rw = [0, 0xFFFFFFFF, 0, 0]
        self.w1c = [0, 0, 0, 0b11]
        ### END SOLUTION

    def read(self, offset, size):
        """The `size` bytes at `offset`, little-endian; bytes outside are zero."""
        ### BEGIN SOLUTION
        value = 0
        for i in range(size):
            register, byte = divmod(offset + i, 4)
            if register < 4:
                value |= (self.values[register] >> 8 * byte & 0xFF) << 8 * i
        return value
        ### END SOLUTION

    def write(self, offset, size, value):
        """Take the `size` bytes of `value` at `offset`; bytes outside are ignored."""
        ### BEGIN SOLUTION
        last = offset + size - 1
        for register in range(offset // 4, min(last // 4, 3) + 1):
            for at in range(max(offset, 4 * register), min(last, 4 * register + 3) + 1):
                byte = value >> 8 * (at - offset) & 0xFF
                self.values[register] = written(
                    self.values[register], byte, at - 4 * register, 1,
                    self.rw[register], self.w1c[register])
            if register == 1:
                self.values[2] = self.values[2] + 1 & 0xFFFFFFFF
                self.values[3] |= 0b01
            elif register in (0, 2):
                self.values[3] |= 0b10
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps1-q7", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps1.q7")

# %% [markdown] tags=["solution"]
# **Explained.** Bytes make all sizes and offsets one case. A read collects `size` bytes, each from the register
# that holds it; a byte that no register holds adds nothing. So nothing can raise, wherever the guest reaches. A
# write goes through the registers that it touches, from the lower to the higher. First the bytes change by the rule
# of task 6, then the side effect comes once. `written` does not care that it gets one byte at a time.
#
# The order matters in one corner. A write of 4 bytes at `0xa` touches COUNT, which sets REFUSED, and then STATUS,
# where a written 1 may clear it again. A specification that leaves such a corner open gets as many behaviours as it
# has implementations. The text above settles it in one sentence.
#
# The library declares the same device in four lines, with `Reg` and `RegisterFile` (`virtlab/registers.py`): a table
# of offset, width, reset value, `rw` and `w1c`, and one short method for each side effect. Your class and that table
# gave the same answers to 400 random accesses; that is the way in which this course tests every device.
