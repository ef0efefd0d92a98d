"""Evolves candidate patches for one issue and picks the best."""
