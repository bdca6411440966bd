"""The cost of reads and of pages of jobs, which is bounded however large an order, a person or an account is.

    python -m tests.size --orders 100000

Prints calls, read units and write units of each, on a store in memory with `--orders` orders, many of them of one
person, and two orders that are as large as an order can be. Units are computed from the bytes of items, as DynamoDB
counts them.
"""
