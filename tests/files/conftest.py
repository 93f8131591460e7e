"""Inputs in files, and what comes of opening them."""

from __future__ import annotations

import pytest

from paceline.files import InputError, open_input


@pytest.fixture
def file(tmp_path):
    def write(content, name="in.jsonl"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


def prompts(path, **options):
    with open_input(path, **options) as source:
        assert len(source) == len(list(source))
        return list(source)


def opened(path, **options):
    with open_input(path, **options) as source:
        return source


def complaint(path, **options):
    with pytest.raises(InputError) as caught, open_input(path, **options):
        pass
    return str(caught.value)
