"""The `tillbook` command: accounts and their API keys, on AWS and on the local stack alike."""
