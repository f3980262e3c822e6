"""Everything that touches Ray: connecting, actors, the driver's loop, submitting. The only `import ray`."""
