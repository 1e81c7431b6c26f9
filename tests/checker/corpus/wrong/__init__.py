"""Losses with a bug."""
