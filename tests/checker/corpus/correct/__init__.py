"""Losses without a bug, some of which look odd."""
