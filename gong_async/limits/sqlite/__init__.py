"""Limits that the processes of one machine share in a SQLite file. Start reading at `store.py`."""
