"""The `finops` command: composes the other rooms and holds no logic of its own."""
