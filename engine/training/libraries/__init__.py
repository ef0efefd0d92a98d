"""The recipe at the size of 7B and 32B models: four stages on TRL and transformers, and exports."""
