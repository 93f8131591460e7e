"""Report: what a journal says about a batch, as figures, as one page of HTML, and as a story.

`paceline.runs.report` returns a `JournalReport`, and `paceline.runs.write_report` writes the page. The records are here.
"""

# figures   the frozen records of a report
# collect   the figures of a journal, from sums that SQLite makes
# latencies how long calls took
# limits    what limited the batch, and for how long
# story     the decisions of the controllers in sentences
# svg       axes, lines, areas and bars
# intervals values with their confidence intervals
# charts    the plots of a report
# markup    a page without scripts, its tables and plots, and values as people read them
# page      the sections of a report on a journal

from ..journal.aggregates import ItemTotals as ItemTotals
from .figures import Failure as Failure
from .figures import JournalReport as JournalReport
from .figures import LaneFigures as LaneFigures
from .figures import LaneMoment as LaneMoment
from .figures import Latency as Latency
from .figures import LimitShare as LimitShare
from .figures import LimitSpan as LimitSpan
from .figures import ModelFigures as ModelFigures
from .figures import Moment as Moment
from .figures import RunSpan as RunSpan
from .figures import TopAlone as TopAlone

__all__ = [
    "Failure",
    "ItemTotals",
    "JournalReport",
    "LaneFigures",
    "LaneMoment",
    "Latency",
    "LimitShare",
    "LimitSpan",
    "ModelFigures",
    "Moment",
    "RunSpan",
    "TopAlone",
]
