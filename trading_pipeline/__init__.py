"""A daily equity trading platform run and watched from Dagster."""
