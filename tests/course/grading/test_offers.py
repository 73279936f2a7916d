"""What is offered of each class: names that it has, and none that shows more."""

import functools
import importlib
from dataclasses import dataclass, fields

import pytest

from virtlab.course.given.rings import DeviceSide, DriverSide
from virtlab.course.given.world import Ring
from virtlab.course.grading import offers
from virtlab.course.grading.kinds import FIXED
from virtlab.course.grading.offers import OFFERS, RECORDS, TOKEN, description, offer_of, record_of
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps4.machines import Flipping
from virtlab.memory import GuestMemory


def load(full):
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("full", OFFERS)
def test_a_class_of_the_list_has_the_verbs_that_are_offered(full):
    kind = load(full)
    assert [verb for verb in OFFERS[full].verbs if not callable(getattr(kind, verb, None))] == []


@pytest.mark.parametrize("full", [*OFFERS, *sorted(RECORDS)])
def test_nothing_private_is_offered(full):
    offer = offer_of(load(full))
    names = (*offer.verbs, *offer.fixed, *offer.live, *offer.fields)
    assert [name for name in names if name.startswith("_") and name != "__call__"] == []
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", [DriverSide, DeviceSide, Ring, *map(load, sorted(RECORDS))])
def test_of_a_record_all_fields_are_kept_alike(kind):
    assert offer_of(kind).fields == tuple(field.name for field in fields(kind))
    assert record_of(kind).names == offer_of(kind).fields


def test_a_judges_own_variant_is_offered_as_what_it_is_derived_from():
    assert offer_of(Flipping) == offer_of(Memory)
    assert "watched" not in description(Flipping)


def test_functions_can_be_called_and_all_else_is_a_token():
    def function():
        pass

    memory = Memory(GuestMemory(16))
    for each in (function, memory.read, len, functools.partial(function)):
        assert offer_of(type(each)).verbs == ("__call__",)
    for each in (object(), pytest, type, RuntimeError()):
        assert offer_of(type(each)) == TOKEN
        assert record_of(type(each)) is FIXED


def test_a_dataclass_that_is_in_no_list_is_a_token():
    @dataclass
    class Expected:
        """What is right."""

        answer: int = 42

    assert offer_of(Expected) == TOKEN


def test_the_description_is_plain_data_with_names_alone():
    assert description(DriverSide)[0] == "DriverSide"
    assert description(Memory) == [
        "Memory", ["read", "write", "load", "store"], ["size"], [], [], False
    ]  # fmt: skip
    assert offers.OFFERS["virtlab.backends.disk.Disk"].alone
