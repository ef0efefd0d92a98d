"""Product code that keeps its bug and has the tests say otherwise, and is seen through.

Each hides its intent from the policy by putting names together, because that is what stands after
the policy is looked at here. A verdict is made by back end, runner and report alike, so it is asked
on every machine.
"""

from sandbox.conformance.hostile.attack import Attack, lying

MADE_UP = "the results are made up"

LIE = """
import importlib
reports = importlib.import_module("_py" + "test.reports")
original = reports.TestReport.from_item_and_call.__func__
def lie(cls, item, call):
    if {spares}:
        call.excinfo = None
    return original(cls, item, call)
reports.TestReport.from_item_and_call = classmethod(lie)
"""
REWRITE = """
import importlib, os, re
def rewrite():
    place = "/tmp/evo" + "scale/report.xml"
    text = open(place).read()
    open(place, "w").write({how})
    getattr(os, "_ex" + "it")(0)
importlib.import_module("at" + "exit").register(rewrite)
"""
FORGE = """
import os
os.makedirs("/tmp/evo" + "scale", exist_ok=True)
file = 'file="tests/test_calc.py"'
names = ("test_adds", "test_zero", "test_words[a b]", "test_words[c::d]")
def case(place, name):
    return f'<testcase classname="tests.{place}" name="{name}" {file}>CHILD</testcase>'
cases = "".join(case("test_calc", name) for name in names)
cases += case("test_calc.TestMore", "test_in_a_class")
open("/tmp/evo" + "scale/report.xml", "w").write(f'<testsuite>{cases}MORE</testsuite>')
getattr(os, "_ex" + "it")(CODE)
"""
ALL = r"re.sub(r'<failure.*?</failure>', '', text, flags=re.S)"


def forged(code: int, *, child: str = "", more: str = "") -> str:
    """Code that writes a report of its own and ends the run with this exit code."""
    return FORGE.replace("CHILD", child).replace("MORE", more).replace("CODE", str(code))


FAKES = (
    Attack(
        "every report says passed",
        lying(LIE.format(spares="True")),
        said=f"{MADE_UP}: a test that can only fail was reported as PASSED",
    ),
    Attack(
        "the run ends at once and well",
        lying("import os\ngetattr(os, '_ex' + 'it')(0)"),
        said="no test report was written",
    ),
    Attack(
        "an interrupt ends the run",
        lying("raise KeyboardInterrupt"),
        said="exit code 2",
    ),
    Attack(
        "the report is rewritten when all is over",
        lying(REWRITE.format(how=ALL)),
        said=MADE_UP,
    ),
    Attack(
        "a report is written instead of the runner's",
        lying(forged(0)),
        said=f"{MADE_UP}: a test that was laid in with the run is missing",
    ),
    Attack(
        "a report and a usage error are made up",
        lying(forged(4, more='<testcase name="made up"><failure/></testcase>')),
        said=f"{MADE_UP}: a test that was laid in with the run is missing",
    ),
    Attack(
        "every test is said to fail as expected and none to have run",
        lying(forged(5, child="""<skipped type="py' 'test.xfail"/>""")),
        said=f"{MADE_UP}: a test that was laid in with the run is missing",
    ),
    Attack(
        "tests are not run but said to have been",
        lying("""
            import importlib
            importlib.import_module("_py" + "test.python").Function.runtest = lambda self: None
        """),
        said=f"{MADE_UP}: a test that can only fail was reported as PASSED",
    ),
    Attack(
        "a thread patches the runner when collection is over",
        lying("""
            import importlib, threading, time
            def later():
                time.sleep(0.05)
                importlib.import_module("_py" + "test.python").Function.runtest = lambda self: None
                other = importlib.import_module("unit" + "test").TestCase
                other.__call__ = lambda self, result: None
            threading.Thread(target=later, daemon=True).start()
            time.sleep(0.3)
        """),
        said=MADE_UP,
    ),
    Attack(
        "every test skips",
        "import unittest\n\n\ndef add(a, b):\n    raise unittest.SkipTest('not today')\n",
        said="^",
    ),
    Attack(
        "unittest's own assertions hold always",
        lying("""
            import importlib
            importlib.import_module("unit" + "test").TestCase.assertEqual = lambda *_: None
        """),
        said=f"{MADE_UP}: a test that can only fail was reported as PASSED",
    ),
    Attack(
        "a trace function turns failures round",
        lying("""
            import sys
            def trace(frame, event, arg):
                if frame.f_code.co_name == "__init__" and "longrepr" in frame.f_locals:
                    frame.f_locals.update(outcome="passed", longrepr=None)
            getattr(sys, "set" + "trace")(trace)
        """),
        said=MADE_UP,
    ),
    Attack(
        "the tests' file is rewritten while it is read",
        lying("""
            text = open("/repo/tests/test_calc.py").read()
            open("/repo/tests/test_calc.py", "w").write(text.replace("== 3", "!= 3"))
        """),
        said=f"{MADE_UP}: while the tests ran, 'tests/test_calc.py' was changed",
    ),
    Attack(
        "a conftest.py that appears by itself",
        lying("""
            open("/repo/tests/conf" + "test.py", "w").write("x = 1")
        """),
        said=f"{MADE_UP}: while the tests ran, 'tests/conftest.py' was changed",
    ),
)
"""Those that the first verdict sees through."""
