"""Towers of the embedded model's kind: plain modules that load and run quickly."""
