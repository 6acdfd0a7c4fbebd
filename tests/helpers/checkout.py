"""The checkout itself, for tests of what is in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]


def imports_of(room: str) -> Iterator[tuple[str, str]]:
    """Every import in a room, those inside functions too: the file and line, and the top-level package."""
    for file in sorted((TOP / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}:{node.lineno} is a relative import; name the package"
                names = [node.module or ""]
            else:
                continue
            for name in names:
                yield f"{file.relative_to(TOP)}:{node.lineno}", name.split(".")[0]
