"""The experiment of the course report that the project starts from, "the report" for short.

Its task is the mini-project "Mini deep-learning framework" of the course Deep Learning, EE-559, at
EPFL (F. Fleuret, https://fleuret.org/ee559): a framework that uses nothing but PyTorch's tensor
operations and the math module, with every backward pass written by hand. The report trains two
small networks with its own framework and with PyTorch, and compares their losses (Figure 1), their
errors (Table I) and their times (Table II).
"""
