"""Evaluation: metrics in NumPy, and what they are measured on."""
