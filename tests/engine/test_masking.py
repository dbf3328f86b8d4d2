"""What looks like a secret is in nothing that people are shown; what does not is left alone."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchkit.masking import looks_secret, mask_override, mask_overrides, mask_text, mask_values

SECRET_NAMES = """
    wandb.api_key apiKey API_KEY WANDB_API_KEY apikey api-key API_KEY_1 AWS_SECRET_ACCESS_KEY
    AWS_ACCESS_KEY_ID private_key ssh_key hf_token HF_TOKEN token auth_token accessToken token2
    api_tokens password passwd db.password PGPASSWORD db_pass SMTP_PASS MYSQL_PWD passphrase
    client_secret clientSecret secrets.db credentials credentials.user slack_webhook jwt
    Authorization
"""
ORDINARY_NAMES = """
    num_tokens tokens tokenizer max_token_length token_dim pad_token eos_token key monkey passes
    secretary_problem sort_key rng_key key_dim keys forward_pass low_pass PWD OLDPWD author
    SSH_AUTH_SOCK token.type token_embedding password_file secret_name TokenError bypass compass
    turkey broken lr model.hidden
"""
SECRET, ORDINARY = SECRET_NAMES.split(), ORDINARY_NAMES.split()
VALUES = st.text("abcdefghijkXYZ0189-_+/", min_size=8, max_size=20).filter(
    lambda text: any(map(str.isalpha, text)) and not text.startswith("-")
)


@pytest.mark.parametrize("key", SECRET)
def test_names_of_secrets(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize("key", ORDINARY)
def test_names_of_other_things(key: str) -> None:
    assert not looks_secret(key)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("wandb.api_key=abc", "wandb.api_key=***"),
        ("+wandb.api_key=abc", "+wandb.api_key=***"),
        ("++wandb.api_key='a b,c'", "++wandb.api_key=***"),
        ("wandb.api_key=a,b,c", "wandb.api_key=***"),
        ("token@pkg=abc", "token@pkg=***"),
        ("db.password=12345678", "db.password=***"),
        ("service={api_key:abc,lr:1}", "service={api_key:***,lr:1}"),
        ("db.url=postgres://me:pw@host/db", "db.url=postgres://me:***@host/db"),
        ("hydra.job.env_set.HF_TOKEN=abc", "hydra.job.env_set.HF_TOKEN=***"),
    ],
)
def test_overrides_with_secrets(line: str, masked: str) -> None:
    assert mask_override(line) == masked


@pytest.mark.parametrize(
    "line",
    [
        "num_tokens=5",
        "token_dim=64",
        "key=3",
        "password=null",
        "use_auth_token=true",
        "token=0.5",
        "password=1234",
        "api_key=${oc.env:WANDB_API_KEY}",
        "service/credentials=local",
        "~secret",
        "tokenizer=bert",
        "api_key=***",
        "lr=0.1",
    ],
)
def test_overrides_without(line: str) -> None:
    assert mask_override(line) == line


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("sent bearer abcdefghij", "sent bearer ***"),
        ("train.py 'api_key=a b c' lr=1", "train.py 'api_key=***' lr=1"),
        ("train.py --password hunter2 --lr 1", "train.py --password *** --lr 1"),
        ("train.py --api-key=zz --lr=1", "train.py --api-key=*** --lr=1"),
        ('{"password": "a\\"b", "n_tokens": 5}', '{"password": "***", "n_tokens": 5}'),
        ("{'x': {'token': 't'}}", "{'x': {'token': '***'}}"),
        ("https://ghp_abc@github.com/x", "https://***@github.com/x"),
        ("https://h/?token=abc&b=1", "https://h/?token=***&b=1"),
        ("password: hunter2, user: me", "password: ***, user: me"),
    ],
)
def test_texts_with_secrets(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'x'",
        "ValueError: num_tokens=5 is above max_token_length: 4",
        "git clone ssh://git@host/x",
        "TokenError: bad",
        "token: null",
        "the secret of its success",
        "passes 3 of 4",
    ],
)
def test_texts_without(text: str) -> None:
    assert mask_text(text) == text


def test_values_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("OPENAI_KEY", "sk-abcdefgh")
    monkeypatch.setenv("DB_PASSWORD", "short")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    monkeypatch.setenv("MODEL_NAME", "transformer")
    text = f"0123456789abcdef sk-abcdefgh short {tmp_path} transformer"
    assert mask_text(text) == f"*** *** short {tmp_path} transformer"
    assert mask_override("x=0123456789abcdef") == "x=***"
    assert mask_values({"x": "0123456789abcdef"}) == {"x": "***"}


def test_nested_values() -> None:
    Pair = collections.namedtuple("Pair", "a b")
    values = {
        "wandb": {"api_key": "abc", "project": "x", "key": 3},
        "credentials": {"user": "me", "list": ["a", 1], "port": 5432},
        "tokens": ["a", "b"],
        "api_keys": ("a", "b"),
        "db": {"url": "postgres://me:pw@host", "password": None, "pass": 12345678},
        "pair": Pair("x", 2),
        5: {"token": b"abc"},
        "token": True,
    }
    before = repr(values)
    assert mask_values(values) == {
        "wandb": {"api_key": "***", "project": "x", "key": 3},
        "credentials": {"user": "***", "list": ["***", 1], "port": 5432},
        "tokens": ["a", "b"],
        "api_keys": ("***", "***"),
        "db": {"url": "postgres://me:***@host", "password": None, "pass": "***"},
        "pair": Pair("x", 2),
        5: {"token": "***"},
        "token": True,
    }
    assert repr(values) == before


@given(st.sampled_from(SECRET), VALUES, st.sampled_from(["", "+", "++"]))
def test_no_spelling_of_a_pair_shows_its_value(key: str, value: str, prefix: str) -> None:
    override = f"{prefix}{key}={value}"
    assert mask_override(override) == f"{prefix}{key}=***"
    for text in (
        override,
        f"lr=0.1 {override} x=1",
        f"'{override}'",
        f'"{key}": "{value}"',
        f"{key}: {value}",
        f"--{key} {value}",
        f"--{key}={value}",
        f"{{{key}:{value}}}",
    ):
        assert value not in mask_text(text), text


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


@given(st.lists(st.sampled_from(ORDINARY), max_size=4), st.text("abc 019.,", max_size=8))
def test_ordinary_overrides_are_left_alone(keys: list[str], value: str) -> None:
    lines = [f"{key}={value}" for key in keys]
    assert mask_overrides(lines) == lines


@pytest.mark.parametrize("text", ["k" * 200_000, "key='" * 40_000, "a=b'" * 50_000, "://" * 60_000])
def test_the_time_it_takes_grows_with_the_text_only(text: str) -> None:
    # A pattern that backtracks would take hours.
    assert mask_text(text)
