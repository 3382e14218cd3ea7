"""Quotas of tenants: how much each may ask, counted for all front ends together."""
