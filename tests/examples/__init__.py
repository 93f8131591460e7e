"""The programs in `examples/`, run as their users run them: real servers on 127.0.0.1, in real time."""
