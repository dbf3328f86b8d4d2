"""What the commands ``ec2 setup`` and ``gcp setup`` print of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from launchkit.cloud import setup_steps
from launchkit.cloud.setup_steps import Step


class Setup(Protocol):
    """What an account needs."""

    def steps(self) -> list[Step]:
        """Return what is needed, in order."""

    def more_rights(self) -> Iterable[str]:
        """Return what machines may do beside that."""


def carry_out(
    setup: Setup,
    place: str,
    beside: Callable[[str], str],
    settings: Callable[[], Mapping[str, Any]],
    *,
    make: bool,
) -> None:
    """Show what is needed, or make it, a line a step.

    Parameters
    ----------
    setup
        What is needed.
    place
        Where, in words.
    beside
        Says of a right that is not needed who has it.
    settings
        Returns the settings that use what was made.
    make
        Whether to make it.
    """
    print(f"\nin {place}:", flush=True)
    done = setup_steps.apply if make else setup_steps.show
    for line in done(setup.steps()):
        print(line, flush=True)
    for right in setup.more_rights():
        print(f"  beside   {beside(right)} too, which is not needed")
    if make:
        print("\nto use it:")
        for setting, value in settings().items():
            print(f"  hydra.launcher.{setting}={value}")
    else:
        print("\nnothing was changed; --apply makes what is to make")
