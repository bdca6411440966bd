"""Deliveries of shop platforms, and their translation to events."""
