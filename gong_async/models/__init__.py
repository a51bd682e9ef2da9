"""What goes to Gong and what comes back."""
