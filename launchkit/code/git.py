"""git, asked several things at a time within a time limit, or told what to do."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

GIT_TIMEOUT_S = 20.0
"""For all questions that are asked together."""
AT_A_TIME = 8
MOST_BYTES = 50 * 2**20
"""Of one answer."""

OF_ONE_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_DIFF_OPTS", "GIT_EXTERNAL_DIFF", "GIT_SHALLOW_FILE", "GIT_IMPLICIT_WORK_TREE"),
)
"""Variables that a hook or an alias leaves behind, and that would answer for another one."""

TELLING = (
    *("-c", "core.hooksPath=/dev/null", "-c", "submodule.recurse=false"),
    *("-c", "advice.detachedHead=false"),
)


class Question(NamedTuple):
    """A git command that changes nothing."""

    directory: Path
    arguments: Sequence[str]


class Answer(NamedTuple):
    """What git said.

    Parameters
    ----------
    out
        What it wrote.
    error
        Why that is not the answer, on a line; empty where it is.
    """

    out: bytes
    error: str = ""

    @property
    def text(self) -> str:
        """What it wrote; bytes that are not UTF-8 are lone surrogates."""
        return self.out.decode(errors="surrogateescape")


class GitError(RuntimeError):
    """git did not do what it was told."""


def ask(questions: Iterable[Question]) -> list[Answer]:
    """Ask git, and return an answer to each question, in their order.

    Several run at a time; none takes a lock or asks for a password. What has not answered
    after `GIT_TIMEOUT_S` is killed.
    """
    waiting = list(enumerate(questions))[::-1]
    answers: dict[int, Answer] = {}
    running: dict[int, _Process] = {}
    deadline = time.monotonic() + GIT_TIMEOUT_S
    late = f"git did not answer within {GIT_TIMEOUT_S:g} s"
    with selectors.DefaultSelector() as selector, _ending(running):
        while (waiting or running) and time.monotonic() < deadline:
            while waiting and len(running) < AT_A_TIME:
                number, question = waiting.pop()
                try:
                    running[number] = _Process(number, question, selector)
                except OSError as error:
                    answers[number] = Answer(b"", f"git cannot be started: {error.strerror}")
            patience = max(0.0, deadline - time.monotonic()) if running else 0.0
            for key, _ in selector.select(patience):
                process: _Process = key.data
                if process.read(key.fd, selector) and process.ended(deadline):
                    answers[process.number] = process.answer()
                    del running[process.number]
        count = len(answers) + len(waiting) + len(running)
    return [answers.get(number, Answer(b"", late)) for number in range(count)]


@contextlib.contextmanager
def _ending(running: Mapping[int, _Process]) -> Iterator[None]:
    """See to it that nothing runs on after the block, however that ends."""
    try:
        yield
    finally:
        for process in running.values():
            process.kill()


class _Process:
    """A git that runs."""

    def __init__(self, number: int, question: Question, selector: selectors.BaseSelector) -> None:
        self.number = number
        self._process = subprocess.Popen(
            ["git", "-C", str(question.directory), *question.arguments],  # noqa: S607 - the user's own git
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment(), "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            start_new_session=True,
        )
        self._too_much = False
        self._read: dict[int, bytearray] = {}
        for stream in self._streams:
            self._read[stream.fileno()] = bytearray()
            selector.register(stream.fileno(), selectors.EVENT_READ, self)
        self._out, self._err = self._read.values()

    @property
    def _streams(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        assert process.stdout is not None and process.stderr is not None
        return process.stdout, process.stderr

    def read(self, fd: int, selector: selectors.BaseSelector) -> bool:
        """Read what is there, and tell whether that was the last of it."""
        data = os.read(fd, 2**16)
        self._read[fd] += data
        if len(self._read[fd]) > MOST_BYTES:
            self._too_much = True
            self._stop()
        if data and not self._too_much:
            return False
        selector.unregister(fd)
        del self._read[fd]
        return not self._read

    def ended(self, deadline: float) -> bool:
        """Wait for the end of a process that says nothing more."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        return self._process.returncode is not None

    def answer(self) -> Answer:
        """Return the answer of a process that has ended."""
        self.kill()
        if self._too_much:
            return Answer(b"", f"git's answer is larger than {MOST_BYTES // 2**20} MiB")
        error = ""
        if self._process.returncode != 0:
            lines = self._err.decode(errors="replace").split("\n")
            error = lines[0] or f"git ended with exit code {self._process.returncode}"
        return Answer(bytes(self._out), error.removeprefix("fatal: "))

    def kill(self) -> None:
        """End it, if it has not ended, and all that it has started."""
        if self._process.returncode is None:
            self._stop()
            self._process.wait()
        for stream in self._streams:
            stream.close()

    def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def tell(directory: Path, *arguments: str) -> str:
    """Have git do something to a repository of ours, and return what it wrote.

    Raises
    ------
    GitError
        If it could not be done, with what git said.
    """
    try:
        done = subprocess.run(
            ["git", *TELLING, "-C", str(directory), *arguments],  # noqa: S607 - the user's own git
            env=environment(),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror}") from error
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise GitError(" / ".join(said[:3]) or f"git ended with exit code {done.returncode}")
    return done.stdout.decode(errors="surrogateescape")


def environment() -> dict[str, str]:
    """Return the environment of a git that looks at the repository it is given, in English."""
    inherited = {name: value for name, value in os.environ.items() if name not in OF_ONE_REPOSITORY}
    return {**inherited, "LC_ALL": "C"}


def public_url(url: str) -> str:
    """Return a URL without passwords and tokens; a user name stays where ssh needs it.

    Examples
    --------
    >>> public_url("https://me:s3cret@example.org/lab/code.git")
    'https://example.org/lab/code.git'
    >>> public_url("ssh://git:s3cret@example.org/code")
    'ssh://git@example.org/code'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    host, slash, path = rest.partition("/")
    user, _, host = host.rpartition("@")
    user = user.partition(":")[0] if scheme.endswith("ssh") else ""
    return f"{scheme}://{user}{'@' if user else ''}{host}{slash}{path.partition('?')[0]}"
