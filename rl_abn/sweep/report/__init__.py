"""What a sweep found: curves, tables and comparisons with intervals over seeds."""
