"""`make bench`: start time, run time and AWS calls of the functions, compared with bare boto3 calls in the same run."""
