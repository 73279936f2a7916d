"""The device model in a process of its own, behind a socket and shared memory.

`messages`  what goes over the socket: one record for a request, one for a reply
`shared`    what is no message: the guest's memory, a page of counters, a bell
`models`    the devices that can be served, each built by one function in either home
`server`    the service's loop; `python -m virtlab.vmm.service` runs it
`process`   starts the service, and makes sure that it ends
`remote`    the VMM's side: a `Device` that forwards, and what the guest sees when nobody answers

The idea: a device model is an object with two verbs. Where it lives is decided by whoever wires it,
and neither the guest's driver nor the device can tell. `virtlab.vmm.placement` is the way in.
"""
