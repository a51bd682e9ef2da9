"""Malformed answers and inputs, in large numbers."""
