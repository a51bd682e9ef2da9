"""The command line. Needs the extra `cli`; draws only where somebody looks."""
