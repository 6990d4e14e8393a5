"""Recipes: YAML files that name stages and wire them into a DAG, and the keys that follow from them."""
