"""A GPT that learns Python's own documentation, character by character: what gpt is made of."""
