"""What mutants runs: changed code, and the tests against each change."""
