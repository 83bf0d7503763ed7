"""Figures of a run: percentiles, time series, resources, charts, the report's page."""
