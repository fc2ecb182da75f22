"""Speed, as ratios to peers in one run. Tests assert no times; these programs measure them."""
