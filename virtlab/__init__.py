"""A small virtual machine monitor that can be read in a sitting, and the course built on it.

Every register, ring and table is laid out as its specification says, byte for byte. So the guest
drivers here also drive QEMU's devices, and a recorded boot of Linux gets every answer it got from
the real machine.

Read it in this order. Each step needs only those before it.

1. `bus`              who answers at an address: two verbs, all ones where nobody does
2. `devices.uart`     one whole device, the 16550A; then `registers`, how a device is declared
3. `cpu`              what a guest can do: six verbs and a wait
4. `guest.uart`       a driver, written against those verbs and nothing else
5. `hosts.python`     the bare machine; then `hosts.remote`, the same verbs on QEMU
6. `vmm.io_bitmap`    which ports exit; then `vmm.exits`, what an exit is
7. `vmm.ept`          which memory exits; then `vmm.shadow`, the same without hardware's help
8. `vmm.vcpu`         the vCPU that meets them; then `vmm.vmm`, the loop that handles its exits
9. `vmm`              what else a VMM does, part by part; `hosts.real_code`, guests of machine code
10. `pci.config`       what every card has; then `pci.bus`, who claims a request, and `guest.pci`
11. `devices.ata`     a card that moves bytes itself; then `devices.e1000`, one with two rings
12. `virtio.split`    a virtqueue, the device's side; `guest.virtqueue_split`, the driver's
13. `virtio.packed`   one ring for three; then `virtio.split_many`, a batch at a time
14. `virtio.device`   what a device is to a transport; `virtio.mmio`, `guest.virtio_device`
15. `virtio.vhost_user` the same device in a process of its own; then `hosts.vhost_user`, the
                      driver's side of that, and `hosts.linux`, a Linux that finds it in QEMU;
                      `hosts.live`, a session with one, and `hosts.tape`, its recording;
                      `hosts.vfio_user`, a whole PCI card in a process of its own
16. `iommu.walk`      from a device's address to a page; then `iommu.vtd`, and `guest.vtd`
17. `pci.sriov`       one card that makes more of itself; then `virtio.sriov_net`
18. `vmm.passthrough` a card, or one of its virtual functions, in a virtual machine
19. `machine`         everything wired together; `cards` and `firmware` are what is plugged in
20. `server`          the same for a machine with VT-d; `server_board` is what is plugged in
21. `show`            the pictures; `course`, the checks and the `virtlab` command

`wire`, `errors`, `trace`, `clock`, `memory`, `interrupts` and `backends` are the ground under all
of it. Look into them when a name sends you there. `docs/architecture.md` has the picture;
`docs/reading.md` leads through the same in five sittings.
"""

__version__ = "0.1.0"
