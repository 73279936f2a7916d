# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S37"]
# # What happens to one buffer?
#
# After this lesson you can
#
# - **follow** one buffer through five calls: add, kick, pop, push, get;
# - **read** a chain of descriptors from the bytes of a ring, and an indirect table too;
# - **say** who may write which byte, and what a device must refuse.
#
# *40 minutes. Builds on lesson 13. Topics S33, S37, S38, S39 and B02. It stands for the lecture's five pictures of one ring.*

# %% [markdown] tags=["topic:S37"]
# ## The picture
#
# Here is a virtqueue with eight descriptors, right after the driver's *kick*. The driver is on the left, in the guest. The device is on the right, in the VMM. Between them lies guest memory, and nothing else. All that you see there was decoded from its bytes.

# %%
from virtlab import machine, show
from virtlab.show.ring_chain import described
from virtlab.show.ring_play import play
from virtlab.show.ring_stepper import frame_picture
from virtlab.show.ring_tape import FIVE_CALLS, Setting

frame_picture(Setting(), play(Setting(), FIVE_CALLS), 2)

# %% [markdown] tags=["topic:S33"]
# A virtqueue has a *descriptor table* and two rings. A **descriptor** names a piece of memory: address, length, flags. The **available ring** says which chains of descriptors the device may take. The **used ring** says which ones it gives back. So each side has one ring to write and one to read. The three parts together are the vring of [lesson 13](13_virtqueue.ipynb).
#
# Each side also keeps two counts for itself. They stand in the boxes, because they are in no shared memory.
#
# Now the same with our PC. Memory is its RAM, and the driver runs on its processor. Lesson 13 showed how the two find each other; here we hand over the addresses ourselves.

# %%
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.show.ring_look import MODERN, counts_of, look_split
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

board = machine.lesson_pc()
rings, bells = SplitRings.placed(0x8000, 8), []
driver = SplitDriver(board.cpu, rings, MODERN, ring_bell=lambda: bells.append("ding"))
queue = SplitQueue(board.ram)
queue.enable(rings, MODERN)

def look():
    """The ring's bytes now, and the four counts."""
    return look_split(board.ram, rings, counts_of(driver, queue), MODERN)

def ring_bytes():
    """The three parts of the ring, as one string of bytes."""
    return board.ram.read(rings.desc, rings.end - rings.desc)

# %% [markdown] tags=["topic:S38", "topic:S39"]
# ## Round 1. One buffer, five calls
#
# **Claim: each call moves the buffer to the next owner, and the bytes say so.** A driver wants sector 3 of a disk. Its request has three pieces: 16 bytes that say what it wants, 512 bytes of room, one byte for a status. The device reads the first, and writes the other two. The pieces together are one *virtio-buffer*.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver calls add_buf with these three pieces. How many descriptors does it write?",
    answer=3,
    why="One a piece, chained by NEXT. The last one has no NEXT.",
)

# %% tags=["topic:S38", "topic:S39"]
board.ram.write(0x2_0000, b"read sector 3")
before = look()
driver.add_buf(out=[(0x2_0000, 16)], in_=[(0x2_1000, 512), (0x2_0010, 1)], token="sector 3")

assert queue.pop() is None                   # the device looks, and there is nothing
show.split_ring_picture(look(), "1. add_buf: placed, and not yet to be seen", before, "add")

# %% [markdown] tags=["topic:S38", "topic:S39"]
# The head of the chain, 0, stands in `avail.ring[0]`. But the device only looks at entries before `avail.idx`, and that is 0. *Kick* moves it. Then it rings the bell, unless the device has asked for silence ([lesson 15](15_notifications.ipynb)).
#
# Must the index wait for the kick? No. Linux moves `avail.idx` in each add already (`virtqueue_add_split`), and its kick afterwards only decides about the bell. A device that polls then sees each request at once. What both keep is the order: descriptors and entry first, the index behind them. We move it in the kick, as the lecture does, so that you can see the two steps apart.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many bytes of the ring does kick change?",
    answer=1,
    why="The low byte of avail.idx: from 0 to 1. Everything else was in place before.",
)

# %%
def changed(old, new):
    """The addresses of the bytes that are others."""
    return [rings.desc + at for at, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]

before, old = look(), ring_bytes()
driver.kick()

assert changed(old, ring_bytes()) == [rings.avail_field("idx")]
assert bells == ["ding"]
show.split_ring_picture(look(), "2. kick: exposed", before, "kick", "bell")

# %% [markdown] tags=["topic:S38", "topic:S39"]
# The bell is a register of the device, so ringing it is an exit. The VMM wakes up, and the device calls *pop*. It reads the entry at its own count `last_avail`, which is a head. From there it follows `next`.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many bytes of the ring does pop change?",
    answer=0,
    why="It only reads. That the chain is taken, only the device knows: its last_avail is 1 now.",
)

# %%
before, old = look(), ring_bytes()
chain = queue.pop()
print([described(buffer) for buffer in chain.buffers])

assert changed(old, ring_bytes()) == []
show.split_ring_picture(look(), "3. pop: with the device", before, "pop")

# %% [markdown] tags=["topic:S38", "topic:S39"]
# The device does its work. It reads 16 bytes and scatters 513 over the two pieces that it may write. Then *push* writes an element into the used ring: the head, and how many bytes were written. Last of all it moves `used.idx`.

# %%
print(chain.read(board.ram)[:13])
chain.write(board.ram, b"3" * 512 + b"\0")
before = look()
queue.push(chain, written=513)
queue.notify()

assert (look().elements[0], look().used_idx) == ((0, 513), 1)
show.split_ring_picture(look(), "4. push: used", before, "push", "interrupt")

# %% [markdown] tags=["topic:S38", "topic:S39"]
# An interrupt tells the driver to look. *Get* compares `used.idx` with its own `last_used`, reads the element, and finds the token that it kept for head 0. The three descriptors are free again. Their bytes stay as they were: nobody clears a descriptor.

# %%
before, old = look(), ring_bytes()
print(driver.get_buf(), board.ram.read(0x2_1000, 8))

assert changed(old, ring_bytes()) == []
show.split_ring_picture(look(), "5. get_buf: free again", before, "get")

# %% [markdown] tags=["topic:S33"]
# ## Round 2. One request in many pieces
#
# **Claim: to both sides a request is one run of bytes, wherever its pieces lie.** A guest reads 6000 bytes into a buffer of its own. The buffer is in one piece of *virtual* memory. Its two pages lie anywhere in physical memory, here even in the wrong order. So the request needs a *scatter-gather list*, and a chain is one.

# %% jupyter={"source_hidden": true}
show.Predict(
    "16 bytes of header, 6000 bytes in two pages that are not neighbours, one byte of status. How many descriptors?",
    answer=4,
    why="Header, 4096 bytes of the first page, 1904 of the second, status.",
)

# %% tags=["topic:S33"]
pages = [(0x3_7000, 4096), (0x3_3000, 1904)]
driver.add_buf(out=[(0x2_0000, 16)], in_=[*pages, (0x2_0010, 1)], token="6000 bytes")
driver.kick()
chain = queue.pop()
show.chain_picture(chain, "6000 bytes, as the device sees them")

# %%
data = bytes(n % 251 for n in range(6000))
queue.push(chain, chain.write(board.ram, data + b"\0"))
assert driver.get_buf().written == 6001
assert b"".join(board.ram.read(*page) for page in pages) == data

# %% [markdown]
# The device did not care about pages: `chain.write` walked over the pieces. What it may write must stand behind all that it may read (virtio 1.3, 2.7.4.2). So a chain has one border, and needs no more words than a flag in each descriptor.
#
# ## Round 3. Several at once, and out of order
#
# **Claim: the device may finish in any order, and nothing gets lost.** Three requests wait. A disk serves the one whose sector comes first under its head. The used ring says *which* chain is done, by its head. So it need not be the oldest.

# %% tags=["topic:S39"]
driver.reset(), queue.enable(rings, MODERN)
for name in "abc":
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token=name)
driver.kick()
first, second, third = queue.pop(), queue.pop(), queue.pop()
for done in (third, first, second):
    queue.push(done)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver calls get_buf three times, then adds requests one by one until the ring of 8 is full. Which descriptor does the sixth one get?",
    answer=2,
    why="3 to 7 have never been used: five requests. Then come those that were freed, first freed first: 2, 0, 1.",
)

# %%
order = [driver.get_buf().token for _ in range(3)]
for number in range(8):
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token=number)
print(order, look().heads)

assert order == ["c", "a", "b"]
assert look().heads == (2, 0, 1, 3, 4, 5, 6, 7)      # the sixth request went into entry 0
assert driver.free == 0

# %% [markdown]
# Entries of a ring are used in turn: that is what its counts say. *Descriptors* are not. Which of them are free is nobody's business but the driver's, and it keeps a list. In a ring that has run for a while, neighbours in a chain lie anywhere.
#
# ## Round 4. A table of its own
#
# **Claim: with an indirect table, a request of any length takes one descriptor.** A ring of 8 is full with two requests of three pieces. The feature `RING_INDIRECT_DESC` lets a descriptor refer to a *table* of descriptors, anywhere in memory. The chain then continues there.

# %% tags=["topic:B02"]
from contextlib import suppress

from virtlab.guest.virtqueue import QueueFull, Tables
from virtlab.virtio.features import Feature

INDIRECT = MODERN | {Feature.RING_INDIRECT_DESC}

def filled(features):
    """A driver that has added requests of three pieces until its ring was full."""
    driver = SplitDriver(board.cpu, rings, features, tables=Tables(0x9000, 4))
    with suppress(QueueFull):
        while True:
            driver.add_buf([(0x2_0000, 16)], [(0x2_1000, 512), (0x2_0010, 1)], driver.added)
    return driver

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many requests of three pieces fit into a ring of 8 with indirect tables?",
    answer=8,
    why="One descriptor each. Without tables two fit, and two descriptors are left over.",
)

# %% tags=["topic:B02"]
assert filled(MODERN).added == 8 // 3

driver = filled(INDIRECT)
driver.kick(), queue.enable(rings, INDIRECT)
assert driver.added == 8
show.split_ring_picture(look(), "Eight requests of three pieces", call="kick", signal="bell")

# %% tags=["topic:B02"]
from virtlab.show.ring_chain import descriptor_rows

table = look().descriptors[2]
assert table.len == 3 * 16
assert len(queue.pop().buffers) == 3
descriptor_rows(board.ram, table.addr, 3, "The table of descriptor 2")

# %% [markdown] tags=["topic:B02"]
# The price is one more read for the device, and memory for the tables. The WRITE flag of a descriptor that refers to a table means nothing. In a table `next` counts from the table's own beginning. A table must not refer to another, and a descriptor that refers to one must not go on (2.7.5.3.1).
#
# ## Play
#
# The tape below has two stories: one buffer, and then two at once of which the second is done first. Step through it, or choose a call under *Jump to*. What has changed since the step before has a thick edge.
#
# Then take over. Make calls yourself, in any order: kick twice, pop from an empty ring, fill it. Edit a descriptor by hand, or choose a mistake, and press *pop*. *Undo* goes back, *Reset* brings the tape back.

# %%
show.RingStepper()

# %% [markdown]
# ## Break it
#
# The ring is the guest's memory, and a guest may write there what it likes. A device that follows `next` without thinking runs in a circle for ever. That would be the VMM's processor, not the guest's.

# %%
from virtlab.virtio.layouts import DESC, NEXT, WRITE, offset_of

driver = SplitDriver(board.cpu, rings, MODERN)

def request():
    """A fresh request in descriptors 0, 1 and 2, exposed."""
    driver.reset(), queue.enable(rings, MODERN)
    driver.add_buf([(0x2_0000, 16)], [(0x2_1000, 512), (0x2_0010, 1)], "spoilt")
    driver.kick()

def spoil(index, **fields):
    """Write fields of one descriptor, as a guest can at any time."""
    for name, value in fields.items():
        size = DESC.fields[name][0].itemsize
        board.ram.store(rings.desc_at(index) + offset_of(DESC, name), size, value)

# %% tags=["raises-exception"]
request()
spoil(2, flags=NEXT | WRITE, next=0)
queue.pop()

# %%
from virtlab.errors import GuestError

mistakes = {
    "readable behind writable": (2, {"flags": 0}),
    "next outside of the table": (0, {"next": 8}),
    "a buffer where the screen is": (1, {"addr": 0xA_0000}),
    "a writable buffer over the ring": (1, {"addr": rings.used}),
}
for name, (index, fields) in mistakes.items():
    request()
    spoil(index, **fields)
    try:
        queue.pop()
    except GuestError as error:
        print(f"{name:32} {error.why}  ({error.spec})")
    assert queue.last_avail == 0
    assert queue.in_flight == 0

# %% [markdown]
# A refusal has moved nothing: `last_avail` is still 0. What a real device does then is part of its transport. It sets `DEVICE_NEEDS_RESET`, and waits for the driver to reset it. A driver that made the mistake sees only that. So there is a *ring doctor*, which looks at the bytes and says what is wrong.

# %%
from virtlab.virtio.doctor import examine, ring_of

request()
spoil(2, flags=NEXT | WRITE, next=0)
report = examine(board.ram, ring_of(queue))
print(report.findings[0])
assert not report.sound

# %% [markdown]
# ## Measure it
#
# How often does a request touch the ring? We watch both sides: each load, store, read or write of the ring's memory is one access.

# %%
from virtlab.show.ring_cost import pair

watched, chains = pair("split"), []
calls = {
    "add_buf": lambda: watched.driver.add_buf([], [(0x10_0000, 64)], "one"),
    "kick": watched.driver.kick,
    "pop": lambda: chains.append(watched.queue.pop()),
    "push": lambda: watched.queue.push(chains[0], 64),
    "get_buf": watched.driver.get_buf,
}
accesses = {}
for name, call in calls.items():
    watched.lines.clear()
    call()
    accesses[name] = sum(watched.lines.accesses.values())

pieces = 1
formula = {"add_buf": pieces + 1, "kick": 2, "pop": 2 + pieces, "push": 2, "get_buf": 2}
assert accesses == formula
show.bars("Accesses to the ring, a request of one piece", accesses, expected=formula)

# %% [markdown]
# Eleven accesses, and all of them are to memory: none of them exits. A piece more costs one write in `add_buf` and one read in `pop`. The one exit of a request is the bell. Compare the virtual disk of [lesson 11](11_kinds_of_devices.ipynb), whose driver moves each word through a port.

# %%
from virtlab.guest.ata import AtaDriver

class Bell:
    """A device with one register: whoever writes there wakes `served`."""
    def read(self, offset, size):
        return 0
    def write(self, offset, size, value):
        served()

vm = machine.lesson_vm(board)
vm.vm.memory.map(0xFE00_0000, 4, Bell())
vm_rings = SplitRings.placed(0x2_0000, 8)
vm_driver = SplitDriver(vm.cpu, vm_rings, MODERN, ring_bell=lambda: vm.cpu.store(0xFE00_0000, 0, 4))
vm_queue = SplitQueue(vm.vm.ram)
vm_queue.enable(vm_rings, MODERN)

def served():
    """The device: take all that is there, and answer it."""
    while chain := vm_queue.pop():
        vm_queue.push(chain, chain.write(vm.vm.ram, b"3" * 512 + b"\0"))

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest adds 2 requests for a sector each, kicks once, and gets both back. How many exits?",
    answer=1,
    why="The bell. The device takes all that it finds, so requests that are kicked together share it.",
)

# %%
start = vm.exits
for number in range(2):
    vm_driver.add_buf([(0x3_0000, 16)], [(0x3_1000 + 512 * number, 512), (0x3_0010, 1)], number)
vm_driver.kick()
answers = [vm_driver.get_buf(), vm_driver.get_buf()]
virtio = vm.exits - start
print(answers)

disk = AtaDriver(vm.cpu)
disk.mute()
start = vm.exits
disk.read(3)
ata = vm.exits - start

assert [each.written for each in answers] == [513, 513]
assert (ata, virtio) == (256 + 8, 1)
show.bars("Exits", {"one sector by programmed I/O": ata, "two sectors by a virtqueue": virtio})

# %% [markdown]
# We left out the interrupt. It costs what it cost in lesson 11: the halt, if the guest slept, and the end of interrupt. Lesson 15 is about both signals, and how few of them one needs.
#
# ## How real systems do it
#
# The five calls have these names in QEMU's and Linux's first virtio code, and still almost have them. Linux says `virtqueue_add_sgs`, `virtqueue_kick` and `virtqueue_get_buf`; QEMU says `virtqueue_pop` and `virtqueue_push`. Linux chains its free descriptors through their own `next`, last freed first taken; our driver takes the first freed first. Linux keeps a copy of each descriptor where the device cannot reach it, because a hostile *device* could change the table under the driver. QEMU maps all pieces of a chain before its device sees them, and a network card can send from there without a copy. A device in a process of its own, or in the host's kernel, reads the same bytes: that is vhost ([lesson 22](22_real_linux.ipynb)). In QEMU a bad chain marks the device as broken. Our device answers at once, and has one queue. Real ones have many, often one for each processor.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Our driver has called add_buf but not kick. Why does the device not see the request?",
        ("`avail.idx` has not moved, and the device reads only entries before it", "Descriptors and entry are already in memory. The index is what exposes them."),
        ("The descriptors are not written before the kick", "They are. Compare pictures 1 and 2: only the index differs."),
        ("The bell has not rung, so the device does not look at the ring", "A device that polls finds work without any bell, once the index says so. Linux's add has it say so already."),
        place=1,
    ),
    show.question(
        "What does `pop` write into the ring?",
        ("Nothing", "The device remembers `last_avail` by itself. With EVENT_IDX it writes a threshold, of which lesson 15 tells."),
        ("It clears the entry in the available ring", "That ring is the driver's to write, and nobody clears anything."),
        ("It moves `avail.idx` back by one", "An index of the ring only moves on, and this one is the driver's."),
    ),
    show.question(
        "A chain has three descriptors. How many elements does the device push for it?",
        ("One, with the index of its head", "The driver remembers which descriptors belong to that head."),
        ("Three, one for each descriptor", "It is the chain that is used, not its pieces."),
        ("One for each piece that it wrote", "The element's `len` says how many bytes were written in all."),
        place=2,
    ),
    show.question(
        "Why does a device refuse a chain that comes back to itself, and not follow it as far as it likes?",
        ("It would never end, and the time is the VMM's", "A bound of as many steps as the table has entries finds every loop."),
        ("The guest would get its data twice", "That harms the guest alone. The device must protect itself."),
        ("A descriptor that was in a chain once may not be used again", "There is no such rule: after it was given back, the driver uses it again and again."),
        place=1,
    ),
    show.question(
        "What does an indirect table save?",
        ("Descriptors of the ring", "A request of any length takes one. So more requests fit, and the device pays one more read."),
        ("A copy of the request's data", "Nothing is copied in either case."),
        ("Elements of the used ring", "Each request has one, whatever its chain looks like."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# A buffer goes round: free, added, exposed, with the device, used, free. Two rings say where it is, each written by one side, and an index that moves last makes everything before it visible. Only the bell exits; all else is memory that both sides see.
#
# **New terms**: [chain](../docs/glossary.md#chain), [descriptor](../docs/glossary.md#descriptor-virtqueue), [head](../docs/glossary.md#head), [indirect table](../docs/glossary.md#indirect-table), [pop](../docs/glossary.md#pop-push), [ring doctor](../docs/glossary.md#ring-doctor).
#
# **Read the code**, in this order: [virtlab/virtio/layouts.py](../virtlab/virtio/layouts.py) (the bytes), [virtlab/guest/virtqueue_split.py](../virtlab/guest/virtqueue_split.py) (add, kick, get), [virtlab/virtio/split.py](../virtlab/virtio/split.py) (pop, push).
#
# **Exercise**: problem set 4, [task 2, *walk a chain*](../exercises/ps04/ps04.ipynb#2.-Walk-a-chain), [task 3, *add a buffer and kick*](../exercises/ps04/ps04.ipynb#3.-Add-a-buffer-and-kick), [task 4, *take a chain off the ring*](../exercises/ps04/ps04.ipynb#4.-Take-a-chain-off-the-ring) and [task 5, *give it back, get it back*](../exercises/ps04/ps04.ipynb#5.-Give-it-back,-get-it-back).
#
# **Next**: [lesson 15, notifications](15_notifications.ipynb). When must one ring, and when can one leave it? And how does a signal get lost?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("14")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is round 1: two of the five calls change no byte of the ring. Ask for it before each picture. In the stepper, choose the mistake *a loop*, and let the room say what a careless device would do. Question for the room: the driver writes the entry, then the index; what if the processor swapped the two? Keep the answer for lesson 15. If time is short, leave out round 4 and come back to it with the packed ring.
#
# </details>
