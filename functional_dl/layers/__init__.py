"""Layers: a formula and its derivative each."""
