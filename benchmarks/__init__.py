"""How fast the plural calls are, as ratios of time to a C twin. Run: python -m benchmarks."""
