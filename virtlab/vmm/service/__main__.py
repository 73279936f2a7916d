"""The service as a program: python -m virtlab.vmm.service SOCKET BELL MAILBOX

The idea: the three are descriptors that the VMM has passed on. The greeting on the socket says
everything else, so there is no path and no name in the command.

It ends when the VMM hangs up. Nobody but the VMM starts it.
"""

from __future__ import annotations

import socket
import sys

from virtlab.vmm.service.server import serve
from virtlab.vmm.service.shared import Bell, Mailbox


def main(arguments: list[str]) -> None:
    """Serve one device by the descriptors in `arguments`, until the VMM hangs up."""
    sock_fd, bell_fd, mailbox_fd = map(int, arguments)
    with socket.socket(fileno=sock_fd) as sock:
        serve(sock, Bell(bell_fd, bell_fd), Mailbox(mailbox_fd))


if __name__ == "__main__":
    main(sys.argv[1:])
