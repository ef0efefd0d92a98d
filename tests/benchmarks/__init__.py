"""Figures, one module each: JSON under build/bench and a table. Nothing here asserts a time."""
