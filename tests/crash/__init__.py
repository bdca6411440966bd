"""Functions are killed by SIGKILL while they work; every accepted request must still be applied exactly once.

ProcessOrders and KeepBook are killed at random moments, each v1 handler before and after each of its calls to AWS.
"""
