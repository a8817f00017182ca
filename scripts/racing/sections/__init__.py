"""The sections of bench, one a file."""
