"""Answers and inputs that nobody would write, in large numbers."""
