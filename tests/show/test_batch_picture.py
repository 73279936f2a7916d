"""A batch beside its chains: the arrays are drawn as they are."""

from tests.show.looks import check_picture, words_of
from virtlab.memory import GuestMemory
from virtlab.show.batch_picture import MOST_CHAINS, MOST_PIECES, batch_picture
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Buffer, Chain

RAM = GuestMemory(0x10000)
CHAINS = (
    Chain(3, (Buffer(0x1000, 16, False),), 1),
    Chain(0, (Buffer(0x2000, 512, False), Buffer(0x2400, 1, True)), 2),
    Chain(5, (Buffer(0x0200, 512, False),), 1),
)


def test_chains_and_arrays_stand_below_each_other():
    drawn = batch_picture(Batch.of(CHAINS, RAM), CHAINS, "Three")
    check_picture(drawn)
    assert drawn.text.splitlines() == [
        "Three",
        "chain 0  head 3  r 16 @0x1000",
        "chain 1  head 0  r 512 @0x2000   w 1 @0x2400",
        "chain 2  head 5  r 512 @0x200",
        "heads   [ 3  0  5 ]",
        "slots   [ 1  2  1 ]",
        "starts  [ 0  1  3  4 ]",
        "offset  [ 0x1000  0x2000  0x2400  0x200 ]",
        "length  [ 16  512  1  512 ]",
        "write   [ F  F  T  F ]",
        "3 chains, 4 buffers",
    ]


def test_the_picture_says_what_the_arrays_say_and_not_what_the_chains_say():
    batch = Batch.of(CHAINS, RAM)
    batch.length[2] = 77
    words = words_of(batch_picture(batch, CHAINS))
    assert "77" in words
    assert "w 1 @0x2400" in words


def test_columns_have_the_colour_of_their_chain():
    batch = Batch.of(CHAINS, RAM)
    one, other = batch_picture(batch), batch_picture(batch.first(2))
    check_picture(one)
    assert one.svg.count('fill="#FCEDCB"') == 3 + 2 * 3  # chain 1: a cell each, and two buffers
    assert other.svg.count('fill="#FCEDCB"') == 3 + 2 * 3


def test_a_large_batch_is_drawn_in_part():
    many = [Chain(k, (Buffer(64 * k, 64, False),) * 2, 2) for k in range(20)]
    drawn = batch_picture(Batch.of(many, RAM), many)
    check_picture(drawn)
    assert "20 chains, 40 buffers; the first 5 chains are drawn" in drawn.text
    assert drawn.text.count("chain ") == 5 == MOST_PIECES // 2
    single = [Chain(k, (Buffer(64 * k, 64, False),), 1) for k in range(20)]
    assert batch_picture(Batch.of(single, RAM), single).text.count("head ") == MOST_CHAINS


def test_a_long_chain_is_cut_and_an_empty_batch_drawn():
    long = [Chain(0, tuple(Buffer(0x1000 * k, 4096, True) for k in range(9)), 9)]
    drawn = batch_picture(Batch.of(long, RAM), long)
    check_picture(drawn)
    assert "…" in words_of(drawn)
    empty = batch_picture(Batch.of([], RAM))
    check_picture(empty)
    assert "starts  [ 0 ]" in empty.text


def test_a_chain_with_too_many_buffers_is_only_counted():
    huge = [Chain(0, tuple(Buffer(16 * k, 16, True) for k in range(11)), 11)]
    drawn = batch_picture(Batch.of(huge, RAM), huge)
    check_picture(drawn)
    assert drawn.text.endswith("1 chain, 11 buffers; the first 0 chains are drawn")
