"""HTTP: requests, answers, refusals, and the calls behind each route."""
