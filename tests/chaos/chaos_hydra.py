"""The Hydra program of the chaos."""

from __future__ import annotations

from pathlib import Path

import hydra
from chaos_acts import act
from chaos_jobs import train
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path=None, config_name=None)
def main(cfg):
    own = HydraConfig.get()
    directory = Path(own.runtime.output_dir)
    if "act" in cfg:
        return act(cfg.act, own.job.num, directory, cfg.ledger)
    return train(own.job.num, directory, cfg.ledger, cfg.steps, cfg.pause)


if __name__ == "__main__":
    main()
