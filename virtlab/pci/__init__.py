"""PCI and PCI Express: how a processor finds a device, and how a device finds memory.

Reading order: `config` (the registers that every function has), `bars` (the addresses it answers
at), `function` (one function: registers, BARs, a pin, a way to memory), `bus` (functions side by
side, and who claims an address), `bridge` (a bus below a bus), `express` (root ports, switches),
`root` (where the processor and memory are), `capabilities`, `msi`, `msix` and `pcie` (what a
function says of itself), `tlp` and `packets` (what crosses a link). Then what makes many functions
of one: `routing_ids` and `ari` (where they are), `sriov` (the capability), `sriov_functions` (what
can be either), and `acs` (who can reach whom).

A dump of another machine is read by the same declarations: `dump` (the text of `lspci -xxxx`),
`fields` and `layouts` (any structure out of bytes), `decode` and `regions` (what a function says),
`names`, `tree` and `report` (the same for people).
"""
