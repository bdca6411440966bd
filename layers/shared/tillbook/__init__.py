"""Tillbook takes orders, and keeps exact lifetime values, complete timelines and customer audiences."""

from tillbook.aws import start

start.begin()  # before the other modules are imported
