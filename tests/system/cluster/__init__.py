# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes-shaped cluster of network namespaces on one machine, and real traffic through it."""
