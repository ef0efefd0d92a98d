"""The run pages: the queue, and one job's iterations, candidates and evidence."""

from fastapi import APIRouter

from engine.store import JobStore


def make_router(store: JobStore, *, list_jobs: bool) -> APIRouter:
    """Build the routes of the run pages."""
    assert store or list_jobs
    return APIRouter()
