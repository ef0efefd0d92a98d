"""What a patch may not touch or name, by kind; tables only, read by `sandbox.policy`.

Sources of the names: the documentation of each tool, and the ways in which candidates of published
benchmarks made their own tests pass (SWE-bench issues 465, 620 and 631 among them).
"""

import re
from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Why a path is protected, as said to people."""

    TEST = "is a test"
    CONFIGURATION = "configures the tests"
    DEPENDENCIES = "decides what is installed"
    INTEGRATION = "configures continuous integration"
    START_UP = "is run by every Python process"
    PLUGINS = "declares plugins"
    GIT = "changes how git reads the repository"


CARRIED = frozenset({Kind.TEST, Kind.CONFIGURATION, Kind.DEPENDENCIES})
"""Kinds whose protection an issue lifts by naming the file: such a change is kept, never judged."""

TEST_PLACES = frozenset(
    {"test", "tests", "spec", "__tests__", "__mocks__", "__snapshots__", "testdata"}
)
TEST_NAMES = (
    "test_*.py", "*_test.py", "tests.py", "test.py", "*_tests.py", "*.test.?s", "*.test.?sx",
    "*.spec.?s", "*.spec.?sx", "*.test.[cm][jt]s", "*.spec.[cm][jt]s", "*_test.go", "*Test.java",
    "*Tests.java", "*TestCase.java", "*IT.java", "*Test.kt", "test.[jt]s", "test.[cm][jt]s",
    "test-*.[jt]s", "test-*.[cm][jt]s", "*[-_]test.[jt]s", "*[-_]test.[cm][jt]s", "test.rs",
    "tests.rs", "*_test.rs", "*_tests.rs",
)  # fmt: skip
NAMES: Mapping[Kind, tuple[str, ...]] = {
    Kind.CONFIGURATION: (
        "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini",
        "setup.cfg", "pyproject.toml", "noxfile.py", ".coveragerc", "vitest.config.*",
        "vitest.workspace.*", "vite.config.*", "jest.config.*", "jest.setup.*", ".mocharc*",
        "mocha.opts", "ava.config.*", ".taprc", ".nycrc*", "vitest.setup.*", "setupTests.*",
        "karma.conf.*", "babel.config.*", ".babelrc*", "tsconfig*.json", "nextest.toml", "build.rs",
        "surefire*.xml", "junit-platform.properties",
    ),
    Kind.DEPENDENCIES: (
        "setup.py", "requirements*.txt", "*-requirements.txt", "*_requirements.txt", "Pipfile",
        "Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "pylock*.toml", "environment.yml",
        "environment.yaml", "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock",
        "pnpm-lock.yaml", "pnpm-workspace.yaml", "bun.lock", "bun.lockb", ".npmrc", ".yarnrc",
        ".yarnrc.yml", "go.mod", "go.sum", "go.work", "Cargo.toml", "Cargo.lock", "pom.xml",
        "build.gradle*", "settings.gradle*", "gradle.properties", "gradle.lockfile", "gradlew",
        "mvnw",
    ),
    Kind.START_UP: ("sitecustomize.py", "usercustomize.py", "*.pth"),
    Kind.PLUGINS: ("entry_points.txt",),
    Kind.GIT: (".gitattributes", ".gitmodules"),
    Kind.INTEGRATION: (
        ".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "Jenkinsfile", "appveyor.yml",
        ".appveyor.yml", "bitbucket-pipelines.yml",
    ),
}  # fmt: skip
PLACES: Mapping[Kind, tuple[str, ...]] = {
    Kind.INTEGRATION: (".github", ".circleci", ".ci", ".buildkite"),
    Kind.PLUGINS: ("*.egg-info", "*.dist-info"),
    Kind.DEPENDENCIES: (".mvn", ".cargo", "node_modules", "vendor"),
    Kind.CONFIGURATION: (".config",),
}
JUDGES = frozenset(
    {"pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments", "xdist"}
)
"""Python modules that take part in judging; a new file of this name would be imported instead."""

SOURCE_ROOTS = frozenset({"src", "lib"})
PROSE = frozenset({".md", ".rst", ".txt", ".adoc"})

PYTHON = re.compile(
    r"\b(_pytest|pytest|unittest\.(?:runner|result|case|main)|os\._exit|sys\.settrace|sys\.setprofile"
    r"|sys\.monitoring|threading\.set(?:trace|profile)|PYTEST_\w+|gc\.get_objects|gc\.get_referrers"
    r"|sys\._getframe|inspect\.(?:stack|currentframe)|sys\.modules|atexit|ctypes|conftest|evoscale)\b"
)
JAVASCRIPT = re.compile(
    r"\b(vitest|jest|mocha|jasmine|node:test|process\.(?:exit|exitCode|reallyExit|abort|kill|binding)"
    r"|require\.cache|Module\._load|beforeExit|evoscale)\b"
)
GO = re.compile(
    r"(?<!\w)(os\.Exit|syscall\.(?:Exit|Kill|Exec)|runtime\.Goexit|testing|go:linkname|evoscale"
    r"|import\s+[a-zA-Z.]\w*\s*[\"`](?:os|syscall|runtime)[\"`]"
    r"|^[ \t]+(?!case\b|return\b|import\b)[a-zA-Z.]\w*\s*[\"`](?:os|syscall|runtime)[\"`]$)(?!\w)",
    re.MULTILINE,
)
RUST = re.compile(
    r"(?:(?<!\w)|(?=[:{,]))(process\s*::\s*(?:r#)?(?:exit|abort)|libtest|ctor|evoscale"
    r"|(?:::|[{,]|\buse)\s*(?:process|libc|nix|rustix)\s+as\s+\w+\s*[;,}]"
    r"|(?<!crate::)(?<!super::)(?<!self::)(?:process|libc)\s*::\s*(?:\*|\{\s*\*"
    r"|\{[^{}]{0,300}\b(?:exit|abort|self\s+as)\b)"
    r"|libc\s*::\s*(?:r#)?(?:exit|abort|syscall|atexit|dlsym)|_exit|_Exit|quick_exit|exit_group"
    r"|fn\s+(?:exit|abort|atexit|syscall|dlsym|execve?)\s*\((?![^)]{0,200}\bself\b)[^)]{0,200}\)[^{;]{0,80};"
    r"|CommandExt|link_name|link_section|(?:global_|naked_)?asm\s*!|arch::asm"
    r"|macro_rules!\s*(?:assert|assert_eq|assert_ne|panic)"
    r"|as\s+(?:assert|assert_eq|assert_ne|panic)\s*[;,}])(?!\w)"
)
"""An end under another name counts as the end itself: what is imported whole, or as something."""
JAVA = re.compile(
    r"(?:\b|(?=\\))(System\.exit|Runtime\.getRuntime|halt|junit|surefire|testng|Instrumentation"
    r"|evoscale|\\u+00(?:[46][1-9a-fA-F]|[57][0-9aA])\w*)\b"
)
"""A letter that is written as an escape spells a name that is not seen."""
JUDGE_WORDS: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys((".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts"), JAVASCRIPT),
    ".go": GO,
    ".rs": RUST,
    **dict.fromkeys((".java", ".kt", ".scala", ".groovy"), JAVA),
}
"""By suffix, what product code has no reason to name; every other file is read as Python."""

INLINE_TEST = re.compile(
    r"#!?\s*\[\s*(?:cfg(?:_attr)?\s*\(.*\btest\b|(?:\w+::)*test\b)|\bcfg!\s*\(.*\btest\b"
    r"|\bmod\s+tests?\b"
)
"""Where tests begin within product code, in Rust; what follows in the same hunk is theirs."""

NEVER_LIFTED = re.compile(
    r"_?pytest|PYTEST_\w+|unittest\.\w+|gc\.get_\w+|conftest|evoscale|vitest|jest|mocha|jasmine"
    r"|node:test|testing|libtest|junit|surefire|testng"
)
"""Names of the judge that no issue can make a patch speak of."""
