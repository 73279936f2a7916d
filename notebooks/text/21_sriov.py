# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S44"]
# # Can a card share itself?
#
# After this lesson you can
#
# - **compute** where a card's virtual functions are, in configuration space and in memory, from six registers;
# - **give** one of them to a virtual machine, and say what the VMM still does for it;
# - **show** what keeps virtual machines on one card apart, and what would not.
#
# *45 minutes. Builds on lessons 05, 11, 19 and 20. Topics S41 to S47. It stands for the lecture's slides on SR-IOV and MR-IOV.*

# %% [markdown] tags=["topic:S41", "topic:S42", "topic:S43", "topic:S44"]
# ## The picture
#
# One server, one network card at 06:00.0, and many virtual machines that want a network. You know two ways.
#
# - *Software shares it* ([lesson 11](11_kinds_of_devices.ipynb)). Any number of VMs, and no special hardware. But each frame is copied, each batch exits, and the processor is busy with it.
# - *VT-d gives it away* ([lesson 19](19_vtd.ipynb)). Data goes from the card to the VM, past the VMM. But then the card is gone. The next VM needs a card of its own, with a slot, a cable and a port of the switch outside.
#
# The third way asks the card for help: **SR-IOV**, a standard for cards that are many. Below, the card has been told to be eight.

# %%
from virtlab import server, show
from virtlab.show.vf_grid import PF, VF, function_map, kinds_of

host = server.lesson_server(vfs=7)           # a board with VT-d; nothing is enumerated yet
kernel = server.boot(host)                   # a kernel finds everything, and sets the VT-d unit up
before = kinds_of(host.root.bus)
vfs = kernel.start_net(7)                    # its network driver: 7 virtual functions, please

function_map(kinds_of(host.root.bus), "One card at 06:00.0, eight functions", buses=[6])

# %% [markdown] tags=["topic:S45"]
# A *physical function* (PF) is an ordinary function with one extended capability more. A *virtual function* (VF) is a light one: queues, interrupts, a reset. What sets the card up, it has not.
#
# ## Round 1. Six registers
#
# **Claim: all that software must know about VFs stands in one capability of the PF.** Here it is, read from the bytes of configuration space.

# %% jupyter={"source_hidden": true}
show.Predict(
    "SUPPORTED_PAGE_SIZES is 0x553. Bit n stands for pages of 2^(n+12) bytes. How many sizes does the card support?",
    answer=6,
    why="0x553 is 0b101_0101_0011: six ones, from 4 KiB (bit 0) to 4 MiB (bit 10). The specification asks for these six.",
)

# %% tags=["topic:S45"]
from virtlab.pci.dump import dumped
from virtlab.pci.extended import SrIov
from virtlab.show.vf_tables import capability_table, group_table, vf_table

sriov = kernel.sriov                         # the kernel's driver of this capability
assert (sriov.total, sriov.get(SrIov.NUM_VFS)) == (7, 7)
assert sriov.get(SrIov.SUPPORTED_PAGE_SIZES).bit_count() == 6
capability_table(dumped(host.net))

# %% [markdown] tags=["topic:S45"]
# Six of them matter here. Three are the card's: *TotalVFs*, *First VF Offset* (from the PF to the first VF) and *VF Stride* (from one VF to the next). Three are the software's: *NumVFs*, *System Page Size* and the *VF BARs*. Then software sets VF Enable and VF MSE, *Memory Space Enable*. INITIAL_VFS is the same as TotalVFs, unless VFs can move from one root to another (round 6).
#
# ## Round 2. Routing ids by addition
#
# **Claim: nobody scans for VFs. Their places are computed.** A function's place is its *routing id*, 16 bits: bus, device, function. VF n, counted from 1, has
#
# $$\text{PF} + \text{First VF Offset} + (n - 1) \times \text{VF Stride}$$

# %% jupyter={"source_hidden": true}
show.Predict(
    "The PF is 06:00.0, that is 0x600. Offset and stride are 1. Which routing id does VF 5 have?",
    answer=0x605,
    why="0x600 + 1 + 4 × 1 = 0x605, or 06:00.5.",
)

# %% tags=["topic:S45"]
from virtlab.pci.tlp import source_id

physical = source_id(*sriov.found.place)
offset, stride = sriov.get(SrIov.FIRST_VF_OFFSET), sriov.get(SrIov.VF_STRIDE)
computed = [physical + offset + n * stride for n in range(7)]
new = kinds_of(host.root.bus).keys() - before.keys()     # what configuration space has more than before

assert sorted(new) == computed == [source_id(*vf.place) for vf in vfs]

# %% [markdown]
# Why not scan? Because a VF hides from a scan. Look at its header.

# %%
from virtlab.pci.config import Header, Type0

place = vfs[0].place
ids = kernel.access.read(place, Header.VENDOR_ID.offset, 4)
bars = [kernel.access.read(place, Type0.BAR0.offset + 4 * n, 4) for n in range(6)]
print(f"ids {ids:#x}, BARs {bars}, class {vfs[0].class_code:#x}")

assert (ids, bars) == (0xFFFF_FFFF, [0] * 6)
assert vfs[0].device == sriov.get(SrIov.VF_DEVICE_ID)

# %% [markdown] tags=["topic:S45"]
# Vendor 0xFFFF means "nobody" to an operating system that knows no SR-IOV, and it goes on. One that does takes the vendor from the PF, and the device id from the capability. The BARs of a VF are read-only 0 as well. Its memory is a slice of what the PF's *VF BARs* describe: VF n has the n-th slice, or *aperture*.

# %%
first = vfs[0].bar(4)                        # BAR 4: the virtio structures
assert [vf.bar(4) for vf in vfs] == [first + n * 0x4000 for n in range(7)]

num_queues = [host.cpu.load(vf.bar(4) + 0x12, 2) for vf in vfs]    # a register of each VF
assert num_queues == [3] * 7
vf_table(vfs)

# %% [markdown]
# How large is an aperture? As large as one VF's BAR, but at least one *system page*. A VMM gives memory to a VM by pages. If two VFs had parts of one page, two VMs would have both. So software names its page size first.

# %%
from virtlab.cards import ECAM
from virtlab.guest.pci import open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan

def card(vfs, ari):
    """The SR-IOV driver of another server's card, with or without ARI."""
    other = server.lesson_server(vfs)
    scan = SriovScan(open_ecam(other.cpu, ECAM), ari)
    enumerate_pci(other.cpu, scan.access, scan=scan)
    return scan.physical[0]

one = card(vfs=20, ari=True)
sizes = {}
for page in (0x1000, 0x1_0000):
    one.put(SrIov.SYSTEM_PAGE_SIZE, page >> 12)
    sizes[page] = [bar.size for bar in one.size_bars()]      # MSI-X table, virtio structures

print(sizes)
assert sizes == {page: [max(0x1000, page), max(0x4000, page)] for page in sizes}

# %% [markdown]
# That card can be twenty more. But the device at the end of a link is device 0, and a routing id gives it three bits: eight functions. Two things help. With *ARI*, alternative routing-ID interpretation, the five bits of the device count as function bits, too. Then a bus has room for 256 functions of one card. Without ARI, this card puts its VFs on the next bus, from device 0 and function 0 on.

# %% jupyter={"source_hidden": true}
show.Predict(
    "20 VFs, PF at 06:00.0, no ARI. So VF 1 is at 07:00.0. What does the card say as First VF Offset?",
    answer=256,
    why="One bus has 256 routing ids. 0x600 + 256 is 0x700: bus 07, device 0, function 0.",
)

# %%
with_ari, without = ([source_id(*vf.place) for vf in card(20, ari).enable(20)] for ari in (True, False))

assert with_ari == [0x600 + 1 + n for n in range(20)]
assert without == [0x600 + 256 + n for n in range(20)]
function_map({0x600: PF, **dict.fromkeys(without, VF)}, "20 VFs without ARI", buses=[6, 7], narrow=[6])

# %% [markdown]
# Bus 07 has no bridge of its own. The root port must know that it leads there, too. So the kernel keeps bus numbers free at power-on, for all VFs that there may ever be.
#
# ## Play
#
# Below is a card with up to 256 VFs. The registers that have a control are the software's; they are yellow in the picture. Turn it off, take ARI away, turn it on. Find the smallest NumVFs that needs bus 07, once with ARI and once without. Then make the pages 4 MiB.

# %%
show.VfLab()

# %% [markdown] tags=["topic:S46"]
# ## Round 3. A function for a machine
#
# **Claim: three tables of the host make a VF the guest's own card.** The lecture says: the VMM maps the VF's configuration space into the VM. The exact truth has two halves. Configuration space is *answered* by the VMM, from a virtual function on the VM's own bus. There the ids are real, and the BARs can be sized. What is *mapped* is the memory behind those BARs. EPT does that, the first table. The second is the VF's domain in the VT-d unit: its requests reach the VM's memory, and nothing else. The third is the table of interrupts: its messages reach the VM's processor.

# %% tags=["topic:S46"]
from virtlab.show.vf_guests import VfGuest, words_of
from virtlab.vmm.passthrough import Passthrough

passthrough = Passthrough(host, kernel)
a, b, c = (VfGuest(host, name) for name in "ABC")
for vf, guest in zip(vfs[:3], (a, b, c), strict=True):
    passthrough.give(vf, guest.made, posted=guest is not c)      # C without posted interrupts
    guest.boot()                             # its kernel scans its bus, and starts virtio-net

gpa = a.card.bar(4)
print(f"A sees {a.card.vendor:04x}:{a.card.device:04x} at {a.card.place}, BAR 4 at gpa {gpa:#x}")
assert (a.card.vendor, str(a.card.place)) == (0x1AF4, "00:01.0")
assert a.vm.tables.walk(gpa).hpa == vfs[0].bar(4)
show.page_walk(a.vm.tables, gpa, title="A's EPT: its BAR 4 is the VF's memory")

# %% [markdown]
# The guest's driver is the virtio-net driver of every other VM, not changed by a line. It has found a network card at 00:01.0. That the card is one of eight functions, and at 06:00.1 of the host, it cannot see.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A sends a frame to B. B takes the interrupt, reads the frame, and ends the interrupt. How many exits do A and B have together?",
    answer=0,
    why="The doorbell is a store to a mapped page. The rings are RAM. The interrupt is posted, and its end is answered by the processor's own APIC page.",
)

# %% tags=["topic:S46"]
start = a.exits, b.exits, c.exits
a.send(b.mac, b"hello B")
print("B heard", b.heard())
posted = a.exits + b.exits - sum(start[:2])

a.send(c.mac, b"hello C")
print("C heard", c.heard())
remapped = c.exits - start[2]

assert (posted, remapped) == (0, 2)
show.bars("Exits", {"to find and start the card": start[0], "a frame, posted interrupt": posted, "a frame, remapped only": remapped})

# %% [markdown] tags=["topic:S46"]
# All exits of A came before its first frame: configuration space, and the MSI-X table. Both are written in the guest's terms. The VMM turns them into the host's: the real BARs, and entries in the unit's table of interrupts. C shows what posting saves ([lesson 20](20_interrupts.ipynb)): one exit for the interrupt, one for its end.
#
# ## Round 4. A switch in the card
#
# **Claim: a frame from VM to VM turns round in the card. The host makes the rules, and touches no frame.** Inside the card, each function is at a port of an *embedded switch*. The switch does not learn. The host tells it each VF's address, through registers that only the PF has. Our `PortDriver` writes these settings. Here A and B are put into VLAN 5. A VLAN is a network of its own on the same wires; a tag in the frame carries its number. C stays outside.

# %% tags=["topic:S44"]
outside = []
host.cable.b.listener = outside.append       # whoever is at the other end of the card's cable
for number in (1, 2):
    settings, _ = kernel.ports.load(number)
    kernel.ports.apply(number, settings._replace(vlan=5))

a.send(b"\xff" * 6, b"anybody here?")       # a broadcast
heard = b.heard(), c.heard(), [words_of(each) for each in outside]
print(heard)
assert heard == (["anybody here?"], [], ["anybody here? (tag 5)"])

# %% [markdown]
# B hears the frame without a tag, C not at all. On the wire it carries a tag, so that the switch outside keeps the two networks apart as well.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A sends a frame to C's address. C is in no VLAN. Who gets it?",
    answer="the wire, with tag 5",
    options=["C, because the address is C's", "the wire, with tag 5", "nobody: the switch drops it"],
    why="In VLAN 5 the switch knows no such address. So it must be somebody outside, in that VLAN.",
)

# %% tags=["topic:S44"]
outside.clear()
a.send(c.mac, b"are you C?")
a.send(b.mac, b"I am C", source=c.mac)       # under C's address
a.send(b.mac, b"VLAN 6", tag=6)              # with a tag of its own
print([words_of(each) for each in outside], b.heard(), c.heard())
_, counts = kernel.ports.load(1)
print(counts, dict(host.net.switch.ports[1].counts))

assert [words_of(each) for each in outside] == ["are you C? (tag 5)"]
assert (b.heard(), c.heard(), counts.spoofed) == ([], [], 1)

# %% [markdown]
# The *spoof check* compares the source with the address that the host has set. Where software shares a card, such a check costs time for each frame. Here no processor runs for it.
#
# Try it. The first row of controls is the frame, the second has the host's settings. Each choice shows the way at once; *Send* counts. Let VF 1 speak as VF 2, first with the check, then without. Then find a frame from the wire that reaches VF 1.

# %%
show.SwitchLab()

# %% [markdown] tags=["topic:S42"]
# ## Round 5. What keeps them apart
#
# **Claim: each VF has a source id of its own, so the VT-d unit tells VFs apart as it does cards.** The switch looks at frames. It does not look at where a VF reads and writes memory. Say A's driver turns hostile. It makes a buffer of an address that belongs to B, and lets its card send it.

# %% tags=["topic:S42"]
theirs = b.vm.ram.frames[0x1000]             # where B's second page really is (hpa)
queue = a.net.sending[0].queue
queue.add_buf([(theirs, 64)], [], "B's bytes")
queue.kick()

fault, = kernel.vtd.faults.read()
print(fault)
assert (fault.source_id, fault.iova) == (source_id(*vfs[0].place), theirs)
assert a.net.virtio.needs_reset
assert not b.net.virtio.needs_reset

# %% [markdown]
# To the VF of A that number is an *iova*. A's domain has nothing there. The fault names source 0x0601, so the host knows whose VF it was. A's card asks to be reset, and B has not noticed anything.
#
# A reset must stay with its VF, too. *Function level reset* of VF 1 puts its registers back. VF 2 goes on.

# %%
from virtlab.guest.pci_express import reset_function

def status(guest):
    """The virtio status of a guest's card, read by the guest."""
    return guest.cpu.load(guest.card.bar(4) + 0x14, 1)

assert status(b) == 0x0F                     # ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK
reset_function(kernel.access, vfs[0].place)
assert (status(a), status(b)) == (0, 0x0F)

# %% [markdown]
# The unit can only refuse what comes to it. You know a request that does not: a PCI Express *switch* may send it from one of its ports straight to another ([lesson 05](05_pci_express.ipynb)). Our server has such a switch, with an edu card behind each port. A register of each port forbids the shortcut: *Access Control Services*, ACS. The kernel has set it at boot. We clear it.

# %% jupyter={"source_hidden": true}
show.Predict(
    "ACS is off. The first edu writes to a BAR of the second one. How many faults does the VT-d unit record?",
    answer=0,
    why="The switch turns the request round. It never comes to the unit, and what does not come there cannot be refused.",
)

# %% tags=["topic:S42"]
from virtlab.devices.edu import EduRegisters
from virtlab.guest.pci_acs import enable_acs_everywhere
from virtlab.pci.express import ACS_AT
from virtlab.pci.extended import Acs

for port in enable_acs_everywhere(kernel.access, kernel.functions):     # all ports that have it
    kernel.access.write(port, ACS_AT + Acs.CONTROL.offset, 2, 0)

neighbour = kernel.find(host.edu2).bar(0) + EduRegisters.LIVENESS.offset
with host.root.watching() as crossings:
    host.edu.dma.write(neighbour, b"leak")

assert host.cpu.load(neighbour) == ~int.from_bytes(b"leak", "little") & 0xFFFF_FFFF
assert kernel.vtd.faults.read() == []
show.topology(show.nodes_of(host.root.bus), crossings, title="ACS off: from one edu to the other, past the unit")

# %% [markdown] tags=["topic:S42"]
# With ACS on again, the same write comes up to the unit, and is refused.

# %% tags=["topic:S42"]
from contextlib import suppress
from virtlab.errors import DmaFault
from virtlab.pci.acs import groups

off = groups(host.root.bus)
enable_acs_everywhere(kernel.access, kernel.functions)
with suppress(DmaFault):
    host.edu.dma.write(neighbour, b"more")
fault, = kernel.vtd.faults.read()
print(fault)
assert (fault.source_id, fault.code) == (host.edu.source_id, 1)      # this bus has no root entry
group_table(off, groups(host.root.bus), names=("ACS off", "ACS on"))

# %% [markdown] tags=["topic:S42", "topic:S47"]
# Functions that can reach each other past the unit are one *IOMMU group*. A group goes to one owner, whole. With ACS off the two edus are one group. So are all VFs of the card, because a root port without ACS may turn a request round as well. With ACS on each function is alone. The functions of one chip can be a group for the same reason: `00:1f.0` to `00:1f.3` in lesson 19 have no ACS.
#
# ## Round 6. More than one root
#
# **Claim: to share a card between *servers*, the tree itself must be shared.** SR-IOV means *single root*: one host, one enumeration, one VMM. *MR-IOV* puts a switch between several hosts and one device. Each host enumerates a tree that looks like its own.

# %%
from virtlab.show.share_hosts import two_hosts
from virtlab.show.share_roots import roots_picture

both = two_hosts()                           # a network card with three functions; two are given away
places = {name: str(each.found[-1].place) for name, each in both.hosts.items()}
print(places)

assert places == {"A": "03:00.0", "B": "03:00.0"}
roots_picture(both)

# %% [markdown]
# Both hosts have found *their* card, at the same place. Now each function writes 16 bytes to address 0x8000 of its host. Both packets cross the one link between the switch and the card. Their headers have the same source id, the same address and the same length. What tells them apart?

# %% tags=["topic:S47"]
with both.switch.watching() as crossed:
    for name, function in zip("AB", both.functions[:2], strict=True):
        function.dma.write(0x8000, f"for host {name}......".encode())

one, other = crossed
print(one, one.header().hex(" ", 4), other, other.header().hex(" ", 4), sep="\n")

assert one.tlp.header() == other.tlp.header()
assert one.header() != other.header()
assert [each.ram.read(0x8000, 10) for each in both.hosts.values()] == [b"for host A", b"for host B"]

# %% [markdown] tags=["topic:S47"]
# The headers are the same bytes, so the shared link needs a *label* in front of each: the number of its hierarchy. And the label is not all. What SR-IOV has once, MR-IOV has once for each host.
#
# | two hosts have each | so switch and device have, for each of them |
# |---|---|
# | bus numbers, windows, addresses | a set of bridges, and a set of functions |
# | a reset | one that ends at its own bridges and functions |
# | the same source ids | a label on the shared link |
# | a slot with a card or without | a slot that a *manager* fills and empties |
#
# Below each root a device may have VFs as well: first the hierarchy, then the function. The specification is of 2008, for members of the PCI-SIG only. In 2012 Jackson and Budruk wrote that no vendor had built switches or devices for it (*PCI Express Technology*, appendix on I/O virtualization). Our model follows the public texts.
#
# ## Break it
#
# Four things that cannot be. First, the number of VFs changes while there are VFs:

# %% tags=["topic:S45"]
try:
    sriov.enable(3)                          # the driver knows better than to try
except ValueError as error:
    print(error)

sriov.put(SrIov.NUM_VFS, 3)                  # and the card does not listen
sriov.put(SrIov.SYSTEM_PAGE_SIZE, 1 << 4)
assert sriov.get(SrIov.NUM_VFS) == 7
assert sriov.get(SrIov.SYSTEM_PAGE_SIZE) == 1

# %% [markdown]
# The specification leaves both writes undefined (SR-IOV 1.1, 3.3.7 and 3.3.13). Our card ignores them. Another one may do anything, so no driver tries. The same holds for a NumVFs above TotalVFs.
#
# Second, a VF for two VMs:

# %% tags=["raises-exception", "topic:S46"]
passthrough.give(vfs[0], b.made)

# %% [markdown]
# Third, a function that shares its group. The port above the first edu lets peers talk again:

# %%
port, edu = kernel.find(host.switch.downstream[0]).place, kernel.find(host.edu)
kernel.access.write(port, ACS_AT + Acs.CONTROL.offset, 2, 0)
try:
    passthrough.give(edu, c.made)
except ValueError as error:
    print(error)

enable_acs_everywhere(kernel.access, kernel.functions)
passthrough.give(edu, c.made)                # alone again, so C may have it
assert passthrough.holder(edu) is c.made

# %% [markdown]
# Fourth, VFs without their PF. Somebody resets it, and that takes VF Enable back to 0, for all VMs at once.

# %% tags=["topic:S45"]
from virtlab.guest.pci_sriov import exists

assert all(exists(kernel.access, vf.place) for vf in vfs)
reset_function(kernel.access, sriov.found.place)
assert not any(exists(kernel.access, vf.place) for vf in vfs)
assert status(b) == 0xFF                     # B reads all ones: nobody is there

# %% [markdown]
# So the PF stays with the host. Who owns the PF owns the network of every VM.
#
# ## Measure it
#
# There are five ways to bring a network to many VMs. Three are software: an emulated card (lesson 11), and virtio with its back-end in the VMM ([lesson 12](12_why_virtio.ipynb)) or in a process of its own ([lesson 07](07_device_model.ipynb)). The others are VT-d with whole cards, and SR-IOV. Each VM sends 8 long frames and gets 8. Two VMs really do it, in all five ways. The counts are those of a closed form, so we may trust the form for 64.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The host has room for 4 network cards. Or it has one card with 63 VFs. For how many of 64 VMs more has SR-IOV a device than VT-d?",
    answer=59,
    why="63 - 4. The one that is left over shares in software, as before.",
)

# %% tags=["topic:S41", "topic:S43", "topic:S44"]
from virtlab.show.share_forms import closed_form
from virtlab.show.share_load import WAYS, Load
from virtlab.show.share_metrics import share_table
from virtlab.show.share_picture import share_picture
from virtlab.show.share_runs import measure

load = Load(vms=2)
counts = {way: measure(way, load) for way in WAYS}
assert counts == {way: closed_form(way, load) for way in WAYS}
assert [counts[way].copies for way in WAYS] == [64, 64, 64, 0, 0]
share_table(Load(vms=64))

# %% tags=["topic:S43", "topic:S44"]
many = {way: closed_form(way, Load(vms=64)) for way in ("virtio", "SR-IOV")}
assert many["virtio"].copies == 64 * 32
assert many["SR-IOV"].copies == 0
share_picture(Load(vms=64), "share", title="How much of a 10 Gb/s wire one processor can serve")

# %% [markdown] tags=["topic:S41", "topic:S43", "topic:S44"]
# Read the curves from the right. Software serves everybody, but copying eats the processor. A back-end in a process of its own also pays two world switches for each batch. VT-d costs next to nothing, but it serves four VMs, and the others get nothing. SR-IOV costs a little for each VM, and goes on.
#
# Choose other loads: short frames, large batches, guests that do not sleep. Find a load where virtio in the VMM fills the wire, too. Which cost of a real machine does the model leave out there?

# %%
show.ShareLab()

# %% [markdown]
# These times are a model: our counts times published prices. So compare it with what others have measured on real machines.

# %%
from virtlab.show.share_published import DIFFERENCES, published_table

print(*DIFFERENCES, sep="\n")
published_table()

# %% [markdown] tags=["topic:S44", "topic:S45"]
# ## How real systems do it
#
# In Linux, `echo 7 > /sys/bus/pci/devices/0000:06:00.0/sriov_numvfs` is our `enable`. The driver of the PF decides; the kernel then sets NumVFs and VF Enable, waits 100 ms, and computes the places (`drivers/pci/iov.c`). A VF is bound to `vfio-pci`, and QEMU answers its configuration space and maps its BARs, as our `Passthrough` does. `ip link set eth0 vf 0 mac ... vlan 5 spoofchk on` sets the port of our VF 1: Linux counts VFs from 0.
#
# Drivers of Intel's VFs, such as `ixgbevf`, have a *mailbox*: the VF asks, and the PF's driver decides. Our card has none, so the PF's side alone speaks. It also lacks rates, mirroring, and several VLANs for one VF. QEMU models SR-IOV in its NVMe disk and in its `igb` network card. Our drivers work on that disk, too.
#
# There is a price. A VM with a VF is hard to move to another host, because part of its state is in hardware. TotalVFs is a limit of the card. And whatever a VMM did with frames in software, such as a firewall, the card must now be able to do.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "A card has PF 03:00.0, First VF Offset 128, VF Stride 2. Where is VF 3?",
        ("03:10.4", "0x300 + 128 + 2 × 2 = 0x384: bus 03, device 0x10, function 4."),
        ("03:00.3", "That would be offset 1 and stride 1. Both are the card's to choose."),
        ("03:10.6", "VF 1 is at the offset itself. So VF 3 is two strides further, not three."),
        place=1,
    ),
    show.question(
        "A VF BAR has 16 KiB, TotalVFs is 8, System Page Size 64 KiB. How much address space does software reserve?",
        ("512 KiB", "An aperture is at least a system page: 8 × 64 KiB."),
        ("128 KiB", "That would put four VFs into one page, and pages are what a VMM gives away."),
        ("64 KiB", "That is one VF's aperture. Each of them needs one."),
    ),
    show.question(
        "Why does a VF answer 0xFFFF as its vendor id?",
        ("So that a scan which knows nothing of VFs passes it by", "Who knows of them takes the ids from the PF."),
        ("Because it is switched off until a VM has it", "It is there as soon as VF Enable is set, whoever uses it."),
        ("So that the guest cannot find out what it drives", "The VMM gives the guest a configuration space with the real ids."),
        place=1,
    ),
    show.question(
        "Two NVMe disks are behind one PCI Express switch, with ACS off. May two VMs have one each?",
        ("No: they are one IOMMU group", "One disk's DMA could reach the other's BAR, past the unit."),
        ("Yes: each has its own source id", "The unit asks for it, but a request between the two never comes there."),
        ("Yes, if both are virtual functions", "It does not matter what they are. It matters what is between them and the root."),
        place=2,
    ),
    show.question(
        "VM 1 sends a frame to VM 2; both have VFs of one card. What does it cost?",
        ("Two crossings of the PCI Express link, and no exit", "The card reads it from VM 1's memory and writes it into VM 2's."),
        ("A copy by the VMM, from VM to VM", "That is how software shares. Here the VMM does not even hear of it."),
        ("A way to the switch outside, and back", "The switch inside the card sees that the address is one of its own."),
    ),
])

# %% [markdown]
# ## Take away
#
# A card with SR-IOV shares itself: one function that the host sets up, and many light ones that only move data. Where they are follows from offset and stride, and where their memory is from one BAR and a page size. What keeps VMs apart is outside of the VFs: EPT, the VT-d unit, ACS, and a switch that the host alone configures.
#
# **New terms**: [aperture](../docs/glossary.md#aperture-of-a-vf), [ARI](../docs/glossary.md#ari), [embedded switch](../docs/glossary.md#embedded-switch), [function level reset](../docs/glossary.md#function-level-reset-flr), [hierarchy](../docs/glossary.md#hierarchy-virtual), [IOMMU group](../docs/glossary.md#iommu-group), [label](../docs/glossary.md#label-mr-iov), [mailbox](../docs/glossary.md#mailbox), [MR-IOV](../docs/glossary.md#mr-iov), [physical function](../docs/glossary.md#physical-function), [routing id](../docs/glossary.md#routing-id), [spoof check](../docs/glossary.md#spoof-check), [system page](../docs/glossary.md#system-page), [TotalVFs](../docs/glossary.md#totalvfs-numvfs), [VF stride](../docs/glossary.md#vf-stride), [VLAN](../docs/glossary.md#vlan).
#
# **Read the code**, in this order: [virtlab/pci/sriov.py](../virtlab/pci/sriov.py) (the capability), [virtlab/guest/pci_sriov.py](../virtlab/guest/pci_sriov.py) (what an operating system does with it), [virtlab/vmm/passthrough.py](../virtlab/vmm/passthrough.py) (how a VM gets a function).
#
# **Exercise**: problem set 6, [task 5, *functions that no scan finds*](../exercises/ps06/ps06.ipynb#5.-Functions-that-no-scan-finds) and [task 6, *who gets which function*](../exercises/ps06/ps06.ipynb#6.-Who-gets-which-function).
#
# **Next**: [lesson 22, a real Linux](22_real_linux.ipynb). An unmodified Linux drives a disk of ours.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("21")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the leak in round 5. Ask first who would notice it. All of VT-d is set up correctly, and the unit records nothing. Then show the table of groups. In `VfLab`, let the room find the step from 7 to 8 without ARI, and from 255 to 256 with it. Question for the room: SR-IOV takes the VMM out of the data path. Who is now trusted that was not before? (The card, its firmware, and whoever wrote the switch in it.) If time is short, leave out round 6 and the published figures. The slides say that configuration space is mapped; do round 3 with care.
#
# </details>
