"""Losses: a formula and its gradient each."""
