"""Finds out in seconds whether a loss is broken: `lossmith.check`."""
