"""The parts of `unilmv2 generate`."""
