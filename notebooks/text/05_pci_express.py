# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S07"]
# # What is left of PCI when nobody shares a wire?
#
# After this lesson you can
#
# - **name** the parts of a PCI Express tree, and say why old software finds all of them;
# - **read** the header of a packet, and tell posted from non-posted;
# - **count** the packets of a transfer, of an interrupt, and of a register access.
#
# *40 minutes. Builds on lesson 04. Topic S07: PCI Express and its topology. It stands for the lecture's slide "PCI Express topology".*

# %% [markdown]
# ## The picture
#
# The same cards as in [lesson 04](04_pci.ipynb), another way to them. PCI Express is *point to point*: a *link* has two ends, and no third. The *root complex* makes requests for the processor. A *root port* is where a link leaves it. A *switch* makes several links of one. A card at the end of a link is an *endpoint*. A *PCIe-PCI bridge* leads to a bus of the old kind. What sits on bus 00 itself has no link; it is *integrated* into the root complex.

# %%
from virtlab import machine, show
from virtlab.cards import ECAM
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import PortAccess, Scan, capability_list, open_ecam
from virtlab.guest.pci_resources import enumerate_pci

board = machine.lesson_pc(pci="express")
root = board.cards.root
show.topology(show.nodes_of(root.bus), title="The lesson PC with PCI Express, at power-on")

# %% [markdown]
# ## Round 1. Old software finds everything
#
# **Claim: to software, a link is a bus with one device, and a port is a bridge.** So a switch is a bridge (its *upstream port*) with an internal bus of bridges (its *downstream ports*). The scan of lesson 04 knows nothing of this. It runs here unchanged.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many lines of the enumeration must change for this board?",
    answer=0,
    why="It asks the same questions, and gets the same kind of answers. That was a goal of PCI Express.",
)

# %%
def enumerated(pc):
    return [found for top in enumerate_pci(pc.cpu) for found in top.walk()]

def cards(functions):
    return sorted((f.vendor, f.device) for f in functions if not f.is_bridge)

old, new = enumerated(machine.lesson_pc()), enumerated(board)
cards(old) == cards(new), len(old), len(new)

# %%
assert cards(old) == cards(new)

# %% [markdown]
# Only the bridges are others. And the driver of a card does not notice either.

# %%
first, second = (f for f in new if (f.vendor, f.device) == (0x1234, 0x11E8))
driver = EduDriver(board.cpu, first.bar(0))
assert driver.detect()
assert driver.factorial(5) == 120

# %% [markdown]
# ## Round 2. A request is a packet
#
# On a shared bus, an access is a dance of wires, and everybody sees it. **Claim: on links, every access is a packet, and a packet is routed.** It has a header of 12 or 16 bytes and perhaps data: a *Transaction Layer Packet*, TLP. A request that needs an answer is *non-posted*; the answer is a *completion*. A *posted* request is sent and forgotten.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A load from the first edu card goes down over four buses. A store takes the same way. How many crossings do we see in all?",
    answer=12,
    why="The load: 4 down, and its completion 4 up. The store is posted: 4 down, nothing up.",
)

# %%
with root.watching() as crossings:
    board.cpu.load(first.bar(0) + 4)
    board.cpu.store(first.bar(0) + 4, 0x1234)

show.packet_table(crossings)

# %%
assert [c.tlp.kind for c in crossings] == 4 * ["MRd"] + 4 * ["CplD"] + 4 * ["MWr"]

# %% [markdown]
# Read the headers. `REQUESTER` says who asks, `TAG` which of its questions this is; the completion brings both back. By the first it finds its way, by the second its question. The byte enables say which bytes of the first and the last dword count.

# %%
show.PacketViewer(crossings)

# %% [markdown]
# ## Round 3. 4096 bytes, one instruction
#
# **Claim: with PCI Express, configuration space is memory.** The host bridge can show it at an address of the processor, 4096 bytes a function. That is *ECAM*. A register is one load, where the ports need an `out` and an `in`.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The scan through the ports takes some number of accesses. How many times fewer through ECAM?",
    answer=2,
    why="One access for a register, not two.",
)

# %%
ports, ecam = PortAccess(board.cpu), open_ecam(board.cpu, ECAM)

def accesses(way):
    board.trace.clear()
    Scan(way).run()
    return sum(board.trace.counts[verb] for verb in ("in", "out", "load", "store"))

by_ports, by_ecam = accesses(ports), accesses(ecam)
show.bars("The processor's accesses for one scan", {"0xCF8 and 0xCFC": by_ports, "ECAM": by_ecam}, "accesses")

# %%
assert by_ports == 2 * by_ecam

# %% [markdown]
# And the ports reach only the first 256 bytes: their address word has no room for more. What PCI Express adds, the *extended capabilities* from 0x100 on, is behind ECAM alone. Ask both for register 0x100.

# %%
hex(ports.read(first.place, 0x100, 4)), hex(ecam.read(first.place, 0x100, 4))

# %%
assert ports.read(first.place, 0x100, 4) == ports.read(first.place, 0, 4)      # cut to 0x00
assert ecam.read(first.place, 0x100, 2) == 0x0001                               # Advanced Error Reporting

# %%
from virtlab.pci.dump import dumped, example

show.ConfigView([dumped(f) for f in root.bus.walk()], start=(str(first.place), 0x100))

# %% [markdown]
# ## Round 4. An interrupt is a packet, too
#
# A link has no wire for INTA#. **Claim: what the pin did, a message does; and what the message did, a memory write does better.** The old way: `Assert_INTA` when the pin would fall, `Deassert_INTA` when it would rise. We let the card interrupt, and watch.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The card interrupts and is acknowledged. How many messages cross a link, on the way from the card to the root complex?",
    answer=4,
    why="Assert on two links, Deassert on two links. The switch takes each message and sends one of its own.",
)

# %%
from virtlab.devices.edu import EduRegisters

with root.watching() as crossings:
    driver.raise_interrupt()
    driver.put(EduRegisters.ACKNOWLEDGE, 1)

messages = [c for c in crossings if c.tlp.kind == "Msg"]
show.packet_table(messages)

# %%
assert len(messages) == 4

# %% [markdown]
# The new way is *MSI*: software gives the card an address and a datum, and to interrupt the card stores the one at the other. No message type, no sharing, no four pins.

# %%
from virtlab.pci.msi import Msi

at = dict(capability_list(ecam, first.place))[Msi.id]
ecam.write(first.place, at + Msi.ADDRESS.offset, 4, 0xFEE0_0000)
ecam.write(first.place, at + 0x0C, 2, 0x41)                   # the datum stands behind 64 bits of address
ecam.write(first.place, at + Msi.CONTROL.offset, 2, Msi.CONTROL.ENABLE.mask)
with root.watching() as crossings:
    driver.raise_interrupt()

interrupt = [c for c in crossings if c.tlp.address == 0xFEE0_0000]
show.packet_table(interrupt)

# %%
assert {c.tlp.kind for c in interrupt} == {"MWr"}
assert interrupt[0].tlp.data == bytes([0x41, 0, 0, 0])
assert not [c for c in crossings if c.tlp.kind == "Msg"]

# %% [markdown]
# It is an ordinary write, so it cannot overtake the data that the card wrote before it. A message of the old kind keeps that order too; a wire did not. *MSI-X* is the same with a table of up to 2048 addresses and data, each with a mask.
#
# ## Round 5. Shortcuts
#
# **Claim: a switch routes by address, so one card can reach another without the root.** This is *peer to peer*. The engine of our card makes 28 bits of address, too few for it. So we make the request at the card's edge.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The first card writes to the second, behind the same switch. Does the packet reach the root port?",
    answer="no",
    options=["yes", "no"],
    why="The address is in the window of the other downstream port. The packet turns around inside the switch.",
)

# %%
def peer():
    board.cards.edu.dma.write(second.bar(0) + 4, bytes([1, 2, 3, 4]))

with root.watching() as crossings:
    peer()

show.topology(show.nodes_of(root.bus), crossings, title="Peer to peer")

# %%
assert [c.bus for c in crossings] == [first.place.bus, first.place.bus - 1, second.place.bus]

# %% [markdown]
# Fast, and dangerous: nobody above has seen it. If the two cards belong to two virtual machines, the one has just written into the other. *Access Control Services*, ACS, let a downstream port send such requests up to the root, where somebody can check them.

# %%
from virtlab.errors import DmaFault
from virtlab.pci.express import ACS_AT
from virtlab.pci.extended import Acs

def refusal(request):
    try:
        request()
    except DmaFault as fault:
        return fault.reason

port = next(f for f in new if first in f.below)
ecam.write(port.place, ACS_AT + Acs.CONTROL.offset, 2, Acs.CONTROL.P2P_REQUEST_REDIRECT.mask)
refusal(peer)

# %%
assert refusal(peer) == "no memory there"

# %% [markdown]
# In our model the root has no memory at that address, so it refuses. Real ones check it, and may send it down again.
#
# ## Play: follow anything
#
# Each request is made when you choose it. Step along its way. ACS is still on in the port of the first card.

# %%
show.RequestWalker(root, [
    show.Request("the first card writes 64 bytes to memory", lambda: board.cards.edu.dma.write(0x20_0000, bytes(64))),
    show.Request("the first card reads 300 bytes of memory", lambda: board.cards.edu.dma.read(0x20_0000, 300)),
    show.Request("the second card writes to the first", lambda: board.cards.edu2.dma.write(first.bar(0) + 4, bytes(4))),
    show.Request("the first card writes to the second: redirected", peer),
    show.Request("load from the second card", lambda: board.cpu.load(second.bar(0))),
    show.Request("configuration read of the second card", lambda: ecam.read(second.place, 0, 4)),
])

# %% [markdown]
# And here you choose a transfer. A device may not send more than *Max_Payload_Size* in a packet, nor ask for more than *Max_Read_Request_Size*, and no request crosses a 4 KiB boundary. Completions are cut again, at multiples of the *Read Completion Boundary*.

# %%
show.SplitLab()

# %% [markdown]
# ## Break it
#
# The upstream port of the switch loses its Bus Master bit. Nothing below it may request any more, though each card still believes that it may.

# %%
from virtlab.pci.config import Header

switch = next(f for f in new if port in f.below)
command = ecam.read(switch.place, Header.COMMAND.offset, 2)
ecam.write(switch.place, Header.COMMAND.offset, 2, command & ~Header.COMMAND.BUS_MASTER.mask)
refusal(lambda: board.cards.edu.dma.write(0x20_0000, bytes(4)))

# %%
ecam.write(switch.place, Header.COMMAND.offset, 2, command)
assert refusal(lambda: board.cards.edu.dma.write(0x20_0000, bytes(4))) is None

# %% [markdown]
# And a load from an address that nobody has. On a shared bus nobody answered. Here somebody must: a completion with the status *Unsupported Request*. The processor gets all ones, as before.

# %%
with root.watching() as crossings:
    nobody = board.cpu.load(0xFD00_0000)

show.packet_table(crossings)

# %%
assert nobody == 0xFFFF_FFFF
assert crossings[-1].tlp.status == 1

# %% [markdown]
# ## Measure it
#
# Our card writes 4096 bytes. With a Max_Payload_Size of 128 that takes 4096 / 128 = 32 packets, and each has 20 bytes that are not data: 12 of header, 8 around it on a link of the first generation (PCI Express 3.0, 3.6 and 4.2.1). What would a larger size save?

# %%
with root.watching() as crossings:
    driver.from_device(0x20_0000, 4096)
writes = [c for c in crossings if c.tlp.kind == "MWr" and c.source == str(board.cards.edu)]

sizes = (128, 256, 512, 1024, 4096)
overhead = {f"{size} bytes": show.Split(write=True, address=0x20_0000, length=4096, payload=size).overhead for size in sizes}
show.bars("Bytes that are not data, for 4096 bytes that are", overhead, "bytes",
          expected={f"{size} bytes": 20 * 4096 // size for size in sizes})

# %%
assert len(writes) == 4096 // 128
assert list(overhead.values()) == [20 * 4096 // size for size in sizes]

# %% [markdown]
# ## An outlook: functions that are light
#
# Below is the dump of lesson 04 again, at its disk controller. The extended capability at 0x120 says that the card can be many: *SR-IOV*. `TOTAL_VFS` is how many *virtual functions* it can make, `FIRST_VF_OFFSET` and `VF_STRIDE` say at which places. [Lesson 21](21_sriov.ipynb) hands them to virtual machines.

# %%
show.ConfigView(example(), start=("06:00.0", 0x12E))

# %% [markdown]
# ## How real systems do it
#
# Real links have two more layers below the packets: one numbers and repeats them until they arrive whole, one turns bits into signals. They have credits, so that no sender floods a receiver, and they keep several requests on the way at once. Our model does one request after the other and shows only the packets. Firmware sets the same Max_Payload_Size along a whole path, because a packet that is too long is an error. Linux puts all devices that could reach each other without ACS into one group, and gives a group to one virtual machine only (lesson 21). QEMU's `q35` board has a PCI Express root complex, its older `pc` board has none. No link is simulated there; the tree is only for the software. On our board an MSI ends at the root complex, for the board has no local APIC yet.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why is a write to memory posted, and a write to configuration space not?",
        ("Software must know when a configuration write has arrived; data must be fast", "After a configuration write the device may be at another address."),
        ("A configuration write is longer, and a long packet needs an answer", "It has one dword. And length has nothing to do with answers."),
        ("A memory write cannot fail, so there is nothing to answer", "It can. The sender does not hear of it: an error message, if there is one, goes to the root complex."),
    ),
    show.question(
        "A switch with three downstream ports: how many bridges does a scan see, and how many new bus numbers?",
        ("4 and 4", "The upstream port with the internal bus, and three ports with a link each."),
        ("3 and 3", "The upstream port is a bridge too, and the internal bus has a number."),
        ("1 and 3", "Each port is a bridge of its own, with windows of its own."),
        place=1,
    ),
    show.question(
        "A completion comes back. How does it find the one who asked?",
        ("By the Requester ID in it: bus, device and function", "So bus numbers are also the postal codes of answers."),
        ("By the address of the request", "A completion has only the lowest 7 bits of it."),
        ("It takes the way back that the switch has remembered", "Switches remember no requests."),
        place=1,
    ),
    show.question(
        "A card has written its data and then interrupts by MSI. Why can the driver trust that the data is in memory?",
        ("It is a posted write behind the posted writes of the data, and cannot overtake them", "When it arrives, the data has arrived."),
        ("The card waits for the completion of its data before it interrupts", "A posted write has no completion to wait for."),
        ("The processor empties the link before it runs the handler", "It does no such thing. The order of the link is enough."),
    ),
])

# %% [markdown]
# ## Take away
#
# PCI Express replaced the wires and kept the software: links are buses, ports are bridges, configuration space is the same and longer. Every access and every interrupt is a packet that can be counted. A switch may route between cards, and whoever shares the machine must know about it.
#
# **New terms**: [ACS](../docs/glossary.md#acs), [byte enables](../docs/glossary.md#byte-enables), [capability](../docs/glossary.md#capability), [completion](../docs/glossary.md#completion), [ECAM](../docs/glossary.md#ecam), [endpoint](../docs/glossary.md#endpoint), [extended capability](../docs/glossary.md#extended-capability), [link](../docs/glossary.md#link), [Max_Payload_Size](../docs/glossary.md#max-payload-size), [MSI](../docs/glossary.md#msi-msi-x), [non-posted](../docs/glossary.md#non-posted), [PCIe-PCI bridge](../docs/glossary.md#pcie-pci-bridge), [peer to peer](../docs/glossary.md#peer-to-peer), [posted](../docs/glossary.md#posted), [Read Completion Boundary](../docs/glossary.md#read-completion-boundary), [requester ID](../docs/glossary.md#requester-id), [root complex](../docs/glossary.md#root-complex), [root port](../docs/glossary.md#root-port), [SR-IOV](../docs/glossary.md#sr-iov), [switch](../docs/glossary.md#switch), [tag](../docs/glossary.md#tag), [TLP](../docs/glossary.md#tlp-transaction-layer-packet), [virtual function](../docs/glossary.md#virtual-function).
#
# **Read the code**, in this order: [virtlab/pci/tlp.py](../virtlab/pci/tlp.py) (the packets), [virtlab/pci/express.py](../virtlab/pci/express.py) (ports and switches), [virtlab/pci/root.py](../virtlab/pci/root.py) (who speaks for the processor).
#
# **Exercise**: problem set 2, [task 5, *who answers whom*](../exercises/ps02/ps02.ipynb#5.-Who-answers-whom). Tasks 3 and 4 run on this board too.
#
# **Next**: [lesson 06, where to virtualize](06_where_to_virtualize.ipynb). I/O can be cut at three places: the system call, the driver call, the I/O operation.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("05")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is peer to peer: draw the tree, ask for the way of the packet, then run it, and ask who has checked it. If time is short, leave out the ports in round 3. Question for the room: the scan asks all 32 devices of a link, where only device 0 can be. Lesson 04 ended with the question why; here is the answer: the code does not know that it is a link, and need not. What would it cost to look?
#
# </details>
