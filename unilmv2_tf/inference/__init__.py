"""The commands `unilmv2 generate` and `unilmv2 predict`, for whole files."""
