"""What people look at: tables, and figures as matplotlib `Figure` objects for files and TensorBoard."""
