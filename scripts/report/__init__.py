"""The experiment of the report, that is of the course report which the project starts from.

It presents a mini deep-learning framework on PyTorch's tensor operations, with every backward pass
written by hand. It trains two small networks with it and with PyTorch, and compares their losses
(Figure 1), their errors (Table I) and their times (Table II).
"""
