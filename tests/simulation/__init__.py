"""The ledger under seeded faults: the real code over an in-memory store, compared with an independent auditor.

    python -m tests.simulation --histories 1000 --seed 1

`store.py` and `queues.py` are DynamoDB and SQS for exactly the calls that the code makes (checked call by call against
real engines in `test_store.py`). `histories.py` makes the requests of shops. `simulate.py` runs them: `world.py` has
the clock, chance, tables and queues, `functions.py` the clients and functions, `network.py` the faults, `invariants.py`
the checks after each write. `auditor.py` computes from the accepted requests how everything must end, and `ending.py`
and `snapshot.py` read how it did end.
"""
