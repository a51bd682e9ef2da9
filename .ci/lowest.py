"""Prints the oldest version that each requirement of the project allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*])?>=([^,;\s]+)[^;]*(;.*)?")


def main() -> None:
    """Read pyproject.toml: what is needed, the extras, and what the tests need."""
    project = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text())
    requirements = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        requirements += extra
    requirements += project["dependency-groups"]["test"]
    for requirement in dict.fromkeys(requirements):
        found = _REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise SystemExit(f"{requirement!r} has no lower bound")
        print(f"{found[1]}=={found[2]}{found[3] or ''}")


if __name__ == "__main__":
    main()
