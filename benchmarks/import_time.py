"""Import time: CPU seconds of starting paceline, beside the import of its four dependencies alone.

    python -m benchmarks.import_time

Each command runs in a process of its own, in turn with the others; a figure is the least of all rounds, less the least time of an
interpreter that imports nothing.
"""

from __future__ import annotations

import resource
import subprocess
import sys

COMMANDS = {
    "nothing": ("-c", "pass"),
    "trio, anyio, attrs, cattrs": ("-c", "import trio, anyio, attrs, cattrs"),
    "import paceline": ("-c", "import paceline"),
    "from paceline import *": ("-c", "from paceline import *"),
    "from paceline import process_prompts": ("-c", "from paceline import process_prompts"),
    "paceline --help": ("-m", "paceline", "--help"),
    "paceline run --help": ("-m", "paceline", "run", "--help"),
}
ROUNDS = 15


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """Return the CPU seconds, user and system, of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def import_times(rounds: int = ROUNDS) -> dict[str, float]:
    """Return the CPU seconds of each command, without those of the bare interpreter."""
    least = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            least[name] = min(least[name], cpu_seconds(arguments))
    bare = least.pop("nothing")
    return {name: seconds - bare for name, seconds in least.items()}


def main() -> None:
    """Print a table."""
    times = import_times()
    dependencies = times["trio, anyio, attrs, cattrs"]
    print("| | ms of CPU | times the dependencies |\n|---|---|---|")
    for name, seconds in times.items():
        print(f"| {name} | {seconds * 1e3:.0f} | {seconds / dependencies:.2f} |")


if __name__ == "__main__":
    main()
