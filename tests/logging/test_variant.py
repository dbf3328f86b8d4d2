"""variant.json: the encoding of every kind of value, line by line of its table."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import enum
import functools
import json
import math
import pathlib
import types
import typing
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from viskit_reader import flatten

from launchkit.logging.variant import encode, read_variant, write_variant


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Net:
    width: int = 2
    act: type = float
    shared: typing.ClassVar[int] = 9


class Model:
    def __call__(self):
        """Make the model callable."""


class Thing:
    pass


class Broken:
    def __repr__(self):
        raise ValueError("no")


Point = collections.namedtuple("Point", "x y")


def learn(lr):
    return lr


HERE = __name__


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (0.1, 0.1),
        ("é", "é"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (1 + 2j, "(1+2j)"),
        (Decimal("0.10"), "0.10"),
        (Fraction(1, 3), "1/3"),
        (range(10**9), "range(0, 1000000000)"),
        (Net, {"$class": f"{HERE}.Net"}),
        (int, {"$class": "builtins.int"}),
        (Colour.RED, {"$enum": f"{HERE}.Colour.RED"}),
        (Level.LOW, {"$enum": f"{HERE}.Level.LOW"}),
        (learn, {"$function": f"{HERE}.learn"}),
        (len, {"$function": "builtins.len"}),
        (math.sin, {"$function": "math.sin"}),
        (math, {"$module": "math"}),
        (
            functools.partial(learn, 1, lr={2}),
            {"$partial": {"$function": f"{HERE}.learn"}, "args": [1], "keywords": {"lr": [2]}},
        ),
        (Model(), {"$callable": f"{HERE}.Model"}),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        (collections.deque([1, 2]), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", 1, "a", 0.5}), [0.5, 1, "a", "b"]),
        (Point(1, {2}), {"x": 1, "y": [2]}),
        (Net(), {"width": 2, "act": {"$class": "builtins.float"}}),
        (types.MappingProxyType({"a": (1,)}), {"a": [1]}),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (bytearray(b"a"), {"$bytes": "YQ=="}),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.time(3, 4), "03:04:00"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), "2026-01-02T00:00:00+00:00"),
        (datetime.timedelta(minutes=1.5), 90.0),
        (Thing(), {"$repr": f"<{HERE}.Thing object>"}),
        (Broken(), {"$repr": f"<{HERE}.Broken>"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_encoding_of(value, encoded):
    assert encode(value) == encoded
    assert type(encode(value)) is type(encoded)


def test_numpy_scalars_are_numbers_and_arrays_are_lists():
    np = pytest.importorskip("numpy")
    value = {
        "f": np.float32(0.5),
        "d": np.float64("inf"),
        "i": np.int64(3),
        "b": np.bool_(True),
        "s": np.str_("x"),
        "zero": np.array(7),
        "a": np.array([[1.0, np.nan], [3.0, 4.0]]),
        "o": np.array([Colour.RED], dtype=object),
        "t": np.array(["2026-01-02"], dtype="datetime64[D]"),
        "dtype": np.dtype("float32"),
        "ufunc": np.add,
    }
    encoded = encode(value)
    assert json.loads(json.dumps(encoded, allow_nan=False)) == encoded
    assert encoded["f"] == 0.5 and encoded["d"] == "inf" and encoded["i"] == 3
    assert encoded["b"] is True and encoded["s"] == "x" and encoded["zero"] == 7
    assert encoded["a"] == [[1.0, "nan"], [3.0, 4.0]]
    assert encoded["o"] == [{"$enum": f"{HERE}.Colour.RED"}]
    assert encoded["t"] == ["2026-01-02"]


def test_a_large_array_is_written_as_its_shape():
    np = pytest.importorskip("numpy")
    assert encode(np.zeros(1000)) == [0.0] * 1000
    big = encode(np.zeros((1001, 2), dtype="float32"))
    assert big == {"$array": {"shape": [1001, 2], "dtype": "float32"}}


class Tensor:
    """What torch's tensors have in common with all others."""

    def __init__(self, data, shape):
        self.data, self.shape, self.dtype = data, shape, "torch.float32"

    def tolist(self):
        return self.data


def test_tensors_are_written_as_arrays_are():
    assert encode(Tensor(0.5, ())) == 0.5
    assert encode(Tensor([1, 2], (2,))) == [1, 2]
    big = {"$array": {"shape": [2000], "dtype": "torch.float32"}}
    assert encode(Tensor([], (2000,))) == big


# Keys


def test_keys_that_are_no_text_become_text():
    value = {1: "a", None: "b", False: "c", Colour.RED: "d", (1, 2): "e", b"f": "f", 0.5: "g"}
    assert encode(value) == {
        "1": "a",
        "None": "b",
        "False": "c",
        "RED": "d",
        "(1, 2)": "e",
        "f": "f",
        "0.5": "g",
    }


def test_keys_that_become_the_same_text_are_told_apart_with_a_warning(caplog):
    assert encode({1: "number", "1": "text", b"1": "bytes"}) == {
        "1": "text",
        "1_2": "number",
        "1_3": "bytes",
    }
    assert "'1_2'" in caplog.text and "'1_3'" in caplog.text


# OmegaConf


def test_omegaconf_is_resolved_and_what_cannot_be_stays_its_text():
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create(
        {
            "a": 1,
            "ref": "${a}",
            "nested": {"list": ["${a}", "${nowhere}", "???"], "missing": "???"},
            "bad": "${no_such_resolver:3}",
            "to_missing": "${nested.missing}",
            "loop": "${loop}",
            "none": None,
        }
    )
    before = copy.deepcopy(config)
    assert encode(config) == {
        "a": 1,
        "ref": 1,
        "nested": {"list": [1, "${nowhere}", "???"], "missing": "???"},
        "bad": "${no_such_resolver:3}",
        "to_missing": "${nested.missing}",
        "loop": "${loop}",
        "none": None,
    }
    assert encode({"part": config.nested}) == {"part": encode(config)["nested"]}
    assert config == before


def test_structured_configs_with_enums_are_encoded():
    omegaconf = pytest.importorskip("omegaconf")

    @dataclasses.dataclass
    class Config:
        colour: Colour = Colour.RED
        size: int = omegaconf.MISSING
        by_colour: dict[Colour, int] = dataclasses.field(default_factory=lambda: {Colour.RED: 3})

    assert encode(omegaconf.OmegaConf.structured(Config)) == {
        "colour": {"$enum": f"{HERE}.Colour.RED"},
        "size": "???",
        "by_colour": {"RED": 3},
    }


def test_a_config_that_contains_itself_by_interpolation_is_written():
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create({"x": 1, "a": {"b": "${a}"}})
    assert encode(config)["x"] == 1


# Hostile values


def test_cycles_and_depth_end():
    loop: dict = {"a": 1}
    loop["self"] = [loop]
    assert encode(loop) == {"a": 1, "self": [{"$repr": "..."}]}
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    json.dumps(encode(deep))


def test_an_object_that_stands_in_two_places_is_written_twice():
    shared = [1]
    assert encode([shared, shared]) == [[1], [1]]


def test_an_integer_that_no_json_reader_takes_is_written_in_hexadecimal(tmp_path):
    write_variant(tmp_path / "v.json", {"n": 16**5000})
    assert read_variant(tmp_path / "v.json") == {"n": "0x1" + "0" * 5000}


def test_values_whose_attributes_raise_or_lie_kill_nothing():
    class Hostile:
        def __getattr__(self, name):
            raise ValueError(name)

    class Anything:
        def __getattr__(self, name):
            return self

        def __call__(self, *_):
            return self

    assert "$repr" in encode(Hostile())
    json.dumps(encode(Anything()))


def test_addresses_do_not_make_equal_settings_differ():
    assert encode(Thing()) == encode(Thing())


def test_the_callers_objects_are_not_changed(tmp_path):
    variant = {"args_data": 1, "a": {}, "a.b": [1, {2: (3,)}], "s": {1}, "n": Net()}
    before = copy.deepcopy(variant)
    write_variant(tmp_path / "v.json", variant)
    assert variant == before


# The file

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
ANYTHING = st.recursive(
    LEAVES | st.floats() | st.binary() | st.dates() | st.decimals() | st.just(learn),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text("ab.", max_size=3) | st.integers(), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(PLAIN)
def test_what_json_can_hold_is_encoded_as_itself(value):
    assert encode(value) == value


@settings(max_examples=150, deadline=None)
@given(ANYTHING)
def test_any_variant_is_written_and_read_as_it_was_encoded(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("v") / "variant.json"
    write_variant(path, {"value": value})
    read = read_variant(path)
    assert read is not None
    path.write_text(json.dumps(read))
    json.loads(path.read_text(), parse_constant=pytest.fail)


def leaves(value):
    return sum(map(leaves, value.values())) if isinstance(value, dict) and value else 1


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_no_leaf_is_lost_when_the_variant_is_flattened(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("v") / "variant.json"
    write_variant(path, {"value": value})
    assert len(flatten(read_variant(path))) == leaves({"value": encode(value)})


def test_the_file_is_sorted_and_indented_by_two(tmp_path):
    write_variant(tmp_path / "new" / "v.json", {"b": [1], "a": {"é": 1}})
    text = (tmp_path / "new" / "v.json").read_text(encoding="utf-8")
    assert text == '{\n  "a": {\n    "é": 1\n  },\n  "b": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_variant_that_is_missing_or_broken_reads_as_none(tmp_path, content):
    if content is not None:
        (tmp_path / "v.json").write_bytes(content)
    assert read_variant(tmp_path / "v.json") is None
