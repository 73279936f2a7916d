# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S36"]
# # Where is the queue, and how does the device learn it?
#
# After this lesson you can
#
# - **compute** where the three parts of a virtqueue lie, and how many bytes they have;
# - **hand over** a queue by one page number, and by three addresses, register by register;
# - **say** who notices a wrong number, when, and by which clause.
#
# *40 minutes. Builds on lessons 04 and 12. Topics S33, S36 and S37. It stands for the lecture's slides "Virtqueue initialization" and "Virtqueue data structure".*

# %% [markdown] tags=["topic:S33"]
# ## The picture
#
# Here is a virtqueue with eight entries: 230 bytes of a guest's memory. On the right stand the three numbers that a device must know to find it. The whole lesson is about this arrow from right to left.

# %%
from virtlab import machine, show
from virtlab.virtio.layouts import SplitRings

show.vring_map(SplitRings.placed(0x21000, 8))

# %% [markdown] tags=["topic:S33"]
# For [lesson 12](12_why_virtio.ipynb) the virtqueue was a channel. Here we look at what it is made of: a *part of guest memory*, and no more. Its layout is called the **vring**.
#
# Our back-end knew where the queue is. Nobody had told us how. Now we plug in the smallest virtio device there is: it fills buffers with random bytes. We give our VM two of them. One is a PCI card. The other is a window of 512 bytes in memory, as small machines without PCI have it.

# %%
from virtlab.interrupts import IrqLine
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.rng import VirtioRng, seeded

board = machine.lesson_pc()
vm = machine.lesson_vm(board)
card = VirtioPci(VirtioRng(seeded(13)), "transitional", trace=board.trace)
vm.cards.root.bus.plug(card, 0x06)
window = VirtioMmio(VirtioRng(seeded(13)), vm.vm.ram, IrqLine("virtio"), board.trace)
_ = vm.vm.memory.map(0xFEB0_0000, WINDOW, window, "virtio", width=4)

# %% [markdown] tags=["topic:S33"]
# ## Round 1. Three parts, each with one writer
#
# **Claim: the size says it all: how long each part is, and so where the next one can begin.** A descriptor has 16 bytes. An entry of the available ring has 2, one of the used ring has 8. Each ring has three more words of 2 bytes: `flags` and `idx` before its entries, and a threshold behind them.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many bytes do the three parts of a queue of 256 have together, without any padding?",
    answer=6668,
    why="16 × 256 = 4096, 6 + 2 × 256 = 518, 6 + 8 × 256 = 2054. In general 26 × size + 12.",
)

# %% tags=["topic:S33"]
for size in (8, 64, 256):
    lengths = [length for _, length in SplitRings.placed(0, size).parts]
    print(size, lengths, sum(lengths))
    assert lengths == [16 * size, 6 + 2 * size, 6 + 8 * size]

# %% [markdown] tags=["topic:S37"]
# There is *one* vring. Guest and VMM both have it mapped, each in its own address space. Yet no byte of it is anybody's battlefield. We run two requests through a queue of four, and watch the memory: who writes, and who reads what the other wrote?

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many bytes of the vring are written by both sides?",
    answer=0,
    why="The device only reads the table and the available ring. The driver only reads the used ring.",
)

# %% tags=["topic:S37"]
from virtlab.show.vring_writers import recorded, tally

marks, rings = recorded(size=4, requests=2)
assert tally(marks, rings) == {
    "descriptor table": ("driver",),
    "available ring": ("driver",),
    "used ring": ("device",),
}
show.writers_picture(marks, rings)

# %% [markdown] tags=["topic:S37"]
# So each side has a write side and a read side, and they are crossed. The specification puts it in one sentence: each part is writable by the driver or by the device, but not by both (2.7). That is why no lock is needed. `flags` and the threshold were left alone here; [lesson 15](15_notifications.ipynb) uses them. The packed ring of [lesson 16](16_packed_ring.ipynb) does it otherwise: there, both sides write into the same descriptor, one after the other.
#
# ## Round 2. Find the queue, and give it memory
#
# **Claim: the device has the queue's number and its largest size. The memory comes from the guest.** First the driver finds the device: on the PCI bus by looking ([lesson 04](04_pci.ipynb)), in the window because somebody said where it is. Our card is transitional again: it has both PCI interfaces, the old and the new.

# %% tags=["topic:S36"]
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import Windows, assign, program
from virtlab.guest.virtio_mmio import probe
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci

access = PortAccess(vm.cpu)
functions = Scan(access).run()
assign(functions, Windows()), program(access, functions)
found = next(each for each in functions if each.vendor == 0x1AF4)
legacy, modern = LegacyPci(vm.cpu, access, found), ModernPci(vm.cpu, access, found)
mmio = probe(vm.cpu, 0xFEB0_0000)
print(found.place, hex(found.device))
assert [transport.device_id for transport in (legacy, modern, mmio)] == [4, 4, 4]

# %% [markdown] tags=["topic:S36"]
# All three say that they are an entropy device, type 4. A device has one set of queue registers for all its queues. So the driver first *selects* a queue, and then asks how large it may be. The answer 0 means that there is no such queue.

# %% tags=["topic:S36"]
assert [mmio.queue_max(number) for number in (0, 1)] == [64, 0]

# %% [markdown] tags=["topic:S36"]
# Then the driver takes memory. To the guest it is one piece, at one gpa. Its pages may lie anywhere in the host. The VMM translates, so the gpa is all that the device needs to be told.

# %% tags=["topic:S36"]
from virtlab.guest.room import Room

room = Room(0x2_0000, 0x4_0000)              # RAM of the guest that the driver has for itself
need = SplitRings.legacy(0, 64).end
gpa = room.take(need, align=4096)
print(need, hex(gpa), [hex(vm.vm.ram.hpa(gpa + page)) for page in (0, 4096)])

vm.cpu.store(gpa, 0x1234, 4)                 # the guest writes, the VMM sees it: one memory
assert vm.vm.ram.read(gpa, 2) == b"\x34\x12"

# %% [markdown] tags=["topic:S36"]
# ## Round 3. One number: the legacy interface
#
# **Claim: the first virtio told its device one number of 32 bits.** This is what the lecture's slide shows: find the virtqueue, allocate the vring, hand its guest-physical address to the virtio PCI controller. The number is not the address. It is the address divided by 4096: the *page frame number*.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The vring begins at gpa 0x20000. Which number does the driver write?",
    answer=0x20,
    why="0x20000 >> 12 = 0x20. The lowest 12 bits are 0, because the vring begins with a page.",
)

# %% [markdown] tags=["topic:S36"]
# A queue is not the first thing that the two talk about. The specification has eight steps (3.1.1), and a byte, the *device status*, says how far they are. Steps 1 to 3: reset, ACKNOWLEDGE, DRIVER. Steps 4 to 6 are the *feature negotiation*: the device offers bits, the driver accepts those that it understands, and FEATURES_OK closes the matter. **Step 7 is our lesson: the queues.** Step 8, DRIVER_OK, makes the device live. A legacy device has no FEATURES_OK.

# %%
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.virtio.features import Feature

def set_up(transport, features=(), size=None):
    """A driver with one queue, the events of handing it over, and the exits that it cost."""
    driver = VirtioDriver(vm.cpu, transport, Room(0x2_0000, 0x4_0000))
    driver.begin(), driver.negotiate(frozenset({Feature.VERSION_1, *features}))
    start = vm.exits
    with board.trace.recording() as events:
        driver.add_queue(0, size)
    exits = vm.exits - start
    driver.ready()
    return driver, events, exits

# %% tags=["topic:S36"]
from virtlab.show.vring_table import accesses
from virtlab.virtio.pci_layouts import LegacyHeader

driver, events, exits = set_up(legacy)
queue = driver.queues[0]
runs = {"legacy PCI": accesses(events, legacy.port, LegacyHeader.registers)}
cost = {"legacy PCI": exits}

assert exits == len(runs["legacy PCI"]) == 6
assert runs["legacy PCI"][-1] == (True, "QUEUE_ADDRESS", queue.rings.desc >> 12)
show.setup_table(runs, "The legacy way: = writes a register, : reads it")

# %% [markdown] tags=["topic:S36"]
# Our names are those of version 1.3 (4.1.4.10). Older texts say QUEUE_SEL, QUEUE_NUM and QUEUE_PFN for QUEUE_SELECT, QUEUE_SIZE and QUEUE_ADDRESS. The driver *reads* the size and cannot change it. It reads the address too: if that is not 0, the queue is in use already. Writing the number is also the signal to begin.
#
# One number is enough because both sides compute the rest by the same rule. The table comes first, the available ring directly behind it. The used ring begins at the next multiple of 4096.

# %% tags=["topic:S36", "topic:S37"]
assert card.core.queues[0].queue.rings == queue.rings      # the device has computed the same
assert queue.rings.used % 4096 == 0
show.vring_map(queue.rings, legacy=True, title="What the number 0x20 means, for a size of 64")

# %% jupyter={"source_hidden": true}
show.Predict(
    "32 bits name a page of 4096 bytes. A legacy vring must begin below 2 to the power of what?",
    answer=44,
    why="2^32 pages of 2^12 bytes: 16 TiB. A guest with more memory must take care where its rings lie.",
)

# %%
assert (1 << 32) * 4096 == 1 << 44 == 16 << 40

# %% [markdown] tags=["topic:S36"]
# ## Round 4. Three addresses: the modern interface
#
# **Claim: the same steps, more registers, fewer rules.** Since virtio 1.0 the driver may choose a smaller size. It names each part by an address of 64 bits. So the parts may lie anywhere, and need no page of their own: 16, 2 and 4 bytes are their alignments. A last register says *use it*.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Over MMIO a register has 32 bits. The driver asks three things first, and selects the queue again. How many accesses in all?",
    answer=12,
    why="Select, in use, how large: 3. Select, size: 2. Three addresses in two halves: 6. Use it: 1.",
)

# %% tags=["topic:S36"]
from virtlab.virtio.mmio_registers import ModernMmio
from virtlab.virtio.pci_layouts import CommonConfig

for name, transport, base, registers in (
    ("modern PCI", modern, modern.common.base, CommonConfig.registers),
    ("MMIO", mmio, mmio.base, ModernMmio.registers),
):
    driver, events, cost[name] = set_up(transport)
    runs[name] = accesses(events, base, registers)

assert {name: len(run) for name, run in runs.items()} == cost      # every access is an exit
show.setup_table(runs)

# %% [markdown] tags=["topic:S36"]
# Read the table line by line: it is one story in three dialects. The card's own line is the doorbell. On PCI each queue may have a doorbell of its own, and the driver asks where. `QUEUE_DESC+4` is the high half of a field with 64 bits, which a driver writes as two halves (4.1.3.1).
#
# The choice of a size is new, too. A driver that does not need 64 entries takes 8, and all three parts fit into 230 bytes.

# %% tags=["topic:S36"]
driver, _, _ = set_up(mmio, size=8)
rings = driver.queues[0].rings
assert (rings.size, rings.end - rings.desc) == (8, 230)
assert window.core.queues[0].queue.rings == rings

# %% [markdown] tags=["topic:S36"]
# ## Round 5. Take it back
#
# **Claim: the memory belongs to the guest again only after a reset.** While a queue is in use, the device may write into its used ring and its buffers at any time. A driver that frees that memory too early has a stranger writing into it. So there are two ways back. The status 0 resets the whole device. With the feature `RING_RESET` one queue can be reset alone (2.6.1).

# %% jupyter={"source_hidden": true}
show.Predict(
    "Over MMIO: select the queue, write QUEUE_RESET, see that it is done, see that the queue is stopped. How many accesses?",
    answer=4,
    why="Two writes and two reads, because our device is done at once. Handing the queue over again costs nine.",
)

# %% tags=["topic:S36"]
from virtlab.virtio.status import Status, names

driver, _, _ = set_up(mmio, {Feature.RING_RESET}, size=8)
queue = driver.queues[0]
queue.add_buf([], [(0x5_0000, 64)], "never kicked")

start = vm.exits
mmio.reset_queue(0)
assert vm.exits - start == 4
assert not window.core.queues[0].ready
assert names(mmio.status())[-1] == "DRIVER_OK"             # the device itself is still live

# %%
start = vm.exits
lost = driver.reset_queue(0)                               # the driver's own way: reset, and hand over again
print(lost, vm.exits - start)
assert (lost, vm.exits - start) == (["never kicked"], 4 + 9)
assert window.core.queues[0].ready

driver.reset()                                             # the whole device: everything is gone
assert not window.core.queues[0].ready
assert mmio.status() == 0

# %% [markdown]
# ## Play
#
# Lay out a queue yourself. Choose bus, layout and size, and move it about. Each time a fresh device gets your numbers, and its answer stands below. Start as it is: a legacy queue of eight has 220 bytes of use and 3946 of padding. Then try *split*. Then go through the list of mistakes: which of them does nobody notice until the doorbell rings?

# %%
show.VringLab()

# %% [markdown]
# ## Break it
#
# The numbers come from a guest, so a device must expect anything: a wrong size, a wrong place, a place that is not there. Our own driver refuses to make the first mistake at all:

# %% tags=["raises-exception"]
driver.begin(), driver.negotiate(frozenset({Feature.VERSION_1}))
driver.add_queue(0, size=48)

# %% [markdown]
# So we leave the driver out, and call the transport with whatever we like. Who notices, and when?

# %%
def told(size, areas):
    """Hand over these numbers, go live and ring: what the device said, at each stage."""
    driver.begin(), driver.negotiate(frozenset({Feature.VERSION_1}))
    said = []
    with board.trace.recording() as events:
        mmio.set_queue(0, size, areas)
        said.append(names(mmio.status())[-1])
        mmio.set_status(mmio.status() | Status.DRIVER_OK), mmio.notify(0, 0)
        said.append(names(mmio.status())[-1])
    return said, [event.note for event in events if event.kind == "guest error"]

# %%
good = (0x2_0000, 0x2_0080, 0x2_00A0)
wrong = {
    "a size of 48": (48, good),
    "a size of 128": (128, good),
    "the table 8 bytes off": (8, (0x2_0008, 0x2_0100, 0x2_0120)),
    "the used ring over the table": (8, (0x2_0000, 0x2_0080, 0x2_0040)),
    "where the guest has no memory": (8, (0xA_0000, 0xA_0080, 0xA_00A0)),
}
answers = {}
for what, numbers in wrong.items():
    answers[what], notes = told(*numbers)
    print(f"{what:30} {notes[0]}")

# %% jupyter={"source_hidden": true}
show.Predict(
    "Which of the five is still unnoticed when all registers are written?",
    answer="where the guest has no memory",
    options=list(wrong),
    why="Sizes and addresses are compared when they are used as numbers. Memory is looked at when it is read.",
)

# %%
for what, (after_registers, after_bell) in answers.items():
    late = what == "where the guest has no memory"
    assert (after_registers == "DEVICE_NEEDS_RESET") == (not late)
    assert after_bell == "DEVICE_NEEDS_RESET"
answers

# %% [markdown]
# A refused number changes nothing but the status: it says `DEVICE_NEEDS_RESET`. From then on the device looks at no queue, and only a reset leads on (2.1.2). The guest's mistake has cost the guest its device, and nobody else anything.
#
# On the legacy interface a page number that points to no memory waits in the same way for its first doorbell. A legacy driver may ring it even before DRIVER_OK (3.1.2). The number 0 is different: it is no error. It means *not in use*.

# %%
start_over = VirtioDriver(vm.cpu, legacy, room)
start_over.begin(), start_over.negotiate(frozenset())
legacy.put(LegacyHeader.QUEUE_SELECT, 0)
legacy.put(LegacyHeader.QUEUE_ADDRESS, 0xA0)               # 0xA0000: the screen's old place
assert card.core.queues[0].ready
assert not start_over.needs_reset
legacy.notify(0, 0)
assert start_over.needs_reset

# %% [markdown]
# ## Measure it
#
# What does it cost to set up one queue? Three questions come first. Then the queue is selected again, and its size is chosen, or at least checked. A page number is one write, and three addresses in halves are six. *Use it* is one more, where the page number does not say so itself.

# %% tags=["topic:S36"]
questions = 3
formula = {
    "legacy PCI": questions + 2 + 1,             # select, check the size, the page number
    "modern PCI": questions + 2 + 6 + 1 + 1,     # select, size, addresses, doorbell, use it
    "MMIO": questions + 2 + 6 + 1,               # select, size, addresses, use it
}
assert cost == formula
show.bars("Exits to set up one queue", cost, expected=formula)

# %% [markdown]
# Who cares? It is paid once a queue, when the guest boots. That is the bargain of virtio: a few exits to agree on a place in memory, and then data moves through memory without any.

# %%
show.cost_table({"vm_exit": cost["modern PCI"]})

# %% [markdown]
# And the bytes? The legacy rule wastes most where queues are small.

# %%
from virtlab.show.tables import Table
from virtlab.virtio.packed_layouts import PackedRings

rows = []
for size in (8, 64, 256, 1024):
    split, old, packed = (
        rings.end for rings in (SplitRings.placed(0, size), SplitRings.legacy(0, size), PackedRings.placed(0, size))
    )
    rows.append((f"{size}", f"{split}", f"{old}", f"{packed}"))
    assert 0 <= split - (26 * size + 12) < 4 + 16                    # at most a little padding
    assert old == -(-(18 * size + 6) // 4096) * 4096 + 6 + 8 * size
    assert packed == 16 * size + 8
Table("Bytes of a queue, padding included", ("size", "split", "legacy", "packed"), tuple(rows))

# %% [markdown] tags=["topic:S33"]
# ## And now a buffer
#
# Does it work? Over each interface we hand over a queue, add one buffer of 16 bytes, ring the bell once, and look. The device has filled it with random bytes. Each device has a seeded source, so you see the same bytes as we do.

# %% tags=["topic:S33"]
for name, transport in {"legacy PCI": legacy, "modern PCI": modern, "MMIO": mmio}.items():
    driver, _, _ = set_up(transport)
    queue = driver.queues[0]
    queue.add_buf([], [(0x5_0000, 16)], "16 random bytes")
    start = vm.exits
    queue.kick()
    used = queue.get_buf()
    print(f"{name:11}", used, vm.cpu.read(0x5_0000, used.written).hex(" "))
    assert (used.written, vm.exits - start) == (16, 1)

# %% [markdown]
# One exit, whatever the interface: the bell. What happened between `add_buf` and `get_buf` is the same behind all three, and it is [lesson 14](14_data_exchange.ipynb).
#
# ## How real systems do it
#
# QEMU's block device offers queues of 256 entries unless told otherwise, and network cards have two queues and more. Linux lays out a queue in one piece if it can. If so much memory is not to be had, it halves the size and tries again. A legacy device knows no other size, so there it gives up. A legacy ring above 16 TiB it calls a "platform bug". QEMU maps the three parts when it learns their addresses, so it notices missing memory earlier than our device does. With vhost (lesson 12) the VMM passes the addresses on to the host's kernel, and then stays out of the way. Where the guest has an IOMMU, the addresses are those that the IOMMU translates ([lesson 19](19_vtd.ipynb)), if the feature `ACCESS_PLATFORM` is negotiated. Our driver has gpas only. A real one also sets an interrupt vector for each queue in the same place (lesson 15).
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Where is the memory of a virtqueue?",
        ("In the guest's memory; the device learns its guest-physical address", "The driver allocates it. The VMM has all of guest memory mapped, so it can read it there."),
        ("In the device's BAR, where the device reaches it without DMA", "A BAR has the registers. The queue is ordinary RAM."),
        ("In the VMM, which copies what one side changes to the other side as well", "There is one vring, and no copy of it."),
        place=1,
    ),
    show.question(
        "Why is one page frame number enough for a legacy device?",
        ("It knows the size already, and the layout follows from size and alignment", "Table, available ring, then the used ring at the next multiple of 4096."),
        ("The other two addresses are in the page's first bytes", "The first bytes are descriptor 0."),
        ("A legacy queue fits into one page", "A queue of 256 has three, and the used ring always begins a new one."),
    ),
    show.question(
        "A modern driver writes an address where the guest has no RAM, and enables the queue. What does our device say?",
        ("Nothing yet. It finds out when it first looks for work", "The address is aligned, and no register reads memory. QEMU looks earlier; both are allowed."),
        ("The write of the address causes a page fault in the guest", "The guest writes a number into a register. It does not access that memory."),
        ("It reads zeros, and sees an empty queue", "Then a wrong address would look like a quiet device, for ever."),
        place=2,
    ),
    show.question(
        "Which parts of a split vring does the device write?",
        ("The used ring only", "Its flags, its index, its elements, and avail_event behind them."),
        ("The used ring, and the descriptors that it has used", "That is how the packed ring does it. In the split ring nobody clears a descriptor."),
        ("Both rings, but not the table", "The available ring is the driver's."),
        place=1,
    ),
    show.question(
        "A driver wants to free the memory of a queue. What must come first?",
        ("A reset, of the device or of the queue", "And the driver must see that it is done. Until then the device may write there at any time."),
        ("The last buffer, so that the queue is empty", "Empty now is no promise. The device may also still poll the index."),
        ("Zeros, written over all three parts", "Those zeros would be read as a ring by a device that still looks."),
        place=2,
    ),
])

# %% [markdown]
# ## Take away
#
# A virtqueue is guest memory with one writer for each part. A device learns its place by one page number, or by three addresses; the rest is a matter of dialect. Wrong numbers are met by a clause and a reset, at the latest when the first bell rings.
#
# **New terms**: [available ring](../docs/glossary.md#available-ring), [device status](../docs/glossary.md#device-status), [feature negotiation](../docs/glossary.md#feature-negotiation), [page frame number](../docs/glossary.md#page-frame-number), [transport](../docs/glossary.md#transport), [used ring](../docs/glossary.md#used-ring), [vring](../docs/glossary.md#vring).
#
# **Read the code**, in this order: [virtlab/guest/virtio_device.py](../virtlab/guest/virtio_device.py) (`add_queue`: lay out, hand over), [virtlab/virtio/queue_setup.py](../virtlab/virtio/queue_setup.py) (what the device makes of it), [virtlab/virtio/pci_legacy.py](../virtlab/virtio/pci_legacy.py) (the one number).
#
# **Exercise**: problem set 4, [task 1, *lay out a vring*](../exercises/ps04/ps04.ipynb#1.-Lay-out-a-vring).
#
# **Next**: [lesson 14, data exchange](14_data_exchange.ipynb). The queue is in place. What happens to one buffer?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("13")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the address outside of memory: all registers are written, the status is fine, and the device is doomed. Ask the room before the bell rings. In the widget, let them find a legacy size for which there is no padding at all (there is none: 18 × size + 6 is never a multiple of 4096 for a power of two). Question for the room: what could one do with the used ring on pages of its own? Map the rest read-only for whoever must not write it; a legacy vring allows that, a packed one never does. If time is short, leave out round 5.
#
# </details>
