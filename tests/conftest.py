"""What all tests share."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# What the tests of the modes share, wherever they are.
sys.path += [str(TESTS / folder) for folder in ("testbed", "outside", "hydra", "cloud")]

# They assert as well as the tests do.
pytest.register_assert_rewrite("cloud_case", "cloud_contract", "cloud_scenarios", "mode_case")

# A shell in the background ignores Ctrl-C, nohup the end of the terminal, and all that they
# start inherits that: the programs that the tests start and interrupt would never stop.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Have a test that is marked with the clouds find the simulated ones, fixtures included."""
    import testbed

    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("cloud") is not None:
            for name, value in (testbed.aws_environment() | testbed.gcp_environment()).items():
                patch.setenv(name, value)
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked with a component which is not there, and say how to get it."""
    import outside_modes

    for component in outside_modes.COMPONENTS:
        if item.get_closest_marker(component) is not None:
            reason = outside_modes.missing(component)
            if reason is not None:
                pytest.skip(reason)
    if item.get_closest_marker("cloud") is not None:
        _make_buckets()


@functools.cache
def _make_buckets() -> None:
    """Make the buckets that the tests of the modes use."""
    import ec2_case
    import gcp_case

    ec2_case.EC2.make_bucket()
    gcp_case.GCP.make_bucket()
