-- ring: pass the bell on to another idle supervisor
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    none
-- REPLY   nil
-- ERRORS  none
-- EVENTS  none
-- include: wake
Wake.ring()
