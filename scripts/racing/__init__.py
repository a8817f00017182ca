"""The contests of bench: who takes part, how they race, and a file for each section."""
