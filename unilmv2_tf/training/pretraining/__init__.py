"""The parts of the `pretrain` command."""
