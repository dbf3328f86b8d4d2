"""OmegaConf nodes as plain values, whatever in them cannot be resolved."""

from __future__ import annotations

import sys
from typing import Any


def is_node(value: Any) -> bool:
    """Tell whether `value` is OmegaConf's, without importing OmegaConf."""
    module = sys.modules.get("omegaconf")
    # A module that is still being imported has no classes yet.
    node = getattr(module, "Node", None)
    return node is not None and isinstance(value, node)


def resolved(node: Any) -> Any:
    """Return a node as dict, list or leaf, its interpolations resolved.

    An interpolation that cannot be resolved, or that leads to a missing value, stays the
    text that it is in the config; a missing value is ``???``. What is below the node may
    then still be a node.
    """
    from omegaconf import OmegaConf  # noqa: PLC0415 - there, since the node is

    if not OmegaConf.is_config(node):
        return node._value()
    try:
        return OmegaConf.to_container(node, resolve=True)
    except Exception:  # resolvers of the user's may raise anything
        return _one_level(node)


def _one_level(node: Any) -> Any:
    from omegaconf import OmegaConf  # noqa: PLC0415

    raw: Any = OmegaConf.to_container(node, resolve=False)
    if isinstance(raw, dict):
        return {key: _child(node, key, raw) for key in raw}
    if isinstance(raw, list):
        return [_child(node, index, raw) for index in range(len(raw))]
    return raw


def _child(node: Any, key: Any, raw: Any) -> Any:
    try:
        return node[key]
    except Exception:  # a resolver of the user's may raise anything
        return raw[key]
