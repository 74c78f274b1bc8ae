"""Image files and grids in mm: opened, read a block at a time, sampled."""
