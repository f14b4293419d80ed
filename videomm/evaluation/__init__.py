"""Evaluation: metrics in NumPy, scikit-learn and SciPy, and pinned protocols."""
