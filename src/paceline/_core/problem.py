"""One thing that is wrong with an output, in words that a model can act upon."""

from __future__ import annotations

import attrs


@attrs.frozen
class Problem:
    """What is wrong, and where."""

    path: str
    """The field, such as `address.city` or `tags[2]`; empty: the whole output."""
    rule: str
    """The rule that was broken, or what was expected."""
    value: str | None = attrs.field(default=None, repr=False)
    """What was given there, as JSON, shortened; None: nothing was."""

    @property
    def told(self) -> str:
        """Where and which rule, without the value: fit for logs and results."""
        return f"{self.path}: {self.rule}" if self.path else self.rule
