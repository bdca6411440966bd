"""The ledger under seeded faults: the real code over an in-memory store, compared with an independent auditor.

    python -m tests.simulation --histories 1000 --seed 1

`store.py` is DynamoDB and SQS for exactly the calls that the code makes (checked call by call against real engines in
`test_store.py`), `histories.py` makes what shops send, `simulate.py` runs it with several workers interleaved at each
call and faults at any of them, `auditor.py` computes from what was accepted how everything must end.
"""
