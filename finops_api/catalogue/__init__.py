"""What can be asked, and how fresh the answers are."""
