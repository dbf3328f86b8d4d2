"""launchkit's plugin for Hydra: a launcher, its configuration, and nothing heavy."""
