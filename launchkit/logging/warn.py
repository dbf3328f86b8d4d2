"""What the logger has to say itself, by way of Python's `logging`."""

from __future__ import annotations


def warn(message: str, *arguments: object) -> None:
    """Log a warning, its message formatted as by ``logging.warning``."""
    # Imported when there is something to say: it takes longer to import than the rest.
    import logging  # noqa: PLC0415

    logging.getLogger("launchkit.logging").warning(message, *arguments)


def inform(message: str, *arguments: object) -> None:
    """Log what is as it should be, its message formatted as by ``logging.info``."""
    import logging  # noqa: PLC0415 - as above

    logging.getLogger("launchkit.logging").info(message, *arguments)
