"""What is measured: functions from settings to a step, see `alternating`."""
