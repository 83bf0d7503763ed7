"""Two checkouts of this project measured in turns on one machine: medians, spread and ratio."""
