"""The actions of cartloader as Prefect tasks."""
