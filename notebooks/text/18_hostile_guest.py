# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:B07"]
# # What if the guest lies?
#
# After this lesson you can
#
# - **attack** a device with nothing but bytes in a ring, and say what it loses;
# - **name** for each attack the check that stops it, its clause, and what the guest then sees;
# - **count** what the checks cost.
#
# *40 minutes. Builds on lessons 14 and 17. Topics B07 and S38. In the lecture, driver and device trust each other.*

# %% [markdown] tags=["topic:B07"]
# ## The picture
#
# A VMM is a process. The guest's memory is a part of the process's own memory. Here is such a process, in one array of 48 KiB. The guest has the two parts that are marked *its own*. Before and behind them lie things that it must never see: another VM's memory, the key of the disks, pointers to code.
#
# An honest guest writes one sector of its disk. We let it meet two block devices: a **naive** one, and that of the library.

# %%
from virtlab import machine, show
from virtlab.show.attack_run import attack, both             # both: at the naive device, and at ours
from virtlab.virtio.blk_layouts import BlkType

def honest(hand):
    hand.request(BlkType.OUT, sector=1, addr=0x3000, length=512)   # three descriptors from 0 on
    hand.offer(0)                                                  # head 0 is available
    hand.ring()                                                    # the doorbell

naive, ours = both(honest, "an honest write of one sector")
assert naive.after == ours.after
show.attack_picture(naive)

# %% [markdown] tags=["topic:B07"]
# Both leave the same bytes behind. As long as the guest is honest, nobody sees a difference. That is why such bugs live long.
#
# The naive device is short, and wrong on purpose. It computes `host = 0x1000 + addr` and looks. It follows `next` as long as NEXT is set. It serves until both indices are equal. Only its sandbox stops it: at the end of the array, or after 4,000 descriptors.
#
# ## Round 1. An address is only a wish
#
# **Claim: what a descriptor calls a buffer may be anything.** The guest has 0x8000 bytes. So gpa 0x8000 is the first address that it does *not* have.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A write to disk names 512 bytes at gpa 0x8000. At which offset of the process does the naive device read?",
    answer=0x9000,
    why="0x1000 + 0x8000. There are the configuration, the key and the handlers.",
)

# %% tags=["topic:B07"]
def read_behind(hand):
    hand.request(BlkType.OUT, sector=1, addr=0x8000, length=512)            # take it to the disk
    hand.request(BlkType.IN, sector=1, addr=0x3000, length=512, first=3)    # and read it back
    hand.offer(0, 3)
    hand.ring()

naive, ours = both(read_behind, "a disk write from behind guest memory")
guest = slice(0x1000, 0x9000)
assert b"DISK KEY" in naive.after[guest]
assert b"DISK KEY" not in ours.after[guest]
show.attack_picture(naive)

# %% [markdown] tags=["topic:B07"]
# The first request carries the key to the guest's own disk. The second one, which is quite honest, brings it home. There is no error in any status, and nothing in a log. And our device?

# %% tags=["topic:B07", "topic:S38"]
from virtlab.virtio.status import names

print(ours.events)
print(names(ours.status), ours.interrupts)
assert ours.needs_reset
assert ours.used == 0

# %% [markdown] tags=["topic:S38"]
# Three things happen, always the same. `pop` raises a `GuestError`, before the chain is taken. The transport catches it and leaves a trace event with the clause. The guest is told by a configuration interrupt, and reads `DEVICE_NEEDS_RESET` in the status (2.1.2). Nothing else is served until it resets the device.
#
# The check asks for the *last* byte of a buffer, too. In C that is a trap of its own: numbers of 64 bits start again at 0.

# %% jupyter={"source_hidden": true}
show.Predict(
    "addr is 2^64 - 0x100, len is 0x200. What is addr + len in 64 bits?",
    answer=0x100,
    why="0x200 - 0x100. That is less than the size of memory, so the test `addr + len <= size` says yes.",
)

# %% tags=["topic:B07"]
from virtlab.show.attack_words import attack_table

addr, length, size = 2**64 - 0x100, 0x200, 0x8000
assert (addr + length) % 2**64 <= size            # what the test sees in C
assert not addr + length <= size                  # what is true
attack_table("read", "write", "wrap", "huge", "own ring", "order")

# %% [markdown] tags=["topic:B07"]
# Python's numbers do not wrap, so our test of memory would hold even alone. The rule about the last address comes first, and says what is really wrong.
#
# Read the second row twice. The device wrote over a pointer to code. The next doorbell makes it jump where the guest wants. That is how a guest *escapes*: it runs its own code in the VMM. The row with 4 GiB needs no bad address at all. Who makes room first and looks later lets the guest decide how much.
#
# The ring itself is guest memory as well. If it is a buffer to write, the device destroys what it is reading. Our device refuses, because no part of a queue is written by both sides (2.7).
#
# ## Round 2. A chain is a program
#
# **Claim: whoever follows `next` runs a little program of the guest. It needs a bound on its steps and on its places.**

# %% jupyter={"source_hidden": true}
show.Predict(
    "Eight entries in the queue, and a chain that leads in a circle. How many descriptors does our device read before it says no?",
    answer=8,
    why="A chain has at most Queue Size descriptors. The ninth step proves that it has a loop. No list of visited descriptors is needed.",
)

# %% tags=["topic:B07"]
from virtlab.show.attack_hand import Hand
from virtlab.show.attack_list import ATTACKS
from virtlab.show.attack_memory import Process
from virtlab.show.attack_run import Checked

def followed(name):
    """The descriptors of the ring that our device reads when it meets an attack."""
    hand = Hand(Process())
    hand.side = device = Checked(hand.process, hand, watched=True)
    ATTACKS[name].make(hand)
    return [(gpa - 0x1000) // 16 for gpa in device.core.queues[0].dma.reads if 0x1000 <= gpa < 0x1080]

print(followed("loop"))
assert len(followed("loop")) == 8
attack_table("loop", "next", "head", "index", "nested", "odd table", "huge table")

# %% [markdown] tags=["topic:S38", "topic:B07"]
# With a `next` of 1800 the naive device takes the *key* for a descriptor. Its bytes decide where the chain goes on, and here they lead out of the process. The odd table has the same fault: half of its last descriptor is the host's.
#
# `pop` looks at the index first. The index may not be further ahead than the queue has room, chains in flight included (2.7.6.1). Then comes the head, then each descriptor, then the buffers, and their memory last. A refusal leaves all counts as they were.
#
# ## Round 3. Between two looks
#
# **Claim: a check is worth nothing if the device reads again.** The guest has a second processor. It waits for the moment after the check. So we give the naive device a check, and a good one: each buffer must lie in guest memory. *Then* it reads the descriptor again, to use it.

# %% tags=["topic:B07"]
naive, ours = attack("twice", "naive"), attack("twice", "checked")
assert b"DISK KEY" in naive.after[guest]
assert not ours.leaked
show.attack_picture(naive)

# %% [markdown] tags=["topic:B07"]
# This is a **double fetch**. Everything was checked, and the key is gone all the same. A real attacker loses this race many times, and can try again all night. Here the other processor strikes at the right moment, every time.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How often does our device read one descriptor?",
    answer=1,
    why="It copies all 16 bytes in one read. Only the copy is checked, and only the copy is used.",
)

# %% tags=["topic:B07"]
assert followed("twice") == [0, 1, 2, 3, 4, 5]
attack_table("twice", "never", "reset")

# %% [markdown] tags=["topic:B07"]
# Our device *served* the attacked chains. It had its copy, so nothing was wrong with them. What the guest changed later came too late.
#
# The other two are about time as well. A guest that adds whenever the device looks could keep it busy for ever. So our device takes at most `size` chains a turn, and whoever wants more must ring again. A reset in the middle is refused until the device is at rest. The driver reads the status, and it is not 0 yet: the buffers still belong to the device (2.4). Our model has one thread. So the refusal names the one case that it knows: a buffer lies over the registers, and the device's own DMA writes there.
#
# And who only rings? We give our VM a network card, in a window as in [lesson 13](13_virtqueue.ipynb), and ring a thousand times for nothing.

# %%
from virtlab.backends import Link
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.guest.virtio_mmio import probe
from virtlab.interrupts import IrqLine
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.net import VirtioNet

board, cable = machine.lesson_pc(), Link("cable")
vm = machine.lesson_vm(board)
card = VirtioMmio(VirtioNet(cable.a), vm.vm.ram, IrqLine("virtio"), board.trace)
vm.vm.memory.map(0xFEB0_0000, WINDOW, card, "virtio", width=4)
driver = VirtioDriver(vm.cpu, probe(vm.cpu, 0xFEB0_0000), Room(0x2_0000, 0x4_0000))
driver.begin(), driver.negotiate(frozenset({Feature.VERSION_1})), driver.add_queue(0), driver.ready()

start = vm.exits
for _ in range(1000):
    driver.transport.notify(0, 0)
assert vm.exits - start == 1000
assert not driver.needs_reset

# %% [markdown] tags=["topic:B07"]
# A thousand exits, all paid with the guest's own time: while the VMM works, the guest's processor stands still. For each of them the device looks once, and finds nothing. With an `ioeventfd` ([lesson 12](12_why_virtio.ipynb)) the bell would only add to a counter, and many rings become one look. A storm is a matter for the scheduler, not for the ring.
#
# ## Round 4. A wrong request is no broken ring
#
# **Claim: where the specification has an answer, the device gives it, and goes on.** A sector that the disk does not have is a mistake *in* a request. The ring is fine.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A sector behind the end, an unknown type, a configuration read too far, a doorbell too high: how many of these four end in DEVICE_NEEDS_RESET?",
    answer=0,
    why="Status IOERR, status UNSUPP, all ones, ignored. Each has an answer that an honest driver can use.",
)

# %% tags=["topic:B07"]
requests = ("sector", "small", "type", "config", "bell")
assert not any(attack(name, "checked").needs_reset for name in requests)
attack_table(*requests)

# %% [markdown] tags=["topic:B07"]
# The naive device forgets the same check five times. It believes a sector, a length, a type, an offset and a queue's number. Our device ignores the last bell, and only notes it in the trace. The second row is the classic one: the guest offers 100 bytes, and the device copies a sector. A network card meets it with every frame. There the clause has no answer for a buffer without room for the header, so the ring counts as broken:

# %%
driver.queues[0].add_buf([], [(0x5_0000, 5)], "too small")
cable.b.send(bytes(60))
with board.trace.recording() as events:
    driver.queues[0].kick()
print([event.note for event in events if event.kind == "guest error"])
assert driver.needs_reset

# %% [markdown]
# ## Play
#
# All 21 attacks, at either device. It starts with the theft of the key. Press *The other device*, and see how the words and colours on the right change. At the very end stands the line of code that makes the difference.
#
# Then find three attacks. One kills the naive device although no byte of the host was overwritten. One is served by our device without any error. And one harms nobody but the guest itself.

# %%
show.AttackLab()

# %% [markdown]
# ## Break it
#
# The lab catches what happens to the process. Without it, this is what is left of a VMM that took a queue's number for an index:

# %% tags=["raises-exception"]
from virtlab.show.attack_run import Naive

hand = Hand(Process())
hand.side = Naive(hand.process, hand)
ATTACKS["bell"].make(hand)

# %% [markdown]
# Now it is your turn. This attack takes another VM's disk, at offset 0xB000. Change its numbers: can you get that VM's memory, too? It ends right *before* the guest's memory, and a password is in its last bytes. Then the last line but one must say so, too.

# %%
def mine(hand):
    hand.request(BlkType.OUT, sector=1, addr=0xA000, length=512)
    hand.request(BlkType.IN, sector=1, addr=0x3000, length=512, first=3)
    hand.offer(0, 3)
    hand.ring()

naive, ours = both(mine)
assert [span.name for span in naive.leaked] == ["another VM's disk"]
assert ours.safe

# %% [markdown] tags=["topic:B07"]
# ## Measure it
#
# What do the checks cost? The interpreter can tell each time that the library compares two values. We take chains of one to eight buffers to read.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A chain of one buffer takes 19 comparisons, one of two takes 29. How many does one of eight take?",
    answer=89,
    why="9 for the index, the entry and the end of the walk. Each descriptor adds 10.",
)

# %% tags=["topic:B07"]
from virtlab.show.attack_cost import batch_comparisons, chain_comparisons

counts = {n: chain_comparisons(n) for n in (1, 2, 4, 8)}
counted = {f"n = {n}": each.total() for n, each in counts.items()}
formula = {f"n = {n}": 9 + 10 * n for n in counts}
assert counted == formula
print("one buffer:  ", dict(counts[1]))
print("one more adds", dict(counts[2] - counts[1]))
show.bars("Comparisons for a chain of n buffers", counted, expected=formula)

# %% [markdown] tags=["topic:B07"]
# Six of the ten are in `offset`, which asks whether bytes lie in memory: once for the descriptor and once for its buffer. In C ten comparisons are some twenty instructions; one miss in the cache takes longer. And a batch, as in [lesson 17](17_vectorized_ring.ipynb)? There the device looks at all addresses at once: the lowest, the highest, and the longest length. If that *hull* lies in one region of memory, each of them does.

# %% tags=["topic:B07", "topic:S38"]
assert batch_comparisons(1024) == batch_comparisons(64) < chain_comparisons(1).total()

# %% [markdown]
# So a thousand chains can be checked with fewer comparisons of Python than one chain alone. NumPy's passes over the arrays are not counted here, and take their time. On your machine, chain by chain, with all checks and with none:

# %% tags=["measured"]
import matplotlib.pyplot as plt
from virtlab.show.attack_cost import measured
from virtlab.show.palette import BLUE

sizes = (1, 2, 4, 8)
ratios = [checked / bare for checked, bare in (measured(n) for n in sizes)]
figure, axes = plt.subplots(figsize=(8.5, 2.6), layout="constrained")
axes.plot(ratios, [f"n = {n}" for n in sizes], "o", color=BLUE, markersize=10)
axes.set(title="pop of n buffers with all checks, in units of one with none", xlim=(0, max(ratios) * 1.15)), axes.margins(y=0.2)
told = "; ".join(f"n = {n}: {ratio:.1f}" for n, ratio in zip(sizes, ratios, strict=True))
display(show.plot(figure, "The time of pop of 1, 2, 4 and 8 buffers with all checks, in units of one with none. Each is more than 1.", f"Here {told}."))
assert all(1 < ratio < 20 for ratio in ratios)

# %% [markdown] tags=["topic:B07"]
# In Python each check is a call or two as well, so the ratio is large here. In C it would be far smaller. And who would take the cheap one?
#
# Our list of attacks is what *we* could think of. A **fuzzer** thinks of nothing. It takes two honest requests and spoils up to four numbers, two thousand times. The device may answer, or refuse by a clause. An exception would end this cell.

# %% tags=["topic:B07"]
from virtlab.show.attack_fuzz import fuzz, named

found = fuzz(2000)
assert found.answered + sum(found.refused.values()) == 2000
assert found.harmed == 0
print(found.answered, "answered")
show.bars("Why the others were refused", named(found.refused))

# %% [markdown] tags=["topic:B07"]
# ## How real systems do it
#
# They learned it the hard way. Each of these was found in code that ran everywhere. The year is in the number:
#
# | | what was believed | the attack of ours that is most like it |
# |---|---|---|
# | [CVE-2011-2512](https://nvd.nist.gov/vuln/detail/CVE-2011-2512) | QEMU: the number of a queue, which could be negative | `bell` |
# | [CVE-2015-8550](https://xenbits.xen.org/xsa/advisory-155.html) | Xen's drivers: that shared memory stays the same between two reads | `twice` |
# | [CVE-2016-5403](https://nvd.nist.gov/vuln/detail/CVE-2016-5403) | QEMU: that a guest waits for answers, so memory ran out | `index` |
# | [CVE-2016-6490](https://nvd.nist.gov/vuln/detail/CVE-2016-6490) | QEMU: that a buffer has bytes; with none, a loop had no end | fuzzer |
# | [CVE-2016-7422](https://nvd.nist.gov/vuln/detail/CVE-2016-7422) | QEMU: a huge length, and a null pointer came of it | `huge` |
# | [CVE-2019-14835](https://nvd.nist.gov/vuln/detail/CVE-2019-14835) | Linux's vhost: a length, while it wrote its log of a migration | `small` |
# | [CVE-2024-3446](https://nvd.nist.gov/vuln/detail/CVE-2024-3446) | QEMU: that a device's DMA does not reach the device itself | `reset` |
#
# The one of 2019 was in the host's *kernel*: a guest could gain rights on the host. QEMU marks a device broken and stops looking at its queues, much as ours.
#
# crosvm and Firecracker are written in Rust, where an index is checked by the language. And they expect to be wrong. crosvm runs each device in a process of its own, with few rights. Firecracker takes almost all rights from the whole VMM. So a bug costs one device or one VM, not the host.
#
# What our model leaves out: our device is in Python, so even a forgotten check could not leave its array. It would show as an exception, and the fuzzer looks for those.
#
# **And the other way round?** With *confidential computing* the guest does not trust the host. Its memory is encrypted, and only the rings and some buffers are shared. Then the *device* is the attacker. A used element may have an id that nobody gave it, or a length larger than the buffer. Linux's drivers were hardened for this from 2021 on ([LWN](https://lwn.net/Articles/865216/)): they keep [private copies](https://lore.kernel.org/all/20210421032117.5177-1-jasowang@redhat.com/) of what their descriptors say. Our driver keeps books, too. An id that is not in them is a `DeviceBroken`.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "The guest names a buffer outside of its memory. What does our device do?",
        ("It takes no chain, sets DEVICE_NEEDS_RESET and interrupts", "The transport catches the `GuestError`. The trace has the clause."),
        ("It answers the request with IOERR", "There is no request: the chain is refused before anybody reads its head."),
        ("It cuts the buffer at the end of memory, and serves what is left of it", "Then a guest could not know what was moved. A broken rule is said, not mended."),
        ("It raises an exception in the VMM", "A guest's mistake must never stop the VMM. It ends in the transport."),
        place=1,
    ),
    show.question(
        "A device checks a descriptor, and the check is right. Why can it still be wrong?",
        ("It reads the descriptor a second time to use it", "Between two reads a guest can write. Copy once, then check and use the copy."),
        ("The check takes time, and a reset may come in between", "A reset ends the chain, and nothing of it is used any more."),
        ("The buffer's contents may change", "They may. They are the guest's own, and nobody relies on them before they are copied, too."),
    ),
    show.question(
        "How does a device find a loop in a chain?",
        ("It counts: after Queue Size steps a longer chain cannot be right", "One number, and it bounds the work too."),
        ("It remembers each descriptor that it saw", "It works, and needs memory for each chain. Counting needs none."),
        ("It compares each next with the head", "A loop may come back to any descriptor, such as the second one."),
        place=2,
    ),
    show.question(
        "A read of sector 9, on a disk of 8. Which answer is right?",
        ("Status IOERR, and the device goes on", "The ring is right, and the specification has an answer for the request."),
        ("DEVICE_NEEDS_RESET, as for every broken rule", "That is for a ring or a chain that cannot be right. It would punish all other requests."),
        ("Sector 0, because 9 wraps", "Numbers that are out of range do not become others by themselves."),
        place=1,
    ),
    show.question(
        "A thousand doorbells for an empty queue: who pays?",
        ("Mostly the guest: each is an exit of its own processor", "And the device's work for each is bounded."),
        ("The host: it has to serve a thousand chains", "There are none. It reads one index a time."),
        ("Nobody: a doorbell is free", "Each of them is an exit, for it is a store to a page that is not there."),
    ),
])

# %% [markdown]
# ## Take away
#
# Whatever stands in guest memory is a wish, and may be another one a moment later. So a device copies once, checks the copy, bounds its steps, and allocates by its own numbers. What cannot be right breaks the device for that guest, with a clause; what is only a wrong request gets an answer.
#
# **New terms**: [confidential computing](../docs/glossary.md#confidential-computing), [double fetch](../docs/glossary.md#double-fetch), [escape](../docs/glossary.md#escape), [fuzzer](../docs/glossary.md#fuzzer), [in flight](../docs/glossary.md#in-flight).
#
# **Read the code**, in this order: [virtlab/virtio/chain.py](../virtlab/virtio/chain.py) (what a buffer may be), [virtlab/virtio/split_chain.py](../virtlab/virtio/split_chain.py) (where a chain may go), [virtlab/virtio/transport.py](../virtlab/virtio/transport.py) (where it all ends).
#
# **Exercise**: problem set 5, [task 5, *serve a disk*](../exercises/ps05/ps05.ipynb#5.-Serve-a-disk) and [task 6, *receive in pieces*](../exercises/ps05/ps05.ipynb#6.-Receive-in-pieces). In problem set 4 your walk and your pop have met hostile rings already.
#
# **Next**: [lesson 19, VT-d](19_vtd.ipynb). There the device itself is the attacker: real hardware, and no `if` of ours between it and memory.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("18")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the double fetch. Show the naive device's check first (`_looks_right`), and let the room find the bug. Most look for a wrong comparison, and there is none. Question for the room: which of the 21 attacks would an IOMMU stop? (Those that leave guest memory, for a real device. Not the loop, not the double fetch within guest memory, not the sector.) If time is short, leave out the measuring and keep the fuzzer. Say clearly that the naive device is a teaching piece, and that each of its lines has stood in real code or nearly.
#
# </details>
