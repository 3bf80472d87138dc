"""Driving a car by a network: the controls, the simulator and closed-loop drives."""
