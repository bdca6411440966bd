"""Bounds: what every read and every page of a job costs, whatever an order, a person or an account holds.

    python -m tests.size --orders 100000

Prints calls and read and write units of each on a store in memory that has a person with many orders, orders at their
bound, and as many orders as asked for; units are computed from the bytes of items, as DynamoDB counts them.
"""
