"""Bulk updates with bounded concurrency, and resumable jobs. Start reading at `job.py`."""
