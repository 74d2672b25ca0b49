"""Rows, transactions and the durable commit."""
