"""vfio-user: a whole PCI function in a process of its own, beside the machine that has it.

    client (QEMU, our RemoteFunction)                    server (here)
    an address in its memory map  -- REGION_READ, -----> a BAR, configuration space
                                     REGION_WRITE
    RAM, a file that both map     <--------------------> `ClientMemory`, the function's DMA
    an interrupt to inject        <-- eventfds --------- INTx, MSI, MSI-X

Read in this order: `layouts` (what the bytes are), `messages` and `wire` (one message), `version`
(what the two agree on), `memory` (the client's RAM), `interrupts`, `regions` and `slot` (the
function), `server` (the session), `service` (a socket to be found at). Then the other end:
`client`, `remote_registers` and `remote`, a function of our own machine that is somewhere else.

Where vhost-user moves a virtio device's rings and leaves its registers in the machine, vfio-user
moves all of it: configuration space, BARs, interrupts, DMA. So any function of ours will do.

Source: QEMU's docs/interop/vfio-user.rst. Linux only, as vhost-user is. Left out: migration, BARs
that the client maps, a second socket for the server's own commands (`twin_socket`).
"""
