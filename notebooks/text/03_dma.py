# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S04"]
# # Who moves the bytes?
#
# After this lesson you can
#
# - **count** what a sector costs the processor, by programmed I/O and by DMA;
# - **read** a scatter-gather table from the bytes that a driver wrote;
# - **tell apart** DMA that software causes and DMA that a device causes, on a timeline.
#
# *40 minutes. Builds on lessons 01 and 02. Topic S04: DMA, direct memory access. It stands for the lecture's slide "DMA".*

# %% [markdown]
# ## The picture
#
# Processor, memory, device. So far the processor stood in the middle of everything: each byte went through it. Here it asks the disk for one sector, and fetches the bytes word by word.

# %%
from virtlab import machine, show
from virtlab.devices import ata
from virtlab.guest.ata import PRIMARY, AtaDriver

board = machine.lesson_pc(timed=True)        # a board on which a disk and a port take their time
disk = AtaDriver(board.cpu)
names = dict(machine.PORT_REGISTERS)

with board.trace.recording() as events:
    by_hand = disk.read(sector=7)

show.dma_timeline(events, registers=names, title="One sector by programmed I/O")

# %% [markdown]
# ## Round 1. Programmed I/O
#
# **Claim: in programmed I/O the processor pays for every word.** The command is a few `OUT`s. Then the driver polls: it reads STATUS until the disk has the sector. Then it reads the register DATA, two bytes at a time.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A sector has 512 bytes, and one IN from DATA gives 2. How many INs from DATA for one sector?",
    answer=256,
    why="512 / 2. The disk cannot know where the bytes go, so the processor carries each of them.",
)

# %%
data_reads = [event for event in events if event.kind == "in" and event.address == PRIMARY.command]
count = show.tally(events)
print(by_hand[:18], len(data_reads), count)

# %%
assert len(data_reads) == 256
assert count.by_processor >= 512
assert count.by_dma == 0

# %% [markdown]
# The other reads in the picture are polls. They carry nothing. While the disk looks for the sector, the processor asks and asks.
#
# Polling can be avoided: the driver sleeps, and the disk interrupts. The words cannot.
#
# ## Round 2. Direct memory access
#
# **Claim: with DMA the price no longer depends on the size.** The disk controller can make accesses to memory itself: it is a *bus master*. The driver writes a table that says where the bytes shall go, tells the bus master where the table is, and gives the command. Then it is free.
#
# The controller is a card on a bus. [Lesson 04](04_pci.ipynb) shows how its ports are found; here we ask.

# %%
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics

cards = enumerate_pci(board.cpu)
bus_master = find(cards, 0x8086, 0x7010).bar(4)
names[bus_master] = ata.BusMasterRegisters.registers
pics = Pics(board.cpu)
pics.remap()

# %% jupyter={"source_hidden": true}
show.Predict(
    "The same sector by DMA. How many bytes of data does the processor move itself?",
    answer=0,
    why="It writes the table and some registers. The 512 bytes go from the device to memory, past the processor.",
)

# %%
TABLE, BUFFER = 0x9000, 0x10000
disk = AtaDriver(board.cpu, bus_master=bus_master, table=TABLE)
disk.listen(pics)                            # sleep until the disk interrupts

with board.trace.recording() as events:
    disk.read_dma(7, [(BUFFER, 512)])

show.dma_timeline(events, limit=24, registers=names, title="One sector by DMA")

# %%
assert board.cpu.read(BUFFER, 512) == by_hand
assert show.tally(events).by_dma == 512 + 8       # the sector, and the table's one entry
show.tally(events)

# %% [markdown]
# Look at the heavy arrows. They end at memory, and none of them touches the processor's line. The interrupt is the device's word that it has finished: without it the processor would have to poll again.
#
# ## Round 3. Scatter and gather
#
# A program's buffer is in one piece. But the pages under it lie where memory was free. **Claim: one command can fill many pieces.** The table has an entry for each. This is *scatter*; the other direction is *gather*.

# %%
pieces = [(0x30000, 256), (0x12000, 512), (0x21F00, 256)]
disk.read_dma(7, pieces)
gathered = b"".join(board.cpu.read(gpa, length) for gpa, length in pieces)
assert gathered == disk.read(7, 2)

# %% [markdown]
# The table is memory, and the driver wrote it. So we can read it back, and draw it from its own bytes. Each entry is a *physical region descriptor*, PRD, of eight bytes: where, how many, and a bit that says "the last one".

# %%
import numpy as np

table = np.frombuffer(board.cpu.read(TABLE, 3 * ata.PRD.itemsize), ata.PRD)
print(board.cpu.read(TABLE, 24).hex(" ", 4))
show.scatter_picture(table, "Two sectors, three pieces")

# %% [markdown]
# A region in this table may not cross a multiple of 64 KiB (Bus Master IDE 1.0, 1.2). The chip's counter had 16 bits.

# %% jupyter={"source_hidden": true}
show.Predict(
    "We ask for one piece of 1024 bytes at 0x1FF00. How many entries does the driver write?",
    answer=2,
    why="0x20000 is a multiple of 64 KiB. The first entry ends there, after 256 bytes; the second has the other 768.",
)

# %%
disk.read_dma(7, [(0x1FF00, 1024)])
table = np.frombuffer(board.cpu.read(TABLE, 2 * ata.PRD.itemsize), ata.PRD)
table

# %%
assert table["count"].tolist() == [256, 768]

# %% [markdown]
# ## Round 4. Synchronous: software causes it
#
# A sound driver starts playback, and the card fetches samples for as long as it plays. **Claim: in synchronous DMA, software says when.** The driver fills a buffer of two halves. The card plays one of them while the driver fills the other.

# %%
from virtlab.devices.es1370 import Es1370Registers
from virtlab.guest.es1370 import Es1370Driver

card = find(cards, 0x1274, 0x5000)
pics.unmask(card.line)
names[card.bar(0)] = Es1370Registers.registers
sound = Es1370Driver(board.cpu, card.bar(0), pics=pics, irq=card.line)
tone = (12000 * np.sin(2 * np.pi * 441 * np.arange(1024) / 44100)).astype("<i2").repeat(2).tobytes()

with board.trace.recording() as events:
    interrupts = sound.play(tone, BUFFER, half=1024)

[event for event in events if event.kind == "dma read"][0], interrupts

# %% [markdown]
# First both halves are filled, and a bit in CONTROL starts the card. From then on each interrupt means: one half has been played, fill it again. The card fetches while it plays; our model shows each half in one piece, at the moment it has been played.

# %%
started = next(i for i, event in enumerate(events) if event.kind == "store")
show.dma_timeline(events[started:], limit=20, registers=names, title="Sound: the driver starts it, the card fetches")

# %%
assert board.speaker.samples()[:1024, 0].tobytes() == np.frombuffer(tone, "<i2")[::2].tobytes()
assert interrupts == len(tone) // 1024

# %% [markdown]
# ## Round 5. Asynchronous: the device causes it
#
# A frame comes out of the cable when its sender wants. **Claim: in asynchronous DMA the device acts first, and the driver hears of it last.** So the driver must have prepared: it gave the card a ring of empty buffers long before. Here somebody at the other end of the cable sends a frame. The processor does nothing at all.

# %%
from virtlab.devices.e1000 import E1000
from virtlab.guest.e1000 import E1000Driver

slot = find(cards, 0x8086, 0x100E)
nic = E1000Driver(board.cpu, slot.bar(0), memory=0x20_0000)
names[slot.bar(0)] = E1000.registers
nic.start()
nic.unmask("RXT0")                           # interrupt when a frame is in memory
pics.unmask(slot.line)

# %% jupyter={"source_hidden": true}
show.Predict(
    "A frame arrives. Which of these happens first?",
    answer="the card writes the frame to memory",
    options=["the card interrupts the processor", "the driver reads the frame", "the card writes the frame to memory"],
    why="The card has a descriptor already, so it stores first. The interrupt says that it has.",
)

# %%
frame = nic.address + bytes.fromhex("020000000001 88b5") + b"from the other end".ljust(46)

with board.trace.recording() as events:
    board.cable.b.send(frame)                # somebody else, not this processor
    vector = board.cpu.wait()
    received = nic.receive().frame

show.dma_timeline(events, registers=names, title="A frame arrives: the card stores, then interrupts")

# %%
assert received == frame
order = [event.kind for event in events if event.kind in ("dma read", "dma write", "interrupt")]
assert order == ["dma read", "dma write", "dma write", "interrupt"]

# %% [markdown]
# The first arrow reads a descriptor: where is an empty buffer? The second writes the frame into it. The third marks the descriptor as done. Only then comes the interrupt.
#
# ## Play
#
# Read sectors from the disk, by the way that you choose. Each change is a new run on a fresh board. Find the way with the fewest accesses. Then find out what polling costs, and for which way it costs most.

# %%
show.DmaExplorer()

# %% [markdown]
# ## Break it
#
# A card may use memory only while a bit of its command register allows it: *Bus Master Enable*. We clear it, and try again.

# %%
from virtlab.guest.pci import PortAccess
from virtlab.pci.config import Header

ide, access = find(cards, 0x8086, 0x7010).place, PortAccess(board.cpu)
command = access.read(ide, Header.COMMAND.offset, 2)
access.write(ide, Header.COMMAND.offset, 2, command & ~Header.COMMAND.BUS_MASTER.mask)

# %% tags=["raises-exception"]
with board.trace.recording() as events:
    disk.mute()
    disk.read_dma(7, [(BUFFER, 512)])

# %%
fault = next(event for event in events if event.kind == "fault")
print(fault.note)

# %% [markdown]
# The bus master could not even read its table. It says so in its status: bit ERROR, and the driver raised it. Nothing was written anywhere.
#
# There is a worse mistake, and nobody reports it. The card believes the table. If a driver writes a wrong address there, the card writes over whatever is at that address.

# %%
access.write(ide, Header.COMMAND.offset, 2, command)
board.cpu.write(0x50000, b"precious")
disk.read_dma(7, [(0x50000, 512)])           # a slip of the pen: this page was not ours
board.cpu.read(0x50000, 8)

# %% [markdown]
# No trap, no fault, no message. For a VMM this is the whole difficulty of DMA: a guest that may program a card could reach *any* memory of the host. Lessons 10 and 19 are about that.
#
# ## Measure it
#
# Count the processor's accesses for 1 to 8 sectors. The thick marks are the formulas: 7 for the command and 259 a sector with words of 2 bytes; 7 and 131 with words of 4; 18 for DMA, whatever the size.

# %%
from virtlab.show.dma_explorer import Choice, experiment

def accesses(way, sectors):
    return show.tally(experiment(Choice(way, sectors, 1)).events).accesses

ways = {"PIO, 2 bytes": "pio16", "PIO, 4 bytes": "pio32", "DMA": "dma"}
measured = {f"{words}: {n} sector{'s' * (n > 1)}": accesses(way, n) for words, way in ways.items() for n in (1, 8)}
formula = dict(zip(measured, [7 + 259, 7 + 8 * 259, 7 + 131, 7 + 8 * 131, 18, 18], strict=True))
show.bars("Accesses by the processor", measured, expected=formula)

# %%
assert measured == formula

# %% [markdown]
# So PIO costs 259 accesses a sector, and DMA costs 18 in all: for 8 sectors about two for each. This is why everything fast is a bus master.
#
# ## How real systems do it
#
# The first PC had no bus masters. A chip in the middle, the 8237A, moved bytes between a card and memory for everybody; it is on our board too (`virtlab/devices/dma8237/`), with 16-bit counters, pages of 64 KiB, and addresses below 16 MiB. PCI made each card its own bus master. A modern NVMe disk keeps whole queues of commands in memory, so that even the command costs one store. Caches complicate it: on a PC the hardware keeps them in step with DMA, on many ARM machines the driver must flush them. A card that cannot reach high memory gets a *bounce buffer* below, and the processor copies after all. Our model moves bytes at one moment of virtual time, and it has no cache and no bus that can be busy. The time of a port access here is that of the ISA bus. In PIO mode 4 an IDE disk needs 120 ns a word (ATA-6, PIO timing), a sixth of it; the number of accesses stays.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "What does the processor still do when a disk reads by DMA?",
        ("It writes a table and the command, and handles one interrupt", "All of it is independent of how many bytes move."),
        ("Nothing: the controller finds the next request in memory by itself", "Somebody must tell it which sectors, and where to."),
        ("It copies the sector from the device's buffer", "That is programmed I/O."),
        place=1,
    ),
    show.question(
        "Why does a network card need buffers before a frame comes?",
        ("The frame comes when the sender wants, and the card must have somewhere to put it", "Without a free descriptor the frame is lost, and the card counts it as missed."),
        ("Because the driver must not sleep", "It may sleep; the interrupt wakes it."),
        ("Because the card itself has room for one frame only, and the next would overwrite it", "Cards have room for several. However many: the sender decides when they come."),
    ),
    show.question(
        "A guest may program a disk controller, and the VMM does not look at the table. What can the guest reach?",
        ("Any memory that the controller can reach", "The table holds addresses, and the card believes them. Lesson 10 checks them, lesson 19 lets hardware do it."),
        ("Only its own memory, as it has no addresses of any other", "It can write any number into the table. Nothing translates or checks it."),
        ("Only the disk", "The disk is one end; the other is memory."),
        place=2,
    ),
    show.question(
        "One piece of 8 KiB begins 4 KiB below a multiple of 64 KiB. What does the IDE driver write?",
        ("Two entries of 4 KiB", "A region may not cross the boundary, so the driver cuts it there."),
        ("One entry of 8 KiB", "The counter of the chip would run over inside its 64 KiB."),
        ("Two commands, one for each side of the boundary", "One command follows the table to its end."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# Programmed I/O costs the processor an access a word. DMA costs a table and a command, and the device moves the bytes itself. Software starts synchronous DMA; a device starts asynchronous DMA, into buffers that it was given before.
#
# **New terms**: [asynchronous DMA](../docs/glossary.md#asynchronous-dma), [bounce buffer](../docs/glossary.md#bounce-buffer), [bus master](../docs/glossary.md#bus-master), [descriptor ring](../docs/glossary.md#descriptor-ring), [DMA](../docs/glossary.md#dma-direct-memory-access), [double buffering](../docs/glossary.md#double-buffering), [poll](../docs/glossary.md#poll), [PRD](../docs/glossary.md#prd-physical-region-descriptor), [programmed I/O](../docs/glossary.md#programmed-i-o-pio), [scatter-gather](../docs/glossary.md#scatter-gather), [synchronous DMA](../docs/glossary.md#synchronous-dma).
#
# **Read the code**, in this order: [virtlab/guest/ata.py](../virtlab/guest/ata.py) (the same command by both ways), [virtlab/devices/ata/bus_master.py](../virtlab/devices/ata/bus_master.py) (a DMA engine in a hundred lines), [virtlab/guest/e1000/rings.py](../virtlab/guest/e1000/rings.py) (two rings of buffers).
#
# **Exercise**: problem set 2, [task 6, *read the disk without the processor*](../exercises/ps02/ps02.ipynb#6.-Read-the-disk-without-the-processor) and [task 7, *send through a network card*](../exercises/ps02/ps02.ipynb#7.-Send-through-a-network-card).
#
# **Next**: [lesson 04, PCI](04_pci.ipynb). How does software find the cards, and who gives them their addresses?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("03")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the last cell of "Break it": a wrong address in a table, and no machine in the room notices. Ask before you run it: who could have noticed? Keep the answers on the board; they are the outline of lessons 10 and 19. If you have ten minutes less, leave out round 4 or let the class do the explorer at home. Question for the room: the sound card and the network card both use DMA. For which of them does a late driver lose data, and for which does it only lose time?
#
# </details>
