"""What carries out the core's decisions: structured concurrency on AnyIO, the same on trio and on asyncio."""
