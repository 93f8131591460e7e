"""Numbers that count the operations on them.

Every sum, product and comparison of a `Counted`, and of every number computed from it, is one step, also inside of C: a search
through a thousand stored times is a thousand steps. So the work of a controller is measured without a clock.
"""

from __future__ import annotations


class Counted(float):
    """A float whose operations are counted, all together."""

    __slots__ = ()
    steps = 0


def _counting(name):
    plain = getattr(float, name)

    def operation(self, *others):
        Counted.steps += 1
        value = plain(self, *others)
        return Counted(value) if type(value) is float else value

    return operation


for _name in (
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__pow__"),
    *("__rpow__", "__neg__", "__abs__", "__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"),
):
    setattr(Counted, _name, _counting(_name))
Counted.__hash__ = float.__hash__
