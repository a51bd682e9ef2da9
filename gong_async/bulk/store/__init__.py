"""The files of bulk jobs: a journal for each job, one ledger. Start reading at `journal.py`."""
