"""The commands `rsae eval`, `compare`, `probe` and `report`."""
