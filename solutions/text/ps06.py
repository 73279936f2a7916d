# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 6: what hardware does for I/O
#
# Six tasks. You are the remapping unit for a device's address and for its interrupt. You are the driver that changes the tables
# while devices are at work, and that asks the unit what it has refused. Then you find the functions of an SR-IOV card, and
# decide who gets which. Tasks 1 to 3 go with lesson 19, task 4 with lesson 20, tasks 5 and 6 with lesson 21. Plan about
# three hours and three quarters. Each task stands alone.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | translate a device's address | 30 lines | 30 | ★★★★ | 6 |
# | 2 | map and unmap while devices are at work | 35 lines | 35 | ★★★★ | 6 |
# | 3 | find out what was refused | 28 lines | 25 | ★★★ | 5 |
# | 4 | from a message to an interrupt | 40 lines | 40 | ★★★★ | 7 |
# | 5 | functions that no scan finds | 40 lines | 35 | ★★★ | 6 |
# | 6 | who gets which function | 50 lines | 60 | ★★★★ | 7 |
#
# Each task has a cell for your answer and a check below it. `hint("ps6.q1")` gives a first hint; call it again for
# the next. Change only the answer cells, and add cells of your own where you like. In grading, each task is asked
# some more, with other numbers; part of the cases gives part of the points.
#
# Every number in memory and in a register is little-endian. A *gpa* is an address in memory, an *iova* the address that a
# device uses. Bits `hi:lo` of a number are those from `lo` to `hi`, both included.

# %% nbgrader={"grade": false, "grade_id": "ps6-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint

# %% [markdown] tags=["topic:S42", "topic:S43"]
# ## 1. Translate a device's address
# *about 30 lines · 30 min · ★★★★ · S42 S43*
#
# A device behind a remapping unit gives an iova, and the unit turns it into a gpa. The unit has found the device's context
# entry already: 16 bytes, present, without a mistake in its other fields.
#
# | bits of the context entry | |
# |---|---|
# | 51:12 | where the top table lies: bits 51:12 of its gpa |
# | 66:64 | AW, the address width: 1, 2 or 3, for tables of 3, 4 or 5 levels |
#
# A table has 512 entries of 8 bytes. At level 1, bits 20:12 of the iova choose the entry, at level 2 bits 29:21, and so on:
# nine bits for each level. The top table is that of the highest level.
#
# | bits of a table's entry | |
# |---|---|
# | 0, 1 | R, W: what may be done by this way |
# | 7 | PS. At levels 3 and 2, 1: the entry maps a page of 1 GiB or 2 MiB. At level 1 every entry maps a page, of 4 KiB, and PS is ignored |
# | 51:12 | the next table, or the page |
# | reserved | 62 and 11. In 51:12: bits 51:46 (this machine's addresses have 46 bits), and those below the size of a large page. PS at levels 4 and 5 |
# | ignored | all others |
#
# Write `translate(memory, context, iova, write)`, the walk of the unit for one access. It returns a tuple: `("gpa", gpa)`, or
# `("fault", reason)` with the first of these that it meets. Before the first table:
#
# | reason | |
# |---|---|
# | 0x3 | AW is not 1, 2 or 3 |
# | 0x4 | the iova has more bits than the tables: 39 for 3 levels, and 9 more for each further level |
#
# At each entry, from the top down, in this order:
#
# | reason | |
# |---|---|
# | 0x7 | the entry is not in memory. In the top table it is 0x3: then the context entry is to blame |
# | 0x5, 0x6 | a write and W is 0, a read and R is 0 |
# | 0xC | a reserved bit is 1 |
#
# And once the page is found:
#
# | reason | |
# |---|---|
# | 0xE | the access would go to `0xFEE00000` to `0xFEEFFFFF`, where interrupts are written |
#
# - **Given** `memory`, which has bytes at gpa 0 to `memory.size - 1` and none beyond, with `load(gpa, 8)`; `context`, bytes;
#   `iova`, 64 bits; `write`, a bool. Whether there is memory behind the page is not the unit's concern.
# - **Returns** a tuple. No entry is read twice: the driver may change it in between.
#
# An example: the top table is at `0x3000`, AW is 1. The entry at `0x3000` is `0x4003`, and the one at `0x4008` is 0. The one at
# `0x4000` is `0x5003`, that at `0x5090` is `0x9001`. Then a read of `0x12345` gives `("gpa", 0x9345)`, a write of it
# `("fault", 0x5)`. A read of `0x212345` gives `("fault", 0x6)`.

# %% nbgrader={"grade": false, "grade_id": "ps6-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def translate(memory, context, iova, write):
    """Where `iova` leads: ("gpa", address), or ("fault", reason)."""
    ### BEGIN SOLUTION
    entry = int.from_bytes(context, "little")
    table, levels = entry & ADDRESS, (entry >> 64 & 0b111) + 2
    if levels not in (3, 4, 5):
        return "fault", 0x3
    if iova >> 12 + 9 * levels:
        return "fault", 0x4
    right = 0b10 if write else 0b01
    for level in range(levels, 0, -1):
        size = 1 << 3 + 9 * level
        at = table + 8 * (iova // size % 512)
        if at + 8 > memory.size:
            return "fault", 0x3 if level == levels else 0x7
        entry = memory.load(at, 8)
        if not entry & right:
            return "fault", 0x5 if write else 0x6
        page = level == 1 or entry & PS
        if entry & reserved(level, page, size):
            return "fault", 0xC
        if page:
            break
        table = entry & ADDRESS
    gpa = entry & ADDRESS | iova % size
    if gpa >> 20 == 0xFEE:
        return "fault", 0xE
    return "gpa", gpa


ADDRESS, PS = 0xFFFFFFFFFF000, 1 << 7


def reserved(level, page, size):
    """The bits that must be 0 in an entry of `level`."""
    mask = 1 << 62 | 0x3F << 46 | 1 << 11
    if level > 3:
        mask |= PS
    if page:
        mask |= ADDRESS & size - 1
    return mask
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps6-q1", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps6.q1")

# %% [markdown] tags=["solution"]
# **Explained.** An entry of level `n` serves `1 << 3 + 9*n` bytes: 4 KiB, 2 MiB, 1 GiB. This one number is the size of the
# page that it may map, the mask of what must be 0 there, and the unit of the index. So one loop does for all depths.
#
# An entry with neither right is what *not present* means here: there is no bit for it. That is why the right is asked at each
# entry. The rights of a page are those that all entries on its way give. A driver can take a whole gigabyte from a device by
# one bit of one entry, and all entries below stay as they are.
#
# The order is not pedantry either. Software may use every bit of an entry that gives no right: the walk ends there before it
# looks at them. And only entries that are met can be wrong: what lies below a missing right is never read. (Where one entry
# breaks two rules, the manual leaves open which of them is told. This is the order of QEMU's unit.)
#
# The walk trusts nothing. In a VM the guest writes these tables, so they may lead anywhere: out of memory, or back to the top
# table. Neither needs a rule of its own. Each step is one level down, so five loads are the most, whatever memory holds. And
# a bound is asked before each load, for all 8 bytes: memory may end in the middle of a table.
#
# Reason 0xE closes a back door. A write to `0xFEE.....` is an interrupt. Without this rule, a page that leads there turns every
# DMA of the device into an interrupt of the device's choice, past the table of lesson 20.
#
# What the task leaves out: the root table and the context table, which find the context entry by the device's number. They are
# two more tables of the same kind. And a unit remembers all of this; that is task 2.

# %% [markdown] tags=["topic:S43"]
# ## 2. Map and unmap while devices are at work
# *about 35 lines · 35 min · ★★★★ · S43*
#
# Now you are the driver. A domain has tables, as in task 1, and devices that read and write all the time. Nobody stops them
# while you change an entry. And the unit remembers what it has read: an entry that you have cleared is believed until you
# *invalidate* it.
#
# Write `map_pages(d, iova, gpa, length, rights)`: from now on, `length` bytes at `iova` lead to `gpa`, with these rights. If the
# range does not fit into the addresses that the tables have, or if a page of it is mapped already, it stores nothing and
# returns False. Else it returns True.
#
# Write `unmap_pages(d, iova, length)`: the pages of the range that are mapped are taken from the devices, and given back with
# `d.free`, each one. What is not mapped is passed over, and so is what lies beyond the addresses that the tables have. Pages
# are of 4 KiB only. Tables stay where they are.
#
# | `d` has | |
# |---|---|
# | `d.table`, `d.levels` | the top table (gpa), and 3, 4 or 5 |
# | `d.number` | the domain's number |
# | `d.memory` | `load(gpa, size)`, `store(gpa, size, value)`, `read(gpa, length)`, `write(gpa, data)` |
# | `d.take_page()` | the gpa of a page for one more table. In it is whatever its last owner wrote |
# | `d.invalidate(number, iova, length)` | the unit forgets what it knows of these addresses in the domain of this number |
# | `d.free(gpa)` | this page belongs to somebody else now |
# | `d.caching_mode` | whether the unit also remembers that something was **not** there |
#
# At every moment, between any two of your stores, a device may try any address:
#
# - An address of the range leads to its page, or to a fault, and nowhere else.
# - Any other address leads where it led before.
# - To a page that was freed, no address leads.
#
# When a call is over, the devices have what was mapped, and not what was unmapped. An invalidation is slow. So a call makes at
# most one, and `map_pages` makes none unless the unit is in caching mode. A page is taken only where a table is missing, and
# tables give both rights.
#
# - **Given** `iova`, `gpa` and `length`, multiples of 4096; `rights`: 1 to read, 2 to write, 3 both. At most 64 pages. Bits are
#   those of task 1.
# - **Returns** `map_pages` a bool, `unmap_pages` nothing.
#
# With three levels and nothing mapped, `map_pages(d, 0x5000, 0x90000, 0x2000, 3)` takes two pages. If those are `0xb000` and
# `0xa000`, the last two stores are `0x90003` at `0xa028` and `0x91003` at `0xa030`.

# %% nbgrader={"grade": false, "grade_id": "ps6-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def map_pages(d, iova, gpa, length, rights):
    """Let `length` bytes at `iova` lead to `gpa`; False if they cannot."""
    ### BEGIN SOLUTION
    if iova + length > 1 << 12 + 9 * d.levels or any(mapped(d, iova, length)):
        return False
    for offset in range(0, length, 4096):
        at = entry_at(d, iova + offset, make=True)
        d.memory.store(at, 8, gpa + offset | rights)
    if d.caching_mode:
        d.invalidate(d.number, iova, length)
    return True


FRAME = 0xFFFFFFFFFF000


def entry_at(d, iova, make):
    """Where the entry of a page stands; None if a table on the way to it is missing."""
    table = d.table
    for level in range(d.levels, 1, -1):
        at = table + 8 * (iova >> 3 + 9 * level & 0x1FF)
        entry = d.memory.load(at, 8)
        if not entry & 0b11:
            if not make:
                return None
            new = d.take_page()
            d.memory.write(new, bytes(4096))
            entry = new | 0b11
            d.memory.store(at, 8, entry)
        table = entry & FRAME
    return table + 8 * (iova >> 12 & 0x1FF)


def mapped(d, iova, length):
    """`(at, entry)` of each page of the range that is mapped."""
    end = min(iova + length, 1 << 12 + 9 * d.levels)
    for page in range(iova, end, 4096):
        at = entry_at(d, page, make=False)
        if at is not None and d.memory.load(at, 8) & 0b11:
            yield at, d.memory.load(at, 8)
    ### END SOLUTION


def unmap_pages(d, iova, length):
    """Take the pages of a range away, and free them."""
    ### BEGIN SOLUTION
    found = list(mapped(d, iova, length))
    for at, _ in found:
        d.memory.store(at, 8, 0)
    if found:
        d.invalidate(d.number, iova, length)
    for _, entry in found:
        d.free(entry & FRAME)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps6-q2", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps6.q2")

# %% [markdown] tags=["solution"]
# **Explained.** Three orders matter here, and each protects against a device that comes at the wrong moment.
#
# *A table is complete before an entry names it.* The page for it was somebody's: its old bytes are entries for the unit. So
# the zeros come first, then the entry above. With the two stores exchanged there is a moment when a device reaches whatever
# those bytes lead to.
#
# *An entry is one store.* It gives the right and the address together. In two stores, the half with R and W would have to come
# last, as with the 16 bytes of a context entry.
#
# *Entry, invalidation, free.* The entry is cleared, but the unit may have read it before. With the invalidation it forgets. Only
# then is the page nobody's. If the invalidation comes before the entry is cleared, a device that reads in between brings the
# old entry back into the cache. If the page is freed before the invalidation, the next owner's data are in reach of this
# device. This is the mistake that remapping was built against, made by the driver itself.
#
# `mapped` stops where the tables' addresses end. The masks of `entry_at` cut an iova of 2^39 + 0x5000 down to 0x5000. Without
# the bound, a wrong call would take away and free a page that is in use.
#
# Why does `map_pages` need no invalidation? A fault is not remembered, so there is nothing old to forget. In *caching mode* it
# is. A VMM that emulates a unit asks for this: with it, each change of a table ends in an invalidation, which exits. So the VMM
# sees every page that the guest maps, and can follow in the tables of the real unit. That is how a card is given to a VM that
# has a unit of its own.
#
# The invalidation is what unmapping costs, so real drivers try to make few. Linux in its *lazy* mode collects ranges for up to
# 10 ms, and invalidates once for all. No iova is used again before that. But the page behind it may be: for these
# milliseconds a device may reach what has another owner. Its *strict* mode keeps the order of this task, and costs more.

# %% [markdown] tags=["topic:S43", "topic:S48", "topic:B05"]
# ## 3. Find out what was refused
# *about 28 lines · 25 min · ★★★ · S43 S48 B05*
#
# The unit refuses a DMA or an interrupt, and the device learns nothing of it. What is left is a *fault record* of 16 bytes in
# the unit's registers.
#
# | bits of a record | |
# |---|---|
# | 127 | F: the record is in use. Without F nothing in it counts |
# | 126 | of a DMA, 1: a read, 0: a write |
# | 103:96 | the reason. 0x20 to 0x2F are those of interrupts, all others those of DMA |
# | 79:64 | who: bus 15:8, device 7:3, function 2:0 of these 16 bits |
# | 63:12 | of a DMA: the page, bits 63:12 of the iova |
# | 63:48 | of an interrupt: the index of the entry that it named |
# | all others | say nothing here |
#
# Write `decode_fault(record)`, which gives `(who, kind, where, reason)`. `who` is a text such as `"03:00.1"`, hexadecimal as `lspci`
# shows it. `kind` is `"read"`, `"write"` or `"interrupt"`; `where` is the iova of the page, or the index. A record without F gives
# `None`.
#
# Write also `read_faults(cpu, base)`, the driver's handler. The unit's registers begin at `base`. Registers are accessed as 4 or
# 8 bytes.
#
# | offset | bytes | register | |
# |---|---|---|---|
# | 0x08 | 8 | CAP | bits 33:24 times 16: the offset of record 0; bits 47:40 plus 1: how many records there are |
# | 0x34 | 4 | FSTS | bit 0 PFO: faults were lost; bit 1 PPF: a record is in use; 15:8 FRI: the record whose fault made PPF 1 |
#
# The unit fills the records in a circle: the oldest fault is in record FRI, the next one in the record behind it, and after
# the last record comes record 0. FRI does not follow you: it changes only when PPF becomes 1 again. If a record is in use
# when its turn comes, the fault is lost: the unit sets PFO, and records nothing more while it is set.
#
# Take every record that is in use, the oldest first, and free it: a 1 that is written to F makes F 0. PFO is cleared in the same way.
# Other bits of FSTS belong to other code, and a 1 clears some of them, too. PPF follows the records by itself.
#
# Devices do not wait. A fault may be recorded between any two of your accesses: the unit then writes F last. It sends an
# event, which calls you, only when neither PPF nor PFO was set before. So each fault must be given by this call or by a call
# that is still to come.
#
# - **Given** `record`, 16 bytes; `cpu`, with `load(gpa, size)` and `store(gpa, value, size)`; no more than a few faults come
#   while you work.
# - **Returns** `decode_fault` a tuple or `None`; `read_faults` a tuple: the list of decoded faults, and whether faults were lost,
#   a bool.
#
# An example: `00 50 00 00 00 00 00 00 18 03 00 00 05 00 00 80` is `("03:03.0", "write", 0x5000, 0x5)`.

# %% nbgrader={"grade": false, "grade_id": "ps6-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decode_fault(record):
    """What a fault record of 16 bytes says; None if it is free."""
    ### BEGIN SOLUTION
    number = int.from_bytes(record, "little")
    if not number >> 127:
        return None
    source, reason = number >> 64 & 0xFFFF, number >> 96 & 0xFF
    who = f"{source >> 8:02x}:{source >> 3 & 0x1F:02x}.{source & 0b111}"
    if 0x20 <= reason < 0x30:
        return who, "interrupt", number >> 48 & 0xFFFF, reason
    kind = "read" if number >> 126 & 1 else "write"
    return who, kind, number & 0xFFFFFFFFFFFFF000, reason
    ### END SOLUTION


def read_faults(cpu, base):
    """Every fault that is recorded, oldest first, and whether more were lost."""
    ### BEGIN SOLUTION
    cap = cpu.load(base + 0x08, 8)
    records, count = base + 16 * (cap >> 24 & 0x3FF), (cap >> 40 & 0xFF) + 1
    number = cpu.load(base + 0x34, 4) >> 8 & 0xFF
    faults = []
    while True:
        at = records + 16 * (number % count)
        high = cpu.load(at + 8, 8)
        if not high >> 63:
            break
        record = high << 64 | cpu.load(at, 8)
        faults.append(decode_fault(record.to_bytes(16, "little")))
        cpu.store(at + 12, 1 << 31, 4)
        number += 1
    lost = cpu.load(base + 0x34, 4) & 1 == 1
    if lost:
        cpu.store(base + 0x34, 1, 4)
    return faults, lost
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps6-q3", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps6.q3")

# %% [markdown] tags=["solution"]
# **Explained.** A record is all that is ever known of a fault. The page is there, the offset in it is not. Whether the device
# was broken, or its driver unmapped too early, the record does not say. Read it with task 2 in mind: reason 0x6 or 0x5 for a
# page that *was* mapped is the mark of a driver that unmaps before its device is done.
#
# For an interrupt the field of the page holds an index. Reason 0x26 with it means that a device named an entry that belongs to
# another one. That is an attack, or a driver that wrote the wrong number into an MSI-X table.
#
# The order of the accesses in the loop is the lesson. F is looked at before the other half is read. The other way round, a
# fault may be recorded between the two loads: the first half is then old, the second new, and the fault is one that never
# happened. The record is freed after it was read, since from then on the unit may use it again.
#
# FRI is read once. It names the record with which this run of faults began, and it stays until PPF has been 0. A handler that
# reads it again for each record comes to the same record for ever.
#
# The loop ends at a record without F, and not after `count` records. A fault that comes meanwhile takes a record that was freed
# before, and no event is sent for it, as PPF is still set. A handler that goes round once leaves it there. Then PPF stays
# set, no further event comes, and the driver hears nothing of the device again.
#
# PFO is asked for at the end, for it may be set in the meantime. It is cleared by a store of 1. Who stores back what was read
# also clears IQE, which says that the invalidation queue has stopped. The code that waits for that bit waits for ever.
#
# What protects the driver from a device that faults a million times per second? The unit, in part: while a requester has a
# record, its further faults add none. Linux adds a limit of its own on how much it prints.

# %% [markdown] tags=["topic:B05", "topic:S48"]
# ## 4. From a message to an interrupt
# *about 40 lines · 40 min · ★★★★ · B05 S48*
#
# A device sends an interrupt as a write of 4 bytes to `0xFEE.....`. In the old format such a message names a vector and a
# processor. So whoever can write to memory can send any interrupt to anybody. With remapping a message names an **entry** of a
# table, and software wrote the entry. Write `remap_interrupt(memory, irta, compatibility, source_id, address, data)`, which
# does what a remapping unit does with one message.
#
# | bits of `address` | old format | new format | | bits of `data` | old format | new format |
# |---|---|---|---|---|---|---|
# | 4 | 0 | 1 | | 7:0 | vector | |
# | 19:12 | APIC id | handle, 14:7 | | 10:8 | delivery mode | |
# | 11:5 | | handle, 6:0 | | 15 | trigger mode | |
# | 3 | | SHV | | 15:0 | | subhandle, if SHV is 1 |
# | 2 | | handle, bit 15 | | 31:16 | | 0, if SHV is 1 |
#
# The index of the entry is the handle, with SHV plus the subhandle. It may come to more than 65535. Without SHV all of `data`
# is ignored. An entry is a little-endian number of 16 bytes, in one of two forms. Bits that have no name are reserved.
#
# | bits | remapped: bit 15 is 0 | posted: bit 15 is 1 |
# |---|---|---|
# | 0 | P: present | P |
# | 1 | FPD | FPD |
# | 2, 3 | DM, RH | reserved |
# | 4 | TM: trigger mode | reserved |
# | 7:5 | DLM: delivery mode | reserved |
# | 11:8 | software's own | software's own |
# | 14 | reserved | URG: urgent |
# | 15 | 0 | 1 |
# | 23:16 | V: vector | VV: vector |
# | 63:32 | DST: APIC id | 63:38 are bits 31:6 of the descriptor's address |
# | 79:64 | SID | SID |
# | 81:80 | SQ | SQ |
# | 83:82 | SVT | SVT |
# | 127:96 | reserved | bits 63:32 of the descriptor's address |
#
# The register `irta` says where the table is: bits 63:12 of it are bits 63:12 of the table's address, and bits 3:0 are S, for a
# table of `2 ** (S + 1)` entries. Bit 11 is EIME. With it, APIC ids have 32 bits. Without it they have 8, in bits 47:40 of the
# entry, and the other bits of DST are reserved. DLM 3 and 6 and SVT 3 mean nothing, and count as a reserved bit that is set.
#
# | SVT | takes messages of |
# |---|---|
# | 0 | anybody |
# | 1 | the source id in SID. SQ takes bits out of the comparison: 0 none, 1 bit 2, 2 bits 2:1, 3 bits 2:0 |
# | 2 | buses: from the number in SID's bits 15:8 to the one in bits 7:0 |
#
# **Returns** one of three things, made of plain ints:
#
# - `("send", vector, destination, delivery_mode, trigger_mode)`: a message for the APICs;
# - `("post", vector, descriptor, urgent)`: bit `vector` is to be set in the descriptor at that address;
# - a fault reason, if the message goes nowhere. The checks come in this order:
#
# | | |
# |---|---|
# | 0x25 | the old format. It may pass only if `compatibility` is true and EIME is 0 |
# | 0x20 | SHV, and bits 31:16 of the data are not 0 |
# | 0x21 | the index is beyond the table |
# | 0x23 | `memory.read` gave `None` for the entry |
# | 0x22 | P is 0 |
# | 0x24 | a reserved bit is set |
# | 0x26 | the entry is not for this source id |
#
# - **Given** `memory.read(gpa, length)`, which gives `bytes`, or `None` where there is no memory; `irta`, 64 bits;
#   `compatibility`, a bool; `source_id`, 16 bits; `address`, always `0xFEE.....`; `data`, 32 bits. The old format names
#   everything itself, and no entry is read. Another processor may change an entry at any moment, so read it once.
#
# An example: with `irta = 0x4007` and source id 0x18, a device writes 0 to `0xFEE000B0`. The handle is 5, so the entry is at
# `0x4050`. If it is `0x00000000_00040018_00000200_00410001`, P is 1, V 0x41, DST `0x200`, SID 0x18 and SVT 1. The answer is
# `("send", 0x41, 2, 0, 0)`, and `0x26` for any other source id.

# %% nbgrader={"grade": false, "grade_id": "ps6-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def remap_interrupt(memory, irta, compatibility, source_id, address, data):
    """What a message becomes: `("send", ...)`, `("post", ...)`, or a fault reason."""
    ### BEGIN SOLUTION
    def bits(hi, lo):
        return (2 << hi) - (1 << lo)

    extended = irta >> 11 & 1
    if not address >> 4 & 1:
        if extended or not compatibility:
            return 0x25
        return "send", data & 0xFF, address >> 12 & 0xFF, data >> 8 & 7, data >> 15 & 1
    index = address >> 5 & 0x7FFF | (address >> 2 & 1) << 15
    if address >> 3 & 1:
        if data >> 16:
            return 0x20
        index += data & 0xFFFF
    if index >= 2 << (irta & 0xF):
        return 0x21
    raw = memory.read((irta >> 12 << 12) + 16 * index, 16)
    if raw is None:
        return 0x23
    entry = int.from_bytes(raw, "little")
    if not entry & 1:
        return 0x22
    posted, mode = entry >> 15 & 1, entry >> 5 & 7
    sid, sq, svt = entry >> 64 & 0xFFFF, entry >> 80 & 3, entry >> 82 & 3
    if posted:
        reserved = bits(7, 2) | bits(13, 12) | bits(31, 24) | bits(37, 32) | bits(95, 84)
    else:
        reserved = bits(14, 12) | bits(31, 24) | bits(127, 84)
        if not extended:
            reserved |= bits(39, 32) | bits(63, 48)
    if entry & reserved or svt == 3 or (not posted and mode in (3, 6)):
        return 0x24
    if svt == 1 and (source_id ^ sid) & ~(0, 4, 6, 7)[sq]:
        return 0x26
    if svt == 2 and not sid >> 8 <= source_id >> 8 <= sid & 0xFF:
        return 0x26
    vector = entry >> 16 & 0xFF
    if posted:
        descriptor = (entry >> 96) << 32 | (entry >> 38 & 0x3FF_FFFF) << 6
        return "post", vector, descriptor, entry >> 14 & 1
    destination = entry >> 32 & 0xFFFF_FFFF if extended else entry >> 40 & 0xFF
    return "send", vector, destination, mode, entry >> 4 & 1
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps6-q4", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps6.q4")

# %% [markdown] tags=["solution"]
# **Explained.** The message is judged first, then the table, then the entry, then the sender. The order of the reasons is the
# order in which a unit learns things. It cannot say "not present" (0x22) of an entry that it could not read (0x23). And it does
# not look whose an entry is before it knows that the entry is sound.
#
# A handle of 16 bits and a subhandle of 16 bits make a sum of 17. A mask of 16 bits there would lead handle 0xFFFF with
# subhandle 6 to entry 5, which may be another VM's interrupt. `index` is a Python int and keeps its carry, so one comparison
# with the size refuses it. Why is there a subhandle? A device with MSI has one address, and puts its vector number into the low
# bits of the data. So its 32 vectors become 32 entries in a row.
#
# `raw` is read once and becomes an int. From then on nobody can change it. With two reads of 8 bytes, one half could be the old
# entry and the other half the new one: the vector of one VM with the source id of another. Drivers know this and write the half
# with P last. Hardware reads 16 bytes at a time.
#
# The masks are the manual's figures read backwards: what no field has is reserved. DST shows why it takes the mode into
# account. The same bit 48 is part of an id with EIME, and must be 0 without it. Reserved means "may get a meaning later". A
# unit that ignored such a bit today would do the wrong thing with tomorrow's drivers, in silence.
#
# SVT is where isolation is. P, V and DST say what an interrupt is; only SID says **who** may send it. Without that check, a
# device in one VM could write handle 5 and raise the interrupt of another VM's disk. `source_id ^ sid` has a 1 where they
# differ, and `& ~6` forgives two bits of the function number. That is for devices that send with a phantom function's id. SVT 2
# is for bridges: behind one, the sender may be anybody with that bus number.
#
# A posted entry names no processor at all. The unit sets a bit in a descriptor in memory, and the VM's processor takes it from
# there with no exit. ARMvisor's authors met the same question: where the interrupt controller is decides what an interrupt
# costs. In user space each step leaves the guest and the kernel. In the kernel it leaves the guest. Posted, it leaves neither.
# What the library's `InterruptRemapper` does besides: it keeps 256 entries in a cache, so a changed entry counts only after an
# invalidation. It also leaves the fault out of the records if FPD is set.

# %% [markdown] tags=["topic:S44", "topic:S45", "topic:S46"]
# ## 5. Functions that no scan finds
# *about 40 lines · 35 min · ★★★ · S44 S45 S46*
#
# A virtual function (VF) answers a scan with vendor id `0xFFFF`, like an empty slot. It has no BARs of its own, either. Where
# it is follows from a few registers of its physical function (PF), the SR-IOV capability. So a card can have hundreds of VFs,
# and each costs it little. Write `virtual_functions(place, capability, sized, ecam)`, which lists the VFs that there are.
#
# | offset in `capability` | bytes | |
# |---|---|---|
# | 0x08 | 2 | Control: bit 0 VF Enable, the VFs are there; bit 3 VF MSE, their memory answers |
# | 0x0e | 2 | TotalVFs: how many there can be |
# | 0x10 | 2 | NumVFs: how many software wants. There are never more than TotalVFs |
# | 0x14 | 2 | First VF Offset |
# | 0x16 | 2 | VF Stride |
# | 0x20 | 4 | System Page Size: 1 is 4 KiB, 2 is 8 KiB, `0x10` is 64 KiB |
# | 0x24 | 6 × 4 | VF BARs: where the first VF's memory is |
#
# - A routing id is 16 bits: bus 15:8, device 7:3, function 2:0. That of VF 1 is the PF's plus First VF Offset. Each further VF
#   is one VF Stride on. A carry out of 16 bits is lost.
# - `ecam` is where configuration space begins in memory: 4096 bytes for each routing id, from 0 on. That page is what a VMM
#   gives to a VM, or emulates for it.
# - VF BARs look like BARs of memory. Bits 3:0 are no address. If bits 2:1 of one are 2, it has 64 bits, and the next register
#   is its upper half. The last one is never such a BAR. `sized` has 6 × 4 bytes: what the registers gave at power-on after all
#   ones were written. 0 means that there is no BAR. The lowest address bit that took a 1 is the size of **one** VF's part, but
#   each part takes at least one system page. The parts lie one behind the other.
#
# **Returns** a list with `(routing_id, config, bars)` for each VF in order, where `config` is an address, and `bars` a list of
# `(address, size)`, an item for each BAR in order. Without VF Enable there are no VFs. Without VF MSE, each `bars` is empty. A
# device may be broken, or mean harm: if two VFs would have the same routing id, or one has the PF's, return `"broken"`.
#
# Firmware runs before anybody sets NumVFs, and it must keep room for all VFs that there can be. Write also
# `room_for_all(place, capability, sized)`. It **returns** `(last_bus, sizes)`: the highest bus number that the PF or any of
# TotalVFs VFs is on, and for each BAR the bytes that all of them take. It answers `"broken"` too, where TotalVFs VFs would be.
#
# - **Given** `place`, the PF's `(bus, device, function)`; `capability`, 64 `bytes`, and `sized`, 24, little-endian; `ecam`, an
#   address.
#
# An example: a PF at `(3, 0, 0)` has 2 of 8 VFs, offset 1, stride 1. BAR 0 has 32 bits: its register is `0xE0000000`, its sized
# word `0xFFFFC000`. System Page Size is 1, and `ecam` is `0xB0000000`. The VFs are `(0x301, 0xB0301000, [(0xE0000000,
# 0x4000)])` and `(0x302, 0xB0302000, [(0xE0004000, 0x4000)])`. Room for all is `(3, [0x20000])`.

# %% nbgrader={"grade": false, "grade_id": "ps6-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
import struct


def virtual_functions(place, capability, sized, ecam):
    """The VFs that there are: a list of `(routing_id, config, bars)`, or `"broken"`."""
    ### BEGIN SOLUTION
    (control,) = struct.unpack_from("<H", capability, 0x08)
    total, number = struct.unpack_from("<HH", capability, 0x0E)
    if not control & 1:
        return []
    ids = routing_ids_of(place, capability, min(number, total))
    if ids is None:
        return "broken"
    bars = parts_of(capability, sized) if control & 8 else []
    return [
        (each, ecam + (each << 12), [(base + n * size, size) for base, size in bars])
        for n, each in enumerate(ids)
    ]


def routing_ids_of(place, capability, count):
    """Those of so many VFs; None if two functions would have the same."""
    bus, device, function = place
    physical = bus << 8 | device << 3 | function
    offset, stride = struct.unpack_from("<HH", capability, 0x14)
    ids = [(physical + offset + n * stride) & 0xFFFF for n in range(count)]
    return ids if len({physical, *ids}) == count + 1 else None


def parts_of(capability, sized):
    """Of each VF BAR, the address of the first VF's part, and a part's size."""
    page = struct.unpack_from("<I", capability, 0x20)[0] << 12
    registers = struct.unpack_from("<6I", capability, 0x24)
    masks = struct.unpack("<6I", sized)
    bars, index = [], 0
    while index < 6:
        base, mask = registers[index] & ~0xF, masks[index] & ~0xF
        wide = masks[index] >> 1 & 3 == 2
        if wide:
            base |= registers[index + 1] << 32
            mask |= masks[index + 1] << 32
        if masks[index]:
            bars.append((base, max(mask & -mask, page)))
        index += 2 if wide else 1
    return bars
    ### END SOLUTION


def room_for_all(place, capability, sized):
    """What all VFs take that there can be: `(last_bus, sizes)`, or `"broken"`."""
    ### BEGIN SOLUTION
    (total,) = struct.unpack_from("<H", capability, 0x0E)
    ids = routing_ids_of(place, capability, total)
    if ids is None:
        return "broken"
    sizes = [size * total for _, size in parts_of(capability, sized)]
    return max([place[0], *(each >> 8 for each in ids)]), sizes
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps6-q5", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps6.q5")

# %% [markdown] tags=["solution"]
# **Explained.** Two helpers carry both answers. `routing_ids_of` is the formula of the specification and one question to it. A
# set that is too small says at once that two are the same, whether offset is 0, stride is 0, or a carry has brought one round
# to the PF. A test for offset 0 and stride 0 finds only two of the three. For one VF, stride 0 is sound: nothing is added.
#
# Why refuse at all? Two functions with one routing id have one entry in the tables of VT-d. Give one of them to a VM, and the
# other, perhaps the PF itself, reaches what that VM reaches. The id **is** the identity. So a driver checks it before it
# enables anything.
#
# `parts_of` walks with an index of its own, because a BAR of 64 bits takes two registers. `masks[index]` decides whether there
# is a BAR, before the address bits are cut out: one of 8 GiB has no address bit at all in its lower half, only its type. The
# order of the two lines with `|=` matters as well. `mask & -mask` is right only when both halves are in.
#
# Of a VF BAR, software is told the size of one part, and gives an address for all of them. VF n is found by multiplication, in
# the card and here. That is why a VF is cheap: no register for an address, hence no decoder to set, for any number of VFs. And
# a part has at least a page, because a page is what a VMM can map for a VM: with two VFs in one page, a VM would reach its
# neighbour's registers.
#
# `ecam + (each << 12)` holds for the same reason. Each function has a page of its own in ECAM, so a VMM can map it. In practice
# it emulates most of it: a guest must not write BARs and Command as it likes.
#
# `room_for_all` asks for TotalVFs because nothing can be moved later. A bus number, once given to the next bridge, is not free
# again, and the same holds for addresses. With offset 256 a card of 20 VFs takes two bus numbers though its own bus has 255
# free routing ids. That is how a port without ARI sees it: it reaches device 0 alone on its own link.

# %% [markdown] tags=["topic:S41", "topic:S42", "topic:S43", "topic:S46", "topic:S47"]
# ## 6. Who gets which function
# *about 50 lines · 60 min · ★★★★ · S41 S42 S43 S46 S47*
#
# A VMM is asked for cards. It may give away what VT-d can keep apart, and no more. What cannot be given away is shared in
# software, or refused. You get `functions`, a list of everything on the buses. Bridges stand before what is behind them.
#
# | `f.` | |
# |---|---|
# | `name` | a text; no two have the same |
# | `kind` | `"bridge"`: a bridge or a port. `"pf"`, `"vf"`. `"host"`: the host needs it itself. `"card"`: all others |
# | `above` | the name of the bridge that it is behind; `""` at the top |
# | `device` | functions of one device have the same text here |
# | `isolates` | a bridge: whether every request of what is behind it goes up to the root. Any other: whether it cannot reach the other functions of its device |
# | `roots` | the roots that it can belong to: `"A"`, `"B"`, or `"AB"` behind a switch that both share |
# | `pf` | of a VF: the name of its PF |
#
# **Groups.** A request that comes up to the root meets VT-d. One that is turned around before does not. A switch with one port
# that has ACS off can turn requests around, so its upstream port does not isolate either. What is behind a bridge that does not
# isolate is in one group, and that bridge is in it. Functions of one device that do not isolate are in one group, too. If there
# are several such devices on the way from the root to a function, or the function is in one itself, the **highest** decides.
# Write `iommu_groups(functions)`, which **returns** a list of lists of names. Each function is in one of them, bridges too. The
# order does not matter.
#
# **The plan.** Write `assign(functions, vms)`. `vms` is a list of tuples `(name, root, wish)`. `root` is the root of the host
# that the VM is on. A wish is one of `("card", name)` for a function that is no VF and no bridge, `("net", n)` for n VFs, or
# `None`. **Returns** a dict with an entry for each VM:
#
# | wish | entry |
# |---|---|
# | `None` | `[]` |
# | card | a list: the functions of its group, without bridges. Or a word, why not: `"host"`: the host keeps something in that group. `"root"`: something in it cannot belong to the VM's root. `"taken"`: another VM has it |
# | net | a list of n VFs, from one PF or several. Or `"software"`: the VMM shares in software, with virtio |
#
# - The host keeps all bridges, PFs and what is `"host"`. A group in which it keeps a function (bridges aside) is given to
#   nobody.
# - A group goes to one VM, whole, or to nobody. Behind a port that isolates, each VF is a group of its own.
# - A function is in one root's hierarchy at a time. A VM gets only what can be in its root's. A PF and its VFs stay together:
#   if a PF can be in both, all its VFs that you give away go to VMs of **one** root.
# - Who can have a card gets it. If several can, you choose. As few VMs as possible are left to software.
#
# There may be several good plans, and `check` takes each. It also carries some out: the library's VT-d unit gets a domain for each
# VM, and each function that was given away tries to write to the memory of all.
#
# An example: `nic` is a PF with three VFs, behind a port that isolates. `vm1` to `vm3` wish for `("net", 2)`, `("net", 2)` and
# `("net", 1)`. A good plan is `{"vm1": ["nic.vf1", "nic.vf2"], "vm2": "software", "vm3": ["nic.vf3"]}`. If the port did not
# isolate, `nic` would be in the VFs' group, and all three would get `"software"`.

# %% nbgrader={"grade": false, "grade_id": "ps6-q6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
from itertools import product


def iommu_groups(functions):
    """What cannot be told apart: a list of lists of names."""
    ### BEGIN SOLUTION
    known = {each.name: each for each in functions}
    groups = {}
    for each in functions:
        key, here = ("alone", each.name), each
        while here is not None:
            if not here.isolates:
                key = ("device", here.device)
            here = known.get(here.above)
        groups.setdefault(key, []).append(each.name)
    return list(groups.values())
    ### END SOLUTION


def assign(functions, vms):
    """Who gets what: by VM, a list of names or a word."""
    ### BEGIN SOLUTION
    known = {each.name: each for each in functions}
    whole = {}
    for group in iommu_groups(functions):
        members = [name for name in group if known[name].kind != "bridge"]
        kept = any(known[name].kind in ("pf", "host") for name in members)
        whole |= dict.fromkeys(members, [] if kept else members)
    plan, taken = {}, set()
    for name, root, wish in vms:
        if wish is None:
            plan[name] = []
        elif wish[0] == "card":
            members = whole[wish[1]]
            if not members:
                plan[name] = "host"
            elif any(root not in known[member].roots for member in members):
                plan[name] = "root"
            elif taken.intersection(members):
                plan[name] = "taken"
            else:
                plan[name] = members
                taken.update(members)
    plan |= share_vfs(functions, [vm for vm in vms if vm[2] and vm[2][0] == "net"], whole)
    return plan


def share_vfs(functions, vms, whole):
    """The entries of VMs that wish for VFs: the best of all ways to put PFs into roots."""
    pfs = [each for each in functions if each.kind == "pf"]
    best = {}
    for roots in product(*(pf.roots for pf in pfs)):
        hierarchy = {pf.name: root for pf, root in zip(pfs, roots, strict=True)}
        free = {"A": [], "B": []}
        for each in functions:
            if each.kind == "vf" and whole[each.name]:
                free[hierarchy[each.pf]].append(each.name)
        served = {}
        for name, root, (_, count) in sorted(vms, key=lambda vm: vm[2][1]):
            if count <= len(free[root]):
                served[name] = free[root][:count]
                del free[root][:count]
        best = max(best, served, key=len)
    return {name: best.get(name, "software") for name, _, _ in vms}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps6-q6", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps6.q6")

# %% [markdown] tags=["solution"]
# **Explained.** `iommu_groups` walks up and keeps the last thing it met: that is the highest. The key is the device, not the
# function, so that the parts of a dual card meet in one key. A function that met nothing gets a key of its own. `"alone"` and
# `"device"` keep the two kinds of key apart, even where the texts are the same.
#
# `whole` answers three questions at once: what comes along with a function, whether the group may go away at all, and, by being
# empty, that it may not. Bridges are counted when groups are made, and left out when they are handed over. A bridge has no
# memory of its own to lose; but it is what makes its group leak.
#
# The loop over cards serves whoever comes first. That is as good as any order: a group can make one VM happy, and if anybody
# could have it, somebody gets it. With VFs it is different, since wishes have sizes. The smallest first is best. Suppose that a
# good plan leaves out a small wish and serves a larger one. Put the small one in its place: as many VMs are served, and VFs are
# left over. But that holds for one pool. Which root a shared PF goes to can change everything, and no rule of thumb finds it;
# with few PFs, one tries all ways. `max` with `key=len` keeps the first of the best.
#
# What does the plan say about the three ways of sharing? A card given whole is fastest, and serves one VM (S43). VFs share one
# card among as many VMs as the card has VFs (S46). Software shares it among any number, and pays with the processor for each
# packet (S41). A planner begins at the fast end and ends with what always works. With two roots a function is moved like a card
# that is pulled out here and plugged in there (S47). In neither root can it be seen twice.
#
# Real systems: Linux makes the groups at boot, and VFIO gives a VM a device only if all of its group are bound to VFIO or have
# no driver. `virtlab.pci.acs` has Linux's rule, which looks only at the ports above a function itself. A card behind a good
# port then counts as alone even where a port beside it has ACS off, and what is there can write into its registers. So the
# boards of this task mark such a switch as a whole. Left out here: hotplug, the price of a VF's queues, and who may use a PF to
# set the addresses of others.
