"""A virtual machine monitor: what exits, where it goes, and whose device answers.

The heart. Read `io_bitmap` and `exits` first, then `walk` and `tables`, which `ept` and `shadow`
share, then `vcpu` and `vmm`. `virtual_machine` wires them into one VM on a host, `processor` is the
same loop for guests of real machine code, and `meter` counts what they cost.

Around it, each part by itself:

    a guest with page tables of its own    guest_paging, nested_paging, shadow_paging, paged_cpu
    an instruction finished for the guest  emulate, emulate_decode, emulate_records; x86_opcodes
    cuts above the I/O operation           syscalls, hypercalls
    what a guest finds                     preset
    where a device model lives             placement, service/, irqchip
    a physical card's DMA                  dma_remap, pinning, mediator, mediated_edu, mediated_ide
    who has which device                   assignment, dedicated, forwarded, partitioned,
                                           shared_nic, vlink
    a device in a VM, by hardware          passthrough, passthrough_*
    an interrupt's way to a VM             interrupt_relay, interrupt_target, interrupt_ways,
                                           interrupt_prices
"""
