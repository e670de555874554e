"""Pruners drop what need not be sent."""
