"""What Hydra 1.4 forbids a config to instantiate is forbidden in every job."""

from __future__ import annotations

import inspect

import hydra
import pytest
from apps import App

PROGRAM = """
    import hydra
    from hydra.utils import instantiate

    @hydra.main(version_base=None, config_path=None, execution_whitelist=["fractions.*"])
    def main(cfg):
        return str(instantiate({"_target_": cfg.target, "_args_": ["3"]}))

    if __name__ == "__main__":
        main()
"""


@pytest.mark.skipif(
    "execution_whitelist" not in inspect.signature(hydra.main).parameters,
    reason="Hydra before 1.4 has no execution whitelist",
)
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_the_whitelist_holds_in_the_jobs(app: App, start_method: str) -> None:
    app.write_program(PROGRAM)
    done = app.sweep(
        f"hydra.launcher.start_method={start_method}",
        "+target=fractions.Fraction,decimal.Decimal",
        code=1,
    )
    assert done.states == ["completed", "failed"]
    assert "decimal.Decimal' is not in the Hydra execution whitelist" in done.process.stderr
