"""JSON of every kind, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def twisted(**known):
    """Return objects in which each known level is right, missing, or anything."""
    return st.fixed_dictionaries({}, optional={name: value | anything for name, value in known.items()})
