"""What trained networks look at, and how they arrange samples: pictures of a run, by each fold's own network."""
