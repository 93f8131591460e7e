"""Engine: carries out the core's decisions with structured concurrency on AnyIO, the same on trio and on asyncio.

A pool has lanes, prepared strategies and a supervisor. Its customers are batches and single calls. The way of an item, in one direction:

    intake            reads the source of a batch, at most as far ahead as is useful; a single call brings its item itself
      -> commits      recalls a stored result; without one, or without a journal, the item goes on
      -> hooks        the middlewares see the item
      -> strategies   prepares the item's strategy, once per instance while anybody uses it
      -> scheduler    the item waits in its lane; the scheduler decides which call starts next
      -> worker       makes calls, one after the other; a single call is made by the task that asks for it
      -> calls        turns what the strategy returned or raised into an answer or a fault
      -> settle       carries out the retry machine's decision: call again, move up a ladder, or publish the result
      -> commits      stores the result in the journal
      -> delivery     hands it over: a list, a stream, or the task that waits for it

Beside it: `pool` owns it all, `pool_batches` runs its batches, `batch` and `single_calls` are the two submitters, `crew` has the tasks of a
batch, `call_refusals` knows which single calls are not made, `supervisor` keeps the time (by `timers`), `watch` sees what calls say about
their lane, `stopped_lanes` knows the lanes in which none start, `own_copies` copies strategies, `foreign` awaits code that is not ours,
`abandoned` keeps generators that it left inside a nursery, `statistics` counts.

The rooms, each of which imports only those below it:

    pool          the owner; beside it supervisor, monitor and remote_control
    customers/    batches and single calls
    results/      from the end of an item to its consumer
    calls/        from a prepared strategy to what follows from the end of a call
    lanes/        the jobs of a quota, and which call starts next
    loop/         the clock, foreign code, long work in steps
"""
