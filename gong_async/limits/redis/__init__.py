"""Limits that processes on any number of machines share in Redis. Start reading at `store.py`."""
