"""Tests turned around, by language: a twin must fail wherever its test passes honestly.

Everything here is pure text to text. What cannot be relied on has no twin; its test is left out.
"""
