"""Persistent files: private, on a local disk, changed in short transactions."""
