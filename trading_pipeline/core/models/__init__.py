"""Predictive models: datasets, gradient boosting, evaluation."""
