"""Intel VT-d in legacy mode: what stands between a device's requests and memory.

Reading order: `layouts` and `descriptors` (the structures in memory), `reasons` (why a request is
refused), `registers` (what a driver writes), `capabilities` (what a unit can do), `context` and
`walk` (from a requester and an address to a page), `caches` (what is remembered, and goes stale),
`faults` (what is recorded), `translation` (the order in which they are asked), `remapped` (what a
device gets), `invalidation` and `queue` (how software makes a unit forget), `protection`, `ats`,
`interrupt_remapping` and `posted` (what becomes of messages), `vtd` (the unit). For many addresses
at once: `walk_many`, `iotlb`, `remapped_many`. All that tables say: `listing`.
"""
