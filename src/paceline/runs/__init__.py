"""A run from file to file as a library: what the command line does, without its output.

    report = run(RunOptions(input="prompts.jsonl", model="gpt-5-mini"))     # or: await run_async(...)
    print(report.batch.summary(), report.output)

plan      what a run would do, and what it will take
estimate  what a run will take in tokens, money and time, after a few real calls if they are wanted
run       answer every prompt of a file; resume makes the calls that are missing
status    how far a batch has come, also while it runs
report    what a batch cost, took and was limited by, as figures; write_report as a page
export    the results of a journal as JSONL, CSV or Parquet
merge     the results of all shards of an input, in its order
failed    the prompts of failed items as a new input

Each function takes a frozen record of options and returns a frozen record. Nothing is printed, no signal handler is installed, and the process
is never ended: progress and messages go to callbacks (`RunHooks`), and a `RunControl` stops a run from another task or thread.
"""

from typing import TYPE_CHECKING

from .._public import load

if TYPE_CHECKING:
    from .control import RunControl as RunControl
    from .dry_run import PlannedModel as PlannedModel
    from .dry_run import RunPlan as RunPlan
    from .dry_run import plan as plan
    from .export_options import ExportFormat as ExportFormat
    from .export_options import ExportOptions as ExportOptions
    from .export_options import FailedOptions as FailedOptions
    from .export_options import ReportOptions as ReportOptions
    from .failed_prompts import FailedReport as FailedReport
    from .failed_prompts import failed as failed
    from .file_run import run as run
    from .file_run import run_async as run_async
    from .journal_comparison import JournalState as JournalState
    from .journal_export import ExportReport as ExportReport
    from .journal_export import export as export
    from .journal_facts import RegisteredInput as RegisteredInput
    from .journal_facts import WrittenOutput as WrittenOutput
    from .journal_report import JournalReport as JournalReport
    from .journal_report import report as report
    from .journal_report import write_report as write_report
    from .journal_status import JournalStatus as JournalStatus
    from .journal_status import RunSummary as RunSummary
    from .journal_status import status as status
    from .journal_watch import JournalMoment as JournalMoment
    from .journal_watch import JournalWatch as JournalWatch
    from .merged import MergeReport as MergeReport
    from .merged import UnfinishedShard as UnfinishedShard
    from .merged import merge as merge
    from .options import ResumeOptions as ResumeOptions
    from .options import RunOptions as RunOptions
    from .pilot import estimate as estimate
    from .progress import RunProgress as RunProgress
    from .resumption import resume as resume
    from .resumption import resume_async as resume_async
    from .resumption import resumed_options as resumed_options
    from .run_estimate import Estimate as Estimate
    from .run_report import JournalSummary as JournalSummary
    from .run_report import RunReport as RunReport
    from .runner import RunHooks as RunHooks

_HOMES = {
    "Estimate": "run_estimate",
    "ExportFormat": "export_options",
    "ExportOptions": "export_options",
    "ExportReport": "journal_export",
    "FailedOptions": "export_options",
    "FailedReport": "failed_prompts",
    "JournalMoment": "journal_watch",
    "JournalReport": "journal_report",
    "JournalState": "journal_comparison",
    "JournalStatus": "journal_status",
    "JournalSummary": "run_report",
    "MergeReport": "merged",
    "JournalWatch": "journal_watch",
    "PlannedModel": "dry_run",
    "RegisteredInput": "journal_facts",
    "ReportOptions": "export_options",
    "ResumeOptions": "options",
    "RunControl": "control",
    "RunHooks": "runner",
    "RunOptions": "options",
    "RunPlan": "dry_run",
    "RunProgress": "progress",
    "RunReport": "run_report",
    "RunSummary": "journal_status",
    "UnfinishedShard": "merged",
    "WrittenOutput": "journal_facts",
    "estimate": "pilot",
    "export": "journal_export",
    "failed": "failed_prompts",
    "merge": "merged",
    "plan": "dry_run",
    "report": "journal_report",
    "resume": "resumption",
    "resume_async": "resumption",
    "resumed_options": "resumption",
    "run": "file_run",
    "run_async": "file_run",
    "status": "journal_status",
    "write_report": "journal_report",
}
"""Each name's module. It is loaded when the name is first used, so that SQLite and the engine are loaded by those who need them."""

__all__ = [
    "Estimate",
    "ExportFormat",
    "ExportOptions",
    "ExportReport",
    "FailedOptions",
    "FailedReport",
    "JournalMoment",
    "JournalReport",
    "JournalState",
    "JournalStatus",
    "JournalSummary",
    "JournalWatch",
    "MergeReport",
    "PlannedModel",
    "RegisteredInput",
    "ReportOptions",
    "ResumeOptions",
    "RunControl",
    "RunHooks",
    "RunOptions",
    "RunPlan",
    "RunProgress",
    "RunReport",
    "RunSummary",
    "UnfinishedShard",
    "WrittenOutput",
    "estimate",
    "export",
    "failed",
    "merge",
    "plan",
    "report",
    "resume",
    "resume_async",
    "resumed_options",
    "run",
    "run_async",
    "status",
    "write_report",
]

if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> object:
        value = globals()[name] = load(__name__, _HOMES, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
