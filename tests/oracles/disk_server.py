"""A process that serves a disk image at a socket until it is killed: IMAGE SOCKET."""

from __future__ import annotations

import socket
import sys

from virtlab.backends.disk import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.loop import Loop


def main(image, path):
    device = VirtioBlk(Disk.open(image))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        loop = Loop()
        loop.listen(listener, lambda sock: BackEnd(device, sock))
        loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
