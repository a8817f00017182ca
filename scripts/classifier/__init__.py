"""Handwritten digits, classified by two networks: what digits is made of."""
