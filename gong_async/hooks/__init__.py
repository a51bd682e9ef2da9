"""What a client tells while it works, and who listens."""
