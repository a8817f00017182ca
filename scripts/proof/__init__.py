"""What the tables of prove hold: cases against autograd, planted faults, and many trainings."""
