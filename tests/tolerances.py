"""Every tolerance of the test suite, with the reason for its size."""

# Two float64 evaluations of the same closed form, in a different order of operations.
FLOAT64 = 1e-12
