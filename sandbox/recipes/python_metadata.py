"""What the installation of a Python project would lay: its metadata, paths and commands."""

from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from sandbox.recipes.python_project import Project
from sandbox.recipes.steps import HERE


def write_metadata(project: Project, target: Path, at: str = HERE) -> None:
    """Lay what `importlib.metadata` and the shell would find of an editable installation."""
    site = target / "site"
    escaped = canonicalize_name(project.name).replace("-", "_")
    info = site / f"{escaped}-{project.version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {project.version}\n",
        encoding="utf-8",
    )
    (info / "INSTALLER").write_text("evoscale\n", encoding="utf-8")
    below = "/repo" if at == HERE else f"/repo/{at}"
    lines = [f"{below}/{path}".removesuffix("/.") for path in project.paths]
    (site / "repository.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in points.items()) + "\n"
        for group, points in project.entry_points.items()
    )
    (info / "entry_points.txt").write_text(text, encoding="utf-8")
    _write_launchers(project.entry_points.get("console_scripts", {}), target / "bin")


def _write_launchers(scripts: Mapping[str, str], directory: Path) -> None:
    directory.mkdir()
    for name, where in scripts.items():
        module, _, call = where.split("[")[0].strip().partition(":")
        plain = all(part.isidentifier() for part in (*module.split("."), *call.split(".")))
        if plain and Path(name).name == name and name not in {".", ".."}:
            launcher = directory / name
            launcher.write_text(
                f"#!/opt/env/bin/python\nimport sys\nfrom {module} import {call.split('.')[0]}\n"
                f"sys.exit({call}())\n",
                encoding="utf-8",
            )
            launcher.chmod(0o755)
