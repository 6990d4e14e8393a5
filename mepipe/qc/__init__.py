"""Quality of what a store holds: what usually goes wrong with clips, measured on their features and judged."""
