"""The parts of the two public faces: `sandq.Queue` and `sandq.sync.Queue` are made of them.

What a verb does is in `sandq.steps`; here it gets its public name, its signature and its words.
"""
