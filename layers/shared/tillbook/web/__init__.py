"""HTTP in and out: requests, answers, refusals, and what each route does."""
