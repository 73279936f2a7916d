# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S21"]
# # One device, several machines: whose is it?
#
# After this lesson you can
#
# - **choose** for a device one of four kinds: dedicated, partitioned, shared, non-existent;
# - **predict** the exits, copies and interrupts that each kind costs;
# - **show** that no virtual machine reads or writes another one's bytes.
#
# *40 minutes. Builds on lessons 07, 09 and 10. Topics S21 to S25. It stands for the lecture's slides on the kinds of devices.*

# %% [markdown] tags=["topic:S21"]
# ## The picture
#
# A board has one keyboard, one screen, one disk, one network card. Three virtual machines run on it. The VMM decides who gets what. Each line below has run on a fresh board a moment ago, and the counts are what it cost.

# %%
from virtlab import machine, show
from virtlab.show.assign_run import experiment
from virtlab.show.assign_state import DIRECT, FORWARDED, START, Given

show.assign_picture(experiment(START))

# %% [markdown]
# There are four kinds of line. A *dedicated* device belongs to one VM. A *partitioned* one is cut into pieces. A *shared* one serves several VMs, and each has a virtual one of its own. A *non-existent* one is virtual only: the host has nothing like it.
#
# Two VMs are enough from here on. The `ledger` knows which kinds each device can be, and who has it.

# %%
from virtlab.vmm.assignment import Kind, Ledger

host = machine.lesson_pc()
a, b = machine.lesson_vm(host, name="A"), machine.lesson_vm(host, name="B")
ledger = Ledger({"keyboard": [Kind.DEDICATED], "display": [Kind.DEDICATED],
                 "disk": [Kind.PARTITIONED], "network card": [Kind.SHARED]})

# %% [markdown] tags=["topic:S22"]
# ## Round 1. Dedicated
#
# **Claim: a dedicated device need not be virtualized at all.** The guest's own driver talks to the real chip. In the first VMs even that went through the VMM: a guest runs without privilege, so its `OUT` traps. The VMM then makes the same access once more, at the host's bus. We give A the screen in this way.

# %%
from virtlab.vmm.dedicated import Dedicated
from virtlab.vmm.interrupt_relay import HostInterrupts
from virtlab.vmm.physical import text_display

interrupts = HostInterrupts(host)
display = Dedicated(text_display(host.screen, machine.TEXT_SCREEN), host, interrupts, ledger)
display.give(a, "forwarded")

# %% jupyter={"source_hidden": true}
show.Predict(
    "A stores 'Hello' on the screen by a string move: 5 characters of 2 bytes. How many exits?",
    answer=10,
    why="On an intercepted page a string move exits once a byte (lesson 09): 5 × 2.",
)

# %%
hello = b"H\x07e\x07l\x07l\x07o\x07"
with host.trace.recording() as events:
    a.cpu.write(machine.TEXT_SCREEN, hello)

forwarded = a.exits
print(host.screen.text(), forwarded)
show.trace_table(events, limit=4)

# %%
assert host.screen.text() == "Hello"
assert forwarded == 2 * len("Hello")

# %% [markdown]
# Each byte has two stores: one at the virtual address space, where the VMM catches it, and one at the physical screen. The second is the first, unchanged. So why stop the guest for it? Now A gets the page itself: an entry of its EPT points at the screen.

# %%
display.withdraw()
display.give(a, "direct")
a.cpu.write(machine.TEXT_SCREEN, hello)
print(host.screen.text(), a.exits - forwarded)

assert host.screen.text() == "Hello"
assert a.exits - forwarded == 0

# %% [markdown] tags=["topic:S22"]
# A device that calls is another matter. The keyboard interrupts *the processor*, and the processor is the VMM's. The VMM takes the interrupt at the physical 8259A, lets a line of A's virtual 8259A rise, and ends the physical one. A then serves and ends its own.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The ports are A's directly. A halts, is woken, reads STATUS, DATA and STATUS, and ends the interrupt. How many exits?",
    answer=2,
    why="HLT, and the end of interrupt at the virtual 8259A. The three reads reach the real 8042 with no exit.",
)

# %%
through, = experiment((Given("keyboard", "A", FORWARDED),))      # a fresh board; somebody presses K
direct, = experiment((Given("keyboard", "A", DIRECT),))
print(through.saw, through.exits, "|", direct.saw, direct.exits)

assert (through.exits, direct.exits) == (2 + 3, 2)
assert through.saw == direct.saw == "read the key K"
assert through.interrupts == direct.interrupts == 1

# %% [markdown] tags=["topic:S23"]
# Direct assignment removes the exits of the *accesses*. Those of the interrupt remain: 2 here. Hardware has an answer to these too: [lesson 20](20_interrupts.ipynb).
#
# ## Round 2. Partitioned
#
# **Claim: a piece of a disk is a disk, and costs one addition.** The VMM drives the physical disk with a driver of its own. A gets its first 1000 sectors, B the next 1000. Each has a whole virtual ATA drive in front of its piece.

# %% tags=["topic:S23"]
from virtlab.guest.ata import AtaDriver, AtaError
from virtlab.vmm.partitioned import PartitionedDisk, PhysicalDisk

disk = PartitionedDisk(PhysicalDisk(AtaDriver(host.cpu)), host.trace, ledger)
disk.give(a, a.cards.ide.channels[0], start=0, count=1000)
disk.give(b, b.cards.ide.channels[0], start=1000, count=1000)
disk_a, disk_b = AtaDriver(a.cpu), AtaDriver(b.cpu)

# %% jupyter={"source_hidden": true}
show.Predict(
    "Every sector of the physical disk says its number. B reads its sector 5. Which number does it find?",
    answer=1005,
    why="B's piece begins at 1000. B knows nothing of that: for B this is sector 5.",
)

# %%
disk_a.mute(), disk_b.mute()
with host.trace.recording() as events:
    print(disk_b.read(5)[:21], disk_b.identify().sectors)

[str(event) for event in events if event.kind == "translate"]

# %%
assert all(disk_b.read(n).startswith(f"This is sector {1000 + n}. ".encode()) for n in (0, 5, 999))
assert disk_b.identify().sectors == 1000

# %% [markdown]
# IDENTIFY tells the size of the piece, so no honest driver goes further. A dishonest one meets the bound: the virtual drive answers IDNF, *ID not found*, as any disk does after its last sector. The physical disk does not even hear of it.

# %%
before = host.trace.counts["translate"]
try:
    disk_a.read(1000)                        # one past the end: B's first sector
except AtaError as error:
    print(error)

assert host.trace.counts["translate"] == before

# %% [markdown] tags=["topic:S24"]
# ## Round 3. Shared
#
# **Claim: sharing takes a whole virtual device for each VM, and somebody who translates.** A network card cannot be cut. It has one address and one ring each way. So each VM has a card of its own: registers, rings, address. This is the *per-VM state*, and it is virtual. The VMM takes what a virtual card sends, and sends it again with the physical one.

# %% tags=["topic:S24"]
from virtlab.show.assign_run import nic_driver
from virtlab.vmm.shared_nic import PhysicalNic, SharedNic

card = PhysicalNic(*nic_driver(host, 0x20_0000), interrupts, host.trace)
nic = SharedNic(card, host.clock, host.trace, ledger)

# %%
A, B, STRANGER = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b"), bytes.fromhex("0a0000000099")
nic.give(a, a.cards.e1000.e1000, a.cable.b, mac=A)
nic.give(b, b.cards.e1000.e1000, b.cable.b, mac=B)
(net_a, _), (net_b, _) = nic_driver(a, 0x2_0000, 64), nic_driver(b, 0x2_0000, 64)
net_a.start(), net_b.start()
outside = []
host.cable.b.listener = outside.append       # whoever is at the other end of the real cable
print(net_a.address.hex(":"), net_b.address.hex(":"), host.cards.e1000.e1000.mac.hex(":"))

# %% jupyter={"source_hidden": true}
show.Predict(
    "A sends a frame to somebody outside. How often is the frame copied on its way to the physical card?",
    answer=2,
    why="Out of A's memory into the VMM's, and from there into a buffer that the physical card can reach.",
)

# %%
def frame(target, source, words, length=60):
    """An Ethernet frame with a few words in it."""
    return (target + source + b"\x88\xb5" + words).ljust(length, b"\0")

with host.trace.recording() as events:
    net_a.send(frame(STRANGER, A, b"hello out there"))

[str(event) for event in events if event.kind == "copy"]

# %%
assert outside == [frame(STRANGER, A, b"hello out there")]
assert len([event for event in events if event.kind == "copy"]) == 2

# %% [markdown]
# Between A and B the physical card is not needed: the VMM has a switch. The copies are again two.

# %%
before = host.trace.counts["copy"]
net_a.send(frame(B, A, b"hello B"))
host.clock.advance(10_000)                   # the time of the frame before, on a 1 Gb/s wire
print(net_b.receive().frame[14:21])
assert (host.trace.counts["copy"] - before, len(outside)) == (2, 1)

# %% [markdown] tags=["topic:S24"]
# Now A floods. It gives its card 40 long frames at once, and B comes after it with four. Who waits? Each VM has a queue of its own, with room for 64 frames, and the queues take turns: *deficit round robin*. A turn is worth 1514 bytes.

# %% jupyter={"source_hidden": true}
show.Predict(
    "B's first frame has gone out. How many of A's go out before B's second one?",
    answer=1,
    why="One turn for A, one for B. Frames and turns have the same length here.",
)

# %%
def flood(many, few):
    """A sends `many` frames of 1514 bytes, then B `few`: whose frame was each on the wire?"""
    outside.clear()
    net_a.send(*[frame(STRANGER, A, b"A", 1514)] * many)
    net_b.send(*[frame(STRANGER, B, b"B", 1514)] * few)
    host.clock.advance(10_000_000)
    return "".join(chr(each[14]) for each in outside)

order = flood(40, 4)
print(order)

assert order[order.index("B") : order.rindex("B") + 1] == "BABABAB"
assert len(order) == 44

# %% [markdown] tags=["topic:S25"]
# ## Round 4. Non-existent
#
# **Claim: a device needs no hardware, only somebody who answers.** A and B want to talk, and a network card is a long way round. So the VMM invents a *virtual link*: eleven words of registers at an address where the host has nothing. Every access exits, and what the VMM does then *is* the device. No operating system has a driver for it. We had to write one.

# %% tags=["topic:S25"]
from virtlab.devices.vlink import LinkRegisters
from virtlab.guest.pic import Pics
from virtlab.guest.vlink import LinkDriver
from virtlab.vmm.vlink import PLACE, LinkBetween

link = LinkBetween(a, b)
link_a, link_b = LinkDriver(a.cpu, PLACE, memory=0x8000), LinkDriver(b.cpu, PLACE, memory=0x8000)
for guest, end in ((a, link_a), (b, link_b)):
    pics = Pics(guest.cpu)
    pics.remap()
    end.start(pics)

# %% jupyter={"source_hidden": true}
show.Predict(
    "A sends one message, and B sleeps until it comes. How many exits do A and B have together?",
    answer=6,
    why="A: SEND and STATUS. B: HLT, RECEIVE, how long it was, and the end of the interrupt.",
)

# %%
before = a.exits + b.exits
with host.trace.recording() as events:
    link_a.send(b"hello B, this is A")
    print(link_b.receive_asleep(), a.exits + b.exits - before)

show.two_vms(events, registers={PLACE: LinkRegisters.registers}, title="One message over a link that does not exist")

# %%
assert a.exits + b.exits - before == 6
assert sum(event.kind == "copy" for event in events) == 2
assert sum(event.kind == "irq" for event in events) == 1

# %% [markdown]
# The message waits in the VMM. It must: A's frames are not B's, and B may not be running. So the VMM *intercepts* the request, *buffers* it, and *interrupts* the other VM. What waits is bounded, 16 messages each way; a sender beyond that is told.
#
# ## Play
#
# Give devices to three VMs. Choose a device, a VM and a kind, then press Give. Find a way in which nobody has an exit for the disk. Then find out why the network card cannot be dedicated, and what the board says to a second owner of the keyboard.

# %%
show.AssignBoard()

# %% [markdown]
# ## Break it
#
# Four forbidden things. First, a second owner:

# %% tags=["raises-exception"]
display.give(b)

# %% [markdown]
# Second, A speaks in B's name. If that frame went out, the answers to B would come to A. Third, A's card listens to everything: *promiscuous mode*. It hears nothing that is B's, because the VMM asks for whom a frame is *before* the virtual card does.

# %%
outside.clear()
net_a.send(frame(STRANGER, B, b"I am B"))
net_a.start(UPE=1, MPE=1)
host.cable.b.send(frame(B, STRANGER, b"only for B"))
host.clock.advance(10_000)
heard_a, heard_b = net_a.receive(), net_b.receive()
print({why: n for why, n in nic.ports["A"].counts.items() if why.startswith("refused")})

assert (outside, heard_a) == ([], None)
assert heard_b.frame[14:24] == b"only for B"

# %% [markdown]
# Fourth, A lets the link read at an address where A has no memory. The link's registers know A's addresses only, so there is no address that names a byte of B's.

# %%
link_a.put(LinkRegisters.TX_ADDRESS, 0xB0000)
link_a.put(LinkRegisters.SEND, 8)
print([field for field, bit in link_a.status().items() if bit])

assert link_a.status()["BAD_ADDRESS"]
assert link_b.receive() is None
link_a.start(link_a.pics)

# %% [markdown]
# And a slip that is easy to make: take a device away and forget what it remembers. A keyboard repeats its last byte when it is asked to (command FE). So whoever gets it next could ask. Before it changes hands, the VMM has a short conversation with it.

# %%
from virtlab.vmm.physical import keyboard_and_mouse

board = machine.lesson_pc()
board.cpu.out(0x64, 0xAE)                    # the keyboard's clock runs
board.keyboard.press("K")
seen = [board.cpu.inp(0x60)]                 # A reads it
for quiesce in (board.i8042.reset, keyboard_and_mouse(board.i8042, board.cpu).quiesce):
    quiesce()
    board.cpu.out(0x60, 0xFE)                # the next owner asks: say that again
    seen.append(board.cpu.inp(0x60))
print([hex(byte) for byte in seen])

assert seen[1] == seen[0] != seen[2]         # a reset is not enough

# %% [markdown] tags=["topic:S24"]
# ## Measure it
#
# First, one sector of the disk in three ways. The words of a sector are 256, and the command has 8 more accesses. Who passes them on and who translates them pays the same exits. *How* an access is intercepted decides that, and not what the VMM then does with it.

# %%
ways = {way: experiment((Given("disk", "A", way),))[0].exits for way in (FORWARDED, "partitioned", DIRECT)}
assert ways == {FORWARDED: 256 + 8, "partitioned": 256 + 8, DIRECT: 0}
show.bars("Exits for one sector by programmed I/O", ways, expected={FORWARDED: 264, "partitioned": 264, DIRECT: 0})

# %% [markdown] tags=["topic:S24"]
# What if the VMM sent frames in the order in which they came? We put the same flood through one queue for all.

# %%
from virtlab.vmm.fair_queue import QUANTUM, DeficitRoundRobin, FirstComeFirstServed

net_a.start()
nic.scheduler = FirstComeFirstServed()
late = flood(40, 4)
nic.scheduler = DeficitRoundRobin()
assert late == "A" * 40 + "B" * 4

waits = {"first come, first served": late.rindex("B") - 3, "deficit round robin": order.rindex("B") - 3}
show.bars("Frames of A before B's last one", waits)

# %% [markdown]
# Turns are worth *bytes*. So a VM gains nothing by longer frames. B's frames have 300 bytes now, and both VMs have plenty. After m turns each, a VM that never runs dry has sent m times 1514 bytes, less what is too little for one more frame: floor(m × 1514 / L) frames of L bytes.

# %%
from collections import Counter

queue, turns = DeficitRoundRobin(), 8
for _ in range(60):
    queue.push("A, frames of 1514 bytes", bytes(1514)), queue.push("B, frames of 300 bytes", bytes(300))
formula = {"A, frames of 1514 bytes": turns * QUANTUM // 1514, "B, frames of 300 bytes": turns * QUANTUM // 300}
sent = Counter(queue.pop().sender for _ in range(sum(formula.values())))
assert sent == formula
show.bars(f"Frames in {turns} turns", sent, expected=formula)

# %% [markdown]
# And the virtual link: n messages cost 6n exits, which are 12n world switches, 2n copies and n interrupts.

# %%
def counted():
    return Counter(exits=a.exits + b.exits, copies=host.trace.counts["copy"], interrupts=link.counts["B"])

n, before = 7, counted()
for number in range(n):
    link_a.send(bytes([number])), link_b.receive_asleep()
cost = counted() - before
assert cost == {"exits": 6 * n, "copies": 2 * n, "interrupts": n}
show.bars(f"{n} messages over the virtual link", cost, expected={"exits": 6 * n, "copies": 2 * n, "interrupts": n})

# %% [markdown]
# ## How real systems do it
#
# Linux gives a *dedicated* device to a VM with VFIO: the registers are mapped into the guest, and interrupts arrive as events that KVM injects. A level-triggered line stays masked until the guest's own end of interrupt; ours are edges, which need no mask. Such a device mostly does DMA, so VFIO insists on an IOMMU. QEMU's disk images are *partitions* with a file system in between; an NVMe drive cuts itself into namespaces. A *shared* card is a Linux bridge with a tap device for each VM. Traffic control decides the turns; deficit round robin is one of its disciplines, published by Shreedhar and Varghese in 1995. A spoofed address is refused by a filter that the administrator has to ask for. *Non-existent* devices are everywhere: Xen's event channels, VMware's VMCI, QEMU's ivshmem, which is memory that two VMs have in common and needs no copy, and all of virtio. Our switch lets one frame out at a time and knows no VLANs, and our link has one peer. The time of a frame is that of its bits; a real VMM's own work for it costs more.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "A keyboard is assigned directly to a VM. Why are there still exits when a key is pressed?",
        ("Its interrupt comes to the VMM, and is delivered and ended at a virtual controller", "The I/O bitmap opens ports. It does not deliver interrupts."),
        ("The I/O bitmap can open only one of its two ports", "Both are open: the reads of STATUS and DATA did not exit."),
        ("The VMM must read the scan code first, to find out for which of its VMs the key is", "The keyboard belongs to one VM. The VMM does not even see the code."),
        place=1,
    ),
    show.question(
        "B asks its virtual disk for a sector behind the end of its piece. What happens?",
        ("The virtual drive answers IDNF, and the physical disk hears nothing", "The bound is checked before anything is translated."),
        ("B reads the first sector of the neighbour", "That is what a VMM without the comparison would do."),
        ("The VMM stops B, as it does with a guest that leaves the memory it was given", "A disk has a regular answer for this, and B's driver knows it."),
    ),
    show.question(
        "Why is the network card shared and not partitioned?",
        ("It has no parts: one address, one ring each way. Each VM needs a virtual card with its own state", "Cards that can be cut exist, and then the pieces are functions: lesson 21."),
        ("Because all frames come through one wire, which cannot be cut", "A disk has one cable, too. It is the device that is cut, not the way to it."),
        ("Because a switch is needed between the VMs", "The switch comes from sharing; it is not the reason."),
        place=2,
    ),
    show.question(
        "A VM sends frames of 60 bytes only, another one frames of 1514. Both always have something to send. What does deficit round robin share equally?",
        ("The bytes: the first sends about 25 frames for each of the other's", "What does not fill a turn is kept for the next one."),
        ("The frames: one of each in turn, so that both wait equally often", "That is plain round robin, and pays whoever sends long frames."),
        ("Nothing: short frames always go first", "Length changes how many fit into a turn, not whose turn it is."),
        place=1,
    ),
    show.question(
        "Why does the VMM copy a message of the virtual link twice?",
        ("The VMs have no memory in common, and the receiver may take it much later", "With common memory, as ivshmem has it, there need be no copy, and less of a wall."),
        ("For safety, in case one copy is lost", "Nothing is lost. Each copy goes to another memory."),
        ("It checks one copy and sends another, so that the sender cannot change what was checked", "One copy is enough for that. The second is into the other VM's memory."),
    ),
])

# %% [markdown]
# ## Take away
#
# A device that one VM has alone costs nothing but its interrupts, once hardware lets the accesses through. A device that can be cut costs an addition and a comparison; one that cannot needs a virtual device for each VM, two copies a frame, and somebody who is fair. And a device that does not exist is a protocol with the VMM in the middle.
#
# **New terms**: [dedicated device](../docs/glossary.md#dedicated-device), [deficit round robin](../docs/glossary.md#deficit-round-robin), [forwarded](../docs/glossary.md#forwarded), [ledger](../docs/glossary.md#ledger), [non-existent device](../docs/glossary.md#non-existent-device), [partitioned device](../docs/glossary.md#partitioned-device), [per-VM state](../docs/glossary.md#per-vm-state), [promiscuous mode](../docs/glossary.md#promiscuous-mode), [shared device](../docs/glossary.md#shared-device).
#
# **Read the code**, in this order: [virtlab/vmm/dedicated.py](../virtlab/vmm/dedicated.py) (the same device, two ways), [virtlab/vmm/shared_nic.py](../virtlab/vmm/shared_nic.py) (three rules, and the door), [virtlab/devices/vlink.py](../virtlab/devices/vlink.py) (how one invents a device).
#
# **Exercise**: problem set 3, [task 8, *one disk, many disks*](../exercises/ps03/ps03.ipynb#8.-One-disk,-many-disks) and [task 9, *one card for all, and a cable that is none*](../exercises/ps03/ps03.ipynb#9.-One-card-for-all,-and-a-cable-that-is-none).
#
# **Next**: [lesson 12, why virtio](12_why_virtio.ipynb). Where do all these exits and copies go, and which of them does virtio save?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("11")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the keyboard's last byte: everybody resets the device, and nobody asks whether it forgets. Ask before you run it what else a device may remember: a UART's divisor, a disk's geometry, a display's memory beyond the screen. If time is short, leave out the measurement of unequal frames. Question for the room: two VMs send to each other through the shared card's switch; which of the two would you charge for the VMM's time?
#
# </details>
