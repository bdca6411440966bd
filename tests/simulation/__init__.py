"""The ledger under seeded faults: the real code over an in-memory store, compared with an independent auditor.

    python -m tests.simulation --histories 1000 --seed 1

`store.py` and `queues.py` implement the calls of DynamoDB and SQS that the code makes; `test_store.py` compares the
store with a real engine, call by call, and tests the queues. `histories.py` makes the requests of shops, and
`simulate.py` runs them: `world.py` has the clock, random numbers, tables and queues, `functions.py` the clients and
functions, `network.py` the faults, and `invariants.py` the checks after each write. `auditor.py` computes from the
accepted requests the state that the tables must have in the end; `ending.py` and `snapshot.py` read the state that they
have.
"""
