"""Fixtures that tests of runs share with those of the command line."""

from ..cli.conftest import *  # noqa: F403
