"""What a researcher does around a model: prepare, compare, explain, report, export, package, serve."""
