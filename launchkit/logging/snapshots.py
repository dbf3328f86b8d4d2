"""Snapshots of a run: ``params.pkl``, ``itr_<n>.pkl`` and extra data, each whole or not there.

A file takes its name only when its bytes are on the disk. So a process that is killed,
and an object that cannot be pickled, leave the previous snapshot readable.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from launchkit.files import atomic_writer
from launchkit.logging import trailer
from launchkit.logging.trailer import Trailer

SNAPSHOT_MODES = ("all", "last", "gap", "gap_and_last", "none")
EXTRA_DATA_MODES = ("pickle", "joblib", "cloudpickle", "json")

LAST = "params.pkl"
"""The name of the snapshot that is replaced."""


def check_snapshot_mode(mode: str) -> str:
    """Return `mode`, or raise ValueError if there is no such snapshot mode."""
    if mode not in SNAPSHOT_MODES:
        raise ValueError(f"snapshot_mode is {mode!r}; it must be one of {_listed(SNAPSHOT_MODES)}")
    return mode


def check_snapshot_gap(gap: int) -> int:
    """Return `gap` as an int, or raise ValueError if it is no whole number of 1 or more."""
    try:
        number = -1 if isinstance(gap, bool) else operator.index(gap)
    except TypeError:
        number = -1
    if number < 1:
        raise ValueError(f"snapshot_gap is {gap!r}; it must be a whole number of 1 or more")
    return number


def snapshot_names(itr: int, mode: str, gap: int) -> list[str]:
    """Return the names of the files that iteration `itr` writes, none to two.

    ``all`` writes every ``itr_<n>.pkl``, ``last`` replaces ``params.pkl``, ``gap``
    writes ``itr_<n>.pkl`` where n is a multiple of `gap`, ``gap_and_last`` does both.
    """
    itr = int(itr)
    numbered = mode == "all" or (mode in {"gap", "gap_and_last"} and itr % gap == 0)
    names = [f"itr_{itr}.pkl"] if numbered else []
    return [*names, LAST] if mode in {"last", "gap_and_last"} else names


def save_snapshot(directory: Path, names: list[str], params: Any, stands: Trailer) -> None:
    """Pickle `params` once, and write it, with where the run stands, under each of the names.

    Raises
    ------
    pickle.PicklingError
        If neither pickle nor cloudpickle can save `params`. No file is changed.
    """
    for index, name in enumerate(names):
        path = directory / name
        if index == 0:
            _write(path, params, lambda value, stream: _dump_snapshot(value, stream, stands))
        else:
            _copy(directory / names[0], path)


def save_extra(directory: Path, data: Any, file_name: str, mode: str) -> Path:
    """Write `data` to `file_name` below `directory`, and return the path of the file.

    Parameters
    ----------
    directory
        The directory of the job.
    data
        What to save; it replaces what the file held.
    file_name
        A path below `directory`; its folders are made. cloudpickle adds ``.cpkl``.
    mode
        ``pickle``, ``joblib`` (compressed at level 3), ``cloudpickle`` or ``json``.

    Raises
    ------
    ValueError
        If there is no such mode, or `file_name` leads out of `directory`.
    ImportError
        If the package of the mode is not installed.
    pickle.PicklingError
        If `data` cannot be saved. No file is changed.
    """
    dump = _DUMPS.get(mode) if isinstance(mode, str) else None
    if dump is None:
        raise ValueError(
            f"save_extra_data mode is {mode!r}; it must be one of {_listed(EXTRA_DATA_MODES)}"
        )
    path = _below(directory, file_name + (".cpkl" if mode == "cloudpickle" else ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, data, dump)
    return path


def _write(path: Path, value: Any, dump: Callable[[Any, IO[bytes]], None]) -> None:
    """Write `value` to `path`, whole or not at all."""
    try:
        with atomic_writer(path, sync=True) as stream:
            dump(value, stream)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        from pickle import PicklingError  # noqa: PLC0415 - the logger imports fast without it

        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise PicklingError(
            f"{path}: cannot save an object of type {kind} ({type(error).__name__}: {error}). "
            "The file is as it was before. Save the parts of the object that hold data, "
            "such as its arrays or its state_dict()."
        ) from error


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as stream, atomic_writer(target, sync=True) as copy:
        while chunk := stream.read(1 << 20):
            copy.write(chunk)


def _dump_snapshot(value: Any, stream: IO[bytes], stands: Trailer) -> None:
    _dump_pickle(value, stream)
    trailer.write(stream, stands)


def _dump_pickle(value: Any, stream: IO[bytes]) -> None:
    """Pickle `value`, by way of cloudpickle where pickle refuses: lambdas, local classes."""
    import pickle  # noqa: PLC0415 - the logger imports fast without it

    try:
        pickle.dump(value, stream, protocol=pickle.HIGHEST_PROTOCOL)
    except (OSError, MemoryError):
        raise
    except Exception as refused:
        stream.seek(0)
        stream.truncate()
        try:
            _dump_cloudpickle(value, stream)
        except ImportError:
            raise refused from None


def _dump_cloudpickle(value: Any, stream: IO[bytes]) -> None:
    try:
        import cloudpickle  # noqa: PLC0415 - the logger runs without it
    except ImportError as error:
        raise _missing("cloudpickle") from error
    cloudpickle.dump(value, stream)


def _dump_joblib(value: Any, stream: IO[bytes]) -> None:
    try:
        import joblib  # noqa: PLC0415 - the logger runs without it
    except ImportError as error:
        raise _missing("joblib") from error
    joblib.dump(value, stream, compress=3)


def _dump_json(value: Any, stream: IO[bytes]) -> None:
    import json  # noqa: PLC0415 - rarely needed

    from launchkit.logging.encoding import encode  # noqa: PLC0415

    text = json.dumps(encode(value), indent=2, ensure_ascii=False)
    stream.write(f"{text}\n".encode(errors="backslashreplace"))


_DUMPS: dict[str, Callable[[Any, IO[bytes]], None]] = {
    "pickle": _dump_pickle,
    "joblib": _dump_joblib,
    "cloudpickle": _dump_cloudpickle,
    "json": _dump_json,
}


def _below(directory: Path, file_name: str) -> Path:
    """Return the path of `file_name`, which must lie below `directory`."""
    root = os.path.abspath(directory)  # noqa: PTH100 - resolve() would follow symlinks
    path = os.path.abspath(os.path.join(root, file_name))  # noqa: PTH100, PTH118
    if "\0" in file_name or os.path.commonpath([root, path]) != root or path == root:
        raise ValueError(f"file_name is {file_name!r}; it must be a path below {root}")
    return Path(path)


def _missing(package: str) -> ImportError:
    return ImportError(
        f"save_extra_data(mode={package!r}) needs {package}: pip install {package}", name=package
    )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words)
