"""Events: each has one name and one record."""

from __future__ import annotations

from typing import get_args

import attrs
import pytest

from paceline._core.events import Event, ProcessingEvent, RateLimitHit, data_of

RECORDS = get_args(Event)


def test_every_name_has_exactly_one_record():
    assert sorted(record.name for record in RECORDS) == sorted(ProcessingEvent)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_an_observer_gets_the_fields_of_the_record_by_name(record):
    values = {field.name: object() for field in attrs.fields(record)}
    event = record(**values)
    assert data_of(event) == values
    assert "name" not in values
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, next(iter(values)), None)


def test_the_data_is_a_fresh_dict_for_each_observer():
    event = RateLimitHit(item_id="q", quota="m", retry_after=None)
    data_of(event).clear()
    assert data_of(event) == {"item_id": "q", "quota": "m", "retry_after": None}
