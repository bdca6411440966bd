"""Deliveries of shops' platforms, and Tillbook's translation of them."""
