"""Fine-tuning on labelled examples: settings, tasks, runs over seeds."""
