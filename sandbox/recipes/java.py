"""Java repositories: Maven or Gradle, offline, with what this machine's Maven repository holds."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError  # names only; parsed by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes import gradle_home, machine
from sandbox.recipes.declared import text_of
from sandbox.recipes.layers import Layer, no_packages, nothing, reported, script
from sandbox.recipes.steps import HERE, Steps

VERSION = "1"  # raise it when what goes into an image changes
STEP = "artifacts"
REPOSITORY = Path("/usr/share/maven-repo")
JDK = "install a JDK (Debian: 'default-jdk-headless')"
GRADLE_FILES = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
SETTINGS = {
    "JAVA_HOME": "/opt/env/jdk", "MAVEN_OPTS": "-Xmx512m -XX:TieredStopAtLevel=1",
    "GRADLE_OPTS": "-Xmx512m", "GRADLE_USER_HOME": "/tmp/gradle", "MAVEN_SKIP_RC": "1",  # noqa: S108  # in the box
}  # fmt: skip
MAVEN = (
    "mvn", "-o", "-B", "-fae", "-Dstyle.color=never", "-Dmaven.repo.local=/opt/env/maven-repo",
    "-DfailIfNoTests=false", "-DtrimStackTrace=false",
)  # fmt: skip
INIT = "/opt/project/offline.gradle"
GRADLE = ("gradle", "--offline", "--no-daemon", "--continue", "--console=plain", "-I", INIT)
OFFLINE = """\
def local = { it.maven { url 'file:///opt/env/maven-repo' } }
allprojects {
    buildscript { local(repositories) }
    local(repositories)
}
"""
"""A build script's own repositories stay; they cannot be reached, and the local one is asked."""
COLLECT = {
    "maven": ["**/target/surefire-reports/TEST-*.xml"],
    "gradle": ["**/build/test-results/**/TEST-*.xml"],
}
COORDINATES = ("groupId", "artifactId", "version")
PLAIN = re.compile(r"[\w+-]+(?:\.[\w+-]+)*", re.ASCII)
RANGE = ("[", "(")
LEFT_OUT = ("jmods", "legal", "src.zip", "*.diz")


class JavaRecipe:
    """See `sandbox.recipes.layers.Recipe`."""

    def applies(self, checkout: Path) -> bool:
        """Whether there is a build of Maven or Gradle."""
        return _tool(checkout) is not None

    def toolchain(self, checkout: Path) -> Layer:
        """This machine's JDK, its Maven or Gradle, and its Maven repository.

        Raises:
            ImageBuildError: something of it is missing; says what to install.
        """
        jdk = machine.program("javac", JDK).parent.parent
        tool = _tool(checkout) or "maven"
        name = {"maven": "mvn", "gradle": "gradle"}[tool]
        home = machine.program(name, f"install it (Debian: '{tool}')").parent.parent
        trees = {"jdk": jdk, tool: home}
        if REPOSITORY.is_dir():
            trees["maven-repo"] = REPOSITORY
        launchers = {"java": "jdk/bin/java", "javac": "jdk/bin/javac", name: f"{tool}/bin/{name}"}
        layer = machine.layer(
            machine.Toolchain(
                f"java {tool}",
                launchers=launchers,
                trees=trees,
                files=gradle_home.libraries(home) if tool == "gradle" else {},
                settings=SETTINGS,
                proof=("/opt/env/bin/java", "-version"),
                left_out=LEFT_OUT,
            )
        )

        def lay(target: Path) -> None:
            layer.lay(target)
            gradle_home.relocate(target)

        return Layer(f"{VERSION}\n{layer.key}", lay, layer.script)

    def dependencies(self, checkout: Path, packages: Sequence[str] | None = None) -> Layer:
        """Nothing more: artifacts come from the machine's repository, in the toolchain's image.

        Raises:
            ImageBuildError: the pom names artifacts that are not there.
        """
        no_packages("java", packages)
        missing = [a for a in required(checkout) if not _is_there(a)]
        if missing:
            names = ", ".join(":".join(each) for each in missing[:5])
            reason = (
                f"this machine's Maven repository ({REPOSITORY}) lacks {names}; install the "
                "package that holds it there (Debian: 'lib...-java'), or ask for a version it has"
            )
            raise ImageBuildError(STEP, reason)

        def lay(target: Path) -> None:
            place = target / INIT.lstrip("/")
            place.parent.mkdir(parents=True)
            place.write_text(OFFLINE, encoding="utf-8")

        return Layer(f"java {VERSION}", lay, ("true",))

    def source(self, checkout: Path, path: str = HERE) -> Layer:
        """The repository."""
        del checkout, path
        return Layer(f"java {VERSION}", nothing, script("build_repo.py"))

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """`mvn test` or `gradle test`, and the XML that both write."""
        words = [word for word in wanted or () if word != "{tests}"]
        tool = _tool(checkout) or "maven"
        reason = "the repository's owner set this command" if words else (
            f"{'pom.xml' if tool == 'maven' else 'build.gradle'} is there"
        )  # fmt: skip
        tool = {"mvn": "maven", "gradle": "gradle"}.get(words[0], "") if words else tool
        if not tool:
            return (TestCommand("command", tuple(words), reason),)
        own = words[1:] or ["test"]
        argv = [*(MAVEN if tool == "maven" else GRADLE), *own]
        order: dict[str, object] = {"argv": argv, "select": tool, "collect": COLLECT[tool]}
        return (reported(tool, order, reason),)

    def found(self, checkout: Path) -> Steps:
        """The build tool's own command."""
        return Steps(test_command="mvn test" if _tool(checkout) == "maven" else "gradle test")


def required(checkout: Path) -> list[tuple[str, str, str]]:
    """The artifacts that the pom names with a version written out: group, artifact, version.

    What is no plain name is left out: it must not lead to another place of this machine.
    """
    try:
        root = fromstring(text_of(checkout / "pom.xml"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return []
    if not isinstance(root, Element):
        return []
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    found = []
    for each in root.findall(f"{space}dependencies/{space}dependency"):
        parts = [(each.findtext(space + key) or "").strip() for key in COORDINATES]
        is_range = parts[2].startswith(RANGE)  # of which no path is made
        if all(PLAIN.fullmatch(part) for part in (parts[:2] if is_range else parts)):
            found.append((parts[0], parts[1], parts[2]))
    return found


def _is_there(artifact: tuple[str, str, str]) -> bool:
    group, name, version = artifact
    place = REPOSITORY / group.replace(".", "/") / name
    return place.is_dir() if version.startswith(RANGE) else (place / version).is_dir()


def _tool(checkout: Path) -> str | None:
    if text_of(checkout / "pom.xml"):
        return "maven"
    return "gradle" if any(text_of(checkout / name) for name in GRADLE_FILES) else None
