"""Engine: carries out the core's decisions with structured concurrency on AnyIO, the same on trio and on asyncio.

The way of an item:

    intake            reads the source, at most as far ahead as is useful
      -> keeper       recalls a stored result; without one, or without a journal, the item goes on
      -> lifecycle    prepares the item's strategy, once per instance
      -> batch, job   the item waits in its lane; the batch decides which call starts next
      -> worker       makes calls, one after the other
      -> guard, attempt   awaits the strategy; turns what it returned or raised into a verdict
      -> settle       carries out the retry machine's decision: call again, move up a ladder, or publish the result
      -> keeper       commits the result to the journal
      -> ledger       closes the item: exactly one result for each accepted item
      -> outlets      hands the result over: a list, or a stream

Beside it: `engine` owns what outlives a batch, `nursery` runs a batch and keeps its time (with `alarm`, `calls`, `ahead`),
`hooks` calls middlewares and observers, `tally` counts.
"""
