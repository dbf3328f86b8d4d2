"""What looks like a secret, and its replacement by ``***`` in all that is written for people."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any

MASK = "***"
SHORTEST_SECRET = 8
"""Characters; a shorter value of the environment is in too many innocent words."""
SHORTEST_NUMBER = 6
"""Digits; a shorter number is a size, not a password."""

# Patterns are texts: `re` compiles them when they are first needed, which is seldom.

# A word of a name that says it all, wherever it stands, unless the name ends in one of _ABOUT.
_TELLING = (
    r"passw(?:or)?d|passphrase|passcode|credential|webhook|secrets?$|authorization$|jwt$"
    r"|(?:api|access|private|auth)(?:key|token)s?$|secretkeys?$"
)
_ABOUT = (
    r"arn|count|dims?|dir|enabled|error|exception|exists|expiry|fields?|files?|folder|length|len"
    r"|level|manager|max|min|mode|names?|num|paths?|policy|prompt|provider|required|size|store|ttl"
    r"|type|version|warning"
)
# `key` is a secret only after one of these: there are keys of dictionaries, queries and random
# numbers; `token` is one unless it is a tokenizer's.
_OWNER_OF_KEY = (
    r"access|account|admin|api|app|auth|client|consumer|deploy|encryption|host|license|master"
    r"|private|secret|service|session|shared|signing|ssh|storage|subscription"
)
_MARK_IN_TEXT = (
    r"bos|class|cls|current|end|eos|extra|first|image|last|mask|max|min|new|next|num|pad|padding|per"
    r"|prefix|previous|sep|separator|special|start|stop|suffix|target|text|unk|unknown|word"
)
_ACCOUNT = r"|admin|auth|basic|db|ftp|login|mail|my|mysql|pg|postgres|proxy|root|smtp|user"
_WORDS = r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+"
_NO_TEXT = (
    r"(?i:true|false|null|none|yes|no|on|off|nan|\?\?\?|\*+|[-+]?\d*\.\d*(?:e[-+]?\d+)?"
    rf"|[-+]?\d{{1,{SHORTEST_NUMBER - 1}}}(?:e[-+]?\d+)?|\$\{{[\w.:]*\}}|)"
)

# Without one of these in it no pair and no address has to be looked for.
_MARKS = ("pass", "secret", "token", "key", "cred", "pwd", "://", "hook", "auth", "jwt", "bearer")
# A whole quoted argument; the key of a pair as in YAML, JSON, a shell or an address; an option.
_ARGUMENT = r"""(?P<quote>["'])(?P<key>[+~]*[\w.\-@]+)=(?P<value>[^"']*)(?P=quote)"""
_PAIR = (
    r"""(?<![\w.\-/])(?P<key>[\w.\-]+)["']?[ \t]{0,8}[:=][ \t]{0,8}"""
    r"(?:(?:Bearer|Basic|Token)[ ]+)?"
)
_OPTION = r"(?<!\S)(?P<key>--?[A-Za-z][\w.\-]*)[ ]+(?!-)"
_VALUE = (
    r"""(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\])*(?P=quote)|\$\{[^{}]*\}|[^\s,;&{}()\[\]"']+"""
)
_BEARER = r"\b(?P<scheme>[Bb]earer[ ]+)[\w.~+/=\-]{8,}"
_ADDRESS = r"""(?P<scheme>[\w+.\-]{1,32}://)(?P<user>[^/\s:@"'<>]*):[^/\s"'<>]+@"""
_BARE_ADDRESS = r"""(?P<scheme>https?://)[^/\s:@"'<>]+@"""


class _Kind(IntEnum):
    PLAIN = 0
    SECRET = 1
    HOLDS_SECRETS = 2
    """Whatever is nested below this name is a secret too."""


@lru_cache(maxsize=4096)
def looks_secret(key: str) -> bool:
    """Tell whether a name, of a setting or of an environment variable, is that of a secret.

    Examples
    --------
    >>> [name for name in ("wandb.api_key", "num_tokens", "key", "DB_PASS") if looks_secret(name)]
    ['wandb.api_key', 'DB_PASS']
    """
    *parents, leaf = key.split(".")
    return _kind(leaf) is not _Kind.PLAIN or any(
        _kind(parent) is _Kind.HOLDS_SECRETS for parent in parents
    )


def mask_override(line: str) -> str:
    """Return an override string of Hydra without the secrets in it.

    Examples
    --------
    >>> mask_override("++wandb.api_key=abc")
    '++wandb.api_key=***'
    """
    return mask_overrides([line])[0]


def mask_overrides(lines: Iterable[str]) -> list[str]:
    """Return override strings as `mask_override` does, many of them in less time."""
    secrets = _secrets_of_environment()
    return [_mask_override(line, secrets) for line in lines]


def mask_text(text: str) -> str:
    """Return `text` without what looks like a secret.

    That is: the values of environment variables with such a name, of ``key=value`` and
    ``key: value`` pairs and ``--key value`` options with such a key, and the password of
    an address.
    """
    return _mask_text(text, _secrets_of_environment())


def mask_values(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return nested settings without the secrets in them, as new containers.

    Only texts are masked, and numbers of so many digits that they can be a password.
    """
    secrets = _secrets_of_environment()
    return {
        key: _mask_value(str(key), value, secrets, hidden=False) for key, value in values.items()
    }


def _mask_override(line: str, secrets: Iterable[str]) -> str:
    key, equals, value = line.partition("=")
    # With a slash it is the choice of a config group, whose name is no secret.
    if equals and "/" not in key and _hides(key.lstrip("+~").partition("@")[0], value):
        return f"{key}={MASK}"
    return _mask_text(line, secrets)


def _mask_value(key: str, value: Any, secrets: Iterable[str], *, hidden: bool) -> Any:
    if isinstance(value, Mapping):
        hidden = hidden or _kind(key) is _Kind.HOLDS_SECRETS
        return {k: _mask_value(str(k), v, secrets, hidden=hidden) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_mask_value(key, item, secrets, hidden=hidden) for item in value]
        # A named tuple takes its fields one by one.
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, str | bytes | int):
        if (hidden or looks_secret(key)) and not re.fullmatch(_NO_TEXT, str(value)):
            return MASK
        return _mask_text(value, secrets) if isinstance(value, str) else value
    return value


def _mask_text(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret in text and not _is_path(secret):
            text = text.replace(secret, MASK)
    lowered = text.lower()
    if not any(mark in lowered for mark in _MARKS):
        return text
    text = re.sub(_ARGUMENT, _mask_argument, text)
    text = _mask_values_after(_OPTION, _mask_values_after(_PAIR, text))
    text = re.sub(_BEARER, rf"\g<scheme>{MASK}", text)
    text = re.sub(_ADDRESS, rf"\g<scheme>\g<user>:{MASK}@", text)
    return re.sub(_BARE_ADDRESS, rf"\g<scheme>{MASK}@", text)


def _mask_argument(found: re.Match[str]) -> str:
    if not _hides(found["key"].lstrip("+~-").partition("@")[0], found["value"]):
        return found[0]
    return f"{found['quote']}{found['key']}={MASK}{found['quote']}"


def _mask_values_after(keys: str, text: str) -> str:
    """Mask what follows each match of `keys` that names a secret."""
    done, parts = 0, []
    for found in re.finditer(keys, text):
        value = re.compile(_VALUE).match(text, found.end())
        if value is None or found.start() < done:
            continue
        quote = value["quote"] or ""
        if _hides(found["key"].strip("-."), value[0].strip("\"'")):
            parts.append(f"{text[done : found.end()]}{quote}{MASK}{quote}")
            done = value.end()
    return "".join([*parts, text[done:]])


def _hides(key: str, value: str) -> bool:
    return looks_secret(key) and not re.fullmatch(_NO_TEXT, value)


def _secrets_of_environment() -> list[str]:
    """Return the values of the environment to be hidden, the longest first."""
    # Asking for the values of all the others would take most of the time.
    names = (name for name in os.environ if looks_secret(name) or name.endswith("_KEY"))
    values = {os.environ.get(name, "") for name in names}
    found = (value for value in values if len(value) >= SHORTEST_SECRET)
    return sorted(found, key=len, reverse=True)


def _is_path(value: str) -> bool:
    # Variables such as GOOGLE_APPLICATION_CREDENTIALS say where a secret is.
    return value[0] in "/~." and os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111 - mostly it is no path


@lru_cache(maxsize=4096)
def _kind(name: str) -> _Kind:
    """Judge one name by the words it is made of: `api_key`, `apiKey`, `API_KEY`."""
    words = [word.lower() for word in re.findall(_WORDS, name)]
    if words[-2:] == ["key", "id"]:
        words.pop()
    if not words:
        return _Kind.PLAIN
    last, previous = words[-1], words[-2] if len(words) > 1 else ""
    if re.fullmatch(_ABOUT, last):
        return _Kind.PLAIN
    if any(re.search(_TELLING, word) for word in words):
        return _Kind.HOLDS_SECRETS
    if last in {"key", "keys"} and re.fullmatch(_OWNER_OF_KEY, previous):
        return _Kind.HOLDS_SECRETS
    secret = (
        (last == "token" and not re.fullmatch(_MARK_IN_TEXT, previous))
        or (last == "tokens" and re.fullmatch(_OWNER_OF_KEY, previous))
        or (last == "pass" and re.fullmatch(_ACCOUNT, previous))
        or (last == "pwd" and previous)
    )
    return _Kind.SECRET if secret else _Kind.PLAIN
