"""From a driving log to a driver and one page on it, in steps that are not done twice."""
