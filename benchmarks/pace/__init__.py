"""How well a controller finds the pace: controllers against limits, in virtual time (`python -m benchmarks.pace`).

A *trial* is a provider with its limits, called for a time: the fixed scenarios S1 to S12 and H1 to H3, the scenarios R1 to R21b, as
real servers limit, and ten families whose parameters are drawn for each seed. A *contender* decides when a call starts: paceline's
own engine with one of its controllers, or a rival with its own rules for refused calls. All of them call the same
`SimulatedProvider`, item after item from a source without an end (except S9, with 50,000 items, and R13, with 20,000).

What is measured:

goodput      Calls served, divided by those of an oracle that knows the limits and uses them fully from the first second on.
             It cannot finish the calls that it starts in the last seconds, so in the scenarios it is granted up to a mean
             latency less. In the families the calls *admitted* count, divided by what the limits allow: a bucket's burst
             and its refill, a window's amounts; for caps the calls in flight over time, for knees the calls served. Each
             trial states its own formula, once.
refusals     Calls that were refused (429; in R1 to R3 503) per call served; `errors` likewise: faults that are not refusals, timeouts
             among them.
lost         Items that failed in the end, per item served.
t90          Seconds until 90 % of the capacity was served over the last 10 s (S11: 60 s). Completions lag behind admissions
             by the latency: an oracle itself needs some 12 s in S1.
steps        S5: seconds from each change of the limit until 90 % of the new one was *admitted* over the last 10 s.
slots        R6 to R8, R12, S6, H3: calls in flight, over those that the server works on at full speed, in the second half.
taken        The share of a cap's places in use, over the whole run: varies less by chance than goodput.
Jain         S7, R3, R15: Jain's index of the calls served to the clients in the last minutes: 1 is equal, 0.25: one of four has all.
makespan     S9, R13: seconds until the last item; `good` there is the ideal (every place in use from the start), divided by it.

Latencies and sizes are drawn for each call, so goodput varies by chance: some 1 % in S4, less where more calls are served.
Everything is a function of the trial, the seed and the contender, except for async-batch-llm, which draws its own numbers.

    python -m benchmarks.pace --scenarios S1,win --contenders paceline,inspect-4k --seeds 5     a table
    python -m benchmarks.pace --contenders some.module:Controller                              the engine, another controller
    python -m benchmarks.pace.cost some.module:Controller                                       CPU for each call
    python -m benchmarks.pace --backend core --contenders paceline,with:rate:_CYCLE=7           the controller alone: eight times as fast
    python -m benchmarks.pace.ablation --each --rules rate --scenarios S1,R --seeds 1,2        the controller without each of its rules
    make bench-pace                                                                            the page, with plots
"""
