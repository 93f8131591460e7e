"""How well pace is found: controllers against limits, in virtual time: `python -m benchmarks.pace`.

A *trial* is a provider with its limits, and how long it is called: the fixed scenarios S1 to S12 and H1 to H3, and ten
families whose parameters are drawn anew for each seed. A *contender* is whatever decides when a call starts: paceline's own
engine with one of its controllers, or a rival with its own rules for refused calls. All of them call the same
`SimulatedProvider`, item after item from a source that does not end (but for S9: 50,000 items).

What is measured:

goodput      What was served over what an oracle would have had served: one that knows the limits and keeps them exactly
             full from the first second on. It cannot finish what it admits in the last seconds, so a scenario's oracle is
             given up a mean latency less. In the families it is what the provider *admitted* that counts, over what the
             limits would have let in: a bucket's burst and its refill, a window's amounts; for caps the calls in flight
             over time, for knees the calls served. Each trial states its own formula, once.
refusals     429s for each call served; `errors` likewise: faults that are no refusals, timeouts among them.
lost         Items that were given up, for each one served.
t90          Seconds until 90 % of the capacity was served over the last 10 s (S11: 60 s). Completions lag behind admissions
             by the latency: an oracle itself needs some 12 s in S1.
steps        S5: seconds from each change of the limit until 90 % of the new one was *admitted* over the last 10 s.
taken        The part of a cap's places that were taken, over the whole run: has less chance in it than goodput.
Jain         S7: Jain's index of what four clients were served in the last 180 s: 1 is equal, 0.25 is one has all.
makespan     S9: seconds until the last item; `good` there is the ideal (every place of the cap always taken) over it.

Latencies and sizes are drawn for each call, so goodput has chance in it: some 1 % in S4, less where more calls are served.
Everything is a function of the trial, the seed and the contender, but for async-batch-llm, which draws its own chance.

    python -m benchmarks.pace --scenarios S1,win --contenders paceline,inspect-4k --seeds 5     a table
    python -m benchmarks.pace --contenders some.module:Controller                              the engine, another controller
    python -m benchmarks.pace.cost some.module:Controller                                       CPU for each call
    make bench-pace                                                                            the page, with plots
"""
