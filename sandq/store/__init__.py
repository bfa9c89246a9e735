"""The Redis half: keys, scripts, calls and connections. It knows no processes."""
