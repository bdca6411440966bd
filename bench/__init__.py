"""`make bench`: start time, run time and AWS calls of the functions, compared with bare boto3 in the same run.

"Bare" is a program that only makes the same AWS calls with boto3 (bench/bare.py).
"""
