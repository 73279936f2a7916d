# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 4: both ends of a virtqueue
#
# Eight tasks. You write a virtqueue from its first byte on: where it lies, the driver's calls and the device's, and
# when one side wakes the other. Then come the packed layout, and at last 4096 chains at once. Task 1 goes with lesson
# 13, tasks 2 to 5 with 14, task 6 with 15, task 7 with 16, task 8 with 17. Plan about three and a half hours; do them
# in order.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | lay out a vring | 12 lines | 15 | ★★ | 4 |
# | 2 | walk a chain | 30 lines | 30 | ★★★★ | 6 |
# | 3 | add a buffer and kick | 18 lines | 25 | ★★★ | 5 |
# | 4 | take a chain off the ring | 14 lines | 20 | ★★★ | 5 |
# | 5 | give it back, get it back | 15 lines | 20 | ★★★ | 5 |
# | 6 | who wants to hear of it | 15 lines | 30 | ★★★★ | 6 |
# | 7 | pop from a packed ring | 30 lines | 30 | ★★★★ | 6 |
# | 8 | walk 4096 chains at once | 30 lines | 30 | ★★★★★ | 6 |
#
# Each task has a cell for your answer and a check below it. `hint("ps4.q1")` gives a first hint; call it again for
# the next. Change only the answer cells, and add cells of your own where you like. In grading, each task is asked
# some more, with other numbers; part of the cases gives part of the points.
#
# Every number in memory is little-endian. **Two records** go through the set: `q` is one end of a split queue. Your functions
# read its fields and change them.
#
# | field | | of a driver's `q` | of a device's `q` |
# |---|---|---|---|
# | `desc`, `avail`, `used` | where the three parts are | ✓ | ✓ |
# | `size` | entries, a power of two | ✓ | ✓ |
# | `event_idx` | whether EVENT_IDX was negotiated (task 6) | ✓ | ✓ |
# | `cpu` | `load(gpa, size)`, `store(gpa, value, size)`, `read(gpa, length)`, `write(gpa, data)` | ✓ | |
# | `free` | list of the free descriptors | ✓ | |
# | `chains` | dict: head to `(token, slots, writable)` | ✓ | |
# | `added`, `exposed`, `last_used` | how many buffers were added; exposed by a kick; got back | ✓ | |
# | `memory` | `load(gpa, size)`, `store(gpa, size, value)`, `read(gpa, length)`, `write(gpa, data)` | | ✓ |
# | `walk` | function: the chain at a head (task 4) | | ✓ |
# | `last_avail`, `pushed`, `in_flight` | how many chains were taken; given back; are in between | | ✓ |
#
# The counts run on without end. What stands in memory are their low 16 bits; where an entry lies is the count modulo `size`.

# %% nbgrader={"grade": false, "grade_id": "ps4-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint
from virtlab.course.given.scalar_walk import walk_each

# %% [markdown] tags=["topic:S33", "topic:S36"]
# ## 1. Lay out a vring
# *about 12 lines · 15 min · ★★ · S33 S36*
#
# A vring is a piece of the guest's memory that driver and device share. It has three parts, one behind the other:
#
# | part | bytes, for `size` entries | begins |
# |---|---|---|
# | descriptor table | 16 for each entry | at `base` |
# | available ring | 6, and 2 for each entry | behind the table |
# | used ring | 6, and 8 for each entry | at the next multiple of `align` behind the available ring |
#
# Write `vring(base, size, align)`. A modern device is told three addresses, and 4 is enough for `align`. A legacy device is
# told one number, that of the page (4096 bytes) where the queue begins; so both sides compute the rest, with 4096 for `align`.
#
# Then write `find_queue(cpu, io, number, allocate)`, the three steps by which a legacy driver sets up a queue. The device's
# registers are ports from `io` on:
#
# | offset | bytes | |
# |---|---|---|
# | 8 | 4 | the page number of the selected queue; 0: nobody has set it up |
# | 12 | 2 | read: the size of the selected queue; 0: there is no such queue |
# | 14 | 2 | write: selects a queue |
#
# *Find*: select the queue and read its size. *Allocate*: `allocate(bytes)` gives the gpa of free pages full of zeros; ask for
# what the queue takes, in whole pages. *Hand over*: write the page number. If there is no such queue, or somebody has set it
# up already, nothing is allocated and nothing is handed over.
#
# - **Given** `base`, `align`, `size`, ints, `align` a power of two; `cpu` with `inp(port, size)` and `out(port, value, size)`;
#   `io`, a port; `number` from 0.
# - **Returns** `vring` a tuple `(desc, avail, used, total)`: three addresses, and the bytes from `base` to the end of the used
#   ring. `find_queue` a tuple `(desc, avail, used, size)`, or `None`.
#
# `vring(0x1000, 8, 4096)` is `(0x1000, 0x1080, 0x2000, 4166)`; with 4 for `align` the used ring is at `0x1098`, and the total
# is 222. For the first, `find_queue` allocates 8192 bytes.

# %% nbgrader={"grade": false, "grade_id": "ps4-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def vring(base, size, align):
    """Where the three parts of a queue are, and its bytes in all."""
    ### BEGIN SOLUTION
    avail = base + 16 * size
    end = avail + 6 + 2 * size
    used = -(-end // align) * align
    return base, avail, used, used + 6 + 8 * size - base
    ### END SOLUTION


def find_queue(cpu, io, number, allocate):
    """Find, allocate, hand over: `(desc, avail, used, size)` of a legacy queue, or None."""
    ### BEGIN SOLUTION
    cpu.out(io + 14, number, 2)
    size = cpu.inp(io + 12, 2)
    if size == 0 or cpu.inp(io + 8, 4) != 0:
        return None
    total = vring(0, size, 4096)[3]
    gpa = allocate(-(-total // 4096) * 4096)
    cpu.out(io + 8, gpa // 4096, 4)
    return (*vring(gpa, size, 4096)[:3], size)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q1", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q1")

# %% [markdown] tags=["solution"]
# **Explained.** The 6 bytes of each ring are `flags`, `idx`, and a threshold at the end (`used_event`, `avail_event`), 2 bytes
# each. The threshold is there even if nobody uses it. Who forgets it, with 4 for `align`, has the used ring 4 bytes too low. A
# queue of 1 does not show it: there the rounding hides the two bytes.
#
# Rounding up is `-(-end // align) * align`; for a power of two, C code writes `(end + align - 1) & ~(align - 1)`. The used ring
# has an alignment of its own because the other side writes it. With 4096 the device's bytes are on pages of their own.
#
# A legacy queue of 256 takes 10,246 bytes, three pages. The driver cannot choose its size, and needs the pages to be
# neighbours: with 32,768 entries that is more than 800 KiB in one piece. A modern driver may write a smaller size, and three
# addresses that have nothing to do with each other. The device needs no memory for any of this. It is told where the guest's
# is, and that is what the lecture means by *handing the guest-physical address to the virtio PCI controller*.

# %% [markdown] tags=["topic:S33", "topic:S37", "topic:B02"]
# ## 2. Walk a chain
# *about 30 lines · 30 min · ★★★★ · S33 S37 B02*
#
# A buffer of a virtqueue is a list of pieces. Each piece is a descriptor of 16 bytes: `addr` 8, `len` 4, `flags` 2, `next` 2.
# Flags: NEXT (1) the chain goes on at descriptor `next`; WRITE (2) the device writes here, else it reads; INDIRECT (4) here
# lies no buffer, but a *table* of `len` / 16 descriptors at `addr`. Its chain begins at its entry 0, `next` counts in the
# table, and takes the place of the INDIRECT descriptor. Other flags are ignored, and so are `next` without NEXT and WRITE
# beside INDIRECT.
#
# Write `walk(memory, table, size, head, indirect)`, the device's look at a chain. The guest may have written anything. So the
# answer is either the list of buffers, or one word: the first rule that is broken, asked in this order. While walking, at each
# descriptor:
#
# | word | |
# |---|---|
# | `"range"` | its index is not in the table that is being walked |
# | `"long"` | `size` buffers have been found already, and the chain still goes on |
# | `"indirect"` | INDIRECT though `indirect` is False; or in an indirect table; or beside NEXT; or a `len` that is 0 or no multiple of 16 |
# | `"memory"` | an indirect table that does not lie in memory |
#
# At the end of the chain, for each buffer in turn:
#
# | word | |
# |---|---|
# | `"empty"` | it has 0 bytes |
# | `"memory"` | it does not lie in memory, from its first byte to its last |
# | `"order"` | it is readable, and stands behind a writable one |
#
# No descriptor may be read twice: the guest could change it in between.
#
# - **Given** `memory` with `size` in bytes, from 0 on, and `read(gpa, length)`, which raises where there is no memory; `table`,
#   the gpa of a descriptor table of `size` entries, which lies in memory; `head` from 0 to 65535; `indirect`, whether indirect
#   tables were negotiated.
# - **Returns** a list of tuples `(addr, len, write)`, `write` a bool; or a word.
#
# Descriptors `3: 0x4000, 16, NEXT, next 1` and `1: 0x5000, 512, WRITE, next 0` give for head 3
# `[(0x4000, 16, False), (0x5000, 512, True)]`; with `next 3` and NEXT in the second, `"long"`.

# %% nbgrader={"grade": false, "grade_id": "ps4-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def walk(memory, table, size, head, indirect):
    """The buffers of the chain at `head`, or the word of the rule that it breaks."""
    ### BEGIN SOLUTION
    entries, index, buffers = size, head, []
    while True:
        if index >= entries:
            return "range"
        if len(buffers) == size:
            return "long"
        raw = memory.read(table + 16 * index, 16)
        addr, length = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:12], "little")
        flags, following = int.from_bytes(raw[12:14], "little"), int.from_bytes(raw[14:], "little")
        if flags & 4:
            if not indirect or flags & 1 or length == 0 or length % 16:
                return "indirect"
            if addr + length > memory.size:
                return "memory"
            table, entries, index, indirect = addr, length // 16, 0, False
            continue
        buffers.append((addr, length, bool(flags & 2)))
        if not flags & 1:
            return judged(buffers, memory.size)
        index = following


def judged(buffers, limit):
    """The buffers, or what is wrong with one of them."""
    writing = False
    for addr, length, write in buffers:
        if length == 0:
            return "empty"
        if addr + length > limit:
            return "memory"
        if writing and not write:
            return "order"
        writing = write
    return buffers
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q2", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q2")

# %% [markdown] tags=["solution"]
# **Explained.** An indirect table ends the chain of the ring, and no table is in a table. So there is no need for recursion: at
# INDIRECT the walk goes on elsewhere, with three variables changed, and `indirect = False` forbids a second time.
#
# One bound holds everything: a chain has at most `size` descriptors, and so the loop ends whatever the guest wrote. There is no
# need to remember which descriptors were seen. `len` of a table may be 4 GiB; nothing is made of that size, and only what the
# chain names is read.
#
# Each 16 bytes are read in one piece and only the copy is used. A device that reads `flags`, decides, and then reads `addr`
# again can be given another buffer than the one it judged. This kind of bug has a name, *double fetch*, and a long list of
# victims. In C the sum `addr + length` also needs care: near 2⁶⁴ it comes out small.

# %% [markdown] tags=["topic:S37", "topic:S38", "topic:S39"]
# ## 3. Add a buffer and kick
# *about 18 lines · 25 min · ★★★ · S37 S38 S39*
#
# Now the driver's side. Write `add_buf(q, out, in_, token)`, the lecture's `virtqueue_add_buf`. Take as many descriptors as
# needed from the front of `q.free`; the first is the head. Write them as a chain: the pieces of `out`, which the device reads,
# then those of `in_`, which it writes. Put the head (2 bytes) into the next entry of the available ring, number `q.added`, and
# count it. Keep in `q.chains` what will be needed later: under the head the tuple `(token, slots, writable)`, `slots` the list
# of descriptors in the chain's order, `writable` the bytes of `in_`. If there are too few free descriptors nothing happens.
#
# And write `kick(q)`, `virtqueue_kick`. It exposes what was added: it stores `q.added` in `idx`, notes in `q.exposed` how far
# it is, and then reads `flags` of the used ring. If bit 0 is 1 the device does not want to hear. If nothing was added since the
# last kick, there is nothing to do.
#
# | available ring at `q.avail` | bytes | used ring at `q.used` | bytes |
# |---|---|---|---|
# | 0: `flags` | 2 | 0: `flags` | 2 |
# | 2: `idx` | 2 | 2: `idx` | 2 |
# | 4: an entry for each position modulo `size`: the head | 2 each | 4: an element for each: `id`, `len` | 4 + 4 each |
#
# - **Given** `q`, a driver's; `out` and `in_`, lists of `(gpa, length)`, at least one in both; `token`, whatever the caller
#   likes. Without EVENT_IDX.
# - **Returns** `add_buf` True, or False if there was no room; `kick` whether the bell is to be rung, a bool.
#
# In a queue of 8, `free` is `[3, 5, 1]` and `added` is 15. Then `add_buf(q, [(0x8000, 16)], [(0x9000, 512)], "t")` writes the
# descriptors 3 (NEXT, next 5) and 5 (WRITE). The head, 3, goes to `q.avail + 18`. Now `free` is `[1]`, `added` 16, and `chains`
# `{3: ("t", [3, 5], 512)}`.

# %% nbgrader={"grade": false, "grade_id": "ps4-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def add_buf(q, out, in_, token):
    """Place one buffer in the ring; False if there is no room."""
    ### BEGIN SOLUTION
    pieces = [(gpa, length, 0) for gpa, length in out] + [(gpa, length, 2) for gpa, length in in_]
    if len(pieces) > len(q.free):
        return False
    slots, q.free = q.free[: len(pieces)], q.free[len(pieces) :]
    for place, (gpa, length, flags) in enumerate(pieces):
        last = place == len(pieces) - 1
        fields = gpa, length, flags if last else flags | 1, 0 if last else slots[place + 1]
        sizes = 8, 4, 2, 2
        raw = b"".join(n.to_bytes(size, "little") for n, size in zip(fields, sizes, strict=True))
        q.cpu.write(q.desc + 16 * slots[place], raw)
    q.cpu.store(q.avail + 4 + 2 * (q.added % q.size), slots[0], 2)
    q.chains[slots[0]] = token, slots, sum(length for _, length in in_)
    q.added += 1
    return True
    ### END SOLUTION


def kick(q):
    """Expose what was added; whether the device is to be told."""
    ### BEGIN SOLUTION
    if q.exposed == q.added:
        return False
    q.cpu.store(q.avail + 2, q.added & 0xFFFF, 2)
    q.exposed = q.added
    return q.cpu.load(q.used, 2) & 1 == 0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q3", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q3")

# %% [markdown] tags=["solution"]
# **Explained.** The free list decides where a chain lies, the ring in which order chains are offered. The two have nothing to
# do with each other: an entry at position 7 can name descriptor 3. That is why the entry holds a head.
#
# Nothing that add_buf writes is visible. A device looks at `idx`, and only kick moves it. So ten buffers can be added and
# exposed together, and they cost one exit. On real hardware a barrier stands before the store of `idx`: else another processor
# may see the index first and follow it to an entry that is not written.
#
# The question about `flags` comes after the store, and there is a barrier too. A driver that looks first may find *do not
# ring*, while the device decides to sleep because it sees no new index. Task 6 has the mirror image of this race.

# %% [markdown] tags=["topic:S38", "topic:S39"]
# ## 4. Take a chain off the ring
# *about 14 lines · 20 min · ★★★ · S38 S39*
#
# The device's side: write `pop(q)`, the lecture's `virtqueue_pop`. `idx` of the available ring says how far the driver is; the
# device is at `q.last_avail`. It asks in this order:
#
# | | answer |
# |---|---|
# | no new entry | `None` |
# | new entries and chains in flight are together more than `size` | `"idx"` |
# | the entry's head is no index of a descriptor | `"head"` |
# | `q.walk(head)` gives a word and not a list | that word |
# | else | the tuple `(head, buffers)`; `q.last_avail` and `q.in_flight` are one more |
#
# What is refused moves nothing: the next pop finds the same entry. The guest may change `idx` and the entry at any time, so
# read each once, `idx` first. `walk` is given, and is the same as yours in task 2.
#
# - **Given** `q`, a device's. The available ring is that of task 3.
# - **Returns** `None`, a word, or a tuple of the head, an int, and the list that `walk` gave.
#
# With `size` 8, `last_avail` 65535 and `idx` 1, two entries are new: the first is number 65535 modulo 8, at `q.avail + 18`.
# If it holds 3, and `q.walk(3)` is `[(0x4000, 16, False)]`, then pop gives `(3, [(0x4000, 16, False)])`.

# %% nbgrader={"grade": false, "grade_id": "ps4-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pop(q):
    """Take the next chain; None if there is none, a word if it is refused."""
    ### BEGIN SOLUTION
    idx = q.memory.load(q.avail + 2, 2)
    waiting = (idx - q.last_avail) & 0xFFFF
    if waiting == 0:
        return None
    if waiting + q.in_flight > q.size:
        return "idx"
    head = q.memory.load(q.avail + 4 + 2 * (q.last_avail % q.size), 2)
    if head >= q.size:
        return "head"
    buffers = q.walk(head)
    if isinstance(buffers, str):
        return buffers
    q.last_avail += 1
    q.in_flight += 1
    return head, buffers
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q4", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q4")

# %% [markdown] tags=["solution"]
# **Explained.** The mask is the whole trick of free-running indices: `(1 - 65535) & 0xffff` is 2. It also makes an index that
# ran *backwards* a very large step forward, and one comparison catches both. QEMU says "Guest moved used index" and gives up
# on the device; a model without this line handles 65,535 chains that nobody offered.
#
# Those in flight count, because their entries are still the device's. A driver that offers `size` chains while others are out
# has offered some descriptor twice.
#
# All questions come before the first change. A function that moves `last_avail` early and then refuses has lost a chain, and
# the driver waits for it for ever.

# %% [markdown] tags=["topic:S38", "topic:S39"]
# ## 5. Give it back, get it back
# *about 15 lines · 20 min · ★★★ · S38 S39*
#
# The device is done with a chain. Write `push(q, head, written)`, `virtqueue_push`: put `id` (the head) and `len` (the bytes it
# has written) into the used ring's element number `q.pushed`, then store the new `idx`. `q.pushed` is one more, `q.in_flight`
# one less. Chains may come back in another order than they went.
#
# Then the driver gets it. Write `get_buf(q)`, `virtqueue_get_buf`. It reads `idx` of the used ring, and then element number
# `q.last_used`:
#
# | | answer |
# |---|---|
# | no new element | `None` |
# | more new elements than buffers that are exposed and not got back; or an `id` that `q.chains` has not | `"broken"`, and nothing is changed |
# | else | the tuple `(token, len)`, where `len` is at most `writable` |
#
# The chain leaves `q.chains`, its slots go in their order to the end of `q.free`, and `q.last_used` is one more.
#
# - **Given** `q`, a device's for `push`, a driver's for `get_buf`, filled as in tasks 3 and 4; `head`; `written` from 0 to
#   2³² - 1.
# - **Returns** `push` nothing; `get_buf` as above.
#
# With `size` 4 and `pushed` 6, `push(q, 3, 513)` writes 3 and 513 at `q.used + 20`, and 7 at `q.used + 2`. If `chains` has
# `3: ("t", [3, 5], 512)`, `get_buf` gives `("t", 512)`.

# %% nbgrader={"grade": false, "grade_id": "ps4-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def push(q, head, written):
    """Give a chain back to the driver."""
    ### BEGIN SOLUTION
    element = q.used + 4 + 8 * (q.pushed % q.size)
    q.memory.store(element, 4, head)
    q.memory.store(element + 4, 4, written)
    q.pushed += 1
    q.in_flight -= 1
    q.memory.store(q.used + 2, 2, q.pushed & 0xFFFF)
    ### END SOLUTION


def get_buf(q):
    """The next buffer that came back: `(token, len)`, None, or "broken"."""
    ### BEGIN SOLUTION
    new = (q.cpu.load(q.used + 2, 2) - q.last_used) & 0xFFFF
    if new == 0:
        return None
    element = q.used + 4 + 8 * (q.last_used % q.size)
    head, length = q.cpu.load(element, 4), q.cpu.load(element + 4, 4)
    if new > q.exposed - q.last_used or head not in q.chains:
        return "broken"
    token, slots, writable = q.chains.pop(head)
    q.free += slots
    q.last_used += 1
    return token, min(length, writable)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q5", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q5")

# %% [markdown] tags=["solution"]
# **Explained.** Both rings are the same idea, seen from the other side: fill the slot, then move the index; read the index,
# then the slot. With this the five pictures of the lecture are complete: add, kick, pop, push, get.
#
# The element has the head because order is free. A disk answers the fast requests first, and `chains` finds the token. The
# slots come back in the order of the elements, so after a while `free` is in disorder. That is normal, and it is why task 8
# cannot take neighbours for granted.
#
# A driver should distrust, too. The device may be another company's hardware, or a host that is not to be trusted at all
# (confidential computing). Linux has all three checks: `id` in range, `id` in use, `len` bounded. Without the bound a driver
# hands the caller bytes that nobody has written, what lay in that memory before among them.

# %% [markdown] tags=["topic:S40", "topic:B02"]
# ## 6. Who wants to hear of it
# *about 15 lines · 30 min · ★★★★ · S40 B02*
#
# A notification costs an exit, an interrupt costs another. So each side tells the other whether it wants to hear. Without
# EVENT_IDX it has one bit, in the `flags` of the ring that it writes: 1 means *be silent*. With EVENT_IDX the flags mean
# nothing; it has a threshold instead, the number of an entry: *tell me when you get past it*.
#
# | written by | bit 0 of | threshold | at |
# |---|---|---|---|
# | the driver | `flags` of the available ring | `used_event` | `q.avail + 4 + 2 * size` |
# | the device | `flags` of the used ring | `avail_event` | `q.used + 4 + 8 * size` |
#
# Write five functions:
#
# 1. `need_event(event, new, old)`: an index went from `old` to `new`. Did it pass entry `event`, that is: is `event` one of the
#    entries `old`, `old + 1`, …, `new - 1`? All three are 16-bit numbers, and so 0 comes after 65535.
# 2. `should_kick(q, old)`: the driver has stored `q.exposed` in `idx`, where `old` was before. Ring?
# 3. `should_interrupt(q, old)`: the device has stored `q.pushed`, where `old` was before. Interrupt?
# 4. `disable_cb(q)`: the driver does not want to hear. With a threshold: name the entry that comes last of all, the one before
#    `q.last_used`.
# 5. `enable_cb(q)`: the driver wants to hear of the very next buffer, entry `q.last_used`; and may it sleep? True if no used
#    buffer waits, False if it has to get some first.
#
# The device does not stop while enable_cb runs. The check lets it work between any two accesses. A driver that sleeps, with a
# buffer waiting and no interrupt under way, has lost its wake-up.
#
# - **Given** `q`, a driver's for 2, 4 and 5, a device's for 3; `q.event_idx`; `old`, a count that runs on like `q.exposed`.
#   If it is equal to the new one, nobody is told.
# - **Returns** bools; `disable_cb` nothing.
#
# `need_event(65535, 1, 65534)` is True: the index passed 65534, 65535 and 0. `need_event(1, 1, 65534)` is False.

# %% nbgrader={"grade": false, "grade_id": "ps4-q6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def need_event(event, new, old):
    """Whether an index that went from `old` to `new` passed entry `event`."""
    ### BEGIN SOLUTION
    return (event - old) & 0xFFFF < (new - old) & 0xFFFF
    ### END SOLUTION


def should_kick(q, old):
    """Whether the driver rings, after its index went on from `old`."""
    ### BEGIN SOLUTION
    if q.event_idx:
        return need_event(q.cpu.load(q.used + 4 + 8 * q.size, 2), q.exposed, old)
    return q.exposed != old and q.cpu.load(q.used, 2) & 1 == 0
    ### END SOLUTION


def should_interrupt(q, old):
    """Whether the device interrupts, after its index went on from `old`."""
    ### BEGIN SOLUTION
    if q.event_idx:
        return need_event(q.memory.load(q.avail + 4 + 2 * q.size, 2), q.pushed, old)
    return q.pushed != old and q.memory.load(q.avail, 2) & 1 == 0
    ### END SOLUTION


def disable_cb(q):
    """Ask for no interrupts."""
    ### BEGIN SOLUTION
    if q.event_idx:
        q.cpu.store(q.avail + 4 + 2 * q.size, (q.last_used - 1) & 0xFFFF, 2)
    else:
        q.cpu.store(q.avail, 1, 2)
    ### END SOLUTION


def enable_cb(q):
    """Ask for an interrupt at the next used buffer; True if the driver may sleep."""
    ### BEGIN SOLUTION
    if q.event_idx:
        q.cpu.store(q.avail + 4 + 2 * q.size, q.last_used & 0xFFFF, 2)
    else:
        q.cpu.store(q.avail, 0, 2)
    return q.cpu.load(q.used + 2, 2) == q.last_used & 0xFFFF
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q6", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q6")

# %% [markdown] tags=["solution"]
# **Explained.** On a circle there is no larger and smaller, only distances. `event` was passed if it is less far from `old`
# than `new` is. The specification writes `(new - event - 1) & 0xffff < (new - old) & 0xffff`. It counts from the other
# end, and says the same.
#
# enable_cb writes its wish, then looks. If the device pushes before the look, the driver sees it; if after, the device sees the
# wish. Either is enough, and there is no third moment. The other way round there is one: look, *push, and no interrupt is
# wanted yet*, wish, sleep. On a real machine the store must also reach memory before the load is made, and the PC's processors
# need a full barrier for it. That is the only reordering they do.
#
# disable_cb needs no such care: it is a hint, and an interrupt may still come. With a threshold there is no value that says
# *never*. The entry before `last_used` is 65,535 steps away, and by then the driver has looked again.

# %% [markdown] tags=["topic:B01"]
# ## 7. Pop from a packed ring
# *about 30 lines · 30 min · ★★★★ · B01*
#
# A packed queue has one ring, and no index in it. A descriptor has 16 bytes: `addr` 8, `len` 4, `id` 2, `flags` 2. Besides
# NEXT (1), WRITE (2) and INDIRECT (4) there are AVAIL (bit 7) and USED (bit 15). Each side walks round the ring, and has a
# *wrap counter*: 1 in its first lap, 0 in the second, 1 in the third, and so on. A descriptor is **available** in a lap if
# AVAIL equals the wrap counter and USED does not.
#
# The pieces of a list are neighbours: each but the last has NEXT, and behind the last slot comes slot 0, in the next lap. The
# last descriptor's `id` is the list's; the others' mean nothing.
#
# Write `pop_packed(q)`. `q` has `memory` as in task 4, `ring` (a gpa), and `size` (any number from 1 on). The device looks next
# at `slot`, with the counter `wrap`, 1 or 0. `in_flight` is a dict: the id of each list that the device has, and how many slots
# that takes. Answer `None` if the first descriptor is not available. Else, at each descriptor of the list:
#
# | word | |
# |---|---|
# | `"room"` | the list would take more slots than are not in flight (perhaps there are none at all) |
# | `"gap"` | the descriptor is not available, though the one before it has NEXT |
# | `"indirect"` | INDIRECT is set: here it was not negotiated |
#
# then for each buffer in turn `"empty"` and `"order"`, as in task 2; and last `"id"`, if a list in flight has this id already.
# What is refused moves nothing. Where the buffers lie is not asked here. The flags of the first descriptor are read before the
# rest of it, or in the same read, and nothing is read twice.
#
# - **Returns** `None`, a word, or a tuple `(id, buffers)`, buffers as in task 2. Then `q.slot` and `q.wrap` are behind the
#   list, and `q.in_flight` has it.
#
# In a ring of 4 with `slot` 3 and `wrap` 1: slot 3 has NEXT and AVAIL, slot 0 has `id` 9, WRITE and **USED**, as its lap has
# wrap counter 0. pop gives id 9 with two buffers; then `slot` is 1, `wrap` 0, `in_flight` `{9: 2}`.

# %% nbgrader={"grade": false, "grade_id": "ps4-q7-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pop_packed(q):
    """Take the next list: `(id, buffers)`; None if there is none, a word if it is refused."""
    ### BEGIN SOLUTION
    slot, wrap, buffers = q.slot, q.wrap, []
    room = q.size - sum(q.in_flight.values())
    flags = 1
    while flags & 1:
        raw = q.memory.read(q.ring + 16 * slot, 16)
        flags = int.from_bytes(raw[14:], "little")
        available = flags >> 7 & 1 == wrap and flags >> 15 != wrap
        if not buffers and not available:
            return None
        if len(buffers) == room:
            return "room"
        if not available:
            return "gap"
        if flags & 4:
            return "indirect"
        addr, length = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:12], "little")
        buffers.append((addr, length, bool(flags & 2)))
        slot += 1
        if slot == q.size:
            slot, wrap = 0, 1 - wrap
    ident = int.from_bytes(raw[12:14], "little")
    writing = False
    for _, length, write in buffers:
        if length == 0:
            return "empty"
        if writing and not write:
            return "order"
        writing = write
    if ident in q.in_flight:
        return "id"
    q.slot, q.wrap = slot, wrap
    q.in_flight[ident] = len(buffers)
    return ident, buffers
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q7", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q7")

# %% [markdown] tags=["solution"]
# **Explained.** One bit would not be enough. AVAIL alone says in which lap a driver wrote it; USED says whether the device has
# given it back in that lap. Equal bits: used. Different bits: the driver's mark, and which of the two ways round says which
# lap. Zeros, as fresh memory has them, are *used in a lap of 0*, so an empty ring needs no preparation.
#
# The wrap counter goes with the slot. Inside a list over the end, slot 3 is asked with 1 and slot 0 with 0. A device that asks
# the whole list with one counter works until the first such list, and that may take days.
#
# There are no indices to follow, so no loops and no ranges to check. What remains is *room*. With NEXT in every descriptor a
# list goes on into slots that the device holds already, and a driver may mark them again meanwhile.
#
# To take a request from a split ring, a device touches three cache lines: the index's, the entry's and the descriptor's. Here
# it is one, with everything.

# %% [markdown] tags=["topic:B03"]
# ## 8. Walk 4096 chains at once
# *about 30 lines · 30 min · ★★★★★ · B03*
#
# A busy device finds thousands of chains in the ring. `walk_each` (in the set-up cell; read it with `walk_each??`) takes them
# one after the other: a read, an unpacking and three comparisons for each descriptor. Write `walk_many`, which gives the same
# arrays, and is **at least 20 times as fast** with 4096 chains of four descriptors.
#
# A chain is refused for one of three reasons: an index is not in the table; it has more than `longest` descriptors; a readable
# buffer stands behind a writable one. A refused chain has no buffers, and the others are not disturbed. There are no indirect tables here, so
# flags other than NEXT (1) and WRITE (2) mean nothing, and where the buffers lie is not asked.
#
# - **Given** `memory` with `read(gpa, length)`; `desc`, the gpa of a table of `size` descriptors; `heads`, an array of `n`
#   `int64`, from 0 to 65535; `longest`, 1 or more. The table may be read once.
# - **Returns** four arrays. `starts`, (n + 1,) `int64`: chain `k` has the buffers from `starts[k]` up to `starts[k + 1]`.
#   And for each buffer, chain after chain, in order: `addr` `uint64`, `length` `int64`, `write` `bool`.
#
# Heads `[3, 20, 1]`, where 3 is a chain of one, 20 is not in the table, and 1 is a chain of two: `starts` is `[0, 1, 1, 3]`.
#
# `np.frombuffer(raw, DESC)` makes an array of descriptors with the fields `addr`, `len`, `flags` and `next`.

# %% nbgrader={"grade": false, "grade_id": "ps4-q8-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
import numpy as np

from virtlab.virtio.layouts import DESC


def walk_many(memory, desc, size, heads, longest):
    """All chains at `heads`: `starts`, `addr`, `length`, `write`."""
    ### BEGIN SOLUTION
    table = np.frombuffer(memory.read(desc, 16 * size), DESC)
    flags, following = table["flags"].astype(np.int64), table["next"].astype(np.int64)
    count, refused = np.zeros(len(heads), np.int64), np.zeros(len(heads), bool)
    who, index, writing = np.arange(len(heads)), heads, np.zeros(len(heads), np.int64)
    steps = []
    for _ in range(longest):
        inside = np.flatnonzero(index < size)
        if len(inside) < len(who):
            refused[who[index >= size]] = True
            who, index, writing = who[inside], index[inside], writing[inside]
        mine = flags[index]
        refused[who[np.flatnonzero(mine & 2 < writing)]] = True
        steps.append((who, index))
        count[who] += 1
        onward = np.flatnonzero(mine & 1)
        who, index, writing = who[onward], following[index[onward]], mine[onward] & 2
        if len(who) == 0:
            break
    refused[who] = True
    count[refused] = 0
    starts = np.concatenate(([0], np.cumsum(count)))
    order = np.empty(starts[-1], np.int64)
    for step, (who, index) in enumerate(steps):
        if refused.any():
            kept = ~refused[who]
            who, index = who[kept], index[kept]
        order[starts[who] + step] = index
    found = table[order]
    addr, length = found["addr"].astype(np.uint64), found["len"].astype(np.int64)
    return starts, addr, length, (found["flags"] & 2) == 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps4-q8", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps4.q8")

# %% [markdown] tags=["solution"]
# **Explained.** The chains go in lockstep. Four passes over 4096 chains are four times a handful of array operations. Each of
# them costs a microsecond to begin, and some nanoseconds an element. The scalar walk pays nearly two microseconds for every
# descriptor.
#
# The result is one array of descriptor numbers, `order`, in the order in which the buffers are to stand. `starts[who] + step`
# says where each goes, so nothing has to be sorted; then one gather takes all four fields of a descriptor together, because
# they lie together. The conversion of `flags` and `next` beforehand is worth it: each is used in every pass.
#
# Refusals are data, too. A wrong chain sets a mark and goes on or stops; its count of 0 takes it out at the end. A loop ends by
# `longest`, however the table looks. And the table is copied once, in one piece, so what was judged is what is used. (With a
# table of 32,768 and one chain in it the copy is a waste: the scalar walk wins for a few chains, and a library chooses.)
