"""Grids of hyperparameters."""

from __future__ import annotations

import inspect
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchkit.sweeper import DeterministicHyperparameterSweeper, grid_of

names = st.text("abcdef", min_size=1, max_size=3)
values = st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))


def test_its_parameters_are_rlkits():
    signature = inspect.signature(DeterministicHyperparameterSweeper)
    assert list(signature.parameters) == ["hyperparameters", "default_parameters"]
    iterate = DeterministicHyperparameterSweeper.iterate_hyperparameters
    assert list(inspect.signature(iterate).parameters) == ["self"]


def test_every_combination_comes_once_the_last_name_fastest():
    sweeper = DeterministicHyperparameterSweeper({"a": [1, 2], "b": ["x", "y"]})
    assert sweeper.iterate_hyperparameters() == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_dotted_names_reach_into_the_defaults():
    defaults = {"optimizer": {"lr": 1, "betas": [0.9]}, "seed": 0}
    sweeper = DeterministicHyperparameterSweeper({"optimizer.lr": [2], "new.deep.x": [3]}, defaults)
    assert sweeper.iterate_hyperparameters() == [
        {"optimizer": {"lr": 2, "betas": [0.9]}, "seed": 0, "new": {"deep": {"x": 3}}}
    ]
    assert defaults == {"optimizer": {"lr": 1, "betas": [0.9]}, "seed": 0}


def test_combinations_share_no_value_and_can_be_had_again():
    shared = {"list": [1]}
    sweeper = DeterministicHyperparameterSweeper({"a": [shared, shared]}, {"d": [1]})
    first, second = sweeper.iterate_hyperparameters()
    first["a"]["list"].append(2)
    first["d"].append(2)
    assert second == {"a": {"list": [1]}, "d": [1]}
    assert sweeper.iterate_hyperparameters() == [second, second]


def test_without_hyperparameters_there_is_the_default_alone():
    assert DeterministicHyperparameterSweeper({}).iterate_hyperparameters() == [{}]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("text", "give a list"), (3, "give a list"), ({"a": 1}, "give a list"), ([], "empty list")],
)
def test_what_is_no_list_of_values_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=f"hyperparameter 'lr' is .*{message}"):
        DeterministicHyperparameterSweeper({"lr": wrong})


@given(st.dictionaries(names, st.lists(values, min_size=1, max_size=3), max_size=4))
def test_a_grid_is_the_product_of_its_lists(variant):
    expected = [
        dict(zip(variant, chosen, strict=True)) for chosen in itertools.product(*variant.values())
    ]
    assert grid_of(variant) == expected


@given(
    st.dictionaries(
        names,
        st.one_of(st.integers(), st.tuples(st.integers()), st.dictionaries(names, values)),
    )
)
def test_what_is_no_list_at_the_top_is_fixed(variant):
    assert grid_of(variant) == [variant]
