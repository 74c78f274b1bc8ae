# SPDX-License-Identifier: Apache-2.0
"""What people look at: tables, and figures as matplotlib `Figure` objects for files and TensorBoard."""
