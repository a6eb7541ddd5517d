"""Files that are brought: looked at, decided about, taken whole or not at all."""
