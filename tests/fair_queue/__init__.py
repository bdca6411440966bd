"""Simulates SQS's fair queues, which no local engine has, with a backlog of one account.

    python -m tests.fair_queue

Prints how long an order of another account waits behind the backlog, with MessageGroupId and without it.
"""
