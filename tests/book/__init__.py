"""The book under any order of images: `python -m tests.book --histories 20000 --seed 1`.

A history: orders of both APIs are written through the ledger; keepers get random, repeated, shuffled and cut slices of
the images, are killed at any call, and lose answers, whose writes may land later; reports sum up days meanwhile, and
are cut off too. When everything was delivered once, each report must be what the auditor adds up from what was sent.
"""
