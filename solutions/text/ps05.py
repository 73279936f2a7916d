# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 5: drivers and devices
#
# Six tasks. You write both ends of virtio. There are a driver's first steps, a driver, and a device of your own in
# two forms. Then come the back-end of a disk, and both sides of a network card's receive queue. Tasks 1 to 4 go with
# lesson 12 and use what lessons 13 to 15 have built; tasks 5 and 6 also with lesson 18. Plan about three hours and
# twenty minutes. Tasks 3 and 4 belong together; the others stand alone.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | eight steps to a live device | 45 lines | 40 | ★★★ | 6 |
# | 2 | a front-end for the entropy device | 22 lines | 25 | ★★★ | 5 |
# | 3 | a random source with two registers | 10 lines | 15 | ★★ | 4 |
# | 4 | the random source as a virtio device | 28 lines | 35 | ★★★★ | 6 |
# | 5 | serve a disk | 40 lines | 45 | ★★★★ | 7 |
# | 6 | receive in pieces | 40 lines | 40 | ★★★★ | 7 |
#
# Each task has a cell for your answer and a check below it. `hint("ps5.q1")` gives a first hint; call it again for
# the next. Change only the answer cells, and add cells of your own where you like. In grading, each task is asked
# some more, with other numbers; part of the cases gives part of the points.
#
# Every number in memory and in a register is little-endian. `cpu` is the guest's processor: `load(gpa, size)` and
# `store(gpa, value, size)` for registers and memory, `read(gpa, length)` and `write(gpa, data)` for more of it.

# %% nbgrader={"grade": false, "grade_id": "ps5-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint
from virtlab.course.given.random_numbers import xorshift

# %% [markdown] tags=["topic:S29", "topic:S36"]
# ## 1. Eight steps to a live device
# *about 45 lines · 40 min · ★★★ · S29 S36*
#
# A virtio device may come from any VMM, a driver from any system. Eight steps bring the two together, and each tells the
# device how far the driver is. Here the device is behind virtio-mmio: its registers begin at `base`, 4 bytes each, and are
# only read and written as 4.
#
# | offset | register | | offset | register | |
# |---|---|---|---|---|---|
# | 0x00 | MAGIC_VALUE | 0x74726976 | 0x34 | QUEUE_SIZE_MAX | its largest size; 0: no such queue |
# | 0x04 | VERSION | 2 | 0x38 | QUEUE_SIZE | the size that you choose |
# | 0x08 | DEVICE_ID | 0: nobody | 0x44 | QUEUE_READY | 1: the queue is in use |
# | 0x10 | DEVICE_FEATURES | 32 features offered | 0x70 | STATUS | ACKNOWLEDGE 1, DRIVER 2, DRIVER_OK 4, |
# | 0x14 | DEVICE_FEATURES_SEL | which: 0 low, 1 high | | | FEATURES_OK 8, NEEDS_RESET 64, FAILED 128 |
# | 0x20 | DRIVER_FEATURES | 32 accepted | 0x80, 0x84 | QUEUE_DESC | address of the first part, low and high half |
# | 0x24 | DRIVER_FEATURES_SEL | which: 0 low, 1 high | 0x90, 0x94 | QUEUE_DRIVER | of the second |
# | 0x30 | QUEUE_SEL | the queue you mean | 0xa0, 0xa4 | QUEUE_DEVICE | of the third |
#
# Write `negotiate(cpu, base, understood, needs)`. First see who is there: MAGIC_VALUE, VERSION and DEVICE_ID, in this order.
# If one of them is not what a modern driver wants, answer `None` and touch no other register. Then:
#
# 1. Reset: write 0 to STATUS, and read it until it is 0. After 100 reads that are not 0, answer `"dead"`
#    and write nothing more.
# 2. Set ACKNOWLEDGE. 3. Set DRIVER. Each step is a write of its own, and keeps the bits that are set.
# 4. Read the features offered, both words. Accept those that are also in `understood`. A feature that needs another is
#    accepted only with it. Without VERSION_1 (bit 32) the device is a legacy one: give up, and answer `"legacy"`. Else write
#    what you accept, both words.
# 5. Set FEATURES_OK. 6. Read STATUS back. If FEATURES_OK has gone, the device does not agree: give up, answer `"refused"`.
#
# To *give up* is to set FAILED beside the bits that are there. After that the device is left alone.
#
# Write also `set_up(cpu, base, queues)`, which goes on from there:
#
# 7. For each queue, from number 0 on: select it. If QUEUE_READY is not 0, or QUEUE_SIZE_MAX is less than the size wanted, give
#    up and answer `"queue"`. Else hand over the size and the three addresses, and only then write 1 to QUEUE_READY.
# 8. Set DRIVER_OK. Then read STATUS: the answer is False if the device needs a reset already, else True.
#
# - **Given** `base`, a gpa; `understood`, an int of 64 bits in which bit 32 is set; `needs`, a dict from the number of a feature
#   to the features that it needs, as an int of bits; `queues`, a list of tuples `(size, desc, driver, device)`, the last
#   three gpas.
# - **Returns** `negotiate` the accepted features as an int, or `None`, or a word; `set_up` a bool, or a word.
#
# An example: bits 1, 7 and 32 are offered, `understood` has 7, 8 and 32, and `needs` is `{7: 1 << 1}`. Then 7 needs 1, which
# was not understood. So `negotiate` gives `1 << 32`.

# %% nbgrader={"grade": false, "grade_id": "ps5-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def negotiate(cpu, base, understood, needs):
    """Steps 1 to 6: the accepted features, None if nobody is there, or a word."""
    ### BEGIN SOLUTION
    wanted = 0x74726976, 2
    if (cpu.load(base, 4), cpu.load(base + 4, 4)) != wanted or cpu.load(base + 8, 4) == 0:
        return None
    cpu.store(base + 0x70, 0, 4)
    for _ in range(100):
        if cpu.load(base + 0x70, 4) == 0:
            break
    else:
        return "dead"
    cpu.store(base + 0x70, 1, 4)
    cpu.store(base + 0x70, 1 | 2, 4)
    offered = 0
    for half in (0, 1):
        cpu.store(base + 0x14, half, 4)
        offered |= cpu.load(base + 0x10, 4) << 32 * half
    accepted = choose(offered & understood, needs)
    if not accepted >> 32 & 1:
        return give_up(cpu, base, "legacy")
    for half in (0, 1):
        cpu.store(base + 0x24, half, 4)
        cpu.store(base + 0x20, accepted >> 32 * half & 0xFFFF_FFFF, 4)
    cpu.store(base + 0x70, 1 | 2 | 8, 4)
    if not cpu.load(base + 0x70, 4) & 8:
        return give_up(cpu, base, "refused")
    return accepted


def choose(both, needs):
    """Of the features that both know, those whose needs are met."""
    lacking = None
    while lacking != 0:
        lacking = sum(1 << bit for bit, others in needs.items()
                      if both >> bit & 1 and others & ~both)
        both &= ~lacking
    return both


def give_up(cpu, base, why):
    """Set FAILED; the word to answer."""
    cpu.store(base + 0x70, cpu.load(base + 0x70, 4) | 128, 4)
    return why
    ### END SOLUTION


def set_up(cpu, base, queues):
    """Steps 7 and 8: whether the device is live, or a word."""
    ### BEGIN SOLUTION
    for number, (size, *addresses) in enumerate(queues):
        cpu.store(base + 0x30, number, 4)
        if cpu.load(base + 0x44, 4) != 0 or cpu.load(base + 0x34, 4) < size:
            return give_up(cpu, base, "queue")
        cpu.store(base + 0x38, size, 4)
        for offset, gpa in zip((0x80, 0x90, 0xA0), addresses, strict=True):
            cpu.store(base + offset, gpa & 0xFFFF_FFFF, 4)
            cpu.store(base + offset + 4, gpa >> 32, 4)
        cpu.store(base + 0x44, 1, 4)
    cpu.store(base + 0x70, cpu.load(base + 0x70, 4) | 4, 4)
    return cpu.load(base + 0x70, 4) & 64 == 0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps5-q1", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps5.q1")

# %% [markdown] tags=["solution"]
# **Explained.** The driver and the device were written by people who never met. So neither assumes anything of the other:
# what both say they know, both may use. A driver from 2016 and a device of today agree on what there was in 2016. A device
# that offers all 64 bits frightens nobody, for a driver takes only what it understands.
#
# `choose` needs its loop. Take features 3, 2 and 1, where 3 needs 2 and 2 needs 1. If 1 is missing, the first round takes 2
# away, and only then is 3 without what it needs. Each round takes at least one bit, so the loop ends.
#
# Steps 5 and 6 are two because the device has a word in it. A device may know that it cannot work with these features,
# and its only way to say so is not to keep the bit. A driver that does not look goes on with a device that waits for a reset.
# Legacy devices had no such step: whatever the driver wrote was agreed.
#
# After the reset, STATUS is read until it is 0. Behind a real bus a device needs time, and a driver that hurries writes
# ACKNOWLEDGE into a reset that is still under way. The bound of 100 keeps the guest alive if the device never comes back.
#
# Step 7 is the lecture's *find, allocate, hand over*, task 1 of problem set 4, with three addresses in place of a page
# number. QUEUE_READY comes last, because with it the device looks at what was written before. With one queue, all this has
# cost 31 exits. After step 8 the queues work, and a request needs one.

# %% [markdown] tags=["topic:S32", "topic:S35", "topic:S38"]
# ## 2. A front-end for the entropy device
# *about 22 lines · 25 min · ★★★ · S32 S35 S38*
#
# The entropy device has one queue and one rule: it writes random bytes into each buffer that it gets. Linux feeds the guest's
# random numbers from it. Write `read(cpu, queue, buffers, size, n)`, the front-end's only call: it gives `n` random bytes.
#
# `buffers` is a list of gpas, pieces of the driver's memory with `size` bytes each. `queue` is the library's driver of the
# virtqueue, the device is live already, and nothing is in the queue:
#
# | call | |
# |---|---|
# | `queue.free` | descriptors that are free now |
# | `queue.add_buf(out, in_, token)` | add a buffer: pieces to be read, pieces to be written, lists of `(gpa, bytes)` |
# | `queue.kick()` | expose what was added, and ring |
# | `queue.get_buf()` | the next buffer that came back, `(token, written)`; None if there is none now |
# | `cpu.wait()` | halt until the device interrupts; None if no interrupt came for a long time |
#
# Work in rounds. In each, offer as many buffers as are still needed, the first ones of the list, each for the device to write.
# There may be fewer buffers than needed, or fewer free descriptors. Do not ask for more than is missing: the last buffer of a
# round may be a short one. Kick once. Get all of them back, then begin the next round.
#
# The device decides how much it writes. `written` says how many bytes of the buffer are random; the rest is whatever was
# there before. Take the bytes in the order in which the buffers come back, which need not be the order in which they went.
# Fill with zeros in the buffer what you have taken: random bytes become keys, and nobody else should find them.
#
# One interrupt may stand for several buffers, and an interrupt may come for nothing. So look first, and halt only while
# nothing is there.
#
# | what happens | answer |
# |---|---|
# | `cpu.wait()` gives None, and buffers are still out | `"silent"` |
# | a buffer comes back with 0 bytes, which the specification forbids | `"empty"` |
# | else | the `n` bytes |
#
# - **Given** `n`, 0 or more; `written` is never more than was offered. After a word, `read` is not called any more.
# - **Returns** bytes, or a word.
#
# With two buffers of 64 bytes and `n` 100, the first round offers 64 and 36 bytes. If the device writes 64 and 6, the second
# round offers 30.

# %% nbgrader={"grade": false, "grade_id": "ps5-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def read(cpu, queue, buffers, size, n):
    """`n` random bytes from the device, or a word."""
    ### BEGIN SOLUTION
    data = b""
    while len(data) < n:
        missing, out = n - len(data), 0
        for gpa in buffers[: queue.free]:
            if missing == 0:
                break
            length = min(size, missing)
            queue.add_buf([], [(gpa, length)], gpa)
            missing -= length
            out += 1
        queue.kick()
        for _ in range(out):
            while (used := queue.get_buf()) is None:
                if cpu.wait() is None:
                    return "silent"
            gpa, written = used
            if written == 0:
                return "empty"
            data += cpu.read(gpa, written)
            cpu.write(gpa, bytes(written))
    return data
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps5-q2", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps5.q2")

# %% [markdown] tags=["solution"]
# **Explained.** A front-end is small because the queue does the work. It says what it wants in buffers, and the five calls of
# the lecture do the rest. Nothing here names a register: the same function runs over MMIO and PCI, over split and packed.
#
# The path of a request is the lecture's figure. A process in the guest reads `/dev/hwrng`. The front-end adds and kicks: that
# is the one exit. The back-end pops, asks the host's kernel for random bytes, pushes. The interrupt wakes the front-end, and it
# gets the buffer back. Ten buffers in one kick share the exit, and often the interrupt too.
#
# `written` is the only thing that tells new bytes from old ones. *The driver MUST examine the length written by the device*
# (virtio 1.3 5.4.6.1). A driver that believes its own `length` hands out what lay in the buffer: zeros, or the random bytes of
# the call before. A key made from them is known to somebody. The zeros behind each read are there for the same reason. A device
# that says 64 and writes 6 then spoils the numbers, but it does not bring anybody's secret back.
#
# The loop waits only when get_buf has nothing. Two buffers back at once may be one interrupt. Who halts once for each buffer
# sleeps with a full ring, until the timeout. And who believes that each interrupt brings a buffer trips over the first one
# that was for something else, such as a change of the configuration.
#
# The bound is in the rule that a buffer has at least one byte: each round brings something, or ends.

# %% [markdown] tags=["topic:S12", "topic:S17", "topic:S25"]
# ## 3. A random source with two registers
# *about 10 lines · 15 min · ★★ · S12 S17 S25*
#
# Now a device that does not exist: you invent it. It gives numbers that look random, and whoever knows the seed can predict
# them all. That is bad for keys, and good for experiments that are to be repeated. It has two registers:
#
# | offset | name | |
# |---|---|---|
# | 0 | SEED | write: the numbers begin anew, from this seed. Read: 0 |
# | 4 | NEXT | read: the next number. A write is ignored |
#
# The state is a number of 32 bits, 1 at the beginning. A write to SEED makes it the value written. But 0 counts as 1,
# because from 0 no other number is ever reached. A read of NEXT replaces the state by `xorshift(state)`, and gives it.
# (`xorshift` is given: Marsaglia's generator of 2003.)
#
# Registers are accessed as 4 bytes at their offset. Any other access, whatever its offset and size, reads as 0 and changes
# nothing.
#
# Write the class `RandomSource`, with `read(offset, size)` and `write(offset, size, value)`. Then write the driver that no guest
# has yet, `fill(cpu, base, seed, length)`. With the device mapped at `base`, it writes the seed and gives `length` bytes. Each
# number is four of them, little-endian; what is left of the last number is dropped. It makes no access that is not needed.
#
# - **Given** `size` 1, 2, 4 or 8; `value` from 0 to 2³² - 1 where `size` is 4; `length` 0 or more; `seed` from 0 to 2³² - 1.
# - **Returns** `read` an int; `write` nothing; `fill` bytes.
#
# The first number after the beginning is `0x42021`. `fill(cpu, base, 1, 6)` is `21 20 04 00 01 06`, in one store and two loads.

# %% nbgrader={"grade": false, "grade_id": "ps5-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
from virtlab.course.given.random_numbers import xorshift


class RandomSource:
    """A device with the registers SEED and NEXT."""

    def __init__(self):
        """The device at power-on."""
        ### BEGIN SOLUTION
        self.state = 1
        ### END SOLUTION

    def read(self, offset, size):
        """The value of the `size` bytes at `offset`."""
        ### BEGIN SOLUTION
        if (offset, size) != (4, 4):
            return 0
        self.state = xorshift(self.state)
        return self.state
        ### END SOLUTION

    def write(self, offset, size, value):
        """Take `value` into the `size` bytes at `offset`."""
        ### BEGIN SOLUTION
        if (offset, size) == (0, 4):
            self.state = value or 1
        ### END SOLUTION


def fill(cpu, base, seed, length):
    """`length` bytes of the device at `base`, from `seed` on."""
    ### BEGIN SOLUTION
    cpu.store(base, seed, 4)
    numbers = [cpu.load(base + 4, 4) for _ in range((length + 3) // 4)]
    return b"".join(number.to_bytes(4, "little") for number in numbers)[:length]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps5-q3", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps5.q3")

# %% [markdown] tags=["solution"]
# **Explained.** A device model is two verbs and a state. It needs no bus and no address: whoever maps it decides where it is.
#
# NEXT is a register whose *reading* does something. Such registers need care with sizes. A debugger that dumps the window
# byte by byte would use up numbers; here it does not, because a byte is not an access to NEXT. The bus does its part: it cuts
# a load of 8 bytes at offset 0 into one of SEED and one of NEXT, for the data path is 4 bytes wide.
#
# The seed 0 is a guest's way to break the device with one legal write: `xorshift(0)` is 0, for ever. A device model asks of
# each value that a guest can write what the state becomes.
#
# In a VM each access to the window is an exit. `fill` makes 1 + ⌈length / 4⌉ of them: for a page of 4,096 bytes that is
# **1,025 exits**. And the device has a second price: it is nobody's. Each guest system needs a driver that somebody has to
# write and keep alive, for this one VMM. The next task pays back both.

# %% [markdown] tags=["topic:S28", "topic:S30", "topic:S31", "topic:S32", "topic:S34"]
# ## 4. The random source as a virtio device
# *about 28 lines · 35 min · ★★★★ · S28 S30 S31 S32 S34*
#
# Put the same numbers behind a virtqueue. The device says that it is an entropy device, and so every guest has the
# driver already. Write the class `VirtioRandom(seed)`, a `VirtioDevice` (look at it with `VirtioDevice??`):
#
# | part | |
# |---|---|
# | `device_id` | 4, an entropy device |
# | `__init__(seed)` | one queue of at most 64 entries: `super().__init__([64])`. Then as after a reset |
# | `config` | 4 bytes, the seed that the numbers began from |
# | `write_config(offset, data)` | the driver writes `data`, bytes, there. All 4 bytes at once: the numbers begin anew from that seed; the answer is True. Less than that changes nothing; the answer is False |
# | `reset()` | the seed is that of `__init__` again, and the numbers begin anew |
# | `handle(index, queue)` | answer the requests that wait |
#
# The state is that of task 3: the seed 0 counts as 1, and `config` shows the 0. A request is a chain of buffers to be written.
# Fill it with numbers, four bytes each, little-endian. What is left of a request's last number is dropped. A request gets at
# most 4096 bytes, however long it is. A chain with something to read breaks the rule of virtio 1.3 5.4.6.1: raise
# `GuestError(why, spec)`, two texts. Then nothing is written, and the chain is not pushed. `handle` is also called when nothing
# waits, as soon as the driver has set DRIVER_OK.
#
# | call | |
# |---|---|
# | `waiting(queue)` | an iterator: takes the chains that wait off the ring, at most as many as the queue has entries |
# | `chain.readable`, `chain.writable` | bytes in all |
# | `chain.write(queue.dma, data)` | spread `data` over the buffers; gives how many bytes were written |
# | `queue.push(chain, written)` | give the chain back |
#
# Write also `exits_for(n, chunk, slots, polling)`: what `n` bytes cost a guest, as a tuple of two counts of exits. First those
# of `fill` in task 3. Then those of a virtio driver over virtio-mmio, once it is set up. It works as in task 2, with `slots`
# buffers of `chunk` bytes, and the device fills each. A kick is one exit. If the driver does not poll but waits for one interrupt
# in each round, it reads INTERRUPT_STATUS and writes INTERRUPT_ACK, and each of these is one more. Lesson 12 also counted
# the HLT and what the interrupt controller costs: leave these out here.
#
# - **Given** `seed` from 0 to 2³² - 1; `offset` and `data` inside the 4 bytes; `n` 0 or more; `chunk` from 1 to 4096; `slots`
#   from 1 to 64; `polling` a bool.
# - **Returns** `write_config` a bool; `exits_for` a tuple of two ints; the others nothing.
#
# With seed 1, a request of 6 bytes gets `21 20 04 00 01 06`, and the next one begins with the third number.
# `exits_for(6, 256, 16, True)` is `(3, 1)`.

# %% nbgrader={"grade": false, "grade_id": "ps5-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
from virtlab.course.given.random_numbers import xorshift
from virtlab.errors import GuestError
from virtlab.virtio.device import VirtioDevice, waiting


class VirtioRandom(VirtioDevice):
    """An entropy device whose bytes follow from a seed, which is its configuration."""

    device_id = 4

    def __init__(self, seed):
        """The device at power-on."""
        ### BEGIN SOLUTION
        super().__init__([64])
        self.first = seed
        self.reset()
        ### END SOLUTION

    def reset(self):
        """Everything as at power-on."""
        ### BEGIN SOLUTION
        self.begin_from(self.first)

    def begin_from(self, seed):
        """Begin anew from `seed`."""
        self.state = seed or 1
        self.config = seed.to_bytes(4, "little")
        ### END SOLUTION

    def write_config(self, offset, data):
        """The driver writes `data` at `offset` of the configuration; whether it could."""
        ### BEGIN SOLUTION
        if offset != 0 or len(data) != 4:
            return False
        self.begin_from(int.from_bytes(data, "little"))
        return True
        ### END SOLUTION

    def handle(self, index, queue):
        """Answer the requests that wait in `queue`."""
        ### BEGIN SOLUTION
        for chain in waiting(queue):
            if chain.readable:
                raise GuestError("a readable buffer in the entropy queue", "virtio 1.3 5.4.6.1")
            data = self.take(min(chain.writable, 4096))
            queue.push(chain, chain.write(queue.dma, data))

    def take(self, length):
        """The next numbers, as so many bytes."""
        data = b""
        while len(data) < length:
            self.state = xorshift(self.state)
            data += self.state.to_bytes(4, "little")
        return data[:length]
        ### END SOLUTION


def exits_for(n, chunk, slots, polling):
    """Exits for `n` bytes: of the device with two registers, and of the virtio device."""
    ### BEGIN SOLUTION
    rounds = -(-n // (chunk * slots))
    return 1 + -(-n // 4), rounds * (1 if polling else 3)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps5-q4", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps5.q4")

# %% [markdown] tags=["solution"]
# **Explained.** The heart of the device is the same line, `state = xorshift(state)`. What has changed is who carries the bytes.
# Before, the guest pulled each number through a register, and each pull was an exit. Now the device puts them into the guest's
# memory, and the guest only says that there is work.
#
# | 4,096 bytes | exits | formula |
# |---|---|---|
# | two registers (task 3) | 1,025 | 1 + ⌈n / 4⌉ |
# | virtio, 16 buffers of 256, polled | 1 | ⌈n / (chunk · slots)⌉ |
# | the same, with an interrupt each round | 3 | three times that |
# | virtio, 1 buffer of 64, with an interrupt | 192 | |
#
# The numbers are counted, in a VM of the library; the formulas give the same. The last row is a warning: a virtqueue is
# fast if it is used for batches. And one can do worse than two registers: with a buffer of 4 bytes and an interrupt each
# time, virtio needs three exits for a number.
#
# This is the lecture's pair of figures. Without virtio: application, driver, *exit*, device model, host, for each register.
# With virtio: application, front-end, ring, *one exit*, back-end, ring. Para-virtualization is the agreement that makes it
# possible. The guest knows that it talks to software, and so it talks in the way that is cheap for software.
#
# Your device knows no register, no feature word, no interrupt. So the check carries it over MMIO and over PCI, with both
# ring layouts, and the library's entropy driver reads from it without a change. That is the architecture: front-end, virtqueue,
# back-end, and a transport that can be any.
#
# The guest's numbers decide little: the length is cut, the loop is bounded by `waiting`, and a chain of the wrong kind ends in
# one exception. The transport catches it, sets DEVICE_NEEDS_RESET, and tells the driver. All questions come before the first
# number is used. After a reset nothing of the last driver is left, its seed included: the next one must not inherit it.
#
# One thing here is not in the standard. The entropy device has no configuration (5.4.4), and a driver that follows the
# standard never looks. A device for others would offer a feature bit for the seed, so that a driver knows.

# %% [markdown] tags=["topic:S31", "topic:S32", "topic:S35", "topic:B07"]
# ## 5. Serve a disk
# *about 40 lines · 45 min · ★★★★ · S31 S32 S35 B07*
#
# This is the last station on a request's path: the back-end of a block device. `pop` has given you the buffers of one chain.
# You do what they ask for. A request is a run of readable bytes and a run of writable bytes:
#
# | bytes | | |
# |---|---|---|
# | readable, the first 16 | the head | `type` 4 bytes, `reserved` 4, `sector` 8, little-endian |
# | readable, the others | data of a write | |
# | writable, all but the last | data of a read, or the name | |
# | writable, the last | the status | 0 OK, 1 IOERR, 2 UNSUPP |
#
# The driver cuts these bytes into buffers as it likes. A head may lie in three buffers, and data and status in one. A device
# must not make assumptions about that (virtio 1.3, 2.7.4.1). So you first write
#
# - `spans(buffers, write, start, length)`. `buffers` is a list of `(gpa, bytes, writable)` in the order of the chain, as from
#   `pop` in problem set 4. **Returns** where `length` of the readable bytes are, or with `write` True of the writable bytes,
#   from byte `start` on: a list of `(gpa, bytes)`, one for each buffer that has some of them, in order. Where the bytes end
#   earlier, the list ends.
#
# With `buffers = [(0x4000, 4, False), (0x5000, 12, False), (0x6000, 512, True), (0x7000, 1, True)]`:
# `spans(buffers, False, 2, 5)` is `[(0x4002, 2), (0x5000, 3)]`.
#
# Then write `answer(buffers, memory, disk, name)`. Given are `memory` with `read(gpa, length)` and `write(gpa, data)`, and a
# `disk` of `disk.sectors` sectors of 512 bytes. It has `read(sector, count)`, `write(sector, data)`, `flush()` and the flag
# `read_only`. Each of the three calls may end in an `OSError`. `name` is up to 20 bytes. All buffers are memory, as
# `pop` has made sure.
#
# | type | | it does | data |
# |---|---|---|---|
# | 0 | IN | reads from `sector` on | all writable bytes before the status |
# | 1 | OUT | writes from `sector` on | all readable bytes behind the head |
# | 4 | FLUSH | flushes the disk | |
# | 8 | GET_ID | gives the name, with zeros up to 20 bytes; less if there is less room | writable bytes from the first on |
# | other | | nothing: the status is UNSUPP | |
#
# The status is IOERR in four cases. The data of an IN or OUT is no whole number of sectors. It ends behind the end of the
# disk; that can be so even if it has no bytes. An OUT is for a disk that can only be read. The disk fails. Such a request
# changes nothing but the status. It moves no data either: a guest can name the same page a thousand times.
#
# With fewer than 16 readable bytes or no writable one, it is no request. Then return `"broken"`, and touch nothing. Read the
# head **once**: the guest can change it at any moment.
#
# - **Returns** how many writable bytes are written, counted from the first one to the first gap. The example above with type 0
#   and sector 3: 512 bytes go to `0x6000`, the status 0 to `0x7000`, and the answer is 513. With sector 99 of 16, the
#   status is 1 and the answer 0: there is a gap before the status.

# %% nbgrader={"grade": false, "grade_id": "ps5-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
import struct

IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
OK, IOERR, UNSUPP = 0, 1, 2


def spans(buffers, write, start, length):
    """Where `length` bytes of one kind are, from byte `start` on: a list of `(gpa, bytes)`."""
    ### BEGIN SOLUTION
    found = []
    for gpa, size, writable in buffers:
        if writable == write:
            piece = min(size - start, length)
            if piece > 0:
                found.append((gpa + start, piece))
                length -= piece
            start = max(0, start - size)
    return found
    ### END SOLUTION


def answer(buffers, memory, disk, name):
    """Do what a request asks for: how many bytes are written, or `"broken"` if it is none."""
    ### BEGIN SOLUTION
    def gather(start, length):
        return b"".join(memory.read(*span) for span in spans(buffers, False, start, length))

    def scatter(start, data):
        for gpa, size in spans(buffers, True, start, len(data)):
            memory.write(gpa, data[:size])
            data = data[size:]

    readable = sum(size for _, size, writable in buffers if not writable)
    room = sum(size for _, size, writable in buffers if writable) - 1
    if readable < 16 or room < 0:
        return "broken"
    kind, _, sector = struct.unpack("<IIQ", gather(0, 16))
    size = readable - 16 if kind == OUT else room
    fits = size % 512 == 0 and sector + size // 512 <= disk.sectors
    status, data = IOERR, b""
    try:
        if kind == IN and fits:
            data, status = disk.read(sector, size // 512), OK
        elif kind == OUT and fits and not disk.read_only:
            disk.write(sector, gather(16, size))
            status = OK
        elif kind == FLUSH:
            disk.flush()
            status = OK
        elif kind == GET_ID:
            data, status = name.ljust(20, b"\0")[:room], OK
        elif kind not in (IN, OUT):
            status = UNSUPP
    except OSError:
        pass
    scatter(0, data)
    scatter(room, bytes([status]))
    return len(data) + (len(data) == room)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps5-q5", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps5.q5")

# %% [markdown] tags=["solution"]
# **Explained.** `spans` is the whole of the framing. Everything else speaks of bytes 0 to 15, of byte 16 and what follows, of
# byte `room`. No other line knows that there are buffers. Early drivers put each head into a descriptor of its own.
# Devices came to rely on it, and virtio needed a feature, ANY_LAYOUT, to get away from it (2.7.4.3).
#
# Two sums come first, and every length follows from them. So each refusal is a comparison, made before a byte is moved. `fits`
# is asked before `disk.read` makes a string of `size` bytes: a guest must not have the host allocate by its numbers. The same
# order keeps an OUT that is refused from gathering gigabytes out of one page, named again and again.
#
# The status **starts as IOERR** and must be earned. A disk that fails leaves it as it is, so the `except` has nothing to do. In
# the other order, OK first, each way out would have to remember to take it back.
#
# `gather(0, 16)` runs once, and its bytes are ours. With `memory.read` again for the sector, a guest on another processor
# could pass the check with sector 3 and be served sector 99. Look at the case where a read is to put its data over its own
# head: the device itself is then the one who changes it.
#
# The used length is a promise: so many bytes from the first on are written. After a refused read of a sector, byte 512 is
# written and bytes 0 to 511 are not, so the promise is 0. A driver that believed 513 would take old memory for the disk's
# contents. Only if `data` fills the room, the status joins it without a gap. For OUT and FLUSH the room is 0, and so the
# answer is 1.
#
# What the library's `VirtioBlk` does besides: it moves long data in slabs of 256 KiB, offers DISCARD and WRITE_ZEROES, and
# without the feature FLUSH it flushes behind each write. Your `answer` fits there as it is: `buffers` may be
# `chain.buffers`, `memory` the queue's `dma`, and `disk` any of the library's disks.

# %% [markdown] tags=["topic:S30", "topic:S33", "topic:S38"]
# ## 6. Receive in pieces
# *about 40 lines · 40 min · ★★★★ · S30 S33 S38*
#
# Frames come when nobody asks for them. So a network driver adds empty buffers in advance, and a frame may be longer than
# each of them. With the feature MRG_RXBUF a device puts one **packet**, a header of 12 bytes and the frame, into as many
# buffers as it takes. Only the first begins with the header. Its last two bytes are `num_buffers`, little-endian, and all
# others are 0 here. You write both ends.
#
# **The device:** `deliver(q, frame)` puts one frame into the driver's buffers.
#
# | `q.` | |
# |---|---|
# | `pop()` | the next buffer: `(head, pieces)`, with pieces `(gpa, bytes, writable)`; `None` if the driver has added no more |
# | `held` | list: buffers that you took and have not used, in order. It is yours. They are used before fresh ones |
# | `memory` | `read(gpa, length)`, `write(gpa, data)` |
# | `put(head, written)` | an element of the used ring, behind the others. The driver does not see it yet |
# | `publish()` | moves idx: the driver sees all elements, and looks at once |
# | `merge` | whether MRG_RXBUF was negotiated. If not, a packet is in one buffer, and `num_buffers` is 1 |
# | `size` | buffers that the driver can add at most |
#
# All buffers of a packet but the last are filled completely. A packet goes out whole, its buffers together, or not at all.
# Only writable pieces are written, and count as room. Take no more buffers than the packet needs. What you took and did not
# use stays in `q.held`, whatever you return. **Returns** a word:
#
# | word | |
# |---|---|
# | `"delivered"` | the packet is in the buffers and published |
# | `"waits"` | there are too few buffers so far. Nothing is written |
# | `"broken"` | a buffer that you look at has fewer than 12 writable bytes. Nothing is written |
# | `"too long"` | waiting is no use: without merging, the one buffer is too small; or `q.size` buffers are held and are too small together. Nothing is written |
#
# With `q.merge`, two buffers of 72 bytes with heads 4 and 9, and a frame of 100 bytes: the first gets the header with
# `num_buffers` 2 and 60 bytes of the frame, the second the other 40. `put(4, 72)`, `put(9, 40)`, `publish()`.
#
# **The driver:** `receive(q)` makes one frame of the buffers again.
#
# | `q.` | |
# |---|---|
# | `get_buf()` | the next used buffer: `(buffer, written)`, where `buffer` is `(gpa, length)`; `None` if there is none |
# | `give(buffer)` | the device has it again, and may write to it at once |
# | `memory` | as above |
#
# - **Given** `written` is never more than the buffer's length.
# - **Returns** `None` if no buffer is used; else the frame, `bytes`; or `"broken"`: fewer than 12 bytes are written to the
#   first buffer, `num_buffers` is 0, or fewer buffers are there than it says. It takes the buffers of one packet, and
#   **every** buffer that it took goes back once, also after `"broken"`. Read the header once.

# %% nbgrader={"grade": false, "grade_id": "ps5-q6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def deliver(q, frame):
    """Put one frame into the driver's buffers, whole or not at all: how it went, in a word."""
    ### BEGIN SOLUTION
    count, room, need = 0, 0, 12 + len(frame)
    while count == 0 or (q.merge and room < need):
        if count == len(q.held):
            buffer = q.pop()
            if buffer is None:
                return "too long" if count == q.size else "waits"
            q.held.append(buffer)
        writable = sum(length for _, length, write in q.held[count][1] if write)
        if writable < 12:
            return "broken"
        room += writable
        count += 1
    if room < need:
        return "too long"
    data = bytes(10) + count.to_bytes(2, "little") + frame
    for head, pieces in q.held[:count]:
        left = len(data)
        for gpa, length, write in pieces:
            if write:
                q.memory.write(gpa, data[:length])
                data = data[length:]
        q.put(head, left - len(data))
    del q.held[:count]
    q.publish()
    return "delivered"
    ### END SOLUTION


def receive(q):
    """One frame out of its buffers; None if there is none, `"broken"` if it is not whole."""
    ### BEGIN SOLUTION
    packet, taken, count = b"", 0, 1
    while taken < count:
        got = q.get_buf()
        if got is None:
            return "broken" if taken else None
        buffer, written = got
        packet += q.memory.read(buffer[0], written)
        q.give(buffer)
        if taken == 0:
            if written < 12:
                return "broken"
            count = int.from_bytes(packet[10:12], "little")
        taken += 1
    return packet[12:] if count else "broken"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps5-q6", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps5.q6")

# %% [markdown] tags=["solution"]
# **Explained.** `deliver` first counts, then writes. It has to: the header stands at the front, and `num_buffers` is known only
# when the last buffer is. And as nothing is written while it counts, every early return leaves the driver's memory as it was.
#
# There is no way to put a buffer back into the available ring, so what was taken must be kept. One list does it: the loop
# walks `q.held` and asks `pop` only at its end. A frame that waits leaves its buffers there, and the next one finds them
# first. A device that forgets them loses buffers with each such frame. When all are lost the network stands still, and
# nothing says why.
#
# `"too long"` answers the question *for what would it wait?* If `q.size` buffers are held, the driver has none left to add.
# It waits for the device, and the device for it. Dropping the frame is the only way on, and a network may drop.
#
# `publish` is one store of idx for the whole packet. A driver that sees the first buffer alone reads `num_buffers` 3, calls
# `get_buf` twice more, and gets nothing. It cannot tell a slow device from a broken one. That is why 5.1.6.4.1 wants all of
# them used together. The batch is cheaper, too: one store, and at most one interrupt, for any number of buffers. No
# register is touched at all.
#
# `receive` believes two things only: `written`, which `get_buf` has bounded, and that `get_buf` ends. `count` is a number
# of the device, and a loop up to 65535 is harmless here only because it stops when nothing is left. Each buffer is copied,
# then given back, then judged. In that order no way out can forget a buffer, and no quick device can overwrite what is
# still to be read.
#
# Why merge at all? A driver that accepts TCP segments of 64 KiB without it must add buffers of more than 64 KiB. 256 of
# them take 16 MiB, and each frame of 60 bytes uses one up. With buffers of 2 KiB they take 512 KiB; a short frame takes one
# and a long one takes 33. What is left out here is the GSO and checksum fields of the header, which say what the driver may
# skip.
