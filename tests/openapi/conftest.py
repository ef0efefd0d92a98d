"""The referee, for the tests beside this file; others import it from `tests.openapi.fixtures`."""

from tests.openapi.fixtures import openapi_referee

__all__ = ["openapi_referee"]
