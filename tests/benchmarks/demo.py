"""The demo's wall time by stage, as a person sees it."""

import json
import subprocess
import sys


def measure() -> dict[str, float | int | str]:
    asked = [sys.executable, "-m", "bot.cli", "demo", "--json"]
    result = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=600)
    if not result.stdout.strip():
        said = (result.stderr.strip().splitlines() or ["nothing"])[-1]
        return {"exit_code": result.returncode, "said": said}
    told = json.loads(result.stdout.strip().splitlines()[-1])
    return {"exit_code": result.returncode, "project": told["project"], **told["seconds"]}
