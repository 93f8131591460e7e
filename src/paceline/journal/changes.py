"""What differs between an item now and as the journal has it, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

_SHOWN = 10  # changes that are told one by one


@attrs.frozen
class Change:
    """An item is not what it was."""

    id: str
    place: int | None
    content: bool
    """Whether its prompt has changed; if not, the identity of its strategy has."""
    before: Mapping[str, Any]
    """The identity that its strategy had."""
    after: Mapping[str, Any]

    @property
    def told(self) -> str:
        """What has changed, in a sentence."""
        if self.content:
            return f"the prompt of {self.id!r} has changed"
        return f"{self.id!r} was begun with another strategy: {'; '.join(self.settings)}"

    @property
    def settings(self) -> list[str]:
        """What has changed of its strategy, a sentence each."""
        return differences(self.before, self.after)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what differs between two identities, a sentence each."""
    return [
        f"{name} was {_shown(before.get(name))}, is {_shown(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _shown(value: Any) -> str:
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value)


def sentences(changes: Sequence[Change]) -> list[str]:
    """Return the first of some changes in words."""
    more = [f"and {len(changes) - _SHOWN:,} more changes"] if len(changes) > _SHOWN else []
    return [change.told for change in changes[:_SHOWN]] + more
