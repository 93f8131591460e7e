"""What has changed since a journal was begun, in sentences: the same for a run, which asks whether it may go on, and for its plan."""

from __future__ import annotations

import attrs

from ...journal.changes import Change

_SHOWN = 10  # changed prompts that are told one by one


@attrs.define
class Differences:
    """Collects changes; few of them are held, however many there are."""

    _prompts: list[str] = attrs.field(factory=list)
    _changed: int = 0
    _settings: dict[str, None] = attrs.field(factory=dict)

    def take(self, change: Change) -> None:
        """Take one change."""
        if not change.content:
            self._settings |= dict.fromkeys(change.settings)
            return
        self._changed += 1
        if len(self._prompts) < _SHOWN:
            self._prompts.append(change.told)

    def told(self, *, new: int, gone: int) -> list[str]:
        """Return a sentence for each, but for prompts that are many.

        Args:
            new: items that the journal did not know.
            gone: items that the input has no longer.
        """
        more = self._changed - len(self._prompts)
        told = [*self._settings, *self._prompts]
        told += [f"and {more:,} more prompts have changed"] if more else []
        told += [f"{new:,} items of the input are new"] if new else []
        told += [f"{gone:,} items that it was begun with are not in the input"] if gone else []
        return told
