# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The course
#
# 23 lessons and 7 problem sets about one question: how can I/O devices be shared and created for virtual machines, safely and quickly? The lessons take 15 hours, the 48 tasks about 24. Begin with [lesson 00](00_tour.ipynb), and go on in order. Each lesson ends with its exercise, and with a link to the next one.
#
# <!-- Made from the lessons by scripts/index.py: change them. -->

# %% [markdown]
# ## Where you are
#
# The picture shows which lessons you have run to the end, what was right in their quizzes, and which tasks pass. This is kept in one small file on your machine, and nowhere else. *Begin anew* forgets it.

# %%
from virtlab.course import progress

progress.view()

# %% [markdown]
# ## I. The I/O subsystem
#
# | | question | minutes | builds on | in the lecture | topics |
# |---|---|---|---|---|---|
# | [00 Tour](00_tour.ipynb) | One driver, many worlds: a tour | 25 | - | first slide | S01 |
# | [01 Port-mapped I/O](01_port_io.ipynb) | How does a byte get to a device through a port? | 45 | [00](00_tour.ipynb) | slide "Port-mapped I/O" | S02 |
# | [02 Memory-mapped I/O](02_memory_mapped_io.ipynb) | What changes when a device is memory? | 40 | [01](01_port_io.ipynb) | slide "Memory-mapped I/O" | S03 |
# | [**Problem set 1**](../exercises/ps01/ps01.ipynb) | 7 tasks: who answers, and how to talk to it | 130 | [00](00_tour.ipynb), [01](01_port_io.ipynb), [02](02_memory_mapped_io.ipynb) |  | S01 S02 S03 |
# | [03 DMA](03_dma.ipynb) | Who moves the bytes? | 40 | [01](01_port_io.ipynb), [02](02_memory_mapped_io.ipynb) | slide "DMA" | S04 |
# | [04 PCI](04_pci.ipynb) | How does software find a card that it has never seen? | 40 | [02](02_memory_mapped_io.ipynb) | slides "PCI" and "PCI topology" | S05 S06 S16 |
# | [05 PCI Express](05_pci_express.ipynb) | What is left of PCI when nobody shares a wire? | 40 | [04](04_pci.ipynb) | slide "PCI Express topology" | S07 |
# | [**Problem set 2**](../exercises/ps02/ps02.ipynb) | 7 tasks: find what is on the buses, and let it reach memory | 165 | [03](03_dma.ipynb), [04](04_pci.ipynb), [05](05_pci_express.ipynb) |  | S03 S04 S05 S06 S07 |

# %% [markdown]
# ## II. Where I/O can be virtualized
#
# | | question | minutes | builds on | in the lecture | topics |
# |---|---|---|---|---|---|
# | [06 Where to virtualize](06_where_to_virtualize.ipynb) | Which interface do you cut? | 35 | [01](01_port_io.ipynb), [02](02_memory_mapped_io.ipynb), [03](03_dma.ipynb) | slides "Where to virtualize I/O" | S08 S09 S10 S11 |

# %% [markdown]
# ## III. The device model
#
# | | question | minutes | builds on | in the lecture | topics |
# |---|---|---|---|---|---|
# | [07 Device model](07_device_model.ipynb) | Where does a device live? | 40 | [03](03_dma.ipynb), [06](06_where_to_virtualize.ipynb) | slides "Device model" and "ARMvisor" | S12 S13 S14 S48 |
# | [08 Discovery](08_discovery.ipynb) | How does a guest find its devices? | 35 | [01](01_port_io.ipynb), [04](04_pci.ipynb), [07](07_device_model.ipynb) | slides on device discovery | S15 S16 S17 |
# | [09 Interception](09_interception.ipynb) | Who sees the guest's IN? | 45 | [01](01_port_io.ipynb), [02](02_memory_mapped_io.ipynb), [07](07_device_model.ipynb) | slides "Access interception" and "I/O operation level" | S11 S18 S19 S26 |
# | [10 DMA remapping](10_dma_remapping.ipynb) | Where does the device's write land? | 40 | [03](03_dma.ipynb), [09](09_interception.ipynb) | slides "DMA remapping" and "Direct DMA" | S20 S27 |
# | [11 Kinds of devices](11_kinds_of_devices.ipynb) | One device, several machines: whose is it? | 40 | [07](07_device_model.ipynb), [09](09_interception.ipynb), [10](10_dma_remapping.ipynb) | slides on the kinds of devices | S21 S22 S23 S24 S25 |
# | [**Problem set 3**](../exercises/ps03/ps03.ipynb) | 9 tasks: write the pieces of a VMM | 280 | [06](06_where_to_virtualize.ipynb), [07](07_device_model.ipynb), [08](08_discovery.ipynb), [09](09_interception.ipynb), [10](10_dma_remapping.ipynb), [11](11_kinds_of_devices.ipynb) |  | S08 S09 S10 S11 S12 S13 S14 S15 S16 S17 S18 S19 S20 S21 S22 S23 S24 S25 S26 S27 |

# %% [markdown]
# ## IV. Virtio
#
# | | question | minutes | builds on | in the lecture | topics |
# |---|---|---|---|---|---|
# | [12 Why virtio](12_why_virtio.ipynb) | Where do the exits go? | 40 | [06](06_where_to_virtualize.ipynb), [07](07_device_model.ipynb), [11](11_kinds_of_devices.ipynb) | slides "Full virtualization and para-virtualization", "Virtio", "KVM without virtio" and "KVM with virtio" | S28 S29 S30 S31 S32 S33 S34 S35 |
# | [13 Virtqueue](13_virtqueue.ipynb) | Where is the queue, and how does the device learn it? | 40 | [04](04_pci.ipynb), [12](12_why_virtio.ipynb) | slides "Virtqueue initialization" and "Virtqueue data structure" | S33 S36 S37 |
# | [14 Data exchange](14_data_exchange.ipynb) | What happens to one buffer? | 40 | [13](13_virtqueue.ipynb) | five pictures of one ring | S33 S37 S38 S39 B02 |
# | [15 Notifications](15_notifications.ipynb) | Who wakes whom, and when? | 40 | [07](07_device_model.ipynb), [13](13_virtqueue.ipynb), [14](14_data_exchange.ipynb) | slide on callbacks, `virtqueue_disable_cb` and `virtqueue_enable_cb` | S40 B02 |
# | [16 Packed ring](16_packed_ring.ipynb) | Can one ring do the work of three? | 40 | [14](14_data_exchange.ipynb), [15](15_notifications.ipynb) | The lecture has the split ring only; virtio 1.1 added this one | B01 B02 |
# | [17 Vectorized ring](17_vectorized_ring.ipynb) | What does a batch buy? | 40 | [14](14_data_exchange.ipynb), [16](16_packed_ring.ipynb) | The lecture takes one buffer at a time; busy devices do not | B03 |
# | [**Problem set 4**](../exercises/ps04/ps04.ipynb) | 8 tasks: both ends of a virtqueue | 200 | [13](13_virtqueue.ipynb), [14](14_data_exchange.ipynb), [15](15_notifications.ipynb), [16](16_packed_ring.ipynb), [17](17_vectorized_ring.ipynb) |  | S33 S36 S37 S38 S39 S40 B01 B02 B03 |
# | [18 Hostile guest](18_hostile_guest.ipynb) | What if the guest lies? | 40 | [14](14_data_exchange.ipynb), [17](17_vectorized_ring.ipynb) | In the lecture, driver and device trust each other | S38 B07 |
# | [**Problem set 5**](../exercises/ps05/ps05.ipynb) | 6 tasks: drivers and devices | 200 | [12](12_why_virtio.ipynb), [18](18_hostile_guest.ipynb) |  | S12 S17 S25 S28 S29 S30 S31 S32 S33 S34 S35 S36 S38 B07 |

# %% [markdown]
# ## V. Hardware assistance
#
# | | question | minutes | builds on | in the lecture | topics |
# |---|---|---|---|---|---|
# | [19 VT-d](19_vtd.ipynb) | Who stands in the card's way? | 40 | [05](05_pci_express.ipynb), [09](09_interception.ipynb), [10](10_dma_remapping.ipynb) | slides on hardware assistance and VT-d | S41 S42 S43 |
# | [20 Interrupts](20_interrupts.ipynb) | Who may interrupt whom, and what does it cost? | 40 | [05](05_pci_express.ipynb), [07](07_device_model.ipynb), [19](19_vtd.ipynb) | slide "ARMvisor", and goes beyond it | S48 B05 |
# | [21 SR-IOV](21_sriov.ipynb) | Can a card share itself? | 45 | [05](05_pci_express.ipynb), [11](11_kinds_of_devices.ipynb), [19](19_vtd.ipynb), [20](20_interrupts.ipynb) | slides on SR-IOV and MR-IOV | S41 S42 S43 S44 S45 S46 S47 |
# | [**Problem set 6**](../exercises/ps06/ps06.ipynb) | 6 tasks: what hardware does for I/O | 225 | [19](19_vtd.ipynb), [20](20_interrupts.ipynb), [21](21_sriov.ipynb) |  | S41 S42 S43 S44 S45 S46 S47 S48 B05 |

# %% [markdown]
# ## VI. The real thing
#
# | | question | minutes | builds on | in the lecture | topics |
# |---|---|---|---|---|---|
# | [22 A real Linux](22_real_linux.ipynb) | Does a real Linux believe us? | 45 | [07](07_device_model.ipynb), [13](13_virtqueue.ipynb), [14](14_data_exchange.ipynb), [15](15_notifications.ipynb), [18](18_hostile_guest.ipynb) | The lecture's back-end driver, in a process of its own | S31 S32 S36 B04 B06 |
# | [**Problem set 7**](../exercises/ps07/ps07.ipynb) | 5 tasks: a disk for a real Linux | 210 | [22](22_real_linux.ipynb) |  | S32 S35 S37 S39 S40 B02 B04 B06 B07 |

# %% [markdown]
# ## How to read virtlab
#
# The library is meant to be read. [A tour](../docs/reading.md) leads through it in five sittings of 20 minutes, each along one thing from end to end.
#
# - [1. One access](../docs/reading.md#sitting-1): What happens between a driver that writes a byte and the chip that sends it?
# - [2. One exit](../docs/reading.md#sitting-2): The same driver in a virtual machine. Who decides that an access stops the guest, and who answers then?
# - [3. One card](../docs/reading.md#sitting-3): Nobody knows the address of a card in a slot. How is it found, and how does it reach memory?
# - [4. One buffer](../docs/reading.md#sitting-4): A driver and a device share a piece of memory. How do they pass a buffer to and fro, without a lock, and what may a device believe?
# - [5. One address](../docs/reading.md#sitting-5): A guest drives a real card. What stands between that card and the memory of all others?

# %% [markdown]
# ## Beside the lessons
#
# - [Glossary](../docs/glossary.md): every term, with its lesson and its clause.
# - `virtlab check ps01.ipynb` says how far a problem set is.
# - `virtlab practice` makes fresh problems, for the screen or for paper.
# - `virtlab doctor` says what this machine can do.
# - [Real systems](../docs/real-systems.md): QEMU, and a Linux to boot.
# - [Architecture](../docs/architecture.md): the layers of the library on one page.

# %% [markdown]
# ## What is taught where
#
# | topic | what | lessons | tasks |
# |---|---|---|---|
# | S01 | why virtualize I/O: share devices, or create them, for virtual machines | [00](00_tour.ipynb) | ps1.q7 |
# | S02 | port-mapped I/O: a separate address space, IN and OUT | [01](01_port_io.ipynb) | ps1.q1, ps1.q2, ps1.q3, ps1.q4 |
# | S03 | memory-mapped I/O: devices in the system memory map | [02](02_memory_mapped_io.ipynb) | ps1.q1, ps1.q5, ps1.q6, ps1.q7, ps2.q7 |
# | S04 | DMA, synchronous and asynchronous | [03](03_dma.ipynb) | ps2.q5, ps2.q6, ps2.q7 |
# | S05 | PCI: the bus and its cards | [04](04_pci.ipynb) | ps2.q1, ps2.q2, ps2.q3, ps2.q4, ps2.q6 |
# | S06 | PCI topology: a tree of buses and bridges | [04](04_pci.ipynb) | ps2.q3, ps2.q4 |
# | S07 | PCI Express topology: root complex, switches, endpoints, bridges | [05](05_pci_express.ipynb) | ps2.q3, ps2.q4, ps2.q5 |
# | S08 | three layers: system call, driver call, I/O operation | [06](06_where_to_virtualize.ipynb) | ps3.q1 |
# | S09 | at the system call: shadow I/O routines | [06](06_where_to_virtualize.ipynb) | ps3.q1 |
# | S10 | at the driver call: a para-virtual driver and hypercalls | [06](06_where_to_virtualize.ipynb) | ps3.q1 |
# | S11 | at the I/O operation: privileged instructions, protected regions | [06](06_where_to_virtualize.ipynb), [09](09_interception.ipynb) | ps3.q4 |
# | S12 | the device model: emulated ports, registers, DMA and interrupts | [07](07_device_model.ipynb) | ps3.q2, ps3.q6, ps5.q3 |
# | S13 | its two homes: inside the VMM, or a user-space service | [07](07_device_model.ipynb) | ps3.q2 |
# | S14 | the flow: discovery, interception, virtualization | [07](07_device_model.ipynb) | ps3.q6 |
# | S15 | discovering what cannot be enumerated: hard-coded ports and preset status | [08](08_discovery.ipynb) | ps3.q3 |
# | S16 | discovering what can: emulate the devices and the bus | [04](04_pci.ipynb), [08](08_discovery.ipynb) | ps3.q3 |
# | S17 | discovering what does not exist: invented devices, new drivers | [08](08_discovery.ipynb) | ps3.q3, ps5.q3 |
# | S18 | intercepting ports: the I/O bitmap | [09](09_interception.ipynb) | ps3.q4 |
# | S19 | intercepting memory: shadow page tables | [09](09_interception.ipynb) | ps3.q5, ps3.q6 |
# | S20 | remapping DMA addresses in software | [10](10_dma_remapping.ipynb) | ps3.q7 |
# | S21 | four kinds of device: dedicated, partitioned, shared, non-existent | [11](11_kinds_of_devices.ipynb) | ps3.q8 |
# | S22 | dedicated devices | [11](11_kinds_of_devices.ipynb) | ps3.q4 |
# | S23 | partitioned devices: addresses translated by the VMM | [11](11_kinds_of_devices.ipynb) | ps3.q8 |
# | S24 | shared devices: a virtual state for each VM | [11](11_kinds_of_devices.ipynb) | ps3.q9 |
# | S25 | non-existent devices: requests buffered, other VMs interrupted | [11](11_kinds_of_devices.ipynb) | ps3.q9, ps5.q3 |
# | S26 | performance: direct access to I/O addresses through EPT | [09](09_interception.ipynb) | ps3.q5 |
# | S27 | performance: direct DMA, and who must translate it | [10](10_dma_remapping.ipynb) | ps3.q7 |
# | S28 | full against para-virtualization | [12](12_why_virtio.ipynb) | ps5.q4 |
# | S29 | what virtio is: a standard for cooperating drivers | [12](12_why_virtio.ipynb) | ps5.q1 |
# | S30 | why it is fast: shared memory in place of register accesses | [12](12_why_virtio.ipynb) | ps5.q4, ps5.q6 |
# | S31 | its architecture: front-end, virtqueue, buffers, back-end | [12](12_why_virtio.ipynb), [22](22_real_linux.ipynb) | ps5.q4, ps5.q5 |
# | S32 | its drivers: front-end in the guest, back-end in the VMM | [12](12_why_virtio.ipynb), [22](22_real_linux.ipynb) | ps5.q2, ps5.q4, ps5.q5, ps7.q5 |
# | S33 | its transport: virtqueue, vring, scatter-gather lists | [12](12_why_virtio.ipynb), [13](13_virtqueue.ipynb), [14](14_data_exchange.ipynb) | ps4.q1, ps4.q2, ps5.q6 |
# | S34 | the path of a request without virtio | [12](12_why_virtio.ipynb) | ps5.q4 |
# | S35 | the path of a request with virtio | [12](12_why_virtio.ipynb) | ps5.q2, ps5.q5, ps7.q5 |
# | S36 | setting up a virtqueue | [13](13_virtqueue.ipynb), [22](22_real_linux.ipynb) | ps4.q1, ps5.q1 |
# | S37 | the virtqueue as a data structure: two sides of one ring | [13](13_virtqueue.ipynb), [14](14_data_exchange.ipynb) | ps4.q2, ps4.q3, ps7.q4 |
# | S38 | the calls: add_buf, kick, get_buf; pop, push | [14](14_data_exchange.ipynb), [18](18_hostile_guest.ipynb) | ps4.q3, ps4.q4, ps4.q5, ps5.q2, ps5.q6 |
# | S39 | the flow: add, kick, pop, push, get | [14](14_data_exchange.ipynb) | ps4.q3, ps4.q4, ps4.q5, ps7.q3 |
# | S40 | switching callbacks off and on | [15](15_notifications.ipynb) | ps4.q6, ps7.q3 |
# | S41 | sharing in software, and what it costs | [19](19_vtd.ipynb), [21](21_sriov.ipynb) | ps6.q6 |
# | S42 | two answers in hardware: DMA remapping, and virtual PCIe functions | [19](19_vtd.ipynb), [21](21_sriov.ipynb) | ps6.q1, ps6.q6 |
# | S43 | VT-d: data that bypasses the VMM | [19](19_vtd.ipynb), [21](21_sriov.ipynb) | ps6.q1, ps6.q2, ps6.q3, ps6.q6 |
# | S44 | SR-IOV: why | [21](21_sriov.ipynb) | ps6.q5 |
# | S45 | SR-IOV: physical and virtual functions | [21](21_sriov.ipynb) | ps6.q5 |
# | S46 | SR-IOV and the VMM: functions handed to VMs | [21](21_sriov.ipynb) | ps6.q5, ps6.q6 |
# | S47 | MR-IOV: one device, several root complexes | [21](21_sriov.ipynb) | ps6.q6 |
# | S48 | where the interrupt controller lives, and what that costs | [07](07_device_model.ipynb), [20](20_interrupts.ipynb) | ps6.q3, ps6.q4 |
# | B01 | the packed virtqueue | [16](16_packed_ring.ipynb) | ps4.q7 |
# | B02 | indirect descriptors and EVENT_IDX | [14](14_data_exchange.ipynb), [15](15_notifications.ipynb), [16](16_packed_ring.ipynb) | ps4.q2, ps4.q6, ps7.q3 |
# | B03 | the vectorized ring path | [17](17_vectorized_ring.ipynb) | ps4.q8 |
# | B04 | vhost-user: the device service in practice | [22](22_real_linux.ipynb) | ps7.q1, ps7.q2, ps7.q3, ps7.q4, ps7.q5 |
# | B05 | MSI-X, interrupt remapping, posted interrupts | [20](20_interrupts.ipynb) | ps6.q3, ps6.q4 |
# | B06 | the real thing: QEMU, KVM, an unmodified Linux | [22](22_real_linux.ipynb) | ps7.q5 |
# | B07 | a hostile guest | [18](18_hostile_guest.ipynb) | ps5.q5, ps7.q2, ps7.q5 |
