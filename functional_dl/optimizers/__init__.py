"""Optimizers: what becomes of a parameter and its gradient."""
