"""Files that outlive a process: private, on a local disk, changed in short transactions."""
