"""Deliberate faults in the code. The tests must find each of them.

    python -m tests.mutants

`faults.diff` lists the faults. Each one is applied to a copy of the package. The tests that it names run on the copy.
If they do not find it, the simulation runs, and then more tests.
"""
