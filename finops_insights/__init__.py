"""The thinking: pure functions from costs to anomalies, forecasts, savings and sentences. No Dagster, no web."""
