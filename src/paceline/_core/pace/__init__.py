"""Pace: how many calls a lane may have in flight, and at what rate they may start."""

from .breaker import TRUST as TRUST
from .controller import PaceController as PaceController
from .signals import ABANDONED as ABANDONED
from .signals import SERVED as SERVED
from .signals import TIMED_OUT as TIMED_OUT
from .signals import Abandoned as Abandoned
from .signals import Excused as Excused
from .signals import Faulted as Faulted
from .signals import PaceChange as PaceChange
from .signals import PaceKnowledge as PaceKnowledge
from .signals import PaceStatistics as PaceStatistics
from .signals import Served as Served
from .signals import Signal as Signal
from .signals import Throttled as Throttled
from .signals import cut_off_signal as cut_off_signal
