"""How a trial is made: baselines, and methods of adapting a pretrained model."""
