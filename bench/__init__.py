"""`make bench`: how fast the functions start and work, and what they ask of AWS, against bare calls in the same run."""
