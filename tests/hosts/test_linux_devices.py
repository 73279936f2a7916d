"""QEMU's arguments for what a Linux runs on."""

from __future__ import annotations

from pathlib import Path

from virtlab.hosts.linux_devices import blk, disk, net, pc, starting


def test_qemus_own_disk():
    assert disk("disk.img", options=",packed=on") == [
        "-drive",
        "file=disk.img,format=raw,if=none,id=disk",
        "-device",
        "virtio-blk-pci,drive=disk,packed=on",
    ]


def test_a_comma_in_a_path_is_written_twice():
    assert disk(Path("a,b"))[1].startswith("file=a,,b,format")
    assert blk("a,b")[1].startswith("socket,id=blk,path=a,,b,")


def test_a_disk_of_ours_has_one_queue_unless_it_is_told():
    assert blk("/tmp/s")[3] == "vhost-user-blk-pci,chardev=blk,num-queues=1"


def test_a_disk_of_ours_connects_again_when_its_back_end_comes_back():
    assert blk(Path("/tmp/s"), "second", ",num-queues=2") == [
        "-chardev",
        "socket,id=second,path=/tmp/s,reconnect=1",
        "-device",
        "vhost-user-blk-pci,chardev=second,num-queues=2",
    ]


def test_a_card_of_ours_has_no_msi_x():
    assert net("/tmp/s") == [
        "-chardev",
        "socket,id=net,path=/tmp/s",
        "-netdev",
        "vhost-user,id=net-end,chardev=net",
        "-device",
        "virtio-net-pci,netdev=net-end,vectors=0",
    ]


def test_the_memory_is_a_file_that_can_be_shown_to_others():
    words = pc(384, 2)
    assert "memory-backend-memfd,id=memory,size=384M,share=on" in words
    assert words[words.index("-machine") + 1] == "q35,memory-backend=memory"
    assert [words[at + 1] for at, word in enumerate(words) if word == "-serial"] == [
        "chardev:console",
        "chardev:report",
    ]


def test_the_console_is_the_first_line_and_a_panic_is_an_end():
    words = starting(Path("/boot/vmlinuz"), "/tmp/initrd", "debug")
    assert words[:4] == ["-kernel", "/boot/vmlinuz", "-initrd", "/tmp/initrd"]
    assert words[4:] == ["-append", "console=ttyS0 quiet panic=-1 no_timer_check debug"]
    assert "-no-reboot" in pc(384, 2)
