"""Imported first by the server of `preload`: modules that are only loaded leave no garbage, and looking takes long."""

import gc

gc.disable()
