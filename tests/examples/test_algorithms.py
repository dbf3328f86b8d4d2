"""The learners of examples/cartpole.py learn, their gradients are right, and a seed fixes a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

NEEDED = "the example's learners need it: pip install hydra-launchkit[examples]"
np = pytest.importorskip("numpy", reason=NEEDED)
gymnasium = pytest.importorskip("gymnasium", reason=NEEDED)

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from algorithms import (  # noqa: E402 - they lie beside the example, not in a package
    CrossEntropyMethod,
    Reinforce,
    discounted,
    run_episodes,
)
from policies import GaussianPolicy, SoftmaxPolicy, policy_for  # noqa: E402

SCALES = {"CartPole-v1": [1.0, 1.0, 0.1, 1.0], "Pendulum-v1": [1.0, 1.0, 1.0]}
EPISODES = 16


def make(name, count=EPISODES):
    return [gymnasium.make(name) for _ in range(count)]


def cem(name, seed=0, **settings):
    policy = policy_for(make(name, 1)[0], SCALES[name], hidden=8)
    defaults = {"lr": 0.2, "elite": 0.125, "spread": 6.0, "noise": 0.2, "noise_updates": 260}
    return CrossEntropyMethod(policy, np.random.default_rng(seed), **{**defaults, **settings})


def reinforce(name, seed=0, **settings):
    policy = policy_for(make(name, 1)[0], SCALES[name], hidden=16)
    defaults = {"lr": 0.01, "discount": 0.97}
    return Reinforce(policy, np.random.default_rng(seed), **{**defaults, **settings})


def average_return(name, learner):
    exam = run_episodes(make(name), range(EPISODES), learner.policy, learner.params)
    return float(np.mean([episode.rewards.sum() for episode in exam]))


def learn(name, make_learner, updates, **settings):
    """Return the average return after learning, over three seeds."""
    envs, averages = make(name), []
    for seed in range(3):
        learner = make_learner(name, seed, **settings)
        for _ in range(updates):
            learner.update(envs)
        averages.append(average_return(name, learner))
    return float(np.mean(averages))


# Random parameters, 40 draws of each policy, get a median of 10 on CartPole and of -1150
# (as REINFORCE starts) or -1480 (as the cross-entropy method does) on Pendulum.


def test_cem_learns_cartpole():
    assert average_return("CartPole-v1", cem("CartPole-v1")) < 60
    assert learn("CartPole-v1", cem, 60) > 300


def test_reinforce_learns_cartpole():
    assert average_return("CartPole-v1", reinforce("CartPole-v1")) < 100
    assert learn("CartPole-v1", reinforce, 30) > 250


def test_cem_learns_pendulum():
    assert average_return("Pendulum-v1", cem("Pendulum-v1")) < -1000
    assert learn("Pendulum-v1", cem, 120, noise_updates=120) > -800


def test_reinforce_learns_pendulum():
    assert average_return("Pendulum-v1", reinforce("Pendulum-v1")) < -1000
    assert learn("Pendulum-v1", reinforce, 60, lr=0.03) > -950


def test_cem_learns_little_with_a_small_step():
    assert learn("CartPole-v1", cem, 10, lr=0.01) < 200


POLICIES = {
    "softmax": lambda: SoftmaxPolicy(np.array([1.0, 2.0, 0.5]), 3, hidden=4),
    "gaussian": lambda: GaussianPolicy(np.array([1.0, 2.0, 0.5]), np.array([2.0, 1.0]), hidden=4),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_the_gradient_is_that_of_finite_differences(kind):
    policy, rng = POLICIES[kind](), np.random.default_rng(3)
    params = rng.normal(size=policy.size)
    observations = rng.normal(size=(7, 3))
    weights = rng.normal(size=7)
    actions = policy.act(params, observations, rng)

    def objective(at):
        return float((weights * policy.log_likelihood(at, observations, actions)).mean())

    width = 1e-6
    steps = np.eye(policy.size) * width
    slopes = [(objective(params + step) - objective(params - step)) / (2 * width) for step in steps]
    gradient = policy.gradient(params, observations, actions, weights)
    assert np.abs(gradient).min() > 0
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-8)


def test_a_softmax_policy_samples_with_its_own_probabilities():
    policy, rng = POLICIES["softmax"](), np.random.default_rng(5)
    params = rng.normal(size=policy.size)
    observation = np.tile(rng.normal(size=3), (20_000, 1))
    counts = np.bincount(policy.act(params, observation, rng).astype(int), minlength=3)
    likelihoods = policy.log_likelihood(params, observation[:3], np.arange(3.0))
    np.testing.assert_allclose(counts / 20_000, np.exp(likelihoods), atol=0.015)


@pytest.mark.parametrize("kind", POLICIES)
def test_a_row_of_parameters_an_observation_is_each_policy_for_itself(kind):
    policy, rng = POLICIES[kind](), np.random.default_rng(4)
    rows = rng.normal(size=(5, policy.size))
    observations = rng.normal(size=(5, 3))
    apart = [
        policy.act(row, seen[None], None)[0] for row, seen in zip(rows, observations, strict=True)
    ]
    np.testing.assert_allclose(policy.act(rows, observations, None), apart)


def test_discounted_sums_look_ahead():
    assert discounted(np.array([1.0, 2.0, 4.0]), 0.5).tolist() == [3.0, 4.0, 4.0]


def test_an_episode_ends_where_its_environment_does():
    learner = cem("CartPole-v1")
    short, long = (
        run_episodes(make("CartPole-v1", 1), [seed], learner.policy, learner.params)[0]
        for seed in (0, 1)
    )
    pair = run_episodes(make("CartPole-v1", 2), [0, 1], learner.policy, learner.params)
    for alone, together in zip((short, long), pair, strict=True):
        np.testing.assert_array_equal(alone.observations, together.observations)
        assert together.rewards.sum() == len(together.observations) == len(together.actions)


@pytest.mark.parametrize("algorithm", [cem, reinforce])
@pytest.mark.parametrize("name", SCALES)
def test_a_seed_fixes_a_run(algorithm, name):
    def run(seed):
        learner = algorithm(name, seed)
        envs = make(name, 4)
        return [learner.update(envs) for _ in range(2)], learner.params

    steps, params = run(7)
    again, same = run(7)
    assert again == steps
    np.testing.assert_array_equal(same, params)
    assert not np.array_equal(run(8)[1], params)


def test_actions_of_another_kind_are_refused():
    env = make("CartPole-v1", 1)[0]
    env.action_space = gymnasium.spaces.MultiBinary(2)
    with pytest.raises(TypeError, match=r"MultiBinary.*Discrete or Box"):
        policy_for(env, SCALES["CartPole-v1"], hidden=4)
