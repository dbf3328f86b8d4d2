"""What all tests share."""

from __future__ import annotations

import signal

# A shell in the background ignores Ctrl-C, and all that it starts inherits that: the
# programs that the tests start and interrupt would never stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
