"""The settings of the modes that leave the launcher's Python, and what is refused of them."""

from __future__ import annotations

import pytest

from launchkit.outside.settings import Outside


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image": ""}, "image is ''"),
        ({"image": "--privileged"}, "image is '--privileged'"),
        ({"python": 3}, "python is 3"),
        ({"code_dirs": "src"}, "code_dirs is 'src'; it must be a list"),
        ({"code_exclude": [1]}, "code_exclude has 1"),
        ({"setup_commands": ["a\0b"]}, "setup_commands has"),
        ({"code_warn_mb": 0}, "code_warn_mb is 0"),
        ({"code_max_mb": True}, "code_max_mb is True"),
        ({"env": ["A=1"]}, "env is"),
        ({"env": {"1A": "x"}}, "env has '1A'"),
        ({"env": {"A B": "x"}}, "env has 'A B'"),
        ({"env": {"A": 1}}, "env.A is 1"),
        ({"env": {"WANDB_API_KEY": "0123456789"}}, "env.WANDB_API_KEY looks like a secret"),
        ({"image": "i", "inputs": {"/data": "mnist"}}, "mount point of /data is 'mnist'"),
        ({"image": "i", "inputs": {"/data": "/a/../b"}}, "cannot be mounted at '/a/../b'"),
        ({"image": "i", "inputs": {"/data": "/"}}, "cannot be mounted at '/'"),
        ({"image": "i", "inputs": {"/a": "/x", "/b": "/x/y"}}, "of /a and /b overlap: /x, /x/y"),
        ({"image": "i", "inputs": {"/a": "/x", "/b": "/x/"}}, "of /a and /b overlap"),
        ({"inputs": {"/a": "/x"}}, "inputs is set and image is not"),
        ({"container_args": ["--cpus=2"]}, "container_args is set and image is not"),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(ValueError) as caught:
        Outside(**settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_right_is_taken_as_it_is():
    settings = Outside(
        image="python:3.11-slim",
        inputs={"/a": "/x", "/b": "/xy"},
        env={"A": "it's $HOME", "WANDB_API_KEY": None},
        setup_commands=["module load cuda"],
        container_args=["--network=none"],
    )
    assert settings.env == {"A": "it's $HOME", "WANDB_API_KEY": None}
    assert settings.inputs["/b"] == "/xy"


def test_a_secret_is_not_in_its_own_refusal():
    with pytest.raises(ValueError, match="DB_PASSWORD") as caught:
        Outside(env={"DB_PASSWORD": "hunter2hunter2"})
    assert "hunter2" not in str(caught.value)
