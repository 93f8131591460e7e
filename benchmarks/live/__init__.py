"""Paceline against real servers, on 127.0.0.1 and in real time: `python -m benchmarks.live`.

Each case starts a server with its own configuration, most of them as a limiter before a slow service, and runs a batch of about half a
minute at paceline's defaults. Paceline knows nothing of the server's limit.

    served          calls served per second while items wait, as a share of what the configuration allows; also of the second half alone
    refusals        calls refused (429, or a 503 that is read as a refusal), per call served
    failed          other failed attempts, per call served
    lost            items without exactly one result, and answers of the service that no item received
    unsuccessful    items that ended without an answer, by kind of fault
    N, R            calls in flight and calls per second that the controller allowed at the end
    t90             seconds until 90 % of the allowed rate was served over some seconds
"""
