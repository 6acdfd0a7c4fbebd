"""What is thought of the costs: anomalies, forecasts, recommendations, and the sentences about them."""
