"""Hears webhooks, queues jobs, opens pull requests."""
