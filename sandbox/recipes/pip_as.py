"""Starts pip as if another Python ran it; sent as text to the one that runs this program.

`pip download --python-version` takes the wheels of another version, but decides by its own whether
a requirement with a marker is one (`tomli; python_version < "3.11"`). Arguments: the values of
those markers as JSON, then pip's own.
"""

import json
import runpy
import sys

from pip._vendor.packaging import markers


def main() -> None:
    """Become pip, with other answers to what the environment is."""
    told = json.loads(sys.argv[1])
    here = markers.default_environment()
    markers.default_environment = lambda: {**here, **told}
    sys.argv = ["pip", *sys.argv[2:]]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
