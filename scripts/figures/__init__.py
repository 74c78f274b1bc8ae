# SPDX-License-Identifier: Apache-2.0
"""Tables, and figures as matplotlib `Figure` objects for files and TensorBoard."""
