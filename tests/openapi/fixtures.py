"""The fixture `openapi_referee`; a conftest that wants it imports it from here.

A test that uses it should be marked `network`: the first run fetches a package from npm.
"""

import pytest

from tests.openapi import description
from tests.openapi.referee import Referee


@pytest.fixture(scope="session")
def openapi_referee() -> Referee:
    try:
        return Referee(description.load())
    except description.DescriptionUnavailableError as error:
        pytest.skip(f"GitHub's API description is not available: {error}")
