"""Provider answers: what a provider's answer, or the exception for one, says to the rest of the core.

- `foreign_error`: the status, the headers and the body that an exception of any client holds.
- `provider_errors`: the kind of fault, by the status, the codes and the words in them.
- `header_hints` and `body_hints`: the quotas and the waits in the headers and in the body; `waits`: the ways in which waits are written.
- `connection_failure`: why there is no answer, as the server was not reached.
- `classify`: all of this as one `Fault`.
- `finish_reasons` and `reported_usage`: why the model stopped, and how many tokens it billed, in a reply that is no error.
"""
