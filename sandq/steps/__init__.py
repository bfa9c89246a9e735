"""What each public verb does, call by call, and without a connection: both faces run these."""
