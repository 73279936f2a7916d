"""Values on a pipe: each kind comes out as it went in, and nothing else comes out at all."""

import collections
import enum
import importlib
import json
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.course.grading import values
from virtlab.course.grading.kinds import Broken
from virtlab.course.grading.mirror import Book
from virtlab.course.grading.value_classes import VALUE_CLASSES
from virtlab.course.grading.values import Codec
from virtlab.course.ps2.traffic import Packet
from virtlab.trace import Access


class Pair:
    """Two ends without a pipe: what one writes, the other reads."""

    def __init__(self):
        self.one, self.other = Codec(Book(2)), Codec(Book(1))

    def send(self, value, back=False):
        one, other = (self.other, self.one) if back else (self.one, self.other)
        one.blobs = []
        data = json.loads(json.dumps(one.encode(value)))
        other.raw, other.at = memoryview(b"".join(one.blobs)), 0
        return other.decode(data)


@pytest.fixture
def pair():
    return Pair()


PLAIN = [
    None, True, 0, -1, 1 << 62, 1 << 63, -(1 << 64), 1 << 5000, 2.5, float("inf"), "", "a\ud800",
    b"", b"\x00\xff", (), (1, (True, b"a")), frozenset({1, 2}), [1, [2]], {1: "a", (2,): []},
    {3, 4}, bytearray(b"abc"), range(1, 9, 2), range(5, -3, -1),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN)
def test_a_value_comes_out_as_it_went_in(pair, value):
    found = pair.send(value)
    assert found == value
    assert type(found) is type(value)


def test_bool_and_int_stay_apart_all_the_way_down(pair):
    found = pair.send([True, 1, (False, 0), {1: True}])
    assert [type(each) for each in (*found[:2], *found[2], found[3][1])] == [
        bool, int, bool, int, bool
    ]  # fmt: skip


tree = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers(), inner),
    max_leaves=20,
)


@given(tree)
@settings(max_examples=100, deadline=None)
def test_any_tree_of_values_comes_out_as_it_went_in(value):
    assert Pair().send(value) == value


def test_nan_is_no_number_there_either(pair):
    found = pair.send(float("nan"))
    assert found != found


class Colour(enum.IntEnum):
    """A whole number with a name."""

    RED = 7


class Point(NamedTuple):
    """A student's own tuple."""

    x: int
    y: int


class Text(str):
    """A text of one's own."""


class Ratio(float):
    """A number of one's own."""


@pytest.mark.parametrize(
    ("value", "base", "plain"),
    [
        (Colour.RED, int, 7),
        (Point(1, 2), tuple, (1, 2)),
        (collections.defaultdict(int, {1: 2}), dict, {1: 2}),
        (collections.OrderedDict({1: [2]}), dict, {1: [2]}),
        (Text("abc"), str, "abc"),
        (Ratio(0.5), float, 0.5),
        (type("Bytes", (bytes,), {})(b"ab"), bytes, b"ab"),
        (type("Array", (bytearray,), {})(b"ab"), bytearray, b"ab"),
        (type("Many", (list,), {})([1, 2]), list, [1, 2]),
        (type("Few", (set,), {})({1}), set, {1}),
        (type("Fixed", (frozenset,), {})({1}), frozenset, {1}),
    ],
)
def test_a_subclass_is_its_builtin_under_its_name_and_nothing_more(pair, value, base, plain):
    found = pair.send(value)
    assert isinstance(found, base)
    assert type(found) is not base
    assert type(found).__name__ == type(value).__name__
    assert base(found) == plain


def test_a_subclass_that_comes_back_is_the_very_object(pair):
    mine = type("Mine", (dict,), {})({1: 2})
    there = pair.send(mine)
    assert pair.send(there, back=True) is mine


class Liar(int):
    """A number that is equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

    def __int__(self):
        return 42


def test_an_object_with_an_eq_of_its_own_has_none_there(pair):
    found = pair.send(Liar(3))
    assert found != 4
    assert found == 3


def test_named_tuples_of_the_list_are_made_anew(pair):
    access = Access(1, True, "port", 0x3F8, 1, 65)
    found = pair.send([access, Packet("MRd", 1, 2)])
    assert found == [access, Packet("MRd", 1, 2)]
    assert [type(each) for each in found] == [Access, Packet]


@pytest.mark.parametrize("name", VALUE_CLASSES)
def test_the_list_of_named_tuples_says_what_they_are(name):
    module, fields = VALUE_CLASSES[name]
    assert getattr(importlib.import_module(module), name)._fields == tuple(fields.split())


def test_a_named_tuple_whose_module_is_not_there_is_made_of_its_fields(pair, monkeypatch):
    real = Access(1, False, "port", 0x3F8, 1, 65)
    monkeypatch.delitem(sys.modules, "virtlab.trace")
    made = pair.send(real)
    assert (type(made) is Access, made.address, tuple(made)) == (False, 0x3F8, tuple(real))
    assert str(made) == str(real)
    with pytest.raises(AttributeError):
        _ = made.no_such_thing
    assert pair.send(made, back=True) == made


@pytest.mark.parametrize("dtype", sorted(values.DTYPES))
def test_arrays_keep_elements_and_shape(pair, dtype):
    value = np.arange(6).astype(dtype).reshape(2, 3)
    found = pair.send(value)
    assert found.dtype == value.dtype
    assert np.array_equal(found, value)
    found[0, 0] = 1  # it can be written to, as a copy can


@pytest.mark.parametrize("value", [np.zeros((0, 3)), np.arange(9)[::2], np.arange(4).T])
def test_arrays_of_any_layout_come_out_equal(pair, value):
    found = pair.send(value)
    assert found.shape == value.shape
    assert np.array_equal(found, value)


@pytest.mark.parametrize("value", [np.uint16(65535), np.float64(0.5), np.bool_(True)])
def test_a_scalar_stays_a_scalar(pair, value):
    found = pair.send(value)
    assert type(found) is type(value)
    assert found == value


def test_an_array_of_objects_is_no_value(pair):
    with pytest.raises(TypeError, match="does not go over a pipe"):
        pair.send(np.array([object()]))


def test_a_view_of_memory_stays_one(pair):
    found = pair.send(memoryview(b"abc")[1:])
    assert type(found) is memoryview
    assert bytes(found) == b"bc"


def test_what_is_neither_needs_the_channel(pair):
    with pytest.raises(TypeError, match="object does not go over a pipe"):
        pair.send(object())


BAD = [
    [], [1], ["zz", 1], {"a": 1}, [["t"]], ["b", -1], ["b", 1 << 40], ["b", True], ["b", "3"],
    ["i", 7], ["i", "0x" + "f" * (values.MAX_DIGITS + 1)], ["v", "os"], ["v", 1], ["m", 4],
    ["m", True], ["m", None], ["k", 7, "int", 0, 1], ["l", 1, ["m", 99]], ["e", 3, {}],
    ["a", "|O", [1], 1], ["a", 5, [1], 1], ["a", "<i8", [-1], 0], ["s", "|O", 1],
    ["r", 1, -1.5, 1], ["d", 1, *[0] * (2 * 5001)], ["f", *range(5001)],
]  # fmt: skip


@pytest.mark.parametrize("data", BAD, ids=[str(each)[:30] for each in BAD])
def test_data_that_nobody_writes_is_refused(pair, data):
    with pytest.raises(Broken):
        pair.one.decode(data)


@pytest.mark.parametrize(
    "data", [["b"], ["i"], ["v", "Access", 1], ["k", "x"], ["k", "X", "no", 0, 1], ["a", "<i8"],
             ["i", "zz"], ["r", 0, 9, 0], ["a", "<i8", [3], 0], ["d", 1, ["l", 3]]]
)  # fmt: skip
def test_data_that_is_cut_or_wrong_inside_raises_what_a_channel_catches(pair, data):
    from virtlab.course.grading.channel import READING

    with pytest.raises((Broken, *READING)):
        pair.one.decode(data)


def test_names_of_foreign_types_are_bounded_in_length_and_number(pair):
    codec = pair.one
    assert len(codec.kind("x" * 10_000, int).__name__) == values.MAX_NAME
    assert codec.kind("a\0b\ud800", int).__name__ == "ab?"
    made = {codec.kind(f"t{number}", int) for number in range(2 * values.MAX_KINDS)}
    assert len(made) <= values.MAX_KINDS + 1
