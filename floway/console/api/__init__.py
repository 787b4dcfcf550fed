"""What the operator's pages show, for programs: JSON under /api/."""
