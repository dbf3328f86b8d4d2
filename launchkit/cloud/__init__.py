"""Sweeps on rented machines: what is bought, what the machines are told, what comes home."""
