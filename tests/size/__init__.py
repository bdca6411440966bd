"""The cost of reads and of pages of jobs, which is bounded however large an order, a person or an account is.

    python -m tests.size --orders 100000

Prints calls, read units and write units of each, on a store in memory. It has `--orders` orders, `--of-one-person` of
them of one person, and two more: one with the most events and one with the most bytes that an order can have. Units are
computed from the bytes of items, as DynamoDB counts them.
"""
