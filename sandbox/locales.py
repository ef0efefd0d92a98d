"""The locale that test suites expect of a machine: English of the United States, in UTF-8.

It is compiled out of the machine's own definitions, without root and without a network.
"""

import logging
import shutil
import subprocess
from pathlib import Path

logger = logging.getLogger(__name__)

LOCALE = "en_US"
CHARSET = "UTF-8"
PLACE = f"usr/lib/locale/{LOCALE}.utf8"
SOURCE = Path("/usr/share/i18n/locales") / LOCALE
COMPILE_S = 60.0


def compiled(scratch: Path) -> dict[str, Path]:
    """The locale's files, made below `scratch`: path in the root file system to path here.

    Empty where this machine has no `localedef` or no definitions (Debian: 'locales'): suites that
    ask for the locale then fail in boxes as they would on this machine.
    """
    program = shutil.which("localedef", path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if program is None or not SOURCE.is_file():
        return {}
    made = scratch / LOCALE
    argv = [program, "--no-archive", "-i", LOCALE, "-f", CHARSET, str(made)]
    try:
        # Its exit code is 1 where it only had something to warn of.
        subprocess.run(argv, capture_output=True, check=False, timeout=COMPILE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("boxes have no locale %s.%s: %s", LOCALE, CHARSET, error)
        return {}
    files = [path for path in made.rglob("*") if path.is_file()]
    return {f"{PLACE}/{path.relative_to(made)}": path for path in files}
