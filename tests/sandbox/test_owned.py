"""An owner's own command whose only report is a JUnit file is graded, in any language."""

import shutil
from pathlib import Path

import pytest

from engine.repo_config import parse
from sandbox import images
from sandbox.contract import Limits, Patch, Sandbox, TestSpec, TestStatus
from sandbox.errors import ImageBuildError
from sandbox.grading import grade
from sandbox.recipes.steps import Steps
from sandbox.runner import run_tests
from sandbox.settings import MIB
from tests.sandbox.conftest import WriteRepository, opened, settings

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
LIMITS = Limits(wall_clock_s=60.0, memory_bytes=512 * MIB)
CONFIG = "test_command: sh check.sh\nreport: junit\nreport_files: ['out/*.xml']\n"
CHECK = """\
mkdir -p out
problem='<failure message="it says otherwise"/>'
grep -q hello greeting.awk && problem=
cat > out/report.xml <<END
<testsuite name="greeting">
<testcase name="says hello">$problem</testcase>
<testcase name="is there"/>
</testsuite>
END
test -z "$problem"
"""
FIX = """\
--- a/greeting.awk
+++ b/greeting.awk
@@ -1 +1 @@
-BEGIN { print "hallo" }
+BEGIN { print "hello" }
"""
HELLO, THERE = "greeting > says hello", "greeting > is there"


def test_a_language_without_a_recipe_is_graded_by_the_owners_report(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository({"greeting.awk": 'BEGIN { print "hallo" }\n', "check.sh": CHECK})
    steps = parse(CONFIG).steps_for("")
    found = images.prepare(sandbox, root, test_command=None, settings=settings(), steps=steps)
    spec = TestSpec(found.image, found.command, fail_to_pass=(HELLO,), pass_to_pass=(THERE,))
    before = run_tests(sandbox, spec, None, LIMITS)
    assert dict(before.statuses) == {HELLO: TestStatus.FAILED, THERE: TestStatus.PASSED}
    assert before.details[HELLO] == "it says otherwise"
    assert not grade(spec, before).resolved
    assert grade(spec, run_tests(sandbox, spec, Patch(FIX), LIMITS)).resolved


def test_without_a_report_such_a_language_has_no_recipe(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository({"greeting.awk": "BEGIN { }\n", "check.sh": CHECK})
    with pytest.raises(ImageBuildError, match="no manifest of a known language"):
        images.prepare(sandbox, root, test_command=["sh", "check.sh"], settings=settings())


@pytest.mark.parametrize("language", ["go/words", "rust/words", "javascript/words", "java/maven"])
def test_the_owners_report_goes_before_a_recipes_own(tmp_path: Path, language: str) -> None:
    sandbox = opened("bubblewrap")  # what is held of it is the same in all of them
    root = Path(shutil.copytree(REPOSITORIES / language, tmp_path / "copy"))
    (root / "check.sh").write_text(CHECK, encoding="utf-8")
    (root / "greeting.awk").write_text('BEGIN { print "hello" }\n', encoding="utf-8")
    steps = Steps(test_command="sh check.sh", report="junit", report_files=("out/*.xml",))
    try:
        found = images.prepare(sandbox, root, test_command=None, settings=settings(), steps=steps)
    except ImageBuildError as error:
        if error.step != "toolchain":
            raise
        pytest.skip(str(error))
    report = run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS)
    assert dict(report.statuses) == {HELLO: TestStatus.PASSED, THERE: TestStatus.PASSED}
