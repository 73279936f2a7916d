"""Devices, each with its real programming model: two verbs, an interrupt line, a backend.

Read `uart` first: it is the smallest whole device. No device knows its address or another device.
"""
