"""Single rewrites of a Python function: bugs to train on, and blind or ranked repairs."""
