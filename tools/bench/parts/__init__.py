"""The parts of the benchmark: each measures one thing, shows it as a table, and says which charts to draw."""
