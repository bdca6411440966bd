"""The `tillbook` command, which manages stacks on AWS and the local stack."""

__version__ = "0.1.0"
