"""Bounds: the section of the page on figures that are hard to reach, and why.

The reasons are arithmetic and are written here; the figures beside them are those of the page's own runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from ..table import table
from .contenders import PACELINE
from .jobs import Result

_JOINED, _FOUND = 200.0, 30.0  # seconds: all four clients of S7 have started; S10's limit has been met
_SEEDS = 2  # at least, for a deviation

TITLE = "## What is hard to reach, and why"

_TEXT = """{title}

The targets were set before the first measurement: at most 0.01 refusals per call where a limit is steady, and in S9 a makespan of
at most 1.3 times the ideal one, 158.6 s. This section explains the figures that are near the targets or miss them.

{figures}

**S7, clients that share a quota.** Let k clients share X calls a second. Each must probe for more, or the shares would stay as
chance made them: their sum rises by g in each cycle of T seconds. A refusal lowers one client's rate by the share d, and so
their sum by d/k. Where both balance there are g k / (T d) refusals a second, and per call

```
p  =  g k / (T d X)        g = 0.06, T = 5 s, k = 4, d = 0.06, X = 100/s:  0.008
```

k times the refusals of a single client. The newcomers add to them: until the fourth has its share, refusals have to bring the
others down from the whole to a quarter. So fewer refusals have one of three prices. Deeper cuts (d) leave more of the limit unused
in every scenario. Slower growth (g, or longer cycles T) follows a limit that jumps later. A memory of the best rate that fades
faster, which would suit clients that stay, is missing where the limit comes back, in S5. The second was measured:

{ablation}

So cycles of 7 s would meet the target in S7, and cost 0.02 of the goodput of square waves, the worst of which would still be far
above its target of 0.7; they were not measured over the other scenarios and families.

**S9, a batch that is short for its cap.** Two thirds of the makespan's distance from the ideal are due to the last calls: in 200
simulations of an oracle that fills the cap in the first second, the makespan was 148.5 s, with a deviation of 6.9 s between seeds,
because the longest of the last 2,000 calls decides. So 10.1 s are left for the start, and the mean of five seeds varies by 3 s by
chance. The start costs 10.9 s of a full cap's work, over ten seeds. Of that, 8.2 s are due to the slow start, which may not start
more than twice what was admitted. The other 2.7 s are the protection of small servers: until the first answers come, some 4 s
after the first calls, a cap of 2,000 looks like a small server with room for ten calls, and few calls are started. Without that
protection the family of knees falls from a goodput of 0.99 to 0.47, because most calls time out. A faster first second (10 calls
instead of 5) gains 0.6 s in simulations, and costs a twentieth more refusals where a limit is a few calls a minute, in S11 two
thirds more.

**S10, refusals that use up the quota.** A refusal is known when it comes back, 0.15 s later. By then 15 more calls are on their
way at 100/s, and all of them are refused. As each consumes quota, the next calls are refused too, until a pause has refilled the
quota: 18 to 24 refusals each time the limit is met. It is met once at the start, at up to twice the rate and so with some hundred
refusals, and then every 30 to 40 s, because cycles are stretched at most six times: with longer ones a limit that has risen would
not be found. In 300 s that makes 100 + 8 x 20 refusals for 28,500 calls: 0.009.
"""


def section(results: Sequence[Result], ablation: str) -> str:
    """Return the section, with the table of an ablation."""
    ours = [result for result in results if result["contender"] == PACELINE.name]
    return _TEXT.format(title=TITLE, figures=_figures(ours), ablation=ablation or "(not measured)").rstrip()


def _figures(results: Sequence[Result]) -> str:
    rows = []
    for trial, target, at in (("S7", "0.01 refusals", _JOINED), ("S10", "0.01 refusals", _FOUND)):
        runs = [result for result in results if result["trial"] == trial]
        if runs:
            early, late = (fmean(parts) for parts in zip(*(_split(run, at) for run in runs), strict=True))
            whole = fmean(run["refusals"] for run in runs)
            rows.append((trial, target, f"{whole:.4f}", f"until {at:.0f} s {early:.4f}, then {late:.4f}"))
    spans = [result["makespan"] for result in results if result["trial"] == "S9" and result.get("makespan")]
    if len(spans) >= _SEEDS:
        between = f"{min(spans):.1f} to {max(spans):.1f} s, deviation {stdev(spans):.1f} s"
        rows.append(("S9", "158.6 s", f"{fmean(spans):.1f} s", between))
    return table(("", "target", "measured", "of which"), rows)


def _split(result: Result, at: float) -> tuple[float, float]:
    """Return the refusals per call served, before a time and from then on."""
    series = result["series"]
    bins = round(at / series["width"])

    def share(part: slice) -> float:
        return float(sum(series["refused"][part]) / max(1e-9, sum(series["served"][part])))

    return share(slice(0, bins)), share(slice(bins, None))
