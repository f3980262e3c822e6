"""What to do next, as a state machine without clocks, files or Ray: an event in, actions out.

    queue = Queue(trials, num_actors=2, shard_batches=4)
    for action in queue.start(): ...
    for action in queue.step(Scored(actor=0, shard=shard)): ...

It can be replayed, simulated with a thousand actors, and property-tested.
"""
