"""The installed distribution: its version, and how to add an extra to it (`install.py`)."""

__version__ = "0.1.0"
