"""The command `estimate`: what a run will take, before it is paid for."""

from __future__ import annotations

from ..._core.exceptions import ConfigurationError
from ..._core.quantity import quantity
from ...files.lines import is_terminal
from ...progress.steps import PaceSteps
from ...runs.dry_run import RunPlan, plan
from ...runs.options import RunOptions
from ...runs.pilot import check_pilot, run_pilot
from ...runs.price_options import how_to_price
from ..console import print_json, print_message, print_output
from ..estimate_text import estimate_data
from ..exit_codes import OK, SIGNALLED, USAGE
from ..foreground import Foreground
from ..options import EstimateArguments
from ..plan_text import render_estimate
from .run import observing, progress_of


def estimate(options: RunOptions, arguments: EstimateArguments) -> int:
    """Print what a run will take; return the exit code.

    Raises:
        ConfigurationError: The run cannot start, or a price is not known; nothing was called. Or the pilot has no answer.
        JournalError: The journal cannot be used.
    """
    if is_terminal(options.input):
        print_message("reading from the terminal; end with Ctrl-D")
    if arguments.pilot is not None:
        check_pilot(options, arguments.pilot)
    planned = plan(options)
    _check_prices(planned)
    if arguments.pilot is not None:
        if planned.missing_keys:
            raise ConfigurationError(planned.missing_keys[0])
        signal = _call_pilot(planned.options, arguments)
        if signal is not None:
            return SIGNALLED + signal
        planned = plan(options)
    if arguments.json:
        print_json(estimate_data(planned.estimate))
    else:
        print_output(render_estimate(planned))
    state = planned.journal_state
    if state is None or not state.changes or state.is_accepted:
        return OK
    print_message(f"a run would be refused: {'; '.join(state.changes)}; say --allow-changes to accept this")
    return USAGE


def _check_prices(planned: RunPlan) -> None:
    if planned.estimate.unpriced:
        names = " and ".join(planned.estimate.unpriced)
        raise ConfigurationError(
            f"no price is known of {names}; {how_to_price()}; --price in=0,out=0 if its calls cost nothing"
        )


def _call_pilot(options: RunOptions, arguments: EstimateArguments) -> int | None:
    """Make the calls of the pilot; return the number of the signal that stopped it, or None."""
    steps = PaceSteps()
    progress = progress_of(options, steps, quiet=arguments.quiet)
    with (
        observing(steps, quiet=arguments.quiet, otel=arguments.otel) as observers,
        Foreground(progress, verbose=arguments.verbose) as foreground,
    ):
        report = run_pilot(
            options,
            arguments.pilot or 0,
            on_progress=foreground.on_progress,
            progress_period=progress.period,
            on_message=_ignored if arguments.quiet else foreground.on_message,
            observers=observers,
            control=foreground.control,
        )
    if report is None:
        print_message("no pilot: the journal has as many items already")
    elif report.journal is not None and not arguments.quiet:
        done = report.journal.counts.settled
        print_message(f"pilot: {quantity(done, 'item')} in {report.journal.path}; the run does not pay for them again")
    return foreground.signal


def _ignored(_: str) -> None:
    """Show no message."""
