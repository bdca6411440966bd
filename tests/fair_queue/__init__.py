"""A neighbour's backlog, in a simulation of SQS's fair queues, which no local engine has.

    python -m tests.fair_queue

Prints how long another account's order waits behind a backlog, with MessageGroupId and without it.
"""
