# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S05", "topic:S06"]
# # How does software find a card that it has never seen?
#
# After this lesson you can
#
# - **enumerate** a tree of PCI buses, and say in which order its bus numbers appear;
# - **read** the configuration space of any function, of this board or of your own machine;
# - **follow** an access and an interrupt through bridges, their windows and their pins.
#
# *40 minutes. Builds on lesson 02. Topics S05 and S06: PCI, its cards, its tree of buses; S16 is touched. It stands for the lecture's slides "PCI" and "PCI topology".*

# %% [markdown]
# ## The picture
#
# Until now we knew every address by heart. A card in a slot is different: nobody knows which card it will be. This is our board with its cards. At power-on, not one bridge has a bus number, and not one card has an address.

# %%
from virtlab import machine, show
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import Place, PortAccess, find
from virtlab.guest.pci_resources import enumerate_pci

board = machine.lesson_pc()
root = board.cards.root
show.topology(show.nodes_of(root.bus), title="The lesson PC at power-on")

# %% [markdown]
# A *bus* is a set of wires that its cards share. A *device* is a card; it has up to 8 *functions*. A *bridge* is a function with another bus below it. So the buses form a tree, and each bridge is the root of the part below.
#
# ## Round 1. Ask by place, not by address
#
# **Claim: each function has 256 bytes that are reached by its place: bus, device, function.** They are called *configuration space*. On a PC, two ports reach it: write the place to CONFIG_ADDRESS at 0xCF8, then move the data through CONFIG_DATA at 0xCFC. The first four bytes say who it is.

# %% jupyter={"source_hidden": true}
show.Predict(
    "We read the first two bytes of a device that is not there. What do we get?",
    answer="0xffff",
    options=["0x0000", "0xffff", "an exception"],
    why="Nobody drives the bus, so all bits are 1. No vendor has the number FFFF (PCI 3.0, 6.1).",
)

# %%
from virtlab.pci.access import CONFIG_ADDRESS, CONFIG_DATA, CONFIG_PORTS

config = PortAccess(board.cpu)
with board.trace.recording() as events:
    somebody = config.read(Place(0, 0, 0), 0, 4)
    nobody = config.read(Place(0, 1, 0), 0, 4)

show.trace_table(events, registers={CONFIG_PORTS: [CONFIG_ADDRESS, CONFIG_DATA]})

# %%
assert (somebody, nobody) == (0x29C0_8086, 0xFFFF_FFFF)

# %% [markdown]
# Two port accesses make one configuration access. The rows between them are what happens on the bus: `CfgRd0` asks, and `CplD` or `Cpl` is the end of it. A conventional bus has cycles and no packets. The trace calls each cycle by the packet of PCI Express that carries the same.
#
# ## Round 2. The numbers appear
#
# **Claim: software finds the whole tree with one question, asked 32 times a bus.** Is somebody there? Is it a bridge? Then the bus behind it gets the next number, and the search goes there first. This is called *depth first*. A bridge keeps three numbers: Primary Bus (above), Secondary Bus (below), and Subordinate Bus, the highest number below.

# %% jupyter={"source_hidden": true}
show.Predict(
    "One bridge of the picture stands behind another. Which number will its bus get?",
    answer=2,
    why="The outer bridge's bus is 01. The search goes on there at once, and meets the inner bridge before anything else gets a number.",
)

# %%
scan = show.DiscoveryPlayer(board.cpu, root, "Who is there?")
scan

# %%
bridges = [f for top in scan.found for f in top.walk() if f.is_bridge]
assert [f.buses for f in bridges] == [(1, 2), (2, 2)]

# %% [markdown]
# Step through it, from the first bridge on. While the bus below is searched, Subordinate Bus is ff, because nobody knows yet how far the numbers will go. On the way back it gets the true value.
#
# ## Round 3. Two types of question
#
# **Claim: a configuration request is of type 1 until it is on the right bus, and of type 0 there.** A bridge looks at the bus number. If it lies between Secondary and Subordinate Bus, the request goes down. If it *is* the Secondary Bus, the bridge makes type 0 of it. Functions look at type 0 only.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The second `edu` card stands behind both bridges. How many of its three buses does the request cross as type 1?",
    answer=2,
    why="Bus 00 and bus 01. On bus 02 it is of type 0.",
)

# %%
EDU = 0x1234, 0x11E8
functions = enumerate_pci(board.cpu)
near, far = (f for top in functions for f in top.walk() if (f.vendor, f.device) == EDU)
with root.watching() as crossings:
    config.read(far.place, 0, 4)

show.packet_table(crossings)

# %%
assert [c.tlp.kind for c in crossings] == ["CfgRd1", "CfgRd1", "CfgRd0", "CplD", "CplD", "CplD"]

# %% [markdown]
# Follow other requests in the tree. A port write and a configuration write are answered too. A memory write is not: it is *posted*.

# %%
show.RequestWalker(root, [
    show.Request("configuration read, behind both bridges", lambda: config.read(far.place, 0, 4)),
    show.Request("configuration read on a bus that does not exist", lambda: config.read(Place(99, 0, 0), 0, 4)),
    show.Request("load from the far card", lambda: board.cpu.load(far.bar(0))),
    show.Request("store to the far card", lambda: board.cpu.store(far.bar(0) + 4, 0x1234)),
    show.Request("load from an address that nobody has", lambda: board.cpu.load(0xFD00_0000)),
])

# %% [markdown]
# ## Round 4. How much do you ask for?
#
# A card has registers or memory of its own, and needs addresses for them. It says how many by a trick. **Claim: a base address register, a BAR, hides its size in the bits that cannot be written.** Software writes all ones, reads back, and looks for the lowest address bit that took the 1.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A BAR asks for 1 MiB of memory. After all ones were written, how many bits read as 1?",
    answer=12,
    why="1 MiB is 2^20. Bits 31 to 20 take the 1, and they are 12.",
)

# %%
show.BarLab()

# %% [markdown]
# Now software can hand out addresses: each region at a multiple of its size, and what is behind a bridge inside a *window* of that bridge. `enumerate_pci` above has done it. Outlines are windows, filled boxes are BARs.

# %%
show.resources(root.bus)

# %% [markdown]
# A BAR may lead to registers, or to memory. The display's first one is memory that is seen: a store there is a pixel.

# %%
from virtlab.guest.display import DisplayDriver

display = find(functions, 0x1234, 0x1111)
painter = DisplayDriver(board.cpu, display.bar(0), display.bar(2))
painter.set_mode(96, 64)
painter.fill(8, 8, 48, 32, (0, 114, 178))
painter.fill(40, 24, 48, 32, (230, 159, 0))
show.frame_buffer(board.monitor)

# %% [markdown]
# Software may also place a card anew at any time. The BAR is a register like any other. Here we move the near card while its driver looks.

# %%
from virtlab.pci.config import Header, Type0, Type1

ELSEWHERE = 0xE000_0000
driver = EduDriver(board.cpu, near.bar(0))
before = driver.alive()
config.write(near.place, Type0.BAR0.offset, 4, ELSEWHERE)
before, driver.alive(), EduDriver(board.cpu, ELSEWHERE).alive()

# %%
assert EduDriver(board.cpu, ELSEWHERE).alive()
assert not driver.alive()
config.write(near.place, Type0.BAR0.offset, 4, near.bar(0))      # and back

# %% [markdown]
# The driver is alive and the card is alive. They only have lost each other. So an operating system stops the driver before it moves a BAR.
#
# ## Round 5. Four wires for all
#
# A PCI card calls by one of four pins, INTA# to INTD#. The wires are shared. **Claim: a pin changes its name at each bridge, so that the cards' pins spread over four wires.** A bridge adds the device's number to the pin. On bus 00 the PCI-ISA bridge takes over: a register for each wire says which ISA interrupt it becomes.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The far card is device 00 on its bus and pulls INTA. Its bridge is device 01 on the bus above. Which pin does bus 00 see?",
    answer="INTB",
    options=["INTA", "INTB", "INTC", "INTD"],
    why="The inner bridge adds 0, the number of the card: still INTA. The outer one adds 1, the number of the inner bridge: INTB.",
)

# %%
show.pin_table(functions)

# %%
from virtlab.guest.pic import Pics

pics = Pics(board.cpu)
pics.remap()
pics.unmask(far.line)
EduDriver(board.cpu, far.bar(0)).raise_interrupt()
assert board.cpu.wait() == 0x20 + far.line

# %% [markdown]
# The driver knew the number from the byte *Interrupt Line*. Firmware wrote it there, and the card does nothing with it.
#
# The PCI-ISA bridge is also the way to the old devices of lessons 01 and 02. They have no configuration space and no BAR, so no scan can find them. Who would claim the UART's first port on bus 00?

# %%
root.bus.route_down("port", machine.UART, 1).refusal

# %% [markdown]
# Nobody. On a PC the PCI-ISA bridge takes exactly what nobody claims, after a pause in which every other function could have done so: *subtractive decoding*.
#
# ## Play: any machine, and yours
#
# `lspci -xxxx` prints the configuration space of a real machine. One such dump comes with the course: 21 functions of a PC that QEMU made. For your own, run `sudo lspci -xxxx > mine.txt` and use `load_dump("mine.txt")` in place of `example()`. The same code draws it, because a dump is the same bytes.

# %%
from virtlab.pci.decode import decode
from virtlab.pci.dump import dumped, example

dump = example()
show.topology(show.nodes_of_dump(map(decode, dump)), title="A PC that somebody else enumerated")

# %% [markdown]
# Every byte explains itself. Choose a function, then a register, or type an offset. Below it is the same view of our own board, after its enumeration.

# %%
show.ConfigView(dump, start=("08:02.0", Type0.BAR0.offset))

# %%
show.ConfigView([dumped(f) for f in root.bus.walk()], start=(str(far.place), Header.COMMAND.offset))

# %% [markdown]
# ## Break it
#
# Two BARs at one address. We put the near card where the far one is. The far card's driver asks whether its card is alive.

# %%
config.write(near.place, Type0.BAR0.offset, 4, far.bar(0))
alive = EduDriver(board.cpu, far.bar(0)).alive()
show.resources(root.bus, title="Two BARs at one address")

# %%
assert alive
assert board.cards.edu.edu.peek()["LIVENESS"] == ~0x1234_5678 & 0xFFFF_FFFF     # the wrong card
config.write(near.place, Type0.BAR0.offset, 4, near.bar(0))

# %% [markdown]
# The check succeeds, and it was the wrong card that answered. On real wires both would answer, and the driver would read a mixture. Two more ways to lose a card: a window that is too small, and decoding that is off. Each reads all ones. The trace says why.

# %%
outer = next(f for f in functions if f.is_bridge)
with board.trace.recording() as events:
    config.write(outer.place, Type1.MEMORY_LIMIT.offset, 2, 0)
    too_small = board.cpu.load(far.bar(0))
    config.write(near.place, Header.COMMAND.offset, 2, 0)
    off = board.cpu.load(near.bar(0))

[event.note for event in events if event.kind == "unclaimed"]

# %%
assert too_small == off == 0xFFFF_FFFF
host = config.read(Place(0, 0, 0), Header.STATUS.offset, 2)
assert Header.STATUS.RECEIVED_MASTER_ABORT.get(host)

# %% [markdown]
# A request that nobody claims ends in a *master abort*. The bridge above the bus notes it in its status register. Nothing else happens: on PCI, all ones is the way to find out.
#
# ## Measure it
#
# How much does the search of round 2 cost? Every configuration access of it was kept. We count them by purpose. The marks are computed from the tree alone: 32 tries a bus, 27 accesses to size a device, 11 for a bridge, 4 bus numbers.

# %%
counted, computed = show.purposes(scan.accesses, scan.found), show.closed_form(scan.found)
show.bars("Configuration accesses of the scan", counted, "accesses", expected=computed)

# %%
assert counted == computed
assert sum(counted.values()) == len(scan.accesses)

# %% [markdown]
# A configuration access is two port accesses here. In a virtual machine, each of those exits. The VMM must show the guest cards, and with them *the behaviour of the bus*: the all ones of the empty slots, the bits that do not take a 1, the type 1 requests. Then the guest's own scan finds virtual cards.

# %% tags=["topic:S16"]
guest = machine.lesson_vm(board)
seen = show.DiscoveryPlayer(guest.cpu, guest.cards.root, "The same scan in a virtual machine")
guest.exits, 2 * len(seen.accesses)

# %%
assert guest.exits == 2 * len(seen.accesses)

# %% [markdown]
# ## How real systems do it
#
# Firmware enumerates at power-on. Linux then scans again, believes most of the numbers, and repairs the rest. It probes device by device, as we do. It also reserves bus numbers and windows for cards that may be plugged in later. Which pin ends where is not found by a scan at all: ACPI tables tell it. QEMU emulates configuration space as an array of bytes with three masks: what can be written, what a 1 clears, what a restored guest must find unchanged. KVM sends each access to 0xCF8 and 0xCFC out to QEMU, so a guest's boot pays for them in exits. Our model does not have the electrical side: no arbitration, no parity, no wait states, and no card that answers late.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why can the cards not all have fixed addresses, as the UART has?",
        ("Nobody knows which cards will be plugged in", "And two of a kind may be. So a card says how much it needs, and software says where."),
        ("A PCI card has no address decoder of its own", "It has one for each BAR. The BAR tells it what to compare."),
        ("The addresses below 4 GiB are used up already", "There is room. The question is who takes which part."),
        place=1,
    ),
    show.question(
        "A scan gives the next bus number to a bridge. Why is its Subordinate Bus set to ff for a while?",
        ("So that requests for any bus below go down", "Their numbers are not known yet. Afterwards it gets the highest number that was really used."),
        ("ff means that the bridge is off until it is set up", "A bridge whose Secondary Bus is 0 is one that nobody has set up."),
        ("It is not set: the register reads ff after reset", "It reads 0 after reset."),
        place=2,
    ),
    show.question(
        "All ones were written to a BAR, and FFFFFF01 came back. What is it?",
        ("256 ports", "Bit 0 is 1, so ports. Bit 8 is the lowest address bit that took the 1."),
        ("256 bytes of memory", "In a BAR for memory, bit 0 reads 0."),
        ("An empty slot", "An empty slot would read FFFFFFFF in every register."),
        place=2,
    ),
    show.question(
        "A load from a BAR gives all ones. Which of these cannot be the reason?",
        ("Interrupt Line has a wrong number", "It is a note to the driver. No hardware looks at it."),
        ("Memory Space is 0 in the Command register", "Then the function decodes nothing."),
        ("The address is outside a window of a bridge above", "Then the request never comes down to the card."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# A PCI function is found by its place, says by itself what it is and how much it needs, and is told where to answer. Bridges make a tree of the buses; a range of numbers and three windows are all that they know about it. Whoever emulates a PCI card must emulate the silence of the empty slots too.
#
# **New terms**: [ACPI table](../docs/glossary.md#acpi-table), [BAR](../docs/glossary.md#bar-base-address-register), [bridge](../docs/glossary.md#bridge), [bus](../docs/glossary.md#bus-pci), [CONFIG_ADDRESS](../docs/glossary.md#config-address-config-data), [configuration space](../docs/glossary.md#configuration-space), [depth first](../docs/glossary.md#depth-first), [device](../docs/glossary.md#device-function-pci), [enumeration](../docs/glossary.md#enumeration), [INTA# to INTD#](../docs/glossary.md#inta-to-intd), [master abort](../docs/glossary.md#master-abort), [PCI-ISA bridge](../docs/glossary.md#pci-isa-bridge), [secondary](../docs/glossary.md#secondary-subordinate-bus), [subtractive decoding](../docs/glossary.md#subtractive-decoding), [type 0](../docs/glossary.md#type-0-type-1-request), [window](../docs/glossary.md#window).
#
# **Read the code**, in this order: [virtlab/guest/pci.py](../virtlab/guest/pci.py) (the scan), [virtlab/pci/bus.py](../virtlab/pci/bus.py) (who claims a request), [virtlab/pci/config.py](../virtlab/pci/config.py) (the registers, declared once).
#
# **Exercise**: problem set 2, [task 1, *the address of a register*](../exercises/ps02/ps02.ipynb#1.-The-address-of-a-register), [task 2, *size a BAR*](../exercises/ps02/ps02.ipynb#2.-Size-a-BAR), [task 3, *scan the buses*](../exercises/ps02/ps02.ipynb#3.-Scan-the-buses) and [task 4, *find the fault*](../exercises/ps02/ps02.ipynb#4.-Find-the-fault).
#
# **Next**: [lesson 05, PCI Express](05_pci_express.ipynb). The same cards without a shared wire.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("04")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the first part of *Break it*: ask whether the check will succeed, then ask who answered. If time is short, leave out round 5. If QEMU or a Linux machine is at hand, let two learners bring dumps of their laptops: the trees differ, the code does not. Question for the room: a scan tries 32 devices on every bus. On a link of PCI Express only one can be there. Why does the code ask 32 times all the same?
#
# </details>
