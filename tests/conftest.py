"""What all tests share."""

from __future__ import annotations

import signal

# A shell in the background ignores Ctrl-C, nohup the end of the terminal, and all that they
# start inherits that: the programs that the tests start and interrupt would never stop.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
