"""The rules of the controller, each with the way to switch it off (`python -m benchmarks.pace.ablation --list`).

1. A rule is switched off by patching constants or functions of the modules that own it, in a process that makes one run. The code of the
   controller has no switches.
2. Whoever adds a rule to the controller adds it here; whoever deletes one deletes it here. A rule whose constant or function does not
   exist is *gone*: it is listed, and not run.
3. A constant that no rule covers is a parameter: another value of it is another controller, but no value switches it off. `--list` names them.
"""

from __future__ import annotations

from .breaking import RULES as _BREAKING
from .rates import RULES as _RATES
from .rule import Always as Always
from .rule import Rule as Rule
from .rule import Wrapped as Wrapped
from .rule import changed_constant as changed_constant
from .rule import constants as constants
from .workers import RULES as _WORKERS

RULES = {each.name: each for each in (*_RATES, *_WORKERS, *_BREAKING)}
