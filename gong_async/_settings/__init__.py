"""Validation of what callers pass in: numbers, types, paths (`values.py`) and base URLs."""
