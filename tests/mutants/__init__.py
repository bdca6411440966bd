"""Deliberate faults in the code: each must be caught by the tests.

    python -m tests.mutants

`faults.diff` is the table of them. Each is applied to a copy of the package, on which the test that it names is run,
then the simulation, and where that finds nothing, pytest.
"""
