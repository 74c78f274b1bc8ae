"""What a researcher does around a model: prepares data, compares, explains, reports, exports, packages, serves."""
