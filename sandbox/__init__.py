"""Runs untrusted code in a box and says which tests passed."""
