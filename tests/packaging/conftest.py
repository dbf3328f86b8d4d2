"""The distributions built from a copy of the checkout, and fresh environments with each."""

from __future__ import annotations

import sys
import venv

import pytest
from installations import Distributions, Environment, copy_of_checkout, run


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """An sdist, and a wheel that was built from it."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("build") / "checkout")
    run(sys.executable, "-m", "build", "--outdir", checkout / "dist", checkout, cwd=checkout)
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    (wheel,) = (checkout / "dist").glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="session", params=["wheel", "sdist", "editable"])
def installed(
    request: pytest.FixtureRequest,
    distributions: Distributions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Environment:
    """A fresh environment in which nothing but launchkit was asked for."""
    base = tmp_path_factory.mktemp(request.param)
    if request.param == "editable":
        what = ["--editable", str(copy_of_checkout(base / "checkout"))]
    else:
        what = [str(getattr(distributions, request.param))]
    venv.create(base / "venv", with_pip=True)
    work = base / "work"
    work.mkdir()
    # Compiling all of pandas takes longer than what is run here would gain from it.
    pip = ["-m", "pip", "install", "--quiet", "--no-compile"]
    run(base / "venv/bin/python", *pip, *what, cwd=work)
    # Most machines have another plugin too, and the namespace is shared with it.
    (site_packages,) = (base / "venv/lib").glob("python*/site-packages")
    neighbour = site_packages / "hydra_plugins/neighbour/__init__.py"
    neighbour.parent.mkdir(parents=True, exist_ok=True)
    neighbour.touch()
    return Environment(base / "venv", work)
