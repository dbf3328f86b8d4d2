"""What all tests share."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# What the tests of the modes share, wherever they are.
sys.path += [str(TESTS / folder) for folder in ("testbed", "outside", "hydra")]

# A shell in the background ignores Ctrl-C, nohup the end of the terminal, and all that they
# start inherits that: the programs that the tests start and interrupt would never stop.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked with a component which is not there, and say how to get it."""
    import outside_modes

    for component in outside_modes.COMPONENTS:
        if item.get_closest_marker(component) is not None:
            reason = outside_modes.missing(component)
            if reason is not None:
                pytest.skip(reason)
