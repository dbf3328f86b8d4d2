"""The only room, with the modes, that knows doodad: found, installed, called, subclassed."""
