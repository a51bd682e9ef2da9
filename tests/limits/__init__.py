"""Limits: alone, over a file, over Redis."""
